"""Exit codes and one-line errors of the commands that make and check runs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.cli.main import run_command
from curate.runs.verify import verify_run

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LISTENS = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from curate.__main__ import main; main()"
)
"""The command; a shell starts what runs in the background with SIGINT ignored, and the tests may be run there."""


def curate(*words, **options):
    """The command in a process of its own: (exit code, standard output, standard error)."""
    done = subprocess.run(
        [sys.executable, "-m", "curate", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def says_one_line(stderr):
    """Whether the error is one line of ours, without a traceback."""
    lines = [line for line in stderr.splitlines() if line.startswith("curate: ")]
    return len(lines) == 1 and "Traceback" not in stderr


@pytest.fixture
def copied(tmp_path):
    """The examples in a folder that a test may change."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


def test_a_denied_teacher_is_exit_3_and_the_folder_verifies(tmp_path):
    code, out, err = curate("run", EXAMPLES / "run-denied.yaml", "--root", tmp_path)
    assert (code, out) == (3, "")
    assert says_one_line(err)
    (folder,) = tmp_path.iterdir()
    assert run_command(["verify-run", str(folder)]) == 0
    assert not (folder / "student").exists()


def test_a_teacher_under_review_is_exit_4(tmp_path):
    code, _, err = curate(
        "run", EXAMPLES / "run-denied.yaml", "--set", "teacher=example/no-license", "--root", tmp_path
    )
    assert code == 4
    assert says_one_line(err)


def test_a_teacher_that_nobody_knows_without_a_network_is_exit_6(tmp_path):
    code, _, err = curate("run", EXAMPLES / "run-denied.yaml", "--set", "teacher=nobody/knows-this", "--root", tmp_path)
    assert code == 6
    assert says_one_line(err)


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("run.yaml", None, "run.yaml"),
        ("run.yaml", "", "run.yaml"),
        ("run.yaml", "teacher: [", "run.yaml:2"),
        ("run.yaml", "teacher: embedded\nprompts: prompts.jsonl\nteacher: x\n", "run.yaml:3"),
        ("run.yaml", "teacher: embedded\nprompts: prompts.jsonl\ntecher: x\n", "techer"),
        ("prompts.jsonl", None, "prompts.jsonl"),
        ("prompts.jsonl", "", "prompts.jsonl"),
        ("prompts.jsonl", "{broken\n{also broken\n", "prompts.jsonl"),
        ("reference.jsonl", "", "reference.jsonl"),
    ],
)
def test_a_missing_empty_or_broken_file_is_exit_5_and_named(copied, tmp_path, name, text, place):
    if text is None:
        (copied / name).unlink()
    else:
        (copied / name).write_text(text)
    code, _, err = curate("run", copied / "run.yaml", "--root", tmp_path / "reports")
    assert code == 5, err
    assert says_one_line(err)
    assert place in err


@pytest.mark.parametrize(
    "assignment", ["distill.losses.kd.divergence=nope", "filters.nope={}", "student.keep_layers=[99]", "policy=nope"]
)
def test_an_unknown_name_in_a_run_file_is_exit_5(tmp_path, assignment):
    code, _, err = curate("run", EXAMPLES / "run.yaml", "--set", assignment, "--root", tmp_path)
    assert code == 5
    assert says_one_line(err)


def test_no_prompts_left_is_exit_3(copied, tmp_path):
    (copied / "prompts.jsonl").write_text('{"prompt": "asdkjh qwlekj", "license": "cc-by-nc-4.0"}\n' * 3)
    code, _, err = curate("run", copied / "run.yaml", "--root", tmp_path / "reports")
    assert code == 3
    assert says_one_line(err)
    (folder,) = (tmp_path / "reports").iterdir()
    assert verify_run(folder).status == "denied"


def test_a_folder_that_cannot_be_written_is_exit_8(tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = curate("run", EXAMPLES / "run.yaml", "--root", tmp_path / "file")
    assert code == 8
    assert says_one_line(err)


def test_a_changed_run_is_exit_7_and_a_strange_folder_exit_5(tmp_path):
    curate("run", EXAMPLES / "run-denied.yaml", "--root", tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "policy.json").write_text("{}")
    assert curate("verify-run", folder)[0] == 7
    assert curate("verify-run", tmp_path)[0] == 5
    assert curate("verify-run", tmp_path / "nothing")[0] == 5


def test_ctrl_c_is_exit_130_and_leaves_a_whole_folder(tmp_path):
    words = [sys.executable, "-c", LISTENS, "run", "examples/run.yaml", "--root", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*words, "--set", "distill.epochs=500"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("*/dataset.json")):
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (folder,) = tmp_path.iterdir()
    assert verify_run(folder).status == "interrupted"


def test_a_killed_run_verifies_as_unfinished_and_goes_on(tmp_path):
    quick = ["--set", "distill.max_steps=2", "--set", "evaluation.max_prompts=4"]
    words = [sys.executable, "-m", "curate", "run", "examples/run.yaml", "--root", str(tmp_path), *quick]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("*/dataset.json")):
        time.sleep(0.05)
    process.kill()
    process.wait()
    (folder,) = tmp_path.iterdir()
    assert not verify_run(folder).finished
    code, out, err = curate("run", "examples/run.yaml", "--root", tmp_path, "--resume", folder, *quick)
    assert code == 0, err
    assert "reused" in out
    assert verify_run(folder).finished


def test_a_ticket_whose_decision_was_edited_is_exit_7_at_the_trainer(tmp_path):
    curate("run", EXAMPLES / "run.yaml", "--only-gates", "--root", tmp_path)
    (folder,) = tmp_path.iterdir()
    (tmp_path / "d.yaml").write_text("student: {keep_layers: [0, 3]}\n")
    tickets = ["--teacher", folder / "teacher.json", "--dataset", folder / "dataset.json"]
    decision = folder / "decision.json"
    decision.write_text(decision.read_text().replace("embedded", "imbedded"))
    code, _, err = curate("distill", tmp_path / "d.yaml", *tickets, "-o", tmp_path / "out")
    assert code == 7
    assert says_one_line(err)
    assert not (tmp_path / "out" / "student").exists()


@pytest.mark.parametrize(
    "words", [("check-license", "a/b", "-p", "nope"), ("run", "examples/run.yaml", "-p", "nope"), ("nope",)]
)
def test_an_unknown_name_on_the_command_line_is_a_usage_error(words):
    assert curate(*words)[0] == 2


def test_a_policy_file_that_is_not_there_is_exit_5(tmp_path):
    assert curate("check-license", "a/b", "--offline", "-p", tmp_path / "nope.yaml")[0] == 5


def test_a_policy_from_the_command_line_replaces_the_run_files(tmp_path):
    code, _, _ = curate("run", EXAMPLES / "run-denied.yaml", "-p", "permissive-only", "--root", tmp_path)
    (folder,) = tmp_path.iterdir()
    assert code == 3
    assert "permissive-only" in (folder / "policy.json").read_text()
