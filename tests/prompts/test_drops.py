"""Packed drops: in a report they are what a tuple of ``Drop`` was, to the byte; and they take no memory."""

import copy
import json
import math
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.artifact import Artifact, canonical_json, sha256_file
from curate.errors import InputError
from curate.prompts import drops as packing
from curate.prompts import keys, scratch
from curate.prompts.drops import Drop, DropLog, Drops
from curate.prompts.duplicates import exact
from curate.prompts.forms import exact_form
from curate.prompts.keys import first_places, first_rows, keys_of, shares_of
from curate.prompts.pictures import MAP_DROPS, dropped_texts, spread
from curate.prompts.reading import read_prompts
from curate.prompts.results import FilterReport
from curate.prompts.work import Work
from tests.prompts.made import fake_judge, write_jsonl, write_texts

TEXT = st.text(st.characters(codec=None), max_size=6)
"""Any, half of a surrogate pair too."""
DROP = st.builds(
    Drop,
    id=TEXT,
    filter=st.sampled_from(["exact", "near", "é"]),
    reason=TEXT | st.sampled_from(["the same text", ""]),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    because_of=st.none() | TEXT,
)
DROPS = st.lists(DROP, max_size=9)


class Plain(FilterReport):
    """A report that holds a tuple."""

    drops: tuple[Drop, ...]  # type: ignore[assignment]
    pieces = Artifact.pieces


