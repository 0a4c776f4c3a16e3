"""The loop and its checkpoints."""

import pytest
import torch

from curate.distillation.batches import Encoder, collate
from curate.distillation.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from curate.distillation.config import LoraSettings, parse_config
from curate.distillation.lora import add_lora
from curate.distillation.stack import LossStack
from curate.distillation.student import keep_layers
from curate.distillation.trainer import Trainer, choose_precision, learning_rate, plan_steps
from curate.errors import ConfigError, RunError
from tests.distillation.counting import count_totals

from .classroom import QUESTIONS, make_config, make_model


@pytest.fixture
def examples(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    return encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))


def make_stack(config=None, vocabulary=320):
    teacher = make_model(vocabulary)
    return LossStack(keep_layers(teacher, (0, 2)), teacher, (config or make_config()).losses, kept=(0, 2))


def test_gradient_accumulation_changes_nothing(examples, tokenizer):
    batches = [examples[:20], examples[20:23], examples[23:]]
    gradients, values = [], []
    for parts in ([examples], batches):
        stack = make_stack(vocabulary=len(tokenizer))
        made = [collate(part, 0) for part in parts]
        totals = count_totals(made)
        sums = {}
        for batch in made:
            loss, terms = stack(batch, totals)
            loss.backward()
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.item()
        values.append(sums)
        gradients.append([tensor.grad.clone() for tensor in stack.parameters()])
        stack.close()
    assert values[0].keys() == {"task", "kd", "feature", "attention"}
    assert values[1] == pytest.approx(values[0], rel=1e-4)
    for whole, split in zip(*gradients, strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-4, atol=1e-7)


def test_the_stack_agrees_with_the_models_own_loss(examples, tokenizer):
    stack = make_stack(parse_config({"losses": {"kd": 0}}), len(tokenizer))
    batch = collate(examples, 0)
    labels = batch.input_ids.masked_fill(~batch.predicts.roll(1, dims=1), -100)
    expected = stack.student(input_ids=batch.input_ids, attention_mask=batch.mask.long(), labels=labels).loss
    loss, terms = stack(batch, count_totals([batch]))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(terms["task"], expected.detach())


def test_a_teacher_that_is_not_needed_is_not_asked(examples, tokenizer):
    stack = make_stack(parse_config({"losses": {"kd": 0}}), len(tokenizer))
    stack.teacher_probe = None
    _, terms = stack(collate(examples, 0), count_totals([collate(examples, 0)]))
    assert {name for name, term in terms.items() if float(term)} == {"task"}


def test_the_teacher_gets_no_gradient(examples, tokenizer):
    stack = make_stack(vocabulary=len(tokenizer))
    batch = collate(examples, 0)
    stack(batch, count_totals([batch]))[0].backward()
    assert all(tensor.grad is None for tensor in stack.teacher.parameters())
    assert all(tensor.grad is not None for tensor in stack.parameters())


def test_every_step_is_planned_and_a_bound_is_kept(examples):
    config = make_config(epochs=2, gradient_accumulation=2)
    plan = plan_steps(examples, config)
    rows = sorted(row for step in plan for batch in step for row in batch)
    assert rows == sorted([*range(len(examples))] * 2)
    assert max(len(step) for step in plan) == 2
    assert len(plan_steps(examples, make_config(max_steps=3))) == 3


