"""Held-out quality against the models' own logits and their own generation."""

import math

import pytest
import torch
from torch.nn import functional

from curate.distillation.answers import AnswerFile, ask_teacher, generate_answers
from curate.distillation.batches import collate
from curate.distillation.evaluate import HeldOut, measure_quality, normalise
from curate.distillation.footprint import measure_footprints
from curate.distillation.student import keep_layers
from curate.errors import ConfigError

from .classroom import QUESTIONS


@pytest.fixture
def student(teacher):
    return keep_layers(teacher, (0, 2)).eval()


def hold_out(encoder):
    examples = encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))
    return HeldOut(tuple(examples), tuple(answer for _, answer in QUESTIONS))


def test_quality_is_what_whole_logits_say(student, teacher, encoder):
    held_out = hold_out(encoder)
    quality = measure_quality(student, teacher, held_out, encoder)
    batch = collate(held_out.examples, 0)
    with torch.no_grad():
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.mask.long()}
        logits, teacher_logits = student(**inputs).logits[batch.predicts], teacher(**inputs).logits[batch.predicts]
    log_q, log_p = logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    assert quality.perplexity == pytest.approx(math.exp(functional.nll_loss(log_q, batch.labels)), rel=1e-4)
    expected = functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean").item()
    assert quality.kl_to_teacher == pytest.approx(expected, rel=1e-4)
    expected = functional.kl_div(log_p, log_q, log_target=True, reduction="batchmean").item()
    assert quality.reverse_kl == pytest.approx(expected, rel=1e-4)
    assert quality.domains == {}
    assert quality.top1_agreement == pytest.approx((log_q.argmax(-1) == log_p.argmax(-1)).float().mean().item())


def test_accuracy_is_that_of_greedy_generation(student, teacher, encoder):
    held_out = hold_out(encoder)
    for model in (student, teacher):
        prompts = [example.prompt for example in held_out.examples]
        answers = generate_answers(model, encoder, prompts, max_new_tokens=8)
        right = [normalise(a) == normalise(t) for a, t in zip(answers, held_out.truths, strict=True)]
        assert measure_quality(model, teacher, held_out, encoder).accuracy == pytest.approx(sum(right) / len(right))


def test_figures_by_domain_are_those_of_the_domain_alone(student, teacher, encoder):
    held_out = hold_out(encoder)
    domains = tuple("north" if place % 3 else "south" for place in range(len(held_out.examples)))
    both = measure_quality(student, teacher, HeldOut(held_out.examples, held_out.truths, domains), encoder)
    assert sorted(both.domains) == ["north", "south"]
    for name, quality in both.domains.items():
        rows = [row for row, domain in enumerate(domains) if domain == name]
        examples = tuple(held_out.examples[row] for row in rows)
        alone = measure_quality(
            student, teacher, HeldOut(examples, tuple(held_out.truths[row] for row in rows)), encoder
        )
        for field in ("perplexity", "kl_to_teacher", "reverse_kl", "top1_agreement", "accuracy"):
            assert getattr(quality, field) == pytest.approx(getattr(alone, field), rel=1e-4), field
    assert measure_quality(student, None, held_out, encoder).reverse_kl is None


def test_an_examination_without_asking_generates_nothing(student, teacher, encoder, monkeypatch):
    monkeypatch.setattr("curate.distillation.evaluate.generate_answers", None)
    quality = measure_quality(student, teacher, hold_out(encoder), encoder, ask=False)
    assert quality.accuracy is None
    assert quality.kl_to_teacher > 0


def test_case_and_white_space_do_not_count(teacher, encoder):
    examples = encoder.encode(["a", "b"], [QUESTIONS[0][0], QUESTIONS[1][0]], ["  PARIS ", "london"])
    held_out = HeldOut(tuple(examples), ("  PARIS ", "london"))
    assert measure_quality(teacher, teacher, held_out, encoder).accuracy == 0.5


def test_a_teacher_agrees_with_itself(teacher, encoder):
    quality = measure_quality(teacher, teacher, hold_out(encoder), encoder)
    assert (quality.kl_to_teacher, quality.top1_agreement) == (0.0, 1.0)


def test_nothing_held_out_measures_nothing(student, teacher, encoder):
    assert measure_quality(student, teacher, HeldOut((), ()), encoder).perplexity is None


def test_batched_answers_are_those_of_one_prompt_at_a_time(teacher, encoder):
    prompts = encoder.encode_prompts([prompt for prompt, _ in QUESTIONS[:12]])
    together = generate_answers(teacher, encoder, prompts, max_new_tokens=8)
    alone = [generate_answers(teacher, encoder, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone


def test_a_torn_answer_is_asked_again_and_no_other(tmp_path, teacher, encoder):
    ids, prompts = ["a", "b", "c"], [prompt for prompt, _ in QUESTIONS[:3]]
    path = tmp_path / "answers.jsonl"
    answers = ask_teacher(teacher, encoder, ids, prompts, AnswerFile(path, "f"))
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("{") + 9])
    file = AnswerFile(path, "f")
    assert len(file.found) == 2
    assert ask_teacher(teacher, encoder, ids, prompts, file) == answers
    assert sorted(path.read_text().splitlines()) == sorted(whole.splitlines())


def test_answers_of_another_teacher_are_refused(tmp_path):
    AnswerFile(tmp_path / "answers.jsonl", "one")
    with pytest.raises(ConfigError, match="another teacher"):
        AnswerFile(tmp_path / "answers.jsonl", "two")


def test_models_take_turns_when_they_are_timed(student, teacher, monkeypatch):
    turns = []

    def time_tokens(model, *_):
        turns.append(model)
        return [9.0] * 4 + [2.0, 1.0, 3.0]

    monkeypatch.setattr("curate.distillation.footprint._time_tokens", time_tokens)
    monkeypatch.setattr("curate.distillation.footprint._peak_memory", lambda *_: 1)
    found = measure_footprints({"teacher": (teacher, None), "student": (student, None)}, [1, 5], rounds=3)
    assert turns == [teacher, student] * 3
    assert found["teacher"].ms_per_token == found["student"].ms_per_token == 2.0


def test_a_smaller_model_costs_less(student, teacher):
    prompt = [1, 5, 6, 3]
    small, large = measure_footprints({"small": (student, None), "large": (teacher, None)}, prompt).values()
    assert small.parameters < large.parameters
    assert small.bytes < large.bytes
    assert small.peak_memory_bytes < large.peak_memory_bytes
    assert small.peak_memory_bytes > small.bytes
    assert small.ms_per_token > 0