Plain.__name__ = Plain.__qualname__ = "FilterReport"
Plain.__doc__ = FilterReport.__doc__
GIVEN: dict[str, Any] = {"prompts_sha256": "a", "rows_read": 9, "rows_kept": 3, "filters": []}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two rows, so that there are several."""
    monkeypatch.setattr(packing, "AT_ONCE", 2)


def both(drops: object, **more: object) -> tuple[FilterReport, Plain]:
    """The report, and as it was with a tuple."""
    payload = {**GIVEN, **more, "drops": drops}
    return FilterReport.model_validate(payload), Plain.model_validate(payload)


@given(DROPS, st.booleans())
def test_a_report_of_packed_drops_is_to_the_byte_what_one_of_a_tuple_is(drops: list[Drop], as_rows: bool) -> None:
    notes = ('\n  "drops": []', "x")
    packed, plain = both([one.model_dump() for one in drops] if as_rows else drops, notes=notes, wall_s=1.5)
    assert packed.to_json() == "".join(packed.pieces()) == plain.to_json() == canonical_json(plain.model_dump())
    assert packed.digest() == plain.digest()
    assert packed.resume_digest() == plain.resume_digest()
    assert packed.model_dump(mode="json") == plain.model_dump(mode="json")
    assert packed.model_dump() == plain.model_dump()
    assert type(packed.model_dump()["drops"]) is tuple
    assert packed == FilterReport.model_validate(json.loads(packed.to_json()))


@given(st.lists(DROP.filter(lambda one: "\\ud" not in ascii(one.model_dump())), max_size=5))
def test_pydantics_own_json_of_a_report_is_what_it_was(drops: list[Drop]) -> None:
    packed, plain = both(drops)
    assert packed.model_dump_json() == plain.model_dump_json()
    assert FilterReport.model_validate_json(packed.model_dump_json()) == packed


@given(DROPS, DROPS)
def test_packed_drops_are_the_sequence_that_the_tuple_is(one: list[Drop], two: list[Drop]) -> None:
    packed, plain = Drops.of(one), tuple(one)
    assert packed == plain == packed
    assert (packed == Drops.of(two)) == (packed == tuple(two)) == (one == two)
    assert packed != one or not isinstance(packed, tuple)
    assert hash(packed) == hash(plain)
    assert len(packed) == len(plain)
    assert [packed[place] for place in range(-len(one), len(one))] == [*one, *one]
    assert [*reversed(packed)] == one[::-1]
    assert packed[1:4] == plain[1:4]
    assert packed[::-2] == plain[::-2]
    assert copy.deepcopy(packed) == plain
    with pytest.raises(IndexError):
        packed[len(one)]


def test_drops_that_lie_in_a_file_are_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "spill"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    drops = [Drop(id=f"r{row}", filter="near", reason=f"like {row}", score=row / 7) for row in range(50)]
    in_memory = Drops.of(drops)
    monkeypatch.setattr(scratch, "SPILL_BYTES", 1)
    monkeypatch.setattr(scratch, "WRITTEN_AT_ONCE", 300)
    log, more = DropLog(), DropLog()
    log.add(Drops.of(drops[:21]).rows())
    assert log.drops() == tuple(drops[:21])
    more.add(Drops.of(drops[21:]).rows())
    log.extend(more)
    assert isinstance(log.drops().blocks[0], memoryview)
    assert log.drops() == in_memory == tuple(drops)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_json_schema_of_a_report_is_a_tuples(mode: Any) -> None:
    assert FilterReport.model_json_schema(mode=mode) == Plain.model_json_schema(mode=mode)


GOOD: dict[str, object] = {"id": "a", "filter": "f", "reason": "r"}
BROKEN: list[object] = [
    None,
    "abc",
    {"id": "a"},
    3,
    [3],
    [GOOD, GOOD, GOOD, {**GOOD, "score": "high"}],
    [GOOD, GOOD, {"id": 1, "filter": None}, {**GOOD, "more": 1}],
    [{**GOOD, "because_of": ["x"]}, GOOD, GOOD, []],
    [GOOD, None],
]


def problems(kind: type[FilterReport], payload: object, *, strict: bool, as_text: bool) -> list[Any]:
    """What is wrong with a report."""
    read, given_as = (kind.model_validate_json, json.dumps(payload)) if as_text else (kind.model_validate, payload)
    with pytest.raises(ValidationError) as caught:
        read(given_as, strict=strict)
    return caught.value.errors()


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("drops", BROKEN, ids=str)
def test_what_is_wrong_with_a_broken_file_is_told_as_before(drops: object, strict: bool, as_text: bool) -> None:
    found = [
        problems(kind, {**GIVEN, "drops": drops}, strict=strict, as_text=as_text) for kind in (FilterReport, Plain)
    ]
    assert found[0] == found[1] != []


def test_a_broken_file_is_one_line_that_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"kind": "curate/filter-report@1", **GIVEN, "drops": BROKEN[5]}), encoding="utf-8")
    with pytest.raises(
        InputError, match=r"filter.json: not a FilterReport: drops\.3\.score: Input should be a valid num"
    ):
        FilterReport.read(path)


def test_a_set_or_a_generator_of_drops_is_taken_as_a_tuple_takes_it() -> None:
    one = Drop(id="a", filter="f", reason="r", score=True)
    for given_as in ({one}, iter([one]), frozenset([one])):
        assert FilterReport.model_validate({**GIVEN, "drops": given_as}).drops == (one,)


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_score_that_json_has_no_number_for_is_kept_but_not_written(score: float) -> None:
    packed, plain = both([{**GOOD, "score": score}])
    assert repr(packed.drops[0].score) == repr(score)
    for report in (packed, plain):
        with pytest.raises(ValueError, match="not JSON compliant"):
            report.to_json()


def test_a_report_is_written_as_its_digest_says(tmp_path: Path) -> None:
    packed, _ = both([GOOD] * 5)
    ref = packed.write(tmp_path / "filter.json")
    assert ref.sha256 == packed.digest() == sha256_file(tmp_path / "filter.json")
    assert (tmp_path / "filter.json").read_text(encoding="utf-8") == packed.to_json()
    assert FilterReport.read(tmp_path / "filter.json") == packed


def test_a_report_is_read_where_numpy_and_arrow_are_not_installed(tmp_path: Path) -> None:
    both([GOOD] * 5)[0].write(tmp_path / "filter.json")
    code = """
    import sys
    from pathlib import Path
    from curate.prompts import scratch
    from curate.prompts.results import FilterReport

    scratch.SPILL_BYTES = 1
    sys.modules["numpy"] = sys.modules["pyarrow"] = None
    print(len([*FilterReport.read(Path(sys.argv[1])).drops]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "filter.json")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "5\n"


SEVERITIES = st.integers(0, 2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "d", "e"]), SEVERITIES), max_size=40), st.integers(1, 9))
def test_a_text_stands_for_the_least_severe_row_that_has_it_however_many_shares(
    told: list[tuple[str, int]], share: int
) -> None:
    texts, severities = [text for text, _ in told], np.array([number for _, number in told], dtype=np.uint8)
    rank = np.argsort(severities, kind="stable")
    places = first_places(keys_of(texts[row] for row in rank))
    expected = np.arange(len(told))
    expected[rank] = rank[places]
    for row, text in enumerate(texts):
        expected[row] = expected[row] if text else row
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "SHARE", share)
        patch.setattr(keys, "AT_ONCE", 3)
        patch.setattr(scratch, "SPILL_BYTES", 100 if share % 2 else 1 << 20)
        assert first_rows(texts, severities).tolist() == expected.tolist()