def test_the_rate_warms_up_and_falls_to_a_tenth():
    config = make_config(learning_rate=1.0, warmup_fraction=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert learning_rate(0, 1, make_config(warmup_fraction=0.0, learning_rate=1.0)) == 1.0


def test_a_checkpoint_brings_everything_back(tmp_path):
    model = make_model(40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        model(input_ids=torch.tensor([[5, 6]]), labels=torch.tensor([[5, 6]])).loss.backward()
        optimizer.step()
    save_checkpoint(
        tmp_path, step=2, models={"student": model}, optimizer=optimizer, fingerprint="f", extra={"tokens": 4}
    )
    expected = torch.randn(3)
    other = make_model(40, seed=9)
    fresh = torch.optim.AdamW(other.parameters(), lr=1e-2)
    path = find_checkpoint(tmp_path)
    assert load_checkpoint(path, models={"student": other}, optimizer=fresh, fingerprint="f") == (2, {"tokens": 4})
    assert torch.equal(torch.randn(3), expected)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    loaded, saved = fresh.state_dict()["state"], optimizer.state_dict()["state"]
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[place][key], value) for place, state in saved.items() for key, value in state.items())
    with pytest.raises(ConfigError, match="another config"):
        load_checkpoint(path, models={"student": other}, optimizer=fresh, fingerprint="g")


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one_whole(tmp_path, monkeypatch):
    model = make_model(40)
    optimizer = torch.optim.AdamW(model.parameters())
    options = {"models": {"student": model}, "optimizer": optimizer, "fingerprint": "f", "extra": {}}
    save_checkpoint(tmp_path, step=1, **options)

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("curate.distillation.checkpoint.save_file", full)
    with pytest.raises(RunError, match="disk full"):
        save_checkpoint(tmp_path, step=2, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]
    load_checkpoint(find_checkpoint(tmp_path), models={"student": model}, optimizer=optimizer, fingerprint="f")


def test_only_the_newest_checkpoints_stay(tmp_path):
    model = make_model(40)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(1, 5):
        save_checkpoint(tmp_path, step=step, models={"student": model}, optimizer=optimizer, fingerprint="", extra={})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000003.safetensors",
        "step-00000004.safetensors",
    ]


def test_out_of_memory_names_the_setting_to_lower(examples, tmp_path, tokenizer, monkeypatch):
    stack = make_stack(vocabulary=len(tokenizer))
    trainer = Trainer(stack, examples, 0, make_config(), checkpoints=tmp_path)

    def explode(started):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr(trainer, "_step", explode)
    with pytest.raises(RunError, match="batch_tokens"):
        trainer.run()


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=4)])
def test_layers_computed_twice_give_the_same_losses(examples, tmp_path, tokenizer, lora):
    curves = []
    for twice in (False, True):
        stack = make_stack(vocabulary=len(tokenizer))
        if lora:
            add_lora(stack.student, lora)
        config = make_config(max_steps=3, gradient_checkpointing=twice)
        trainer = Trainer(stack, examples, 0, config, checkpoints=tmp_path)
        seen = count_calls(stack.student.model.layers[0].mlp)
        trainer.run()
        batches = sum(len(step) for step in trainer.plan)
        assert (len(seen) > batches) == twice
        curves.append([point.total for point in trainer.curve])
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def count_calls(module):
    seen = []
    module.register_forward_pre_hook(lambda *_: seen.append(1))
    return seen


def test_bf16_trains(examples, tmp_path, tokenizer):
    stack = make_stack(vocabulary=len(tokenizer))
    trainer = Trainer(stack, examples, 0, make_config(precision="bf16"), checkpoints=tmp_path)
    trainer.run()
    assert trainer.precision == "bf16"
    assert trainer.curve[-1].total < trainer.curve[0].total
    assert stack.student.dtype == torch.float32


@pytest.mark.parametrize(
    ("known", "expected"), [({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32"), ({}, "fp32")]
)
def test_bf16_is_chosen_where_it_is_native(known, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert choose_precision("auto", "cpu") == expected
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("fp32", "cpu") == "fp32"


def test_the_same_seed_gives_the_same_losses(examples, tmp_path, tokenizer):
    curves = []
    for _ in range(2):
        stack = make_stack(vocabulary=len(tokenizer))
        trainer = Trainer(stack, examples, 0, make_config(max_steps=4), checkpoints=tmp_path)
        trainer.run()
        curves.append([point.total for point in trainer.curve])
    assert curves[0] == curves[1]
