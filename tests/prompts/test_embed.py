"""Embedders by spec, the store, the domain filter, contamination and selection."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from curate.artifact import sha256_file
from curate.errors import ModelNotFound, PromptsError
from curate.progress import Progress, silent
from curate.prompts.contamination import contamination
from curate.prompts.domain import off_domain
from curate.prompts.embed import StaticEmbedder, load_embedder, normalised, static_folder
from curate.prompts.reading import read_prompts
from curate.prompts.results import EmbedderRef
from curate.prompts.select import select_rows
from curate.prompts.store import VectorStore
from curate.prompts.work import Work
from tests.prompts.made import FRAMES, TOPICS, varied, write_texts


class Counting:
    """An embedder that counts what it is asked, and is slow enough to be cached."""

    is_cheap = False

    def __init__(self, dimensions: int = 4) -> None:
        self.ref = EmbedderRef(spec="counting", name="counting", sha256="c" * 64, dimensions=dimensions)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        self.asked += texts
        rows = np.array([[len(text), 1, 2, 3][: self.ref.dimensions] for text in texts], dtype=np.float32)
        return normalised(rows)


def test_the_embedded_embedder_is_small_and_what_its_record_says() -> None:
    folder = static_folder()
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
    assert record["teacher_license"] == "apache-2.0"
    for name, digest in record["files"].items():
        assert sha256_file(folder / name) == digest


def test_like_prompts_are_nearer_than_unlike_ones_and_nothing_is_the_zero_vector() -> None:
    vectors = load_embedder("default").encode(
        ["How do I poach an egg?", "How to cook a poached egg", "Fix a git merge", ""]
    )
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]


def test_vectors_do_not_depend_on_what_else_is_encoded() -> None:
    embedder = load_embedder("default")
    texts = varied()
    assert np.allclose(embedder.encode(texts)[7], embedder.encode([texts[7]])[0], atol=1e-6)


def test_no_text_is_encoded_twice_and_the_disk_remembers(tmp_path: Path) -> None:
    embedder = Counting()
    store = VectorStore(embedder, folder=tmp_path)
    first = store(["a", "bb", "a"])
    store(["bb", "ccc"])
    assert embedder.asked == ["a", "bb", "ccc"]
    later = Counting()
    assert np.array_equal(VectorStore(later, folder=tmp_path)(["a", "bb", "a"]), first)
    assert later.asked == []


def test_a_store_of_another_embedder_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    VectorStore(Counting(), folder=tmp_path)(["a"])
    with pytest.raises(PromptsError, match="another embedder"):
        VectorStore(Counting(dimensions=3), folder=tmp_path)
    next(tmp_path.glob("*.vectors")).write_bytes(b"no")
    with pytest.raises(PromptsError, match="broken"):
        VectorStore(Counting(), folder=tmp_path)


def test_a_vector_that_is_not_finite_is_refused() -> None:
    with pytest.raises(PromptsError, match="not finite, for text 2"):
        normalised(np.array([[1.0, 0.0], [np.nan, 1.0]], dtype=np.float32))


def test_an_embedder_that_is_nowhere_is_an_error_and_never_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound, match="nobody/nothing"):
        load_embedder("nobody/nothing")
    with pytest.raises(ModelNotFound, match="not a static embedder"):
        StaticEmbedder(tmp_path)


def test_rows_off_the_reference_go_and_rows_on_it_stay(tmp_path: Path) -> None:
    cooking = [frame.format(task) for task in TOPICS["cooking"] + TOPICS["home"] for frame in FRAMES]
    reference = read_prompts(write_texts(tmp_path / "r.jsonl", cooking[::2]))
    far = ["What is the capital of Mongolia?", "Translate this sentence into Latin", "Who won the cup in 1998?"]
    work = Work(read_prompts(write_texts(tmp_path / "p.jsonl", [*cooking[1::2], *far])), reference=reference)
    gone = {one.row for one in off_domain(work)}
    on = len(cooking[1::2])
    assert {on, on + 1, on + 2} <= gone
    assert len(gone) <= 3 + on // 4
    assert "under 300" in work.notes[0]


def test_benchmark_items_are_found_verbatim_edited_and_inside_longer_text(tmp_path: Path) -> None:
    item = (
        "A baker sells 48 rolls in the morning and half as many in the afternoon, then gives the last 7 to a school. "
        "How many rolls did the baker have at the start of the day?"
    )
    texts = [
        item,
        item.replace("baker sells", "bakr sels").replace("school.", "schol."),
        f"My homework is due tomorrow. {item} Please show the steps.",
        "In the morning a baker sold 48 rolls, later half of that, and 7 went to a school; how many at first?",
        *varied(),
    ]
    bench = read_prompts(write_texts(tmp_path / "bench.jsonl", [item, "Name a river."]))
    gone = list(contamination(Work(read_prompts(write_texts(tmp_path / "p.jsonl", texts)), benchmarks=(bench,))))
    assert {one.row for one in gone} >= {0, 1, 2}
    assert {one.row for one in gone} <= {0, 1, 2, 3}
    assert {one.because_of for one in gone} == {"bench:r0"}


def test_rows_of_the_reference_do_not_leak_into_the_prompts(tmp_path: Path) -> None:
    reference = read_prompts(
        write_texts(tmp_path / "target.jsonl", ["My card was stolen in Vienna", "Where is my refund?"])
    )
    texts = ["my card was stolen in Vienna!", "Please answer: Where is my refnd?", "Where can I buy a map of Vienna?"]
    gone = list(contamination(Work(read_prompts(write_texts(tmp_path / "p.jsonl", texts)), reference=reference)))
    assert [one.row for one in gone] == [0, 1]


def test_selection_covers_more_than_chance_and_repeats() -> None:
    generator = np.random.default_rng(0)
    centers = np.linalg.qr(generator.normal(size=(32, 32)))[0][:20]
    sizes = [200, 100, *([5] * 18)]
    rows = np.concatenate([c + 0.05 * generator.normal(size=(n, 32)) for c, n in zip(centers, sizes, strict=True)])
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    label = np.repeat(np.arange(20), sizes)
    chosen = select_rows(vectors, 20)
    assert len(set(label[chosen])) >= 18  # by chance 20 of 390 rows touch about 6 clusters
    assert chosen == select_rows(vectors, 20)
    assert select_rows(vectors, 10_000) == list(range(len(vectors)))
    assert len(select_rows(vectors, 30, reference=vectors[:50])) == 30
