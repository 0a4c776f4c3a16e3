"""Exit codes of the commands that sign, waive, judge again and compare."""

import json
from pathlib import Path

import pytest

from curate.cli.main import run_command
from curate.policy import policies_folder, read_policy
from tests.cli.test_run_commands import EXAMPLES

CARDS = ["--cards", str(EXAMPLES / "cards")]
SIGNED = ["--reason", "asked the owner", "--signed-by", "Ada Example", "--until", "2099-01-01"]


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_bytes((policies_folder() / "default.yaml").read_bytes())
    return path


@pytest.fixture
def folder(tmp_path):
    assert run_command(["-q", "run", str(EXAMPLES / "run-denied.yaml"), "--root", str(tmp_path / "runs")]) == 3
    return next((tmp_path / "runs").iterdir())


def test_waive_is_exit_0_and_the_next_check_allows(policy, capsys):
    check = ["check-license", "example/no-license", *CARDS, "-p", str(policy)]
    assert run_command(check) == 4
    words = ["waive", "example/no-license", "--rule", "missing-license", *SIGNED, *CARDS, "-p", str(policy)]
    assert run_command(words) == 0
    assert run_command(check) == 0
    assert "Ada Example" in capsys.readouterr().out
    assert len(read_policy(policy).waivers) == 1


@pytest.mark.parametrize(
    ("ref", "change", "code"),
    [
        ("example/no-license", ["--rule", "nonsense"], 5),
        ("example/mit-over-llama", ["--rule", "license-laundering"], 3),
        ("example/no-license", ["--rule", "missing-license", "--until", "2020-01-01"], 2),
        ("example/no-license", ["--rule", "missing-license", "--reason", "short"], 2),
        ("example/no-license", ["--rule", "missing-license", "-p", "default"], 5),
        ("nobody/knows-this", ["--rule", "missing-license"], 6),
    ],
)
def test_what_cannot_be_waived_has_an_exit_code_and_changes_nothing(policy, ref, change, code):
    before = policy.read_bytes()
    assert run_command(["waive", ref, *SIGNED, *CARDS, "-p", str(policy), *change]) == code
    assert policy.read_bytes() == before


def test_recheck_tells_what_changed(folder, capsys):
    assert run_command(["recheck", str(folder), *CARDS]) == 0
    assert "still deny" in capsys.readouterr().out
    assert run_command(["recheck", str(folder), *CARDS, "-p", "conditional", "-f", "json"]) == 0
    changes = json.loads(capsys.readouterr().out)["decisions"][0]["changes"]
    assert "policy" in {one["what"] for one in changes}
    (folder / "decision.json").write_text("{}")
    assert run_command(["recheck", str(folder), *CARDS]) == 7
    assert run_command(["recheck", str(folder.parent), *CARDS]) == 5


def test_compare_shows_two_runs_and_refuses_a_run_and_a_file(folder, capsys):
    assert run_command(["compare", str(folder), str(folder)]) == 0
    assert "teacher" in capsys.readouterr().out
    assert run_command(["compare", str(folder), str(EXAMPLES / "prompts.jsonl")]) == 2
    (folder / "report.html").write_text("")
    assert run_command(["compare", str(folder), str(folder)]) == 7


def test_compare_shows_two_prompt_files(capsys):
    pytest.importorskip("sklearn")
    files = [str(EXAMPLES / name) for name in ("prompts.jsonl", "narrow.jsonl")]
    assert run_command(["-q", "compare", *files, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "curate/comparison@1"


def test_a_key_that_is_asked_for_and_absent_is_exit_7_and_a_file_that_is_no_key_exit_5(folder, tmp_path, capsys):
    pytest.importorskip("cryptography")
    from tests.runs.test_attest import write_pair

    private, public = write_pair(tmp_path, "ours")
    assert run_command(["verify-run", str(folder)]) == 0
    assert "unsigned" in capsys.readouterr().out
    assert run_command(["verify-run", str(folder), "--key", str(public)]) == 7
    assert run_command(["verify-run", str(folder), "--key", str(private)]) == 5
    words = ["-q", "run", str(EXAMPLES / "run-denied.yaml"), "--root", str(tmp_path / "signed"), "--sign"]
    assert run_command([*words, str(private)]) == 3
    signed = next((tmp_path / "signed").iterdir())
    assert run_command(["verify-run", str(signed), "--key", str(public)]) == 0
    assert "signed by key" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "gone.jsonl", "here.jsonl"],
        ["compare", "here.jsonl", "gone.jsonl"],
        ["compare", "here.jsonl", "here.jsonl", "--reference", "gone.jsonl"],
        ["analyze-prompts", "gone.jsonl"],
        ["analyze-prompts", "here.jsonl", "--reference", "gone.jsonl"],
        ["filter-prompts", "gone.jsonl", "-o", "kept.jsonl"],
        ["filter-prompts", "here.jsonl", "--benchmark", "gone.jsonl", "-o", "kept.jsonl"],
    ],
)
def test_a_missing_file_is_told_before_a_missing_extra(command, tmp_path, monkeypatch, capsys):
    import importlib.util

    monkeypatch.chdir(tmp_path)
    Path("here.jsonl").write_text('{"prompt": "how do I cancel my card?"}\n')
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert run_command(["-q", *command]) == 5
    assert "gone.jsonl: no such file" in capsys.readouterr().err
    assert run_command(["-q", "compare", "here.jsonl", "here.jsonl"]) == 6
    assert "numpy is not installed" in capsys.readouterr().err


def test_a_policy_that_recheck_does_not_know_is_a_usage_error_as_everywhere(folder, capsys):
    assert run_command(["recheck", str(folder), *CARDS, "-p", "defalt"]) == 2
    assert "no policy called 'defalt'" in capsys.readouterr().err
