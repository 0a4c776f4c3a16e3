"""In which numbers, and on which devices, a teacher is put into memory."""

import importlib.util

import pytest
import torch

from curate.distillation import loading
from curate.distillation.answers import generate_answers
from curate.distillation.batches import Encoder, collate
from curate.distillation.config import LoadingConfig
from curate.distillation.loading import check_world, find_start, load_model, place_model
from curate.distillation.signals import Probe
from curate.distillation.student import keep_layers
from curate.distillation.world import World
from curate.errors import ConfigError, UnavailableError
from curate.licenses.decision import Case

from .classroom import QUESTIONS, approve, make_config, make_model, make_rows, train_teacher
from .test_distill import teach


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16), ("auto", torch.float32)],
)
def test_a_teacher_is_loaded_in_the_numbers_asked_for(teacher_folder, name, dtype):
    model, _ = load_model(str(teacher_folder), loading=LoadingConfig(dtype=name))
    assert {tensor.dtype for tensor in model.parameters()} == {dtype}


def test_a_bf16_teacher_has_an_fp32_student(teacher_folder):
    teacher, _ = load_model(str(teacher_folder), loading=LoadingConfig(dtype="bf16"))
    student = keep_layers(teacher, (0, 2))
    assert {tensor.dtype for tensor in student.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "changes", [{}, {"signals": "cached", "losses": {"kd": 1.0, "feature": 0.5}}], ids=["live", "cached"]
)
def test_a_bf16_teacher_teaches_about_as_well(classroom, changes):
    plain = teach(classroom, make_config(**changes), out=classroom.root / "plain")
    half = teach(classroom, make_config(loading={"dtype": "bf16"}, **changes), out=classroom.root / "half")
    assert half.after.kl_to_teacher < 0.5 * half.before.kl_to_teacher
    assert half.after.kl_to_teacher == pytest.approx(plain.after.kl_to_teacher, rel=0.4)


def test_a_teacher_that_was_spread_stays_where_it_is(teacher_folder, tokenizer):
    model, _ = load_model(str(teacher_folder), loading=LoadingConfig(device_map="cpu"))
    whole, _ = load_model(str(teacher_folder))
    place_model(model, "meta")  # would lose the weights if it moved them
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    examples = encoder.encode([str(n) for n in range(6)], *zip(*QUESTIONS[:6], strict=True))
    batch = collate(examples, encoder.pad)
    with torch.no_grad():
        torch.testing.assert_close(Probe(model)(batch).last, Probe(whole)(batch).last)
    prompts = [example.prompt for example in examples]
    assert generate_answers(model, encoder, prompts, max_new_tokens=8) == generate_answers(
        whole, encoder, prompts, max_new_tokens=8
    )


def test_several_processes_do_not_spread_the_same_teacher():
    check_world(World(0, 1), LoadingConfig(device_map="auto"))
    check_world(World(0, 2), LoadingConfig(dtype="bf16"))
    with pytest.raises(ConfigError, match="each of 2 processes would spread"):
        check_world(World(0, 2), LoadingConfig(device_map="auto"))


@pytest.mark.parametrize(
    ("library", "wanted"), [("bitsandbytes", {"quantize": "8bit"}), ("accelerate", {"device_map": "auto"})]
)
def test_a_library_that_is_not_there_is_named(monkeypatch, teacher_folder, library, wanted):
    real = importlib.util.find_spec
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == library else real(name))
    with pytest.raises(UnavailableError, match=f"loading: {library} is not installed") as caught:
        load_model(str(teacher_folder), loading=LoadingConfig.model_validate(wanted))
    assert caught.value.exit_code == 6


def test_weights_that_stay_on_a_disk_are_refused(monkeypatch, teacher_folder):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        ghost = make_model(40)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: ghost)
    with pytest.raises(UnavailableError, match="does not fit the memory"):
        load_model(str(teacher_folder))


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
@pytest.mark.filterwarnings("ignore")
def test_a_rounded_teacher_teaches_a_student_of_its_own(tmp_path, tokenizer, quantize):
    base, large = tmp_path / "base", tmp_path / "large"
    make_model(len(tokenizer), layers=2).save_pretrained(base)
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    wide = make_model(len(tokenizer), width=64)  # 4 bits come in blocks of 64
    train_teacher(wide, encoder, steps=60).save_pretrained(large)
    for folder in (base, large):
        tokenizer.save_pretrained(folder)
    room = approve(tmp_path, large, make_rows(), case=Case(student_base=str(base)))
    config = make_config(student={"base": str(base)}, losses={"task": 1.0, "kd": 1.0}, loading={"quantize": quantize})
    report = teach(room, config)
    assert report.curve[-1].terms["kd"] < 0.8 * report.curve[0].terms["kd"]
    teacher, _ = load_model(str(large), loading=LoadingConfig(quantize=quantize))
    with pytest.raises(ConfigError, match="8 or 4 bits, which do not train"):
        keep_layers(teacher, (0,))


def test_a_causal_model_starts_from_its_prompt():
    assert find_start(make_model(40)) is None
