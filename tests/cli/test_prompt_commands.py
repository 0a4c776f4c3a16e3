"""``analyze-prompts`` and ``filter-prompts`` as a user types them: output, files, exit codes."""

import json
from pathlib import Path

import pytest

from curate.cli.main import run_command
from tests.prompts.made import fake_judge, varied, write_jsonl, write_texts


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.cli.prompts.row_judge_of", lambda policy, prompts: fake_judge)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_filtering_writes_what_stays_and_why_the_rest_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.cli.progress.PLAIN_EVERY_S", 0.0)
    file = write_texts(tmp_path / "p.jsonl", [*varied(), "test", "how do i poach an egg"], license="MIT", note="kept")
    kept, dropped = tmp_path / "kept.jsonl", tmp_path / "dropped.jsonl"
    assert run_command(["filter-prompts", str(file), "-o", str(kept), "--dropped", str(dropped)]) == 0
    out, err = capsys.readouterr()
    assert "rows read" in out
    assert "Traceback" not in err
    assert all(set(row) == {"id", "filter", "reason", "score", "because_of"} for row in lines(dropped))
    assert all(row["filter"] and row["reason"] for row in lines(dropped))
    assert len(lines(kept)) + len(lines(dropped)) == len(varied()) + 2
    assert all(set(row) == {"id", "prompt", "license", "note"} for row in lines(kept))


def test_only_the_filters_named_run_and_rows_without_id_get_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_jsonl(tmp_path / "p.jsonl", [{"text": "Name a river"}, {"text": "name a river!"}, {"text": "x"}])
    code = run_command(
        ["-q", "filter-prompts", str(file), "--filter", "exact", "--dropped", str(tmp_path / "d"), "-f", "json"]
    )
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["kind"] == "curate/filter-report@1"
    assert [one["name"] for one in report["filters"]] == ["exact"]
    assert [(row["id"], row["because_of"]) for row in lines(tmp_path / "d")] == [("2", "1")]


def test_options_of_a_filter_are_given_after_a_colon(tmp_path: Path) -> None:
    file = write_texts(tmp_path / "p.jsonl", ["one two three", "one two three four five"])
    kept = tmp_path / "kept.csv"
    assert (
        run_command(["filter-prompts", str(file), "--filter", "length:max_words=4,min_words=2", "-o", str(kept)]) == 0
    )
    assert kept.read_text(encoding="utf-8").splitlines() == ["id,prompt", "r0,one two three"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--filter", "exactly"],
        ["--filter", "near:guard=true"],
        ["--filter", "near:jaccard_at_least"],
        ["--filter", "semantic:threshold=high"],
        ["--filter", "exact", "--ticket", "t.json"],
        ["--dry-run", "--ticket", "t.json"],
        ["--engine", "spark"],
        ["--nonsense"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(tmp_path / "p.jsonl", ["one two three"])
    assert run_command(["filter-prompts", str(file), *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (None, "missing.jsonl"),
        (b"", "empty.jsonl"),
        (b"{oops\n", "broken.jsonl"),
        (b"a,a\n1,2\n", "twice.csv"),
        (b"PAR1", "broken.parquet"),
    ],
)
@pytest.mark.parametrize("command", ["filter-prompts", "analyze-prompts"])
def test_a_file_that_cannot_be_read_is_one_line_and_exit_5(
    tmp_path: Path, command: str, content: bytes | None, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert run_command(["-q", command, str(path)]) == 5
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert name in err


def test_a_bad_line_is_named_and_strict_stops_at_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "Name a river"}\n{"prompt"\n', encoding="utf-8")
    assert run_command(["filter-prompts", str(path), "--filter", "exact"]) == 0
    assert "line 2" in capsys.readouterr().err
    assert run_command(["filter-prompts", str(path), "--filter", "exact", "--strict"]) == 5


def test_no_prompts_left_is_a_denial_that_still_writes_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(tmp_path / "p.jsonl", ["test", "🔥🔥🔥🔥"])
    dropped = tmp_path / "d.jsonl"
    assert run_command(["filter-prompts", str(file), "--dropped", str(dropped)]) == 3
    assert "no prompts left" in capsys.readouterr().err
    assert len(lines(dropped)) == 2


def test_a_full_disk_ends_with_8_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno
    import os

    file = write_texts(tmp_path / "p.jsonl", varied())
    kept = tmp_path / "kept.jsonl"
    kept.write_text("old\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run_command(["-q", "filter-prompts", str(file), "--filter", "exact", "-o", str(kept)]) == 8
    assert "disk full" in capsys.readouterr().err
    assert kept.read_text() == "old\n"


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_texts(tmp_path / "p.jsonl", varied())
    kept = tmp_path / "kept.jsonl"
    assert run_command(["filter-prompts", str(file), "--dry-run", "-o", str(kept), "--budget", "10"]) == 0
    assert "budget" in capsys.readouterr().out
    assert not kept.exists()


def test_a_ticket_without_a_reference_needs_a_look_and_leaves_the_trail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(tmp_path / "p.jsonl", varied(), license="MIT")
    ticket = tmp_path / "out" / "dataset.json"
    assert run_command(["filter-prompts", str(file), "--ticket", str(ticket)]) == 4
    assert not ticket.exists()
    assert {path.name for path in ticket.parent.iterdir()} == {
        "prompts.parquet",
        "prompt_decision.json",
        "filter.json",
        "diversity.json",
    }
    assert "no-reference" in capsys.readouterr().out


def test_a_ticket_is_written_for_a_set_the_policy_approves(tmp_path: Path) -> None:
    policy = tmp_path / "easy.yaml"
    policy.write_text("licenses: {}\nprompts:\n  filters: {exact: {}}\n  at_least: {rows: 10}\n", encoding="utf-8")
    file = write_texts(tmp_path / "p.jsonl", varied(), license="MIT")
    ticket = tmp_path / "dataset.json"
    assert run_command(["filter-prompts", str(file), "-p", str(policy), "--ticket", str(ticket)]) == 0
    from curate.gate import ApprovedDataset

    assert ApprovedDataset.read_ticket(ticket).open(tmp_path).name == "prompts.parquet"


def test_the_analysis_says_how_many_how_varied_how_far_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(tmp_path / "p.jsonl", [f"How do I poach an egg number {n}?" for n in range(30)])
    reference = write_texts(tmp_path / "r.jsonl", varied())
    assert run_command(["-q", "analyze-prompts", str(file), "--reference", str(reference)]) == 0
    out = capsys.readouterr().out
    assert "30 rows" in out
    assert "vendi" in out
    assert "sqrt_mmd" in out
    assert "too-narrow" in out
    assert "too-far" in out
    assert "→" in out
    assert run_command(["-q", "analyze-prompts", str(file), "--reference", str(reference), "-f", "json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert analysis["kind"] == "curate/prompt-analysis@1"
    assert {one["rule"] for one in analysis["findings"]} >= {"too-few", "too-narrow", "too-far"}


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("curate.report.html")
    file = write_texts(tmp_path / "p.jsonl", varied())
    page = tmp_path / "page.html"
    assert run_command(["-q", "analyze-prompts", str(file), "-f", "html", "-o", str(page)]) == 0
    assert "<html" in page.read_text(encoding="utf-8")
