"""Students that learn through low-rank matrices."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from curate.distillation.admission import preflight
from curate.distillation.config import LoraSettings
from curate.distillation.distill import distill
from curate.distillation.lora import add_lora, merge_lora
from curate.errors import ConfigError, MissingExtra

from .classroom import make_config, make_model

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def test_matrices_change_nothing_until_they_learn_and_only_they_learn():
    model = make_model(40)
    with torch.no_grad():
        before = model(IDS).logits
        add_lora(model, LoraSettings(rank=4))
        torch.testing.assert_close(model(IDS).logits, before)
    learning = [name for name, tensor in model.named_parameters() if tensor.requires_grad]
    assert learning
    assert all("lora_" in name for name in learning)


def test_merged_weights_give_what_the_matrices_gave_and_leave_a_plain_model():
    model = make_model(40)
    names = sorted(model.state_dict())
    add_lora(model, LoraSettings(rank=4, targets=("q_proj", "v_proj")))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_" in name:
                tensor.normal_(std=0.2)
        expected = model(IDS).logits
        merge_lora(model)
        torch.testing.assert_close(model(IDS).logits, expected, rtol=1e-4, atol=1e-5)
    assert sorted(model.state_dict()) == names
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(tensor.requires_grad for tensor in model.parameters())


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "no_such_layer"])
def test_targets_that_cannot_be_are_refused(target):
    with pytest.raises(ConfigError, match=r"student\.lora\.targets"):
        add_lora(make_model(40), LoraSettings(targets=(target,)))


def test_a_student_taught_by_all_four_terms_through_lora_is_a_plain_folder_and_resumes(classroom):
    student = {"keep_layers": [0, 2], "lora": {"rank": 4, "alpha": 8}}
    config = make_config(student=student, epochs=6, checkpoint_every=4, learning_rate=1e-2)

    def teach(**options):
        options = {"root": classroom.root, "out": classroom.root / "out"} | options
        return distill(classroom.teacher_ticket, classroom.dataset_ticket, config, **options)

    def stop(stage, done, total=None, note=""):
        if stage == "train" and done == 6:
            raise KeyboardInterrupt

    whole = teach(out=classroom.root / "whole")
    with pytest.raises(KeyboardInterrupt):
        teach(progress=stop)
    resumed = teach(resume=True)
    assert [point.total for point in resumed.curve] == [point.total for point in whole.curve]
    assert resumed.student_sha256 == whole.student_sha256
    assert whole.after.kl_to_teacher < 0.7 * whole.before.kl_to_teacher
    model = AutoModelForCausalLM.from_pretrained(classroom.root / "whole" / "student")
    teacher = AutoModelForCausalLM.from_pretrained(classroom.teacher)
    assert not [name for name in model.state_dict() if "lora" in name]
    assert torch.equal(model.lm_head.weight, teacher.lm_head.weight)  # tied to the embedding, which stays


def test_without_the_library_the_extra_is_named_before_anything_is_loaded(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtra, match="distill"):
        preflight(make_config(student={"keep_layers": [0, 2], "lora": {"rank": 4}}))
