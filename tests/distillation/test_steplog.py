"""The log of a training's steps, on disk while it goes."""

import importlib.util
import json

import pytest

from curate.distillation.admission import preflight
from curate.distillation.results import ExamPoint, LossPoint, Quality
from curate.distillation.steplog import StepLog
from curate.errors import MissingExtra, RunError

from .classroom import make_config


def make_point(step):
    return LossPoint(step=step, total=1.0 / step, terms={"task": 2.0, "kd": 0.5}, learning_rate=1e-3, tokens_per_s=9.0)


def read(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_every_step_is_on_disk_before_the_next_begins(tmp_path):
    log = StepLog(tmp_path)
    for step in (1, 2):
        log.add(make_point(step))
        assert [line["step"] for line in read(tmp_path)] == list(range(1, step + 1))
    assert read(tmp_path)[1] == make_point(2).model_dump(mode="json")


def test_an_exam_stands_in_the_line_of_its_step(tmp_path):
    log = StepLog(tmp_path)
    exams = [ExamPoint(step=2, quality=Quality(perplexity=4.0))]
    for step in (1, 2, 3):
        log.add(make_point(step), exams if step >= 2 else [])
    assert [line.get("quality", {}).get("perplexity") for line in read(tmp_path)] == [None, 4.0, None]


def test_a_resumed_log_drops_what_came_after_the_checkpoint_and_a_torn_line(tmp_path):
    log = StepLog(tmp_path)
    for step in (1, 2, 3):
        log.add(make_point(step))
    with (tmp_path / "steps.jsonl").open("a") as stream:
        stream.write('{"step": 4, "tot')
    log = StepLog(tmp_path, after=2)
    log.add(make_point(3))
    assert [line["step"] for line in read(tmp_path)] == [1, 2, 3]


def test_a_fresh_log_keeps_nothing_of_an_earlier_one(tmp_path):
    StepLog(tmp_path).add(make_point(1))
    StepLog(tmp_path)
    assert read(tmp_path) == []


def test_a_log_that_cannot_be_written_names_the_file(tmp_path):
    log = StepLog(tmp_path)
    log.path.unlink()
    log.path.mkdir()
    with pytest.raises(RunError, match=r"steps\.jsonl"):
        log.add(make_point(1))


def test_tensorboard_reads_what_was_logged_and_forgets_what_a_resume_took_back(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the tensorboard extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = StepLog(tmp_path, tensorboard=True)
    exams = [ExamPoint(step=2, quality=Quality(kl_to_teacher=0.25))]
    for step in (1, 2, 3):
        log.add(make_point(step), exams)
    log.close()
    log = StepLog(tmp_path, after=2, tensorboard=True)
    log.add(make_point(3).model_copy(update={"total": 7.0}))
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "terms/task", "terms/kd", "learning_rate", "tokens_per_s"} <= set(events.Tags()["scalars"])
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (2, 0.5), (3, 7.0)]
    assert [event.value for event in events.Scalars("held_out/kl_to_teacher")] == [0.25]


def test_tensorboard_without_its_package_is_refused_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="tensorboard is not installed") as caught:
        preflight(make_config(tensorboard=True))
    assert caught.value.exit_code == 6
    assert "curate[tensorboard]" in caught.value.hint
