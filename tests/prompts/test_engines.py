"""Work on parts: the same rows stay, for the same reasons, whatever the parts."""

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.errors import ModelNotFound
from curate.prompts.chain import FILTERS
from curate.prompts.clusters import similar_pairs
from curate.prompts.embed import load_embedder
from curate.prompts.engines import LOCAL, ranges
from curate.prompts.filters import filter_prompts
from curate.prompts.filters_on_parts import groups_of
from curate.prompts.reading import read_prompts
from curate.prompts.store import VectorStore, encode_as
from tests.prompts.made import fake_judge, varied, write_jsonl, write_texts


class Apart:
    """Every part and every result goes through bytes, as between two machines."""

    at_once = 3

    def __init__(self, rows: int) -> None:
        self.rows_a_part = rows
        self.ran: set[str] = set()

    def map(
        self, function: Callable[..., Any], parts: Iterable[tuple[Any, ...]], *, shared: Any = None
    ) -> Iterator[Any]:
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
    here, there = (similar_pairs(vectors, 0.95, clusters=80, engine=engine) for engine in (LOCAL, Apart(500)))
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