@given(st.lists(st.text("abc", max_size=3), max_size=60), st.integers(1, 9))
def test_shares_are_all_rows_with_their_keys_and_never_part_two_that_are_alike(texts: list[str], share: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "SHARE", share)
        shares = [*shares_of(texts, len(texts))]
    rows = np.concatenate([found for found, _ in shares])
    assert sorted(rows.tolist()) == [*range(len(texts))]
    assert np.array_equal(np.concatenate([found for _, found in shares]), keys_of(texts[row] for row in rows))
    assert all((np.diff(found) > 0).all() for found, _ in shares)
    seen = [{texts[row] for row in found} for found, _ in shares]
    assert sum(map(len, seen)) == len(set(texts))
    assert len(shares) >= min(len(texts) / share, 1)


ROW = st.tuples(
    st.sampled_from(["A b", "a B", "a b.", "c", "", "!", "D"]), st.sampled_from(["MIT", "CC-BY-NC-4.0", "?"])
)


@settings(deadline=None, max_examples=40)
@given(st.lists(ROW, min_size=1, max_size=20), st.booleans())
def test_exact_drops_what_it_dropped_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, str]], judged: bool
) -> None:
    rows = [{"id": f"r{row}", "prompt": f"{text} ", "license": name} for row, (text, name) in enumerate(told)]
    prompts = read_prompts(write_jsonl(tmp_path_factory.mktemp("p") / "p.jsonl", rows))
    work = Work(prompts, judge=fake_judge if judged else None)
    rank, first, expected = work.rank(), {}, []
    for row in rank:
        form = exact_form(prompts.texts[row])
        kept = first.setdefault(form, row)
        if form and kept != row:
            same = prompts.texts[kept] == prompts.texts[row]
            reason = "the same text" if same else "the same text after normalisation"
            expected.append((row, reason, 1.0, prompts.ids[kept]))
    assert [tuple(one) for one in exact(work)] == expected


def test_the_map_shows_the_texts_that_each_filter_dropped(tmp_path: Path) -> None:
    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", [f"Row number {row}" for row in range(400)]))
    names = ["near", "exact", "pii"]
    drops = [Drop(id=f"r{row}", filter=names[row % 3], reason="x") for row in range(399, 100, -1)]
    drops += [Drop(id="elsewhere", filter="other", reason="x"), Drop(id="r200", filter="last", reason="x")]
    why = {one.id: one.filter for one in drops}
    expected: dict[str, list[int]] = {}
    for row, row_id in enumerate(prompts.ids):
        if row_id in why:
            expected.setdefault(why[row_id], []).append(row)
    found = dropped_texts(prompts, Drops.of(drops))
    assert list(found) == sorted(expected)
    assert found == {name: [f"Row number {row}" for row in spread(rows, MAP_DROPS)] for name, rows in expected.items()}
    assert dropped_texts(prompts, Drops()) == {}


MEMORY = """
import json, sys, threading
from pathlib import Path
from curate.prompts import scratch
from curate.prompts.drops import DropLog
from curate.prompts.results import FilterReport
from curate.report.text_prompts import filter_text

scratch.SPILL_BYTES = 1 << 20
most, ended = 0, threading.Event()

def watch():
    global most
    while not ended.wait(0.002):
        with open("/proc/self/status") as stream:
            own = sum(int(line.split()[1]) << 10 for line in stream if line.startswith(("RssAnon", "RssShmem")))
        most = max(most, own)

thread = threading.Thread(target=watch, daemon=True)
thread.start()
count, log = int(sys.argv[1]), DropLog()
log.add((f"r{row}", "near", f"like another: {row}", row / 7, f"r{row // 2}") for row in range(count))
report = FilterReport(prompts_sha256="", rows_read=count, rows_kept=0, filters=(), drops=log.drops())
report.write(Path(sys.argv[2]))
sum(len(one.model_dump_json()) for one in report.drops)
filter_text(report)
ended.set()
thread.join()
print(json.dumps(most))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_a_dropped_row_costs_a_few_bytes_of_memory_and_so_does_writing_it(tmp_path: Path) -> None:
    most = []
    for count in (30_000, 150_000):
        command = [sys.executable, "-c", MEMORY, str(count), str(tmp_path / "filter.json")]
        most.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert (most[1] - most[0]) / 120_000 < 60, most
