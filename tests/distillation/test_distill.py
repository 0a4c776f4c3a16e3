"""From two tickets to a student."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curate.artifact import sha256_folder
from curate.distillation.config import without_teacher
from curate.distillation.distill import distill
from curate.distillation.results import TrainingReport
from curate.errors import ConfigError, Denied, PromptsError, RunError, TamperedError
from curate.licenses.decision import Case

from .classroom import approve, make_config, make_model, make_rows, make_tokenizer


def teach(classroom, config=None, **options):
    options = {"root": classroom.root, "out": classroom.root / "out"} | options
    return distill(classroom.teacher_ticket, classroom.dataset_ticket, config or make_config(), **options)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory, teacher_folder):
    classroom = approve(tmp_path_factory.mktemp("lesson"), teacher_folder, make_rows())
    return classroom, teach(classroom)


def test_a_student_comes_closer_to_its_teacher(lesson):
    _, report = lesson
    assert report.after.kl_to_teacher < 0.5 * report.before.kl_to_teacher
    assert report.after.top1_agreement > report.before.top1_agreement
    assert report.after.perplexity < report.before.perplexity
    assert report.teacher.kl_to_teacher == 0
    assert report.footprints["student"].parameters < report.footprints["teacher"].parameters
    assert report.footprints["student"].ms_per_token > 0
    assert report.footprints["student"].peak_memory_bytes > 0


def test_all_four_terms_are_real_and_fall(lesson):
    _, report = lesson
    first, last = report.curve[0].terms, report.curve[-1].terms
    assert sorted(first) == ["attention", "feature", "kd", "task"]
    assert all(value > 0 for value in first.values())
    assert last["kd"] < first["kd"]
    assert last["feature"] < first["feature"]
    losses = report.config.losses
    assert sorted(report.balance) == ["attention", "feature"]
    weights = {name: getattr(losses, name).weight * factor for name, factor in report.balance.items()}
    expected = last["task"] + last["kd"] + sum(weight * last[name] for name, weight in weights.items())
    assert report.curve[-1].total == pytest.approx(expected, rel=1e-5)


def test_what_is_left_is_a_plain_folder_without_projections(lesson):
    classroom, report = lesson
    folder = classroom.root / "out" / "student"
    student = AutoModelForCausalLM.from_pretrained(folder)
    assert not [name for name in student.state_dict() if "projection" in name]
    assert student.config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert report.student_sha256 == sha256_folder(folder)
    assert "curate_tap" not in (folder / "config.json").read_text()
    assert not (classroom.root / "out" / "checkpoints").exists()
    assert TrainingReport.read(classroom.root / "out" / "training.json") == report


def test_the_teachers_answers_are_written_down(lesson):
    classroom, report = lesson
    lines = (classroom.root / "out" / "signals" / "answers.jsonl").read_text().splitlines()
    answers = {row["id"]: row["answer"] for row in map(json.loads, lines[1:])}
    assert len(answers) == 48 == report.prompts_trained + report.prompts_held_out
    assert report.answers_from_teacher == report.prompts_trained
    assert answers["q0"] == "paris"


def test_resuming_a_finished_run_returns_its_report(lesson):
    classroom, report = lesson
    assert teach(classroom, resume=True) == report


def test_a_folder_with_another_distillation_is_neither_mixed_nor_deleted(lesson):
    classroom, report = lesson
    with pytest.raises(ConfigError, match="an earlier distillation left this"):
        teach(classroom, make_config(seed=5))
    assert sha256_folder(classroom.root / "out" / "student") == report.student_sha256


def test_a_run_that_breaks_resumes_to_the_same_losses_bit_for_bit(classroom):
    config = make_config(checkpoint_every=3, epochs=2)
    whole = teach(classroom, config, out=classroom.root / "whole")

    class Stopped(KeyboardInterrupt):
        pass

    def stop(stage, done, total=None, note=""):
        if stage == "train" and done == 5:
            raise Stopped

    with pytest.raises(Stopped):
        teach(classroom, config, progress=stop)
    out = classroom.root / "out"
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000003.safetensors"]
    assert [line["step"] for line in map(json.loads, (out / "steps.jsonl").open())] == [1, 2, 3, 4, 5]
    asked = []
    resumed = teach(classroom, config, resume=True, progress=lambda stage, done, *_: asked.append((stage, done)))
    assert ("train", 3) not in asked
    assert ("train", 4) in asked
    assert not [stage for stage, _ in asked if stage == "answers"]
    assert [(p.total, p.terms) for p in resumed.curve] == [(p.total, p.terms) for p in whole.curve]
    logged = [json.loads(line) for line in (out / "steps.jsonl").open()]
    assert [(line["total"], line["terms"]) for line in logged] == [(p.total, p.terms) for p in whole.curve]
    assert resumed.tokens == whole.tokens
    assert resumed.student_sha256 == whole.student_sha256
    assert resumed.resume_digest() == whole.resume_digest()


def test_a_checkpoint_of_another_config_is_refused(classroom):
    def stop(stage, done, total=None, note=""):
        if stage == "train" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(classroom, make_config(checkpoint_every=1), progress=stop)
    with pytest.raises(ConfigError, match="belong to another"):
        teach(classroom, make_config(checkpoint_every=1, seed=7), resume=True)


def test_true_answers_are_used_where_the_file_has_them(tmp_path, teacher_folder):
    rows = make_rows(with_answers=True)
    for row in rows[::2]:
        row["answer"] = None
    classroom = approve(tmp_path, teacher_folder, rows)
    report = teach(classroom, make_config(answers="answer", max_steps=2))
    assert report.answers_from_file + report.answers_from_teacher == report.prompts_trained
    assert report.answers_from_file > 10
    assert report.answers_from_teacher > 10
    assert report.teacher.accuracy == 1.0
    assert 0 <= report.after.accuracy <= 1
    with pytest.raises(ConfigError, match="no column 'truth'"):
        teach(classroom, make_config(answers="truth"), out=tmp_path / "other")


def test_a_student_is_examined_while_it_learns_by_domain_and_after_a_break_as_well(tmp_path, teacher_folder):
    rows = [row | {"source": "odd" if place % 2 else "even"} for place, row in enumerate(make_rows())]
    classroom = approve(tmp_path, teacher_folder, rows)
    config = make_config(max_steps=6, checkpoint_every=4, evaluation={"fraction": 0.3, "every": 2})

    def stop(stage, done, total=None, note=""):
        if stage == "train" and done == 5:
            raise KeyboardInterrupt

    whole = teach(classroom, config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        teach(classroom, config, progress=stop)
    resumed = teach(classroom, config, resume=True)
    assert [point.step for point in whole.exams] == [2, 4, 6]
    assert resumed.exams == whole.exams
    assert sorted(whole.exams[0].quality.domains) == sorted(whole.after.domains) == ["even", "odd"]
    assert whole.exams[-1].quality.kl_to_teacher == pytest.approx(whole.after.kl_to_teacher, rel=0.02)


def test_the_yardstick_learns_from_answers_alone(classroom):
    config = without_teacher(make_config(max_steps=3))
    report = teach(classroom, config)
    assert list(report.curve[0].terms) == ["task"]
    assert report.after.kl_to_teacher is not None


def test_an_evaluation_file_is_kept_apart_from_training(classroom):
    path = classroom.root / "exam.jsonl"
    asked = [("Capital of  France", "Paris"), ("capital of peru", "lima"), ("where is lima", "peru")]
    path.write_text("".join(json.dumps({"prompt": p, "answer": a}) + "\n" for p, a in asked))
    report = teach(classroom, make_config(evaluation={"file": "exam.jsonl"}, max_steps=2), anchor=classroom.root)
    assert report.prompts_held_out == 3
    assert report.prompts_trained == 46
    assert report.teacher.accuracy is not None


@pytest.mark.parametrize("name", ["decision.json", "prompts.parquet", "prompt_decision.json"])
def test_an_edited_file_behind_a_ticket_is_noticed(classroom, name):
    path = classroom.root / name
    path.write_bytes(path.read_bytes().replace(b"2026", b"2027") + b" ")
    with pytest.raises(TamperedError):
        teach(classroom)


def test_a_changed_teacher_is_noticed(tmp_path, teacher_folder):
    copied = tmp_path / "weights"
    shutil.copytree(teacher_folder, copied)
    classroom = approve(tmp_path, copied, make_rows())
    (copied / "config.json").write_text((copied / "config.json").read_text() + "\n")
    with pytest.raises(TamperedError, match="not those that were approved"):
        teach(classroom)


def test_a_forged_ticket_names_a_decision_that_is_not_there(classroom):
    forged = classroom.teacher_ticket.model_copy(update={"decision_sha256": "f" * 64})
    with pytest.raises(TamperedError):
        distill(forged, classroom.dataset_ticket, make_config(), root=classroom.root, out=classroom.root / "out")


def test_signals_that_were_not_approved_are_denied(tmp_path, teacher_folder):
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=Case(signals=("responses", "logits")))
    with pytest.raises(Denied, match="hidden-states, attentions"):
        teach(classroom)
    losses = {"kd": 1.0, "feature": 0, "attention": 0}
    assert teach(classroom, make_config(losses=losses, max_steps=1)).steps == 1


def test_a_student_from_another_model_must_have_been_approved(classroom):
    with pytest.raises(Denied, match="not from other/model"):
        teach(classroom, make_config(student={"base": "other/model"}))


def make_stranger(folder):
    """A student whose vocabulary has the teacher's size, but other tokens."""
    other = make_tokenizer(["zebra quagga okapi gnu " * 4, "xylophone mandolin zither lute " * 4], size=320)
    other_model = make_model(len(other), layers=2, seed=5)
    other_model.save_pretrained(folder)
    other.save_pretrained(folder)
    return len(other)


