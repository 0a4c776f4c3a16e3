"""Out of core: what is spilled gives the same, leaves nothing behind, fails in one line, and takes no memory."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cli.main import run_command
from curate.errors import RunError
from curate.prompts import keys, scratch
from curate.prompts.chain import FILTERS
from curate.prompts.filters import filter_prompts
from curate.prompts.keys import Index, first_places, hash_text, keys_of, packed
from curate.prompts.labels import Labels
from curate.prompts.minhash import likely_pairs, signatures
from curate.prompts.promptset import write_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.rows import Rows, take_rows
from curate.prompts.scratch import ArrayFile, gathered
from tests.prompts.made import all_pairs, fake_judge, varied, write_jsonl, write_texts

MOST = 400
"""Bytes of memory that a row may cost."""


@pytest.fixture
def spilling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Everything goes to files at once; the folder they are in."""
    folder = tmp_path / "spill"
    folder.mkdir()
    monkeypatch.setattr(scratch, "SPILL_BYTES", 1)
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def pool(path: Path) -> Path:
    """Prompts of every kind that a filter drops."""
    texts = [*varied(), *(text.upper() for text in varied()[:20]), "test", "Mail a@b.org", "¿Cómo se hace el pan? 🥖"]
    texts += [f"Please {text[0].lower()}{text[1:]}" for text in varied()[:20]]
    texts += [f"Name {number} rivers of Norway and the towns they run through" for number in range(12)]
    licenses = ["CC-BY-NC-4.0" if row % 9 == 0 else "MIT" if row % 4 else None for row in range(len(texts))]
    rows = zip(texts, licenses, strict=True)
    return write_jsonl(
        path, [{"id": f"r{n}", "prompt": text, "license": one, "n": [n]} for n, (text, one) in enumerate(rows)]
    )


def results(folder: Path) -> tuple[object, ...]:
    """What a whole chain gives."""
    prompts = read_prompts(pool(folder / "p.jsonl"))
    known = read_prompts(write_texts(folder / "r.jsonl", [f"{text} And why?" for text in varied()]))
    bench = read_prompts(write_texts(folder / "b.jsonl", [varied()[3], varied()[40]]))
    kept, report = filter_prompts(
        prompts, chain={name: {} for name in FILTERS}, reference=known, benchmarks=[bench], judge=fake_judge
    )
    written = []
    for ending in ("jsonl", "csv", "parquet"):
        write_prompts(folder / f"kept.{ending}", kept)
        written.append((folder / f"kept.{ending}").read_bytes())
    return report.model_copy(update={"wall_s": None}), list(kept.ids), list(kept.licenses or []), *written


def test_a_chain_whose_every_array_lies_in_files_gives_the_same_bytes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    in_memory = results(tmp_path)
    folder = request.getfixturevalue("spilling")
    assert results(tmp_path) == in_memory
    assert list(folder.iterdir()) == []


KILLED = """
import os, signal, sys
from curate.prompts import filters, scratch
from curate.cli.main import run_command

scratch.SPILL_BYTES = 1
real = filters.FILTERS["semantic"]

def dying(work, **options):
    real(work, **options)
    os.kill(os.getpid(), signal.SIGKILL)

filters.FILTERS["semantic"] = dying
run_command(["-q", "filter-prompts", sys.argv[1], "--filter", "near", "--filter", "semantic", "-o", sys.argv[2]])
"""


