"""What lets a million prompts through: batches, mapped files, sifted candidates, a cache that survives a kill."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import PromptsError, RunError
from curate.prompts import clusters as clustered
from curate.prompts import columns, reading, scratch, store, word_counts
from curate.prompts import outlines as outlined
from curate.prompts.alike import Wordings
from curate.prompts.cells import steady
from curate.prompts.kernels import keep_first, similar_pairs, sum_rows
from curate.prompts.neighbors import top_neighbors
from curate.prompts.promptset import write_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.store import VectorStore
from curate.prompts.texts import Texts
from curate.prompts.wording import edits, same_wording
from tests.prompts.made import all_pairs, write_jsonl, write_texts
from tests.prompts.test_embed import Counting

WORDS = ["please", "river", "rivers", "rievr", "ice", "cream", "icecream", "a", "the", "bank", "banks", "can", "not"]
WORDS += ["cannot", "find", "me", "international", "interantional", "inter", "national", "42", "hello", "what"]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two rows, written out at once."""
    monkeypatch.setattr(columns, "ROWS_A_BATCH", 2)
    monkeypatch.setattr(scratch, "SPILL_BYTES", 1)
    monkeypatch.setattr(reading, "ROWS_A_BATCH", 2)


ROWS: list[dict[str, object]] = [
    {"id": "a", "prompt": "one", "n": 1},
    {"id": "b", "prompt": "two", "n": 2},
    {"id": "c", "prompt": "three", "n": 2.5, "new": {"x": 1}},
    {"id": "d", "prompt": "four ü €", "n": None, "new": {"y": "z"}},
    {"id": "e", "prompt": "", "n": 3},
]


def test_rows_in_many_batches_give_the_same_table_as_in_one(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", ROWS)
    whole = read_prompts(path)
    request.getfixturevalue("small_batches")
    parts = read_prompts(path)
    assert parts.table.schema == whole.table.schema
    assert parts.table.to_pylist() == whole.table.to_pylist()
    assert (parts.ids, parts.texts, parts.sha256) == (whole.ids, whole.texts, whole.sha256)
    assert parts.take([1, 3]).texts == ["two", "four ü €"]


@pytest.mark.usefixtures("small_batches")
def test_a_column_whose_later_batches_are_of_another_type_comes_back_as_it_was(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": "one", "x": 1},
        {"prompt": "two", "x": 2},
        {"prompt": "three", "x": "three"},
        {"prompt": "four", "x": [4, "four"]},
        {"prompt": "five", "x": None},
    ]
    prompts = read_prompts(write_jsonl(tmp_path / "p.jsonl", rows))
    write_prompts(tmp_path / "out.jsonl", prompts)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == rows


@pytest.mark.usefixtures("small_batches")
def test_a_large_parquet_file_is_mapped_and_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"prompt": [f"prompt {n}" for n in range(50)]}), tmp_path / "p.parquet")
    spill = tmp_path / "spill"
    spill.mkdir()
    monkeypatch.setenv("TMPDIR", str(spill))
    prompts = read_prompts(tmp_path / "p.parquet")
    assert len(prompts) == 50
    assert prompts.texts[49] == "prompt 49"
    assert not list(spill.iterdir())


@given(st.lists(st.text(), max_size=30), st.data())
@settings(deadline=None)
def test_packed_texts_are_the_texts(texts: list[str], data: st.DataObject) -> None:
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    packed = Texts.of(clean)
    assert packed == clean
    assert list(packed) == clean
    assert [packed[row] for row in range(len(packed))] == clean
    assert packed[1:3] == clean[1:3]
    assert packed != [*clean, "x"]
    rows = data.draw(st.lists(st.integers(0, max(0, len(clean) - 1)), max_size=10 if clean else 0))
    assert packed.take(rows) == [clean[row] for row in rows]
    with pytest.raises(IndexError):
        packed[len(clean)]


@settings(max_examples=400)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), min_size=2, max_size=8))
def test_a_pair_that_is_sifted_out_never_has_the_same_wording(forms: list[str]) -> None:
    first, second = np.triu_indices(len(forms), k=1)
    may = Wordings(forms).may_be_alike(first, second)
    for one, two, is_open in zip(first, second, may, strict=True):
        assert is_open or not same_wording(forms[one], forms[two])


@settings(max_examples=300)
@given(st.text("abc ", min_size=1, max_size=30), st.text("abc ", min_size=1, max_size=30))
def test_few_letters_in_any_order_are_sifted_without_loss(one: str, two: str) -> None:
    forms = [" ".join(one.split()) or "a", " ".join(two.split()) or "b"]
    may = Wordings(forms).may_be_alike(np.array([0]), np.array([1]))[0]
    assert may or not same_wording(*forms)