def test_another_vocabulary_of_the_same_size_is_refused_where_logits_are_compared(tmp_path, teacher_folder, tokenizer):
    folder = tmp_path / "stranger"
    size = make_stranger(folder)
    assert abs(size - len(tokenizer)) < 20
    case = Case(student_base=str(folder))
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=case)
    with pytest.raises(ConfigError, match="do not share a tokenizer"):
        teach(classroom, make_config(student={"base": str(folder)}))
    losses = {"kd": 0, "feature": 0, "attention": 0}
    report = teach(classroom, make_config(student={"base": str(folder)}, losses=losses, max_steps=3))
    assert report.after.kl_to_teacher is None
    assert report.after.perplexity > 1


def test_a_base_of_another_shape_learns_through_projections_and_averaged_heads(tmp_path, teacher_folder, tokenizer):
    folder = tmp_path / "narrow"
    make_model(len(tokenizer) + 5, layers=2, width=24, heads=3, seed=4).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=Case(student_base=str(folder)))
    report = teach(classroom, make_config(student={"base": str(folder)}, max_steps=8))
    assert sorted(report.curve[0].terms) == ["attention", "feature", "kd", "task"]
    assert report.after.kl_to_teacher < report.before.kl_to_teacher


def test_a_loss_that_is_not_finite_stops_and_says_where(classroom, monkeypatch):
    monkeypatch.setattr("curate.distillation.stack.LossStack._response", nan_response)
    with pytest.raises(RunError, match=r"step 1: task is not finite in the batch with prompts q\d+"):
        teach(classroom)


