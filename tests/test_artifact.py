import errno
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.artifact import Artifact, atomic_file, sha256_file, sha256_folder, write_text
from curate.errors import InputError, RunError, TamperedError


class Note(Artifact):
    DATED = ("when",)
    kind: Literal["test/note@1"] = "test/note@1"
    text: str
    scores: dict[str, float] = {}
    when: str = ""


def test_the_digest_is_the_sha256_of_the_written_file(tmp_path):
    note = Note(text="grüße", scores={"b": 1.0, "a": 0.5})
    ref = note.write(tmp_path / "note.json")
    assert ref.sha256 == note.digest() == sha256_file(tmp_path / "note.json")


@given(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_an_artifact_survives_the_way_through_json(text, scores):
    note = Note(text=text, scores=scores)
    assert Note.model_validate(json.loads(note.to_json())) == note
    assert Note.model_validate(json.loads(note.to_json())).digest() == note.digest()


def test_dates_change_the_digest_but_not_the_one_that_resume_compares():
    one, two = Note(text="x", when="monday"), Note(text="x", when="tuesday")
    assert one.digest() != two.digest()
    assert one.resume_digest() == two.resume_digest()


def test_nan_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        Note(text="x", scores={"a": float("nan")}).to_json()


def test_an_unknown_field_is_refused_with_its_name(tmp_path):
    write_text(tmp_path / "n.json", '{"kind": "test/note@1", "text": "x", "txet": "y"}')
    with pytest.raises(InputError, match="txet"):
        Note.read(tmp_path / "n.json")


def test_another_kind_is_refused(tmp_path):
    write_text(tmp_path / "n.json", '{"kind": "test/note@2", "text": "x"}')
    with pytest.raises(InputError, match="kind"):
        Note.read(tmp_path / "n.json")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_file(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_a_full_disk_is_a_run_error_that_says_so_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_a_folder_digest_changes_with_any_byte_and_any_name(tmp_path):
    (tmp_path / "a").write_text("1")
    first = sha256_folder(tmp_path)
    (tmp_path / "a").write_text("2")
    second = sha256_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, sha256_folder(tmp_path)}) == 3


def test_a_missing_recorded_file_is_tampering(tmp_path):
    with pytest.raises(TamperedError, match="gone"):
        sha256_file(tmp_path / "nothing")
