"""Terms that pull alike."""

import logging

import pytest
import torch

from curate.distillation.balance import RESPONSE, Balance, Pulls
from curate.distillation.batches import Encoder, collate
from curate.distillation.config import parse_config, without_teacher
from curate.distillation.stack import LossStack, count_examples
from curate.distillation.student import keep_layers
from curate.distillation.trainer import Trainer
from tests.distillation.counting import count_totals

from .classroom import QUESTIONS, make_config, make_model

LOSSES = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1, "balance": "auto"}


@pytest.fixture
def examples(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    return encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))


def make_stack(tokenizer, losses=LOSSES):
    teacher = make_model(len(tokenizer))
    return LossStack(keep_layers(teacher, (0, 2)), teacher, parse_config({"losses": losses}).losses, kept=(0, 2))


def pull(stack, examples):
    """Every term's gradient on its own."""
    pulls = Pulls(stack.parameters(), (RESPONSE, *stack.weights))
    totals = count_examples(examples)
    for part in (examples[:30], examples[30:]):
        pulls.add(stack.read(collate(part, 0), totals)[0])
    return pulls


def test_once_balanced_every_term_pulls_as_hard_as_task_and_kd(examples, tokenizer):
    stack = make_stack(tokenizer)
    norms = pull(stack, examples).norms(list(stack.student.parameters()))
    assert norms["attention"] > 0
    assert norms["feature"] != pytest.approx(norms[RESPONSE], rel=0.1)
    balance = Balance(["feature", "attention"], 4)
    balance.add(norms)
    for name, factor in balance.factors.items():
        assert factor * norms[name] == pytest.approx(norms[RESPONSE])


def test_gradients_taken_term_by_term_add_up_to_those_of_the_loss(examples, tokenizer):
    stack = make_stack(tokenizer)
    stack.factors = {"feature": 3.0, "attention": 0.25}
    batch = collate(examples, 0)
    stack(batch, count_totals([batch]))[0].backward()
    expected = [tensor.grad.clone() for tensor in stack.parameters()]
    pull(stack, examples).settle(stack.scales)
    for tensor, whole in zip(stack.parameters(), expected, strict=True):
        torch.testing.assert_close(tensor.grad, whole, rtol=1e-4, atol=1e-6)


def test_factors_are_a_geometric_mean_within_limits_and_a_term_without_pull_keeps_its_weight():
    balance = Balance(["feature", "attention"], 4)
    balance.add({RESPONSE: 1.0, "feature": 0.5, "attention": 0.0})
    balance.add({RESPONSE: 1.0, "feature": 0.125, "attention": 0.0})
    assert balance.factors == {"feature": pytest.approx(4.0), "attention": 1.0}
    wild = Balance(["feature"], 1)
    wild.add({RESPONSE: 1.0, "feature": 1e-9})
    assert wild.factors == {"feature": pytest.approx(1e4)}


def test_factors_are_frozen_after_the_warm_up_and_said_in_the_log(examples, tokenizer, tmp_path, caplog):
    stack = make_stack(tokenizer)
    config = make_config(losses=LOSSES, warmup_fraction=0.2)
    trainer = Trainer(stack, examples, 0, config, checkpoints=tmp_path)
    seen = []
    trainer.progress = lambda *_: seen.append(dict(stack.factors))
    with caplog.at_level(logging.INFO, logger="curate"):
        trainer.run()
    warm = trainer.balance.steps
    assert 1 < warm <= 10 < len(seen)
    assert seen[0] != seen[warm - 1]
    assert all(factors == seen[warm - 1] for factors in seen[warm:])
    assert "its weight of 0.5 counts as" in caplog.text
    point = trainer.curve[-1]
    terms = point.terms
    expected = terms["task"] + terms["kd"] + sum(scale * terms[name] for name, scale in stack.scales.items())
    assert point.total == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("broken_at", [2, 6])
def test_a_training_resumed_within_or_after_the_warm_up_is_the_same_bit_for_bit(
    examples, tokenizer, tmp_path, broken_at
):
    config = make_config(losses=LOSSES, warmup_fraction=0.4, max_steps=9, checkpoint_every=broken_at)

    def train(stop_at=None):
        trainer = Trainer(make_stack(tokenizer), examples, 0, config, checkpoints=tmp_path / str(stop_at))

        def watch(_stage, done, *_):
            if done == stop_at:
                raise KeyboardInterrupt

        trainer.progress = watch
        return trainer

    whole = train()
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        train(broken_at + 1).run()
    resumed = train(broken_at + 1)
    resumed.progress = lambda *_: None
    assert resumed.resume()
    assert resumed.step == broken_at
    resumed.run()
    assert [point.total for point in resumed.curve] == [point.total for point in whole.curve]
    assert resumed.balance.factors == whole.balance.factors


def test_balance_can_be_switched_off(examples, tokenizer, tmp_path):
    config = make_config(losses=LOSSES | {"balance": False}, max_steps=1)
    assert config.losses.balance == "off"
    trainer = Trainer(make_stack(tokenizer), examples, 0, config, checkpoints=tmp_path)
    trainer.run()
    assert trainer.balance.factors == {}
    assert parse_config({"losses": {}}, ["losses.balance=off"]).losses.balance == "off"


def test_with_nothing_to_balance_nothing_is_measured(examples, tokenizer, tmp_path):
    config = without_teacher(make_config(losses=LOSSES, max_steps=1))
    trainer = Trainer(make_stack(tokenizer, {"task": 1, "kd": 0}), examples, 0, config, checkpoints=tmp_path)
    assert trainer.balance.steps == 0