def nan_response(stack, batch, ours, theirs, totals):
    loss = ours.sum() * float("nan")
    return loss, {"task": loss}


def test_half_precision_teachers_leave_half_precision_students(tmp_path, teacher_folder):
    folder = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(teacher_folder, dtype=torch.float16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(teacher_folder).save_pretrained(folder)
    classroom = approve(tmp_path, folder, make_rows())
    report = teach(classroom, make_config(max_steps=2))
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "student").dtype == torch.float16
    assert report.footprints["student"].bytes < report.footprints["teacher"].bytes


def test_a_teacher_that_gives_no_numbers_is_a_broken_run(tmp_path, teacher_folder):
    folder = tmp_path / "sick"
    sick = AutoModelForCausalLM.from_pretrained(teacher_folder)
    sick.model.norm.weight.data.fill_(float("nan"))
    sick.save_pretrained(folder)
    AutoTokenizer.from_pretrained(teacher_folder).save_pretrained(folder)
    classroom = approve(tmp_path, folder, make_rows(with_answers=True))
    with pytest.raises(RunError, match="not finite"):
        teach(classroom, make_config(answers="answer"))


def test_two_prompts_with_one_id_are_refused(tmp_path, teacher_folder):
    classroom = approve(tmp_path, teacher_folder, [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}])
    with pytest.raises(PromptsError, match="stands in two rows"):
        teach(classroom)


def test_a_full_disk_at_export_is_a_broken_run_that_resumes(classroom, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("curate.distillation.leaving.export_student", full)
        with pytest.raises(RunError, match="disk full"):
            teach(classroom, make_config(checkpoint_every=2, max_steps=5))
    assert not (classroom.root / "out" / "student").exists()
    assert teach(classroom, make_config(checkpoint_every=2, max_steps=5), resume=True).steps == 5
