"""``curate distill`` on a tiny teacher."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from curate.cli.main import run_command
from curate.distillation.results import TrainingReport
from tests.distillation.classroom import classroom, make_config, teacher_folder, tokenizer  # noqa: F401 – fixtures


@pytest.fixture
def call(classroom):  # noqa: F811
    config = classroom.root / "distill.yaml"
    config.write_text(yaml.safe_dump(make_config(max_steps=3).model_dump(mode="json")))

    def call(*more, config=config, out=True):
        tickets = ["--teacher", str(classroom.root / "teacher.json"), "--dataset", str(classroom.root / "dataset.json")]
        where = ["-o", str(classroom.root / "out")] if out else []
        return run_command(["-q", "distill", str(config), *tickets, *where, *more])

    call.root = classroom.root
    return call


def test_two_tickets_make_a_student_and_a_table(call, capsys):
    assert call("--set", "losses.kd.temperature=2", "--set", "student.name=small") == 0
    captured = capsys.readouterr()
    assert "tiny/teacher → small\n3 steps on 41 prompts" in captured.out
    for label in ("perplexity", "KL to teacher", "top-1 agreement", "parameters", "ms a token", "peak memory"):
        assert label in captured.out
    report = TrainingReport.read(call.root / "out" / "training.json")
    assert report.config.losses.kd.temperature == 2


def test_json_is_the_artifact_itself(call, capsys):
    assert call("-f", "json") == 0
    assert capsys.readouterr().out == (call.root / "out" / "training.json").read_text()


def test_resume_goes_on_in_its_own_folder(call, capsys):
    assert call() == 0
    before = (call.root / "out" / "training.json").read_bytes()
    assert call("--resume", str(call.root / "out"), out=False) == 0
    assert (call.root / "out" / "training.json").read_bytes() == before
    assert call("--resume", str(call.root / "elsewhere")) == 2
    assert call(out=False) == 2


def test_each_bad_input_gives_one_line_and_its_exit_code(call, capsys):
    cases = [
        (5, ["--set", "losses.kd.divergence=kl"]),
        (5, ["--set", "losses.unknown=1"]),
        (5, ["--set", "student.keep_layers=[0, 8]"]),
        (5, ["--set", "nonsense"]),
        (5, ["--set", "signals=cached"]),
        (3, ["--set", "student={base: other/model}"]),
    ]
    for code, more in cases:
        assert call(*more) == code, more
        captured = capsys.readouterr()
        assert len(captured.err.strip().splitlines()) == 1
        assert captured.err.startswith("curate: ")
        assert captured.out == ""
    assert call(config=call.root / "absent.yaml") == 5


def test_an_edited_or_hand_written_ticket_is_7(call):
    ticket = call.root / "teacher.json"
    payload = json.loads(ticket.read_text())
    ticket.write_text(json.dumps(payload | {"ref": "other/teacher"}))
    assert call() == 7
    ticket.write_text("{}")
    assert call() == 7
    assert not (call.root / "out").exists()


def test_ctrl_c_is_130_and_resumes(call, monkeypatch):
    from curate.distillation.trainer import Trainer

    step = Trainer._step

    def interrupted(self, started):
        if self.step == 2:
            raise KeyboardInterrupt
        return step(self, started)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        assert call("--set", "checkpoint_every=1") == 130
    assert (call.root / "out" / "checkpoints" / "step-00000002.safetensors").is_file()
    assert call("--set", "checkpoint_every=1", "--resume", str(call.root / "out"), out=False) == 0


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_losses(call):
    root = call.root
    tickets = ["--teacher", str(root / "teacher.json"), "--dataset", str(root / "dataset.json")]
    more = ["--set", "max_steps=0", "--set", "epochs=60", "--set", "checkpoint_every=10"]
    assert call(*more, "-o", str(root / "whole"), out=False) == 0
    command = [sys.executable, "-m", "curate", "-q", "distill", str(root / "distill.yaml"), *tickets, *more]
    process = subprocess.Popen([*command, "-o", str(root / "out")], env=os.environ | {"OMP_NUM_THREADS": "1"})
    checkpoints = root / "out" / "checkpoints"
    while not list(checkpoints.glob("step-*.safetensors")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    assert call(*more, "--resume", str(root / "out"), out=False) == 0
    resumed, whole = (TrainingReport.read(root / name / "training.json") for name in ("out", "whole"))
    assert [(p.step, p.total, p.terms) for p in resumed.curve] == [(p.step, p.total, p.terms) for p in whole.curve]
    assert resumed.student_sha256 == whole.student_sha256
    assert resumed.steps > 100
