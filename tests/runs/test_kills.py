"""What a kill, a full disk or a second process leaves: a folder that verifies, and a run that goes on."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import RunError, TamperedError
from curate.runs.record import ATTESTATION, CLOSING, LEDGER, RECORD
from curate.runs.trail import Trail
from curate.runs.verify import verify_run
from tests.runs.conftest import QUICK, run_example

pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_run_that_is_killed_at_every_step_goes_on_to_the_same_student(made_once, tmp_path):
    words = [sys.executable, "-W", "ignore", "-m", "tests.runs.killed", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 33, done.stderr[-2000:]
    for one in told:
        finished = (one["step"], one["where"]) == ("close", "in_the_middle")  # closing a whole run records no file
        assert one["ended"] == (0 if finished else -signal.SIGKILL), one
        assert one["finished"] == finished, one
    (folder,) = tmp_path.iterdir()
    outcome = run_example("run.yaml", tmp_path, *QUICK, resume=folder)
    assert outcome.record.status == "finished"
    assert outcome.record.steps[-4].status == "reused"
    assert verify_run(folder).finished
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") or path.name == CLOSING]
    for file in ("student/model.safetensors", "prompts.parquet", "decision.json", "student_decision.json"):
        assert (folder / file).read_bytes() == (made_once / file).read_bytes(), file


def fill_the_disk(monkeypatch, writes):
    """Let so many files be synced, then none: what a full disk looks like."""
    left = iter(range(writes))
    sync = os.fsync

    def fsync(descriptor):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writes", range(0, 22, 3))
def test_a_disk_that_fills_up_leaves_a_folder_that_verifies_and_goes_on(tmp_path, writes):
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch, writes)
        with pytest.raises(RunError, match="disk full"):
            run_example("run.yaml", tmp_path, *QUICK, only_gates=True)
    (folder,) = tmp_path.iterdir()
    assert not verify_run(folder).finished
    assert run_example("run.yaml", tmp_path, *QUICK, only_gates=True, resume=folder).record.status == "gates passed"
    assert verify_run(folder).finished


def test_a_ledger_line_that_could_not_be_synced_is_taken_back(tmp_path):
    trail = Trail.start(tmp_path, "abc")
    with trail.step("one"):
        pass
    before = (trail.root / LEDGER).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch, 0)
        with pytest.raises(RunError, match="disk full"), trail.step("two"):
            pass
    assert (trail.root / LEDGER).read_bytes() == before
    trail.close("failed", exit_code=8, message="disk full", config_sha256="c")
    assert verify_run(trail.root).finished


@pytest.fixture
def closed(tmp_path):
    trail = Trail.start(tmp_path, "abc")
    for name in ("one", "two", "three"):
        with trail.step(name) as step:
            (trail.root / f"{name}.txt").write_text(name)
            step.add(trail.root / f"{name}.txt")
    trail.close("finished", exit_code=0, message="", config_sha256="c")
    return trail.root


def test_a_run_that_was_opened_again_and_killed_at_once_verifies_as_unfinished(closed):
    Trail.resume(closed).release()
    assert not verify_run(closed).finished
    (closed / CLOSING).unlink()
    with pytest.raises(TamperedError, match="its record is gone"):
        verify_run(closed)


def test_a_record_that_was_set_aside_and_changed_is_found(closed):
    Trail.resume(closed).release()
    text = (closed / CLOSING).read_text()
    (closed / CLOSING).write_text(text.replace('"finished"', '"denied"'))
    with pytest.raises(TamperedError):
        verify_run(closed)


def test_half_written_files_are_swept_when_a_run_goes_on(closed):
    (closed / "student").mkdir()
    (closed / "student" / ".model.safetensors.x1y2").write_text("half")
    (closed / ATTESTATION).write_text("{}")
    trail = Trail.resume(closed)
    trail.close("finished", exit_code=0, message="", config_sha256="c")
    assert sorted(path.name for path in closed.iterdir() if path.is_file()) == [
        LEDGER, "one.txt", RECORD, "three.txt", "two.txt",
    ]  # fmt: skip
    assert verify_run(closed).finished


def test_every_deleted_added_or_swapped_ledger_line_is_found(closed):
    lines = (closed / LEDGER).read_text().splitlines(keepends=True)
    spoiled = [lines[:place] + lines[place + 1 :] for place in range(len(lines))]
    spoiled += [[*lines[:place], lines[0], *lines[place:]] for place in range(len(lines) + 1)]
    for place in range(len(lines) - 1):
        swapped = list(lines)
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        spoiled.append(swapped)
    for text in spoiled:
        (closed / LEDGER).write_text("".join(text))
        with pytest.raises(TamperedError):
            verify_run(closed)


def test_hundreds_of_changed_bytes_in_record_and_ledger_are_found(closed):
    chance = random.Random(7)
    for name in (RECORD, LEDGER, "one.txt"):
        whole = (closed / name).read_bytes()
        for place in chance.choices(range(len(whole)), k=150):
            spoiled = bytearray(whole)
            spoiled[place] ^= 1 << chance.randrange(8)
            (closed / name).write_bytes(bytes(spoiled))
            with pytest.raises(TamperedError):
                verify_run(closed)
        (closed / name).write_bytes(whole)
    assert verify_run(closed).finished


def test_runs_at_once_keep_to_their_own_folders(tmp_path):
    words = [sys.executable, "-m", "curate", "run", "examples/run-denied.yaml", "--root", str(tmp_path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    at_work = [subprocess.Popen(words, cwd=ROOT, **quiet) for _ in range(3)]
    assert {one.wait(timeout=120) for one in at_work} == {3}
    folders = list(tmp_path.iterdir())
    assert len(folders) == 3
    assert {verify_run(folder).status for folder in folders} == {"denied"}
