"""A teacher read once."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from curate.distillation import cache as caches
from curate.distillation.batches import Encoder, collate
from curate.distillation.cache import TeacherCache, build_cache, fingerprint_cache
from curate.distillation.config import parse_config
from curate.distillation.stack import LossStack
from curate.distillation.student import keep_layers
from curate.errors import ConfigError, RunError
from tests.distillation.counting import count_totals

from .classroom import QUESTIONS, make_config
from .test_distill import teach

LOSSES = {"task": 1.0, "kd": {"weight": 1.0, "temperature": 2.0}}


@pytest.fixture
def examples(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    return encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))


@pytest.fixture
def teacher(teacher_folder):
    return AutoModelForCausalLM.from_pretrained(teacher_folder).requires_grad_(False)


def build(folder, examples, teacher, fingerprint="f", top_k=10_000, **options):
    return build_cache(folder, fingerprint, examples, teacher, pad=0, top_k=top_k, **({"temperature": 2.0} | options))


def test_a_cache_of_every_token_gives_the_live_terms(tmp_path, examples, teacher):
    student = keep_layers(teacher, (0, 2))
    cache = build(tmp_path, examples, teacher)
    batch = collate(examples[5:25], 0)
    totals = count_totals([batch])
    losses = parse_config({"losses": LOSSES}).losses
    _, live = LossStack(student, teacher, losses)(batch, totals)
    _, cached = LossStack(student, teacher, losses, cache=cache)(batch, totals)
    assert cached["task"] == live["task"]
    torch.testing.assert_close(cached["kd"], live["kd"], rtol=2e-3, atol=1e-4)  # log-probabilities lie in fp16


def test_a_small_cache_is_close_and_below(tmp_path, examples, teacher):
    student = keep_layers(teacher, (0, 2))
    batch = collate(examples, 0)
    losses = parse_config({"losses": LOSSES}).losses
    values = []
    for k in (4, 64):
        stack = LossStack(student, teacher, losses, cache=build(tmp_path / str(k), examples, teacher, top_k=k))
        values.append(stack(batch, count_totals([batch]))[1]["kd"].item())
    live = LossStack(student, teacher, losses)(batch, count_totals([batch]))[1]["kd"].item()
    assert 0 < values[0] < values[1] <= live * 1.002


def test_a_broken_build_goes_on(tmp_path, examples, teacher, monkeypatch):
    monkeypatch.setattr(caches, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(caches, "BATCH_TOKENS", 60)
    whole = build(tmp_path / "whole", examples, teacher)

    def stop(stage, done, total=None, note=""):
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "broken", examples, teacher, progress=stop)
    left = len(TeacherCache(tmp_path / "broken", "f").places)
    assert 0 < left < len(examples)
    again = build(tmp_path / "broken", examples, teacher)
    batch = collate(examples, 0)
    for ours, theirs in zip(again.read(batch), whole.read(batch), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_cache_of_something_else_is_refused(tmp_path, examples, teacher):
    build(tmp_path, examples, teacher)
    with pytest.raises(ConfigError, match="another teacher"):
        build(tmp_path, examples, teacher, fingerprint="g")
    prints = {
        fingerprint_cache("a", examples, top_k=4, temperature=1.0),
        fingerprint_cache("b", examples, top_k=4, temperature=1.0),
        fingerprint_cache("a", examples[1:], top_k=4, temperature=1.0),
        fingerprint_cache("a", examples, top_k=5, temperature=1.0),
        fingerprint_cache("a", examples, top_k=4, temperature=2.0),
        fingerprint_cache("a", examples, top_k=4, temperature=1.0, vocabulary=9),
        fingerprint_cache("a", examples, top_k=4, temperature=1.0, states={"decoder": [1]}),
        fingerprint_cache("a", examples, top_k=4, temperature=1.0, states={"decoder": [2]}),
        fingerprint_cache("a", examples, top_k=4, temperature=1.0, tokenizer="t"),
    }
    assert len(prints) == 9


def test_a_teacher_without_numbers_is_not_cached(tmp_path, examples, teacher):
    teacher.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(RunError, match="not finite"):
        build(tmp_path, examples, teacher)
    assert not list(tmp_path.iterdir())


def test_ids_beyond_fifteen_bits_come_back(tmp_path, examples):
    from .classroom import make_model

    teacher = make_model(40_000, layers=1, width=8, heads=1)
    cache = build(tmp_path, examples[:2], teacher, top_k=64)
    ids, log_probs = cache.read(collate(examples[:2], 0))
    assert ids.max() > 32_767
    assert ids.min() >= 0
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(len(ids)), rtol=2e-3, atol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cached_distillation_comes_close_to_a_live_one(classroom, precision):
    changes = {"losses": {"task": 1.0, "kd": 1.0}, "precision": precision}
    live = teach(classroom, make_config(**changes), out=classroom.root / "live")
    report = teach(classroom, make_config(signals="cached", **changes))
    assert report.after.kl_to_teacher < 0.5 * report.before.kl_to_teacher
    assert report.after.kl_to_teacher == pytest.approx(live.after.kl_to_teacher, rel=0.2)
    assert (classroom.root / "out" / "signals" / "cache" / "shard-00000.safetensors").is_file()


DEEP = {"task": 1.0, "kd": 1.0, "feature": 1.0, "balance": "off"}


@pytest.mark.parametrize("kd", [0.0, 1.0])
def test_cached_hidden_states_give_the_live_terms_and_gradients(tmp_path, examples, teacher, kd):
    student, batch = keep_layers(teacher, (0, 2)), collate(examples[5:25], 0)
    losses = parse_config({"losses": DEEP | {"kd": kd}}).losses
    live = LossStack(student, teacher, losses, kept=(0, 2))
    top_k = 10_000 if kd else 0
    cache = build(tmp_path, examples, teacher, top_k=top_k, temperature=1.0, states=live.teacher_states)
    cached = LossStack(student, teacher, losses, kept=(0, 2), cache=cache)
    found = []
    for stack in (live, cached):
        loss, terms = stack(batch, count_totals([batch]))
        found.append((terms, torch.autograd.grad(loss, list(student.parameters()))))
        stack.close()
    assert set(found[0][0]) == set(found[1][0])
    for name, term in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], term, rtol=2e-3, atol=1e-4)
    for ours, theirs in zip(found[1][1], found[0][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=2e-3)


def test_a_state_and_token_takes_two_bytes_a_dimension(tmp_path, examples, teacher):
    plain = build(tmp_path / "plain", examples, teacher, top_k=64)
    build(tmp_path / "deep", examples, teacher, top_k=64, states={"decoder": [1, 3]})
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in ("plain", "deep")]
    tokens = sum(example.length - 1 for example in examples)
    assert plain.shards == 1
    assert sizes[1] - sizes[0] == pytest.approx(2 * 2 * 32 * tokens, abs=200)


def test_states_that_fp16_cannot_hold_are_not_kept(tmp_path, examples, teacher):
    teacher.model.embed_tokens.weight.data.mul_(1e8)
    with pytest.raises(RunError, match="hidden state 0 of the teacher's decoder is not finite in fp16"):
        build(tmp_path, examples, teacher, top_k=0, states={"decoder": [0]})


def test_a_cached_distillation_with_hidden_states_comes_close_to_a_live_one(classroom):
    changes = {"losses": DEEP, "epochs": 3}
    live = teach(classroom, make_config(**changes), out=classroom.root / "live")
    report = teach(classroom, make_config(signals="cached", cache_top_k=10_000, **changes))
    for ours, theirs in zip(report.curve, live.curve, strict=True):
        assert ours.terms == pytest.approx(theirs.terms, rel=0.02)
    with pytest.raises(ConfigError, match="holds no attention maps"):
        teach(classroom, make_config(signals="cached", losses=DEEP | {"attention": 0.1}), out=classroom.root / "maps")