def test_most_pairs_of_one_template_are_sifted_out() -> None:
    things = ["train to vienna", "quiet hostel", "mortgage rate", "violin teacher", "garlic soup", "compost heap"]
    forms = [f"tell me what you know of the {thing} and where to find it" for thing in things]
    first, second = np.triu_indices(len(forms), k=1)
    assert not Wordings(forms).may_be_alike(first, second).any()


def test_words_are_counted_once_a_row() -> None:
    counts = Wordings(["a b a", "b c", ""], ["d a"]).rows_with(3)
    assert [counts.get(word, 0) for word in "abcde"] == [1, 2, 1, 0, 0]
    assert Wordings(["", ""]).rows_with(2).get("a", 7) == 7
    assert Wordings([]).rows_with(0).get("a", 7) == 7


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=50), st.sampled_from([1, scratch.SPILL_BYTES])
)
def test_word_counts_are_a_counter_over_the_texts(texts: list[list[str]], large: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_counts, "GROUPS_AT_ONCE", 1)
        patch.setattr(scratch, "SPILL_BYTES", large)
        counts = Wordings([" ".join(words) for words in texts] * 30).rows_with(30 * len(texts))
    told = Counter(word for words in texts for word in set(words))
    assert [counts.get(word, 0) for word in "abcdefghi"] == [30 * told[word] for word in "abcdefghi"]


@pytest.mark.parametrize(
    ("right", "wrong", "count"),
    [
        ("international", "interantional", 1),
        ("international", "intrnatinal", 2),
        ("responsibilities", "rezponsibylitie", 3),
        ("ice cream", "icecream", 1),
    ],
)
def test_a_typing_error_of_three_edits_at_either_end_passes_the_sieve(right: str, wrong: str, count: int) -> None:
    assert edits(right, wrong) == count
    for frame in ("{}", "{} of the bank", "the bank of {}", "what {} and {}"):
        forms = [frame.format(right, right), frame.format(wrong, wrong)]
        assert same_wording(*forms)
        assert Wordings(forms).may_be_alike(np.array([0]), np.array([1]))[0]


def test_rows_are_summed_in_their_order_and_none_gives_zero() -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = sum_rows(table, [[0, 1, 1], [], [3]])
    assert found.tolist() == [(table[0] + 2 * table[1]).tolist(), [0, 0, 0], table[3].tolist()]


def test_the_nearest_one_is_the_first_of_the_nearest_two() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    one, two = top_neighbors(vectors, vectors, 1, skip_self=True), top_neighbors(vectors, vectors, 2, skip_self=True)
    assert np.array_equal(one[0][:, 0], two[0][:, 0])
    assert np.array_equal(one[1][:, 0], two[1][:, 0])


@pytest.mark.parametrize("dimensions", [3, 120])
def test_pairs_found_in_blocks_are_those_of_all_comparisons(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustered, "PAIRS_A_ROW", 900)
    draw = np.random.default_rng(1)
    vectors = draw.standard_normal((450, dimensions)).astype(np.float32)
    vectors = np.concatenate([vectors, vectors + 0.3 * draw.standard_normal((450, dimensions)).astype(np.float32)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    least = float(np.sort((vectors @ vectors.T)[np.triu_indices(900, k=1)])[-600]) + 1e-4
    wanted = {tuple(pair) for pair in np.argwhere(np.triu(vectors @ vectors.T >= least, k=1)).tolist()}
    assert len(wanted) > 300
    pairs, cosine = all_pairs(similar_pairs(vectors, least))
    assert {tuple(pair) for pair in pairs.tolist()} == wanted
    assert len(pairs) == len(wanted)
    assert (cosine >= least).all()


@given(st.integers(0, 10_000), st.floats(0.2, 0.99))
@settings(max_examples=30, deadline=None)
def test_no_cosine_exceeds_the_bound_of_the_outlines(seed: int, decay: float) -> None:
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((300, 100)) * decay ** np.arange(100) @ np.linalg.qr(draw.normal(size=(100, 100)))[0]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    short = outlined.outlines(vectors, np.arange(300), outlined.find_basis(vectors[:50])).astype(np.float32)
    assert short.shape == (300, outlined.DIRECTIONS + 1)
    assert (vectors @ vectors.T <= short @ short.T + outlined.ROUNDED).all()


def test_of_many_equal_rows_each_is_given_the_first_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustered, "PAIRS_A_ROW", 3)
    monkeypatch.setattr(clustered, "PAIRS_AT_ONCE", 10)
    vectors = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (900, 1))
    pairs, _ = all_pairs(similar_pairs(vectors, 0.9))
    assert pairs.tolist() == [[earlier, later] for later in range(900) for earlier in range(min(3, later))]


