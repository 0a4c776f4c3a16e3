"""Where a teacher's weights come from, and what is said where they cannot be had."""

import pytest

from curate.distillation.loading import explain_failure, load_model
from curate.distillation.teacher import load_teacher
from curate.errors import ConfigError, HubUnreachable, ModelNotFound, TamperedError
from curate.gate import ApprovedTeacher


def test_a_teacher_comes_frozen_from_its_ticket(classroom):
    model, tokenizer = load_teacher(classroom.teacher_ticket, classroom.root)
    assert not model.training
    assert not any(tensor.requires_grad for tensor in model.parameters())
    assert tokenizer.eos_token == "</s>"


def test_a_ticket_without_its_decision_opens_nothing(classroom):
    (classroom.root / "decision.json").unlink()
    with pytest.raises(TamperedError):
        load_teacher(classroom.teacher_ticket, classroom.root)


def make_ticket(ref):
    return ApprovedTeacher(ref=ref, decision_path="d", decision_sha256="0", policy_sha256="0")


def test_a_hosted_model_has_no_weights():
    from curate.distillation.teacher import find_weights

    with pytest.raises(ConfigError, match="hosted"):
        find_weights(make_ticket("api:openai/gpt-4o"))
    assert find_weights(make_ticket("owner/name")) == "owner/name"


def test_a_folder_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(ModelNotFound, match="no such folder"):
        load_model(str(tmp_path / "absent"))


def test_a_folder_without_weights_is_not_found(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        load_model(str(tmp_path))


def test_a_model_that_is_not_on_disk_is_unreachable_without_a_network(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnreachable) as caught:
        load_model("nobody/no-such-model-at-all")
    assert caught.value.exit_code == 6


def test_each_failure_has_its_name():
    assert isinstance(explain_failure("a/b", OSError("We couldn't connect to the hub"), local=False), HubUnreachable)
    assert isinstance(
        explain_failure("a/b", OSError("a/b is not a valid model identifier"), local=False), ModelNotFound
    )
    assert isinstance(
        explain_failure("a/b", OSError("You are trying to access a gated repo"), local=False), ModelNotFound
    )
    assert isinstance(explain_failure("a/b", ValueError("set trust_remote_code=True"), local=False), ConfigError)
    assert isinstance(explain_failure("a/b", ValueError("Unrecognized configuration class"), local=False), ConfigError)


def test_the_embedded_teacher_is_held_against_its_ticket(monkeypatch, teacher_folder):
    from curate.artifact import sha256_folder
    from curate.distillation import teacher

    monkeypatch.setattr(teacher, "embedded_folder", lambda: teacher_folder)
    ticket = make_ticket("embedded")
    right = ticket.model_copy(update={"content_sha256": sha256_folder(teacher_folder)})
    assert teacher.find_weights(right) == str(teacher_folder)
    with pytest.raises(TamperedError, match="not those that were approved"):
        teacher.find_weights(ticket.model_copy(update={"content_sha256": "0" * 64}))