def child(code: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Some code in another process."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})


def test_a_run_that_is_killed_leaves_no_file_behind(tmp_path: Path) -> None:
    file, folder = pool(tmp_path / "p.jsonl"), tmp_path / "spill"
    folder.mkdir()
    done = child(KILLED, file, tmp_path / "kept.jsonl", TMPDIR=str(folder))
    assert done.returncode == -signal.SIGKILL
    assert list(folder.iterdir()) == []
    assert {one.name for one in tmp_path.iterdir()} == {"p.jsonl", "spill"}


SMALL_DISK = """
import resource, sys
from curate.prompts import scratch
from curate.cli.main import run_command

scratch.SPILL_BYTES = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
sys.exit(run_command(["-q", "filter-prompts", sys.argv[1], "--filter", sys.argv[2], "--dry-run"]))
"""


@pytest.mark.parametrize("name", ["exact", "near", "semantic"])
def test_a_file_that_cannot_grow_is_one_line_that_names_the_folder(tmp_path: Path, name: str) -> None:
    done = child(SMALL_DISK, pool(tmp_path / "p.jsonl"), name, TMPDIR=str(tmp_path))
    assert done.returncode == 8
    assert len(done.stderr.splitlines()) == 1
    assert f"{tmp_path}: cannot be written" in done.stderr
    assert "TMPDIR" in done.stderr


@pytest.mark.parametrize("folder", ["/proc", "/nowhere/at/all"])
@pytest.mark.usefixtures("spilling")
def test_a_temporary_folder_that_takes_no_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    monkeypatch.setenv("TMPDIR", folder)
    assert run_command(["-q", "filter-prompts", str(pool(tmp_path / "p.jsonl")), "--filter", "near"]) == 8
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"{folder}: cannot be written" in err


def test_a_full_disk_is_called_so(spilling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    held = ArrayFile("u4", 3)
    monkeypatch.setattr(scratch, "scratch_file", lambda: FullDisk(full))
    with pytest.raises(RunError, match=f"{spilling}: disk full"):
        held.add(np.zeros((5, 3)))


class FullDisk:
    """A file on a disk that is full."""

    def __init__(self, fail: object) -> None:
        self.write = lambda _: fail()  # type: ignore[operator]


def test_a_small_file_is_not_spilled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    assert run_command(["-q", "filter-prompts", str(pool(tmp_path / "p.jsonl")), "--filter", "near"]) == 0


PARTS = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=5), max_size=8)


@given(PARTS, st.booleans())
def test_an_array_that_grows_is_its_parts_whether_in_memory_or_in_a_file(parts: list[list[int]], large: bool) -> None:
    held = ArrayFile("u4", beside=10**9 if large else 1)
    told: list[int] = []
    for part in parts:
        held.add(np.array(part, dtype=np.uint32))
        told += part
        assert held.array().tolist() == told
    assert not held.array().flags.writeable or not told


HALF_KEY = st.sampled_from([0, 1, 1 << 62, (1 << 63) + 1, (1 << 64) - 1])


@given(st.lists(st.tuples(HALF_KEY, HALF_KEY), max_size=40), st.integers(0, 6), st.sampled_from([1, 3, keys.SHARE]))
def test_the_index_finds_what_a_dictionary_finds(pairs: list[tuple[int, int]], recent: int, share: int) -> None:
    rows = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    known: dict[tuple[int, int], int] = {}
    index = Index()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "MOST_RECENT", recent)
        patch.setattr(keys, "SHARE", share)
        for start in range(0, len(rows), 5):
            index.add([row.tobytes() for row in rows[start : start + 5]], start)
    for row, pair in enumerate(pairs):
        known.setdefault(pair, row)
    asked = [*dict.fromkeys([*pairs, (0, 0), (1, (1 << 64) - 1), ((1 << 64) - 1, 1), (2, 2)])]
    found = index.find(np.array(asked, dtype=np.uint64))
    assert found.tolist() == [known.get(pair, -1) for pair in asked]


@given(st.lists(st.text("ab", max_size=2), max_size=20))
def test_the_first_place_of_a_text_is_where_it_stands_first(texts: list[str]) -> None:
    assert first_places(keys_of(texts)).tolist() == [texts.index(text) for text in texts]
    assert packed(map(hash_text, texts)).tolist() == keys_of(texts).tolist()


@given(st.lists(st.sampled_from(["MIT", "", "Apache-2.0"]), max_size=20), st.data())
def test_labels_are_the_texts(texts: list[str], data: st.DataObject) -> None:
    labels = Labels.of(texts)
    assert labels == texts
    assert labels != [*texts, "MIT"]
    assert [labels[row] for row in range(len(labels))] == texts
    rows = data.draw(st.lists(st.integers(0, max(0, len(texts) - 1)), max_size=10 if texts else 0))
    assert labels.take(rows) == [texts[row] for row in rows]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), max_size=12))