def test_only_places_of_one_kind_are_paired_and_rows_may_lie_anywhere() -> None:
    vectors = np.tile(np.eye(4, dtype=np.float32), (3, 1))
    rows = np.array([11, 3, 7, 2, 6])
    assert all_pairs(similar_pairs(vectors, 0.9, rows=rows))[0].tolist() == [[0, 1], [0, 2], [1, 2], [3, 4]]
    kinds = np.array([5, 6, 5, 0, 0])
    assert all_pairs(similar_pairs(vectors, 0.9, rows=rows, kinds=kinds))[0].tolist() == [[0, 2], [3, 4]]


def test_the_clusters_of_what_is_left_are_almost_those_of_before() -> None:
    vectors = np.random.default_rng(2).standard_normal((3000, 6)).astype(np.float32)
    rows = np.arange(3000)
    before = outlined.drawn(vectors, rows, 500)
    left = np.delete(rows, before[:2])
    after = left[outlined.drawn(vectors, left, 500)]
    assert np.array_equal(after[:498], before[2:])
    assert steady(300.0) == steady(301.0)


def test_nothing_goes_because_of_what_has_gone_itself() -> None:
    pairs, similar = np.array([[0, 1], [1, 2], [2, 3]]), np.array([0.9, 0.9, 0.9])
    assert list(keep_first([(pairs, similar)], lambda *_: "like")) == [(1, 0, "like"), (3, 2, "like")]


KILLED = """
import os, signal, sys
from pathlib import Path
from curate.prompts import store
from tests.prompts.test_embed import Counting

class Dying(Counting):
    def encode(self, texts, **named):
        if len(self.asked) >= 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts, **named)

store.BLOCK = 3
store.VectorStore(Dying(), folder=Path(sys.argv[1]))([f"text {n}" for n in range(12)])
"""


def test_a_run_that_is_killed_between_blocks_goes_on_and_encodes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    monkeypatch.setattr(store, "BLOCK", 3)
    embedder = Counting()
    texts = [f"text {n}" for n in range(12)]
    found = VectorStore(embedder, folder=tmp_path)(texts)
    assert embedder.asked == texts[6:]
    assert np.array_equal(found, VectorStore(Counting())(texts))


def test_half_a_record_at_the_end_is_cut_off_and_made_again(tmp_path: Path) -> None:
    VectorStore(Counting(), folder=tmp_path)(["a", "bb"])
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    embedder = Counting()
    VectorStore(embedder, folder=tmp_path)(["a", "bb"])
    assert embedder.asked == ["bb"]
    assert path.read_bytes() == whole


def test_two_runs_at_once_share_what_they_encode(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    one, two = VectorStore(first, folder=tmp_path), VectorStore(second, folder=tmp_path)
    one(["a", "bb"])
    assert np.array_equal(two(["bb", "ccc", "a"]), VectorStore(Counting())(["bb", "ccc", "a"]))
    assert second.asked == ["ccc"]
    one(["ccc"])
    assert first.asked == ["a", "bb"]


def test_a_full_disk_leaves_the_cache_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    VectorStore(Counting(), folder=tmp_path)(["a"])
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk full"):
        VectorStore(Counting(), folder=tmp_path)(["bb"])
    assert path.read_bytes() == whole


def test_a_cache_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    VectorStore(Counting(), folder=tmp_path)(["a"])
    path = next(tmp_path.iterdir())
    path.write_bytes(b"{}" + path.read_bytes()[2:])
    with pytest.raises(PromptsError, match="broken vector cache"):
        VectorStore(Counting(), folder=tmp_path)


def test_kept_and_dropped_rows_are_the_input(tmp_path: Path) -> None:
    from curate.cli.main import run_command

    texts = [f"How do I repair chair number {n}?" for n in range(30)] * 2
    file = write_texts(tmp_path / "p.jsonl", texts)
    kept, dropped = tmp_path / "k.jsonl", tmp_path / "d.jsonl"
    code = run_command(["filter-prompts", str(file), "--filter", "exact", "-o", str(kept), "--dropped", str(dropped)])
    assert code == 0
    ids = [json.loads(line)["id"] for path in (kept, dropped) for line in path.read_text().splitlines()]
    assert sorted(ids) == sorted(f"r{n}" for n in range(60))
