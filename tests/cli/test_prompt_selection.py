"""Selection to a budget, dry runs and the first lines of the analysis, as a user types them."""

import json
from pathlib import Path

import pytest

from curate.cli.main import run_command
from tests.prompts.made import TOPICS, fake_judge, varied, write_jsonl, write_texts


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.cli.prompts.row_judge_of", lambda policy, prompts: fake_judge)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


SOURCES: list[dict[str, object]] = [
    {"id": f"r{n}", "prompt": text, "source": "big" if n % 5 else "small", "license": "MIT"}
    for n, text in enumerate(varied())
]


def selected(file: Path, folder: Path, *arguments: str, budget: int = 20) -> list[dict[str, object]]:
    kept = folder / "kept.jsonl"
    command = [
        "-q",
        "filter-prompts",
        str(file),
        "--filter",
        "exact",
        "--budget",
        str(budget),
        "-o",
        str(kept),
        *arguments,
    ]
    assert run_command(command) == 0
    return lines(kept)


def test_a_quota_by_source_and_by_cluster_is_kept_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_jsonl(tmp_path / "p.jsonl", SOURCES)
    assert [row["source"] for row in selected(file, tmp_path, "--quota", "source")].count("small") == 10
    free = [row["source"] for row in selected(file, tmp_path)].count("small")
    assert free < 10
    assert len(selected(file, tmp_path, "--quota", "cluster")) == 20
    capsys.readouterr()
    selected(file, tmp_path, "--quota", "source", "-f", "json")
    report = json.loads(capsys.readouterr().out)
    assert report["filters"][-1]["options"] == {"rows": 20, "method": "coverage", "quota": "source"}
    assert {drop["reason"] for drop in report["drops"]} == {
        "not among the 20 selected by coverage with a quota by source"
    }


def test_importance_brings_what_is_like_the_reference_and_a_seed_draws_other_rows(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "p.jsonl", SOURCES)
    cooking = [text for text in varied() if any(task in text for task in TOPICS["cooking"])]
    reference = write_texts(tmp_path / "r.jsonl", [f"{text} Today." for text in cooking])
    drawn = ("--select", "importance", "--reference", str(reference), "--seed")
    first, second, other = (selected(file, tmp_path, *drawn, seed, budget=8) for seed in ("1", "1", "2"))
    assert first == second
    assert first != other
    by_chance = 8 * len(cooking) / len(SOURCES)
    assert sum(row["prompt"] in cooking for row in first) >= 2 * by_chance


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--quota", "source"], 2, "need --budget"),
        (["--select", "importance"], 2, "need --budget"),
        (["--budget", "5", "--select", "luck"], 2, "luck"),
        (["--budget", "5", "--quota", "language"], 2, "language"),
        (["--budget", "5", "--seed", "-1"], 2, "seed"),
        (["--budget", "5", "--select", "importance"], 5, "--reference"),
        (["--budget", "5", "--quota", "source"], 5, "no column names a source"),
    ],
)
def test_a_selection_without_what_it_needs_is_refused_by_name(
    tmp_path: Path, arguments: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(tmp_path / "p.jsonl", varied())
    assert run_command(["-q", "filter-prompts", str(file), "--filter", "exact", *arguments]) == code
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--column", "answer", "--filter", "garbage", "--filter", "language"],
        ["--filter", "garbage:min_quality=0.5", "--filter", "exact"],
        ["--filter", "exact", "--budget", "9", "--quota", "source"],
        ["--filter", "exact", "--budget", "9", "--select", "importance", "--reference", "REFERENCE", "--seed", "4"],
    ],
)
def test_a_dry_run_counts_what_the_real_run_drops_and_rows_are_kept_or_dropped_once(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [dict(row, answer="I cannot help with that." if n % 9 == 0 else "Yes.") for n, row in enumerate(SOURCES)]
    rows += [{"id": "odd", "prompt": "zxcv qwrt plkj", "answer": "", "source": "big", "license": "MIT"}]
    file = write_jsonl(tmp_path / "p.jsonl", rows)
    reference = str(write_texts(tmp_path / "r.jsonl", varied()[:40]))
    arguments = [reference if one == "REFERENCE" else one for one in arguments]
    kept, dropped = tmp_path / "kept.jsonl", tmp_path / "dropped.jsonl"
    command = ["-q", "filter-prompts", str(file), *arguments, "-o", str(kept), "--dropped", str(dropped), "-f", "json"]
    assert run_command([*command, "--dry-run"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert {path.name for path in tmp_path.iterdir()} == {"p.jsonl", "r.jsonl"}
    assert run_command(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert counted["filters"] == report["filters"]
    assert counted["rows_kept"] == report["rows_kept"] == len(lines(kept))
    ids = [row["id"] for row in [*lines(kept), *lines(dropped)]]
    assert sorted(map(str, ids)) == sorted(str(row["id"]) for row in rows)
    assert len(lines(dropped)) > 0
    again = tmp_path / "again.jsonl"
    assert run_command(["-q", "filter-prompts", str(kept), *arguments, "-o", str(again)]) == 0
    assert again.read_bytes() == kept.read_bytes(), "a second run drops nothing"


def test_the_first_lines_of_the_analysis_answer_in_ten_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_texts(
        tmp_path / "p.jsonl", [*varied(), *varied()[:20], "🙂🙂🙂", "mail ann@example.org"], license="MIT"
    )
    reference = write_texts(tmp_path / "r.jsonl", [text.replace("How do I", "What helps to") for text in varied()])
    assert run_command(["-q", "analyze-prompts", str(file), "--reference", str(reference)]) == 0
    top = capsys.readouterr().out.splitlines()[:10]
    rows = len(varied()) + 22
    assert top[0].startswith(f"{file}: {rows} rows – ")
    said = {line[2:15].strip(): line[17:] for line in top[2:]}
    assert list(said)[:5] == ["how many", "how varied", "how far", "how good", "what is wrong"]
    assert said["how many"].startswith(f"{rows} rows; ")
    assert "exact 20" in said["how many"]
    assert "unlike prompts" in said["how varied"]
    assert "of its coverage" in said["how varied"]
    assert said["how far"].startswith("sqrt_mmd 0.")
    assert "of the rows without a fault" in said["how good"]
    assert "█" in said["how good"], "the quality of the rows is drawn"
    assert run_command(["-q", "analyze-prompts", str(file)]) == 0
    top = capsys.readouterr().out.splitlines()[:10]
    assert any("unknown without --reference" in line for line in top)


def test_the_analysis_notes_where_a_number_is_blind_and_that_the_reference_is_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = write_texts(tmp_path / "twins.jsonl", [*varied(), *varied()[:30]], license="MIT")
    plain = write_texts(tmp_path / "plain.jsonl", varied()[::3], license="MIT")
    small = write_texts(tmp_path / "r.jsonl", varied()[:60])
    large = write_texts(tmp_path / "R.jsonl", [f"{text} {n}" for n in range(3) for text in varied()])

    def notes(file: Path, *arguments: str) -> str:
        assert run_command(["-q", "analyze-prompts", str(file), *arguments]) == 0
        return "\n".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("note:"))

    assert "mean_pairwise_distance" in notes(twins)
    assert "mean_pairwise_distance" not in notes(plain)
    assert "nobody can tell off-topic text from variety" in notes(plain)
    told = notes(plain, "--reference", str(small))
    assert "the reference has 60 rows; under 300" in told
    assert "nobody can tell" not in told
    assert "under 300" not in notes(plain, "--reference", str(large))
