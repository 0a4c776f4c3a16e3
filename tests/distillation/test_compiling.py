"""Compiled layers give the losses of those that are not."""

import shutil

import pytest
import torch

from curate.distillation import compiling
from curate.distillation.admission import preflight
from curate.distillation.batches import Encoder
from curate.distillation.compiling import compiled
from curate.distillation.config import parse_config
from curate.distillation.stack import LossStack
from curate.distillation.trainer import Trainer
from curate.errors import RunError, UnavailableError

from .classroom import QUESTIONS, make_config, make_model

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="torch.compile needs a C++ compiler on a CPU"
)
TERMS = {
    "response": {"losses": {"task": 1.0, "kd": 1.0}},
    "balanced": {"losses": {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1, "balance": "auto"}},
    "all terms": {
        "losses": {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1, "balance": "auto"},
        "gradient_checkpointing": True,
    },
}


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("terms", TERMS)
def test_compiled_layers_give_the_same_losses_and_leave_nothing_behind(tokenizer, tmp_path, terms, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    examples = encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))
    curves = []
    for made in (False, True):
        teacher, student = make_model(len(tokenizer)), make_model(len(tokenizer), layers=2, seed=1)
        config = make_config(max_steps=4, compile=made, **TERMS[terms])
        stack = LossStack(student, teacher.requires_grad_(False).eval(), config.losses)
        trainer = Trainer(stack, examples, 0, config, checkpoints=tmp_path)
        torch._dynamo.reset()
        programs = count_programs()
        trainer.run()
        assert (count_programs() > programs) == made
        assert all("forward" not in vars(module) for model in (student, teacher) for module in model.modules())
        stack.close()
        curves.append([(point.total, *point.terms.values()) for point in trainer.curve])
    assert len(curves[0]) == 4
    for ours, theirs in zip(curves[1], curves[0], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def count_programs():
    """How many graphs torch has compiled so far."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


def test_where_nothing_can_be_compiled_one_line_says_so_before_anything_is_loaded(monkeypatch):
    def broken(_function):
        def call(_values):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nand a page more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiling, "find_spec", lambda _name: True)
    with pytest.raises(UnavailableError, match="No working C") as missing:
        preflight(make_config(compile=True))
    assert "\n" not in str(missing.value)
    assert "set compile to false" in str(missing.value)


def test_a_gpu_without_triton_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr(compiling, "find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match="triton is not installed"):
        compiling.check_compile("cuda")


def test_a_layer_that_the_compiler_fails_on_is_a_broken_run_and_not_a_trace():
    from torch._dynamo.exc import TorchDynamoException

    model = make_model(40)
    said = "a layer cannot be compiled: no such kernel – set compile to false and resume"
    with pytest.raises(RunError, match=said), compiled([model]):
        raise TorchDynamoException("no such kernel\nand where")
    assert "forward" not in vars(model.model.layers[0])


def test_a_training_goes_on_compiled_or_not():
    assert parse_config({"compile": True}).what_teaches() == parse_config({}).what_teaches()
