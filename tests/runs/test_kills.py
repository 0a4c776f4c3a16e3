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
from curate.runs.record import ATTESTATION, BOM, CLOSING, LEDGER, RECORD
from curate.runs.trail import Trail
from curate.runs.verify import verify_run
from tests.runs.conftest import QUICK, run_example

pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Arrow's jemalloc starts a thread on import; a fork does not have it and may wait for a lock that it held."""


@pytest.mark.slow
def test_a_run_that_is_killed_at_every_step_goes_on_to_the_same_student(made_once, tmp_path):
    words = [sys.executable, "-W", "ignore", "-m", "tests.runs.killed", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", **NO_THREAD}
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
    for text in spoiled_ledgers(lines):
        (closed / LEDGER).write_text(text)
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


def sampled_changes(root, chance):
    """Name, place and spoiled bytes: every file of a run at its ends and at a few places within."""
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        whole = path.read_bytes()
        within = chance.choices(range(len(whole)), k=WITHIN.get(path.name, 4)) if whole else []
        for place in sorted({0, len(whole) - 1, *within}) if whole else ():
            spoiled = bytearray(whole)
            spoiled[place] ^= 1 << chance.randrange(8)
            yield path, place, bytes(spoiled)


WITHIN = {RECORD: 100, LEDGER: 100, ATTESTATION: 100, BOM: 40}


def test_sampled_changes_of_every_file_of_a_whole_run_are_found(finished, tmp_path):
    pytest.importorskip("securesystemslib")
    from curate.runs.attest import attest, read_signing_key
    from tests.runs.test_attest import write_pair

    attest(finished, read_signing_key(write_pair(tmp_path, "ours")[0]))
    assert verify_run(finished).finished
    tried = set()
    for path, place, spoiled in sampled_changes(finished, random.Random(11)):
        whole = path.read_bytes()
        path.write_bytes(spoiled)
        with pytest.raises(TamperedError):
            verify_run(finished)
        path.write_bytes(whole)
        tried.add((path.name, place))
    assert {RECORD, LEDGER, ATTESTATION, BOM, "report.html", "model.safetensors"} <= {name for name, _ in tried}
    assert len(tried) > 400
    assert verify_run(finished).finished


def test_every_file_of_a_whole_run_is_missed_and_every_line_of_its_ledger(finished):
    for path in sorted(one for one in finished.rglob("*") if one.is_file()):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(TamperedError):
            verify_run(finished)
        path.write_bytes(whole)
    for folder in (finished, finished / "student", finished / "cards"):
        (folder / "added").write_text("")
        with pytest.raises(TamperedError, match="added"):
            verify_run(finished)
        (folder / "added").unlink()
    whole = (finished / LEDGER).read_bytes()
    for text in spoiled_ledgers(whole.decode().splitlines(keepends=True)):
        (finished / LEDGER).write_text(text)
        with pytest.raises(TamperedError):
            verify_run(finished)
    (finished / LEDGER).write_bytes(whole)
    assert verify_run(finished).finished


def spoiled_ledgers(lines):
    """Every way in which one line can be missing, doubled somewhere, or changed for its neighbour."""
    for place in range(len(lines)):
        yield "".join(lines[:place] + lines[place + 1 :])
    for place in range(len(lines) + 1):
        yield "".join([*lines[:place], lines[0], *lines[place:]])
    for place in range(len(lines) - 1):
        yield "".join([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])


def test_of_two_processes_that_go_on_in_one_folder_the_second_is_refused_and_changes_nothing(denied):
    held = Trail.resume(denied)
    before = {path: path.read_bytes() for path in denied.rglob("*") if path.is_file()}
    words = ["run", "examples/run-denied.yaml", "--resume", str(denied), "--root", str(denied.parent)]
    done = subprocess.run(
        [sys.executable, "-m", "curate", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 8
    assert "another process is writing this run" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in denied.rglob("*") if path.is_file()} == before
    held.release()


def fill_the_disk_while(monkeypatch, name):
    """No file whose name holds ``name`` can be synced any more: the disk is full then and there."""
    sync = os.fsync

    def fsync(descriptor):
        if name in Path(f"/proc/self/fd/{descriptor}").resolve().name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc which file is being synced")
@pytest.mark.parametrize("name", ["answers.jsonl", "step-00000002", "training.json"])
def test_a_disk_that_fills_up_while_training_leaves_the_last_checkpoint_and_goes_on_from_it(made_once, tmp_path, name):
    steps = 3 if name.startswith("step") else 2
    often = (*QUICK, "distill.checkpoint_every=1", f"distill.max_steps={steps}")
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk_while(patch, name)
        with pytest.raises(RunError, match="disk full") as failure:
            run_example("run.yaml", tmp_path / "full", *often)
    assert failure.value.exit_code == 8
    assert "\n" not in failure.value.message
    (folder,) = (tmp_path / "full").iterdir()
    assert verify_run(folder).status == "failed"
    left = [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".partial")]
    assert left == []
    if name.startswith("step"):
        assert [path.name for path in (folder / "checkpoints").glob("step-*")] == ["step-00000001.safetensors"]
    assert run_example("run.yaml", tmp_path, *often, resume=folder).record.status == "finished"
    assert verify_run(folder).finished
    weights = "student/model.safetensors"
    whole = Path(run_example("run.yaml", tmp_path / "whole", *often).folder) if steps == 3 else made_once
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()


def test_runs_at_once_keep_to_their_own_folders(tmp_path):
    words = [sys.executable, "-m", "curate", "run", "examples/run-denied.yaml", "--root", str(tmp_path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    at_work = [subprocess.Popen(words, cwd=ROOT, **quiet) for _ in range(3)]
    assert {one.wait(timeout=120) for one in at_work} == {3}
    folders = list(tmp_path.iterdir())
    assert len(folders) == 3
    assert {verify_run(folder).status for folder in folders} == {"denied"}
