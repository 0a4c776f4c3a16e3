"""Work on parts: the same rows stay, for the same reasons, whatever the parts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ModelNotFound
from curate.progress import Progress, silent
from curate.prompts import contamination, domain
from curate.prompts.chain import FILTERS
from curate.prompts.clusters import similar_pairs
from curate.prompts.embed import BATCH, BLOCK, MAX_CHARACTERS, by_length, load_embedder, shared_out
from curate.prompts.engines import LOCAL, ranges
from curate.prompts.filters import filter_prompts
from curate.prompts.filters_on_parts import groups_of
from curate.prompts.ray_engine import RayEngine
from curate.prompts.reading import read_prompts
from curate.prompts.results import EmbedderRef
from curate.prompts.store import VectorStore, encode_as
from tests.prompts.made import all_pairs, fake_judge, varied, write_jsonl, write_texts


class Apart:
    """Every part and every result goes through bytes, as between two machines."""

    at_once = 3

    def __init__(self, rows: int) -> None:
        self.rows_a_part = rows
        self.ran: set[str] = set()
        self.on_gpu: set[str] = set()

    def map(
        self,
        function: Callable[..., Any],
        parts: Iterable[tuple[Any, ...]],
        *,
        shared: Any = None,
        on_gpu: bool = False,
    ) -> Iterator[Any]:
        if on_gpu:
            self.on_gpu.add(function.__name__)
        held = sent(shared)
        for part in parts:
            self.ran.add(function.__name__)
            yield sent(function(held, *sent(part)))


def sent(what: Any) -> Any:
    return ForkingPickler.loads(ForkingPickler.dumps(what))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_parts_of_any_size_give_the_same_rows_reasons_notes_and_counts(tmp_path: Path, rows: int) -> None:
    texts = [*varied(), *(text.upper() for text in varied()[:20]), "test", "Mail a@b.org", "Hello {% if x %} there"]
    texts += [f"Please {text[0].lower()}{text[1:]}" for text in varied()[:20]]
    licenses = ["CC-BY-NC-4.0" if row % 9 == 0 else "MIT" for row in range(len(texts))]
    prompts = read_prompts(
        write_jsonl(
            tmp_path / "p.jsonl",
            [{"prompt": text, "license": one, "n": 1} for text, one in zip(texts, licenses, strict=True)],
        )
    )
    bench = read_prompts(write_texts(tmp_path / "b.jsonl", [varied()[3], varied()[40]]))
    known = read_prompts(write_texts(tmp_path / "r.jsonl", [f"{text} And why?" for text in varied()]))
    found = []
    apart = Apart(rows)
    for engine in (LOCAL, apart):
        kept, report = filter_prompts(
            prompts,
            chain={name: {} for name in FILTERS},
            reference=known,
            benchmarks=[bench],
            judge=fake_judge,
            store=VectorStore(load_embedder("default"), engine=engine),
            engine=engine,
        )
        found.append((list(kept.ids), kept.table.to_pylist(), report.model_copy(update={"wall_s": None})))
    assert found[0] == found[1]
    assert any("1 rows hold code of a template engine" in note for note in found[0][2].notes)
    assert apart.ran >= {"on_part", "apply_to_all", "sign", "band_pairs", "encode_as", "pairs_of_cells"}


def test_cells_compared_apart_give_the_same_pairs_and_cosines() -> None:
    vectors = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    engines = (LOCAL, Apart(500))
    here, there = (all_pairs(similar_pairs(vectors, 0.95, clusters=80, engine=one)) for one in engines)
    assert len(here[0]) > 100
    assert np.array_equal(here[0], there[0])
    assert np.array_equal(here[1], there[1])
    assert here[1].min() >= 0.95


def test_filters_that_need_all_rows_or_vectors_run_alone() -> None:
    assert [list(group) for group in groups_of({name: {} for name in FILTERS})] == [
        ["license"],
        ["exact"],
        ["length", "garbage", "language", "pii", "injection"],
        ["near"],
        ["contamination"],
        ["semantic"],
        ["off_domain"],
    ]


def test_ranges_cover_all_rows_once() -> None:
    assert [(one.start, one.stop) for one in ranges(10, 4)] == [(0, 4), (4, 8), (8, 10)]
    assert [(one.start, one.stop) for one in ranges(10, 0)] == [(0, 10)]


def test_a_worker_with_another_model_is_refused() -> None:
    ref = load_embedder("default").ref
    with pytest.raises(ModelNotFound, match="on a worker"):
        encode_as(ref.model_copy(update={"sha256": "0" * 64}), ["Name a river"])


class Neighbourly:
    """A slow embedder whose vectors depend on the texts of the same batch, as padding makes a transformer's."""

    is_cheap = False
    ref = EmbedderRef(spec="neighbourly", name="neighbourly", sha256="0" * 64, dimensions=2)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        self.asked.append(len(texts))
        out = np.zeros((len(texts), 2), dtype=np.float32)
        for rows in by_length(texts):
            angles = [len(texts[row]) + 0.001 * max(len(texts[other]) for other in rows) for row in rows]
            out[rows] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return out