def test_rows_by_number_are_the_rows(first: list[int], second: list[int]) -> None:
    table = pa.concat_tables([pa.table({"a": [str(n) for n in range(5)]}), pa.table({"a": list("56789")})])
    some = Rows(table, np.array(first, dtype=np.int64))
    assert some.to_pylist() == [{"a": str(row)} for row in first] == some.gathered().to_pylist()
    again = some.take([row for row in second if row < len(first)])
    assert again["a"].to_pylist() == [str(first[row]) for row in second if row < len(first)]
    assert take_rows(table, first).to_pylist() == some.to_pylist()
    assert (some.num_rows, some.column_names, some.schema) == (len(first), ["a"], table.schema)


@pytest.mark.usefixtures("spilling")
@pytest.mark.parametrize(("share", "places"), [(300, 10), (40, 7), (1, 1000)])
def test_likely_pairs_are_those_in_whatever_shares_and_ranges_they_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, share: int, places: int
) -> None:
    signed = signatures([*varied(), *(text.upper() for text in varied())])
    whole = all_pairs(likely_pairs(signed, 0.3))
    monkeypatch.setattr("curate.prompts.minhash.ROWS_A_SHARE", share)
    monkeypatch.setattr("curate.prompts.pairs.PLACES_AT_ONCE", places)
    chunks = [pairs for pairs, _ in likely_pairs(signed, 0.3)]
    assert all(one[-1, 1] < two[0, 1] for one, two in pairwise(chunk for chunk in chunks if len(chunk)))
    pieces = all_pairs(likely_pairs(signed, 0.3))
    assert len(whole[0]) > 100
    assert all(np.array_equal(one, two) for one, two in zip(whole, pieces, strict=True))


@pytest.mark.usefixtures("spilling")
def test_gathered_rows_are_the_rows() -> None:
    array = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    rows = np.array([4, 4, 49, 0])
    assert np.array_equal(gathered(array, rows), array[rows])


MEMORY = """
import json, sys, threading
from curate.prompts import duplicates, forms, scratch
from curate.prompts.embed import load_embedder
from curate.prompts.filters import filter_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.store import VectorStore

for module, name in ((duplicates, "shingles"), (forms, "guarded_parts"), (forms, "figures")):
    setattr(module, name, getattr(module, name).__wrapped__)  # caches are as large for few rows as for many
scratch.SPILL_BYTES = 1 << 20
most, ended = 0, threading.Event()

def own():
    with open("/proc/self/status") as stream:
        return sum(int(line.split()[1]) << 10 for line in stream if line.startswith(("RssAnon", "RssShmem")))

def watch():
    global most
    while not ended.wait(0.002):
        most = max(most, own())

thread = threading.Thread(target=watch, daemon=True)
thread.start()
prompts = read_prompts(sys.argv[1])
kept, _ = filter_prompts(prompts, chain={name: {} for name in ("exact", "near")})
vectors = VectorStore(load_embedder("default"))(kept.texts)
ended.set()
thread.join()
print(json.dumps(most))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_a_row_costs_little_memory(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    words = [f"{first}{second}" for first in ("ba", "ko", "mi", "su", "te") for second in map(str, range(100, 400))]
    most = []
    for size in (12_000, 36_000):
        drawn = draw.integers(0, len(words), (size, 25))
        drawn[size // 10 * 9 :, :24] = drawn[: size - size // 10 * 9, :24]
        texts = [" ".join(words[number] for number in row) for row in drawn]
        done = child(MEMORY, write_texts(tmp_path / f"{size}.jsonl", texts), OMP_NUM_THREADS="1", RAYON_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        most.append(json.loads(done.stdout.splitlines()[-1]))
    assert (most[1] - most[0]) / 24_000 < MOST, most
