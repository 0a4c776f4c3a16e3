"""A run whose teacher has a license beside it: the text in the student's folder, and in everything that proves it."""

import json
import shutil
from pathlib import Path

import pytest

from curate.artifact import sha256_file
from curate.errors import TamperedError
from curate.runs.record import BOM, LICENSE_TEXTS, RunRecord
from curate.runs.statement import make_statement
from curate.runs.verify import verify_run
from curate.runs.workshop import embedded_teacher
from tests.runs.conftest import EXAMPLES, QUICK, run_example

DUTY = "Apache License 2.0: ship the license text"
PATH = "licenses/teacher-LICENSE"
CARD = "---\nlicense: apache-2.0\n---\n# a teacher\n"


@pytest.fixture(scope="module")
def licensed_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("licensed")
    teacher = Path(shutil.copytree(embedded_teacher(), folder / "teacher"))
    (teacher / "README.md").write_text(CARD)
    shutil.copy(EXAMPLES.parent / "LICENSE", teacher / "LICENSE")
    run = run_example("run.yaml", folder / "reports", *QUICK, "baseline=false", f"teacher={json.dumps(str(teacher))}")
    return teacher, Path(run.folder)


@pytest.fixture
def licensed(licensed_once, tmp_path):
    """A copy of the run that a test may spoil."""
    return Path(shutil.copytree(licensed_once[1], tmp_path / licensed_once[1].name))


def test_the_teachers_license_lies_in_the_students_folder_and_the_record_seals_it(licensed_once, licensed):
    teacher, _ = licensed_once
    copy = licensed / "student" / PATH
    assert copy.read_bytes() == (teacher / "LICENSE").read_bytes()
    assert RunRecord.read(licensed / "run.json").files[f"student/{PATH}"] == sha256_file(copy)
    assert verify_run(licensed).finished


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b" ")])
def test_verify_run_finds_a_license_that_was_removed_or_changed(licensed, spoil):
    spoil(licensed / "student" / PATH)
    with pytest.raises(TamperedError, match="teacher-LICENSE"):
        verify_run(licensed)


def test_card_notice_bom_and_statement_name_the_text_and_the_duty_it_keeps(licensed):
    digest = sha256_file(licensed / "student" / PATH)
    card = (licensed / "student" / "README.md").read_text()
    assert f"- {DUTY} – done: {PATH}" in card
    assert f"- `{PATH}` `{digest}`" in card
    assert f"- {DUTY} – done: {PATH}" in (licensed / "student" / "NOTICE").read_text()
    student = json.loads((licensed / BOM).read_text())["metadata"]["component"]
    told = [(one["name"], one["value"]) for one in (*student["properties"], *student["modelCard"]["properties"])]
    assert ("curate:obligation:kept", DUTY) in told
    (text,) = [value for name, value in told if name == "curate:license-text"]
    assert text.startswith(f"{digest}  student/{PATH}")
    predicate = make_statement(licensed, public_key="")["predicate"]
    assert predicate["license_texts"] == {f"student/{PATH}": digest}
    assert DUTY not in predicate["open_text_duties"]


def test_without_a_license_beside_the_teacher_everything_says_that_the_duty_is_open_when_the_run_goes_on(
    licensed_once, licensed, tmp_path
):
    teacher, _ = licensed_once
    aside = tmp_path / "aside"
    (teacher / "LICENSE").rename(aside)
    try:
        run_example(
            "run.yaml",
            licensed.parent,
            *QUICK,
            "baseline=false",
            f"teacher={json.dumps(str(teacher))}",
            resume=licensed,
        )
    finally:
        aside.rename(teacher / "LICENSE")
    assert not (licensed / "student" / "licenses").exists()
    assert f"- {DUTY} – STILL OPEN" in (licensed / "student" / "README.md").read_text()
    assert f"- {DUTY} – STILL OPEN" in (licensed / "student" / "NOTICE").read_text()
    assert not any(one["kept"] for one in json.loads((licensed / LICENSE_TEXTS).read_text())["duties"])
    assert DUTY in make_statement(licensed, public_key="")["predicate"]["open_text_duties"]
    student = json.loads((licensed / BOM).read_text())["metadata"]["component"]
    assert ("curate:obligation:open", DUTY) in [
        (one["name"], one["value"]) for one in student["modelCard"]["properties"]
    ]
    assert verify_run(licensed).finished


def broken_on_the_way(monkeypatch, finished, *assignments):
    """A finished run that goes on, with an error in its training."""
    from curate.errors import RunError
    from curate.runs import distill_steps

    def breaks(*args, **options):
        raise RunError("broken")

    monkeypatch.setattr(distill_steps, "_teach", breaks)
    with pytest.raises(RunError, match="broken"):
        run_example("run.yaml", finished.parent, *QUICK, *assignments, resume=finished)


def test_a_run_that_goes_on_under_other_settings_and_breaks_in_training_is_whole(finished, monkeypatch):
    broken_on_the_way(monkeypatch, finished, "distill.max_steps=3")
    assert verify_run(finished).status == "failed"


def test_a_run_whose_weights_are_gone_and_that_breaks_in_training_is_whole(finished, monkeypatch):
    (finished / "student" / "model.safetensors").unlink()
    broken_on_the_way(monkeypatch, finished)
    assert verify_run(finished).status == "failed"