def test_workers_get_the_batches_of_a_slow_embedder_and_give_the_very_same_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"{number:05d}" + "x" * (number * 7919 % 501) for number in range(2 * BLOCK + 900)]
    there = Neighbourly()
    monkeypatch.setattr("curate.prompts.store.embedder_of", lambda _: there)
    assert np.array_equal(VectorStore(Neighbourly())(texts), VectorStore(there, engine=Apart(4096))(texts))
    assert max(there.asked) == BATCH
    assert len(there.asked) == 2 * BLOCK // BATCH + 4


@given(st.lists(st.integers(0, 9000), max_size=700), st.booleans())
@settings(max_examples=30, deadline=None)
def test_parts_to_encode_hold_every_text_once_and_the_dearest_come_first(lengths: list[int], is_cheap: bool) -> None:
    texts = ["x" * length for length in lengths]
    parts = shared_out(texts, is_cheap=is_cheap)
    assert sorted(row for part in parts for row in part) == list(range(len(texts)))
    if not is_cheap:
        costs = [sum(min(lengths[row], MAX_CHARACTERS) for row in part) for part in parts]
        assert costs == sorted(costs, reverse=True)


def test_what_parts_are_held_against_is_made_once_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for module, name in ((contamination, "Guarded"), (domain, "held_out_scores")):
        real = getattr(module, name)

        def counted(*given: Any, real: Any = real, name: str = name, **named: Any) -> Any:
            made.append(name)
            return real(*given, **named)

        monkeypatch.setattr(module, name, counted)
    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", varied()))
    engine = Apart(20)
    filter_prompts(
        prompts,
        chain={"contamination": {}, "off_domain": {}},
        reference=read_prompts(write_texts(tmp_path / "r.jsonl", [f"{text} And why?" for text in varied()])),
        store=VectorStore(load_embedder("default"), engine=engine),
        engine=engine,
    )
    assert len(prompts) > 2 * 20
    assert made == ["Guarded", "held_out_scores"]


class Slow:
    """A Ray whose parts are only done when they are asked for, and which counts what it holds."""

    def __init__(self, **more: float) -> None:
        self.resources = {"CPU": 2.0, **more}
        self.gpus: list[int] = []
        self.held: dict[int, list[Any]] = {}
        self.most_parts = self.most_bytes = self.number = 0

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def put(self, what: object) -> object:
        return what

    def remote(self, *given: Any) -> Any:
        if callable(given[0]) and len(given) == 1:
            return self
        self.number += 1
        self.held[self.number] = list(given)
        self.most_parts = max(self.most_parts, len(self.held))
        self.most_bytes = max(self.most_bytes, sum(one[3][0].nbytes for one in self.held.values()))
        return self.number

    def options(self, *, num_gpus: int = 0, **_: object) -> "Slow":
        self.gpus += [num_gpus] if num_gpus else []
        return self

    def get(self, number: int) -> Any:
        function, _, shared, part = self.held.pop(number)
        return function(shared[0], *part)


@pytest.mark.parametrize(("rows", "parts", "size"), [(10, 4, 320), (100, 2, 1600), (1000, 1, 8000)])
def test_parts_under_way_are_bounded_in_number_and_in_bytes_and_come_in_order(
    rows: int, parts: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.prompts.ray_engine.BYTES_UNDER_WAY", 2000)
    ray = Slow()
    given = ((np.full(rows, number, dtype=np.int64),) for number in range(20))
    found = [int(one[0]) for one in RayEngine(ray).map(lambda shared, one: one * shared, given, shared=3)]
    assert found == [3 * number for number in range(20)]
    assert not ray.held
    # rows of 8 bytes: 4 parts fit by number, 2 of 800 bytes by size, and one alone may be larger
    assert (ray.most_parts, ray.most_bytes) == (parts, size)


@pytest.mark.parametrize(("on_gpu", "gpus", "asked", "most"), [(True, 3, [1], 6), (True, 0, [], 4), (False, 3, [], 4)])
def test_a_part_that_runs_a_model_asks_for_a_gpu_where_there_are_any(
    on_gpu: bool, gpus: int, asked: list[int], most: int
) -> None:
    ray = Slow(**({"GPU": float(gpus)} if gpus else {}))
    given = ((np.full(1, number, dtype=np.int64),) for number in range(20))
    found = RayEngine(ray).map(lambda _, one: int(one[0]), given, on_gpu=on_gpu)
    assert list(found) == list(range(20))
    assert (ray.gpus, ray.most_parts) == (asked, most)


def test_only_slow_embedders_want_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    embedders: list[tuple[Any, set[str]]] = [(Neighbourly(), {"encode_as"}), (load_embedder("default"), set())]
    for embedder, wanted in embedders:
        monkeypatch.setattr("curate.prompts.store.embedder_of", lambda _, embedder=embedder: embedder)
        engine = Apart(5)
        assert len(VectorStore(embedder, engine=engine)(varied()[:8])) == 8
        assert (engine.ran, engine.on_gpu) == ({"encode_as"}, wanted)
