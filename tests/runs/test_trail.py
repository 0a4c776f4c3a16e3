import os
import sys

import pytest

from curate.artifact import write_text
from curate.errors import Denied, InputError, RunError, TamperedError
from curate.lock import FAR
from curate.runs.trail import Trail
from curate.runs.verify import verify_run


def started(tmp_path):
    trail = Trail.start(tmp_path, "abc")
    with trail.step("one", {"in": "0"}) as step:
        write_text(trail.root / "a.txt", "hello")
        step.add(trail.root / "a.txt")
    return trail


def finished(tmp_path):
    trail = started(tmp_path)
    with trail.step("two") as step:
        write_text(trail.root / "student" / "b.bin", "weights")
        step.add(trail.root / "student")
    trail.close("finished", exit_code=0, message="", config_sha256="c")
    return trail.root


def test_a_finished_run_verifies(tmp_path):
    verification = verify_run(finished(tmp_path))
    assert verification.finished
    assert verification.files == 4


@pytest.mark.parametrize("name", ["a.txt", "student/b.bin", "ledger.jsonl", "run.json"])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_one_changed_byte_of_any_file_is_noticed(tmp_path, name, place):
    path = finished(tmp_path) / name
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(TamperedError):
        verify_run(next(tmp_path.iterdir()))


@pytest.mark.parametrize("name", ["a.txt", "student/b.bin", "ledger.jsonl", "run.json"])
def test_a_removed_file_is_noticed(tmp_path, name):
    root = finished(tmp_path)
    (root / name).unlink()
    with pytest.raises(TamperedError):
        verify_run(root)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "student/.more"])
def test_an_added_file_is_noticed(tmp_path, name):
    root = finished(tmp_path)
    (root / name).write_text("")
    with pytest.raises(TamperedError, match="added"):
        verify_run(root)


def test_a_killed_run_verifies_and_says_it_is_unfinished(tmp_path):
    root = started(tmp_path).root
    (root / "half.part").write_text("x")
    with (root / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"cut": ')
    verification = verify_run(root)
    assert not verification.finished
    assert verification.unrecorded == ("half.part",)


def test_a_killed_run_whose_recorded_file_changed_does_not_verify(tmp_path):
    root = started(tmp_path).root
    (root / "a.txt").write_text("other")
    with pytest.raises(TamperedError):
        verify_run(root)


def test_on_windows_a_byte_far_beyond_the_ledger_is_locked_and_lines_still_go_to_its_end(tmp_path, monkeypatch):
    taken = []

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor, mode, count):
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            if place in taken:
                raise PermissionError(13, "Permission denied")
            taken.append(place)

    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt)
    monkeypatch.setattr("curate.lock.sys.platform", "win32")
    trail = started(tmp_path)
    assert taken == [FAR]
    with pytest.raises(RunError, match="another process"):
        Trail.resume(trail.root)
    trail.close("finished", exit_code=0, message="", config_sha256="c")
    assert (trail.root / "ledger.jsonl").stat().st_size < 10_000
    assert verify_run(trail.root).finished


def test_a_denied_step_leaves_a_whole_trail(tmp_path):
    trail = started(tmp_path)
    with pytest.raises(Denied), trail.step("license"):
        raise Denied("teacher: denied")
    trail.close("denied", exit_code=3, message="teacher: denied", config_sha256="c")
    assert verify_run(trail.root).status == "denied"
    assert trail.lines[1].status == "denied"


def test_a_resumed_run_reuses_only_steps_with_the_same_inputs_and_files(tmp_path):
    root = finished(tmp_path)
    trail = Trail.resume(root)
    assert trail.reusable("one", {"in": "0"}) is not None
    assert trail.reusable("one", {"in": "1"}) is None
    (root / "a.txt").write_text("other")
    assert trail.reusable("one", {"in": "0"}) is None


def test_a_resumed_run_verifies_after_redoing_a_step(tmp_path):
    root = finished(tmp_path)
    trail = Trail.resume(root)
    trail.reuse(trail.reusable("one", {"in": "0"}))
    with trail.step("two") as step:
        write_text(root / "student" / "c.bin", "other")
        (root / "student" / "b.bin").unlink()
        step.add(root / "student")
    trail.close("finished", exit_code=0, message="", config_sha256="c")
    assert verify_run(root).finished
    assert [step.status for step in trail.lines][-4:] == ["reused", "restarted", "ok", "ok"]


def test_a_kill_in_the_middle_of_redoing_a_step_leaves_a_whole_run(tmp_path):
    root = finished(tmp_path)
    trail = Trail.resume(root)
    step = trail.step("two")
    step.__enter__()
    (root / "student" / "b.bin").write_text("half")
    assert not verify_run(root).finished


def test_two_processes_never_write_one_folder(tmp_path):
    trail = started(tmp_path)
    with pytest.raises(RunError, match="another process"):
        Trail.resume(trail.root)


def test_two_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    assert Trail.start(tmp_path, "abc").root != Trail.start(tmp_path, "abc").root


def test_a_folder_that_is_no_run_is_a_wrong_input(tmp_path):
    with pytest.raises(InputError, match="not a run"):
        verify_run(tmp_path)
