"""Students made from their teacher, and the tokenizers that must agree."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoConfig, GPTNeoForCausalLM, Qwen2Config, Qwen2ForCausalLM

from curate.distillation.config import StudentConfig
from curate.distillation.student import cut_config, export_student, keep_layers, make_student
from curate.distillation.vocabulary import check_same_vocabulary, choose_vocabulary, find_difference
from curate.errors import ConfigError

from .classroom import make_model, make_tokenizer
from .test_attention import make_gemma, make_gpt2


def make_neo():
    config = GPTNeoConfig(
        vocab_size=40, hidden_size=16, num_layers=4, num_heads=2, attention_types=[[["global", "local"], 2]],
        max_position_embeddings=32, window_size=4, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return GPTNeoForCausalLM(config).eval()


def test_kept_layers_are_copied_and_the_rest_is_shared_by_value():
    teacher = make_model(40, layers=4)
    student = keep_layers(teacher, (0, 3))
    assert student.config.num_hidden_layers == 2
    ours, theirs = student.state_dict(), teacher.state_dict()
    assert torch.equal(ours["model.layers.1.mlp.up_proj.weight"], theirs["model.layers.3.mlp.up_proj.weight"])
    assert torch.equal(ours["model.norm.weight"], theirs["model.norm.weight"])
    assert ours["model.norm.weight"].data_ptr() != theirs["model.norm.weight"].data_ptr()
    assert student.lm_head.weight is student.model.embed_tokens.weight
    assert student.model.layers[1].self_attn.layer_idx == 1


def test_families_that_count_their_layers_by_another_name_are_cut_too():
    student = keep_layers(make_gpt2(), (0, 2))
    assert student.config.n_layer == 2
    assert len(student.transformer.h) == 2


@pytest.mark.parametrize("make", [make_gpt2, make_gemma, make_neo])
def test_keeping_every_layer_gives_the_same_model(make):
    teacher = make()
    layers = tuple(range(teacher.config.num_hidden_layers))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    with torch.no_grad():
        torch.testing.assert_close(keep_layers(teacher, layers).eval()(ids).logits, teacher(ids).logits)


def test_lists_with_one_entry_a_layer_are_cut_alike():
    assert cut_config(make_gemma().config, {"decoder": (0, 2)}).layer_types == ["sliding_attention", "full_attention"]
    assert keep_layers(make_neo(), (1, 2)).config.attention_layers == ["local", "global"]
    config = Qwen2Config(num_hidden_layers=3, use_sliding_window=True, max_window_layers=1, hidden_size=16,
                         intermediate_size=16, num_attention_heads=2, num_key_value_heads=1, vocab_size=40)  # fmt: skip
    student = keep_layers(Qwen2ForCausalLM(config), (0, 2))
    assert student.config.layer_types == ["full_attention", "sliding_attention"]


IMPOSSIBLE = [
    {},
    {"keep_layers": [0], "base": "a/b"},
    {"keep_layers": [0, 9]},
    {"keep_layers": [-1]},
    {"keep_layers": [1, 1]},
]


@pytest.mark.parametrize("config", IMPOSSIBLE)
def test_a_student_that_cannot_be_made_is_a_config_error(config, tokenizer):
    with pytest.raises(ConfigError, match="student"):
        make_student(StudentConfig.model_validate(config), make_model(40), tokenizer)


def test_an_exported_student_is_read_back_the_same(tmp_path, tokenizer):
    student = keep_layers(make_model(len(tokenizer)), (0, 2))
    export_student(student, tokenizer, tmp_path / "student")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    for name, tensor in student.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    export_student(student, tokenizer, tmp_path / "half", dtype="bf16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype == torch.bfloat16
    assert student.dtype == torch.float32


def test_tokenizers_are_told_apart_by_more_than_their_size(tokenizer):
    assert find_difference(tokenizer, copy.deepcopy(tokenizer)) == ""
    other = make_tokenizer(["quagga okapi zebra gnu " * 9] * 3)
    assert "have other ids" in find_difference(tokenizer, other)
    moved = copy.deepcopy(tokenizer)
    moved.eos_token = "<s>"
    assert "eos_token_id" in find_difference(tokenizer, moved)
    with pytest.raises(ConfigError, match="do not share a tokenizer: eos_token_id"):
        check_same_vocabulary(tokenizer, moved)


def test_other_merges_of_the_same_tokens_are_told_apart(tokenizer):
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    payload = json.loads(tokenizer.backend_tokenizer.to_str())
    payload["model"]["merges"].reverse()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(payload)), **names)
    assert find_difference(tokenizer, other) == "their merges differ"


def test_padded_heads_are_cut_to_the_tokenizer(tokenizer):
    size = len(tokenizer)
    assert choose_vocabulary(tokenizer, size + 64, size + 64) == size + 64
    assert choose_vocabulary(tokenizer, size + 64, size) == size
    with pytest.raises(ConfigError, match="the heads have"):
        choose_vocabulary(tokenizer, size - 1, size)
