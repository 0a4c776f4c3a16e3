"""Captured attention maps against the eager ones, and the losses between maps."""

import copy

import pytest
import torch
from torch.nn import functional
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from curate.distillation.attention import AttentionTap, attention_loss
from curate.distillation.batches import Example, collate
from curate.distillation.signals import Probe
from curate.errors import ConfigError

from .classroom import make_model

EXAMPLES = [Example("a", tuple(range(5, 12)), (7, 8, 2)), Example("b", (5, 6), (9, 2)), Example("c", (11,), (4, 2))]


def make_gpt2():
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=40, n_embd=16, n_layer=3, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=2)
    return GPT2LMHeadModel(config).eval()


def make_gemma():
    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, sliding_window=4, attn_logit_softcapping=5.0,
        layer_types=["sliding_attention", "full_attention", "full_attention"],
    )  # fmt: skip
    return Gemma2ForCausalLM(config).eval()


MODELS = {
    "llama": lambda: make_model(40),
    "grouped llama": lambda: make_model(40, width=32, heads=4, kv_heads=2),
    "gpt2": make_gpt2,
    "gemma2 with soft cap and sliding window": make_gemma,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("examples", [EXAMPLES, EXAMPLES[:1]], ids=["padded", "unpadded"])
def test_captured_maps_equal_eager_ones(name, examples):
    model = MODELS[name]()
    batch = collate(examples, 0)
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = eager.base_model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            position_ids=batch.position_ids,
            output_attentions=True,
            use_cache=False,
        )
        probe = Probe(model, hidden=[1], maps=[0, 2])
        signals = probe(batch)
        probe.close()
    assert sorted(signals.maps) == [0, 2]
    for layer, captured in signals.maps.items():
        torch.testing.assert_close(captured, expected.attentions[layer], rtol=1e-5, atol=1e-6)
        real = batch.mask[:, None, :, None]
        assert (captured.triu(1) * real).abs().max() == 0, "mass on the future"
        padded = captured.masked_select((~batch.mask)[:, None, None, :] & real)
        assert padded.sum() == 0, "mass on padding"
    torch.testing.assert_close(signals.last[batch.mask], expected.last_hidden_state[batch.mask], rtol=1e-4, atol=1e-5)


def test_closing_a_probe_leaves_the_model_as_it_was():
    model = make_model(40)
    before = model.config._attn_implementation
    probe = Probe(model, hidden=[0, 3], maps=[1])
    assert model.config._attn_implementation == "curate_tap"
    probe.close()
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_hidden_states_are_counted_as_transformers_counts_them():
    model, batch = make_model(40), collate(EXAMPLES, 0)
    with torch.no_grad():
        signals = Probe(model, hidden=[0, 1, 2, 3])(batch)
        whole = model.base_model(
            input_ids=batch.input_ids, attention_mask=batch.mask.long(), output_hidden_states=True, use_cache=False
        ).hidden_states
    for index in (0, 1, 2):
        torch.testing.assert_close(signals.hidden[index], whole[index])
    torch.testing.assert_close(model.model.norm(signals.hidden[3]), whole[3])


def test_gradients_flow_through_captured_maps():
    model, batch = make_model(40), collate(EXAMPLES, 0)
    probe = Probe(model, maps=[1])
    maps = probe(batch).maps
    target = {1: torch.full_like(maps[1], 0.1)}
    attention_loss(((1, 1, 1.0),), maps, target, batch.mask, "mse").backward()
    assert model.model.layers[1].self_attn.q_proj.weight.grad.abs().sum() > 0
    assert model.model.layers[2].self_attn.q_proj.weight.grad is None
    probe.close()


def make_maps(heads, rows=2, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, heads, width, width, generator=generator)
    return {0: scores.masked_fill(torch.ones(width, width).triu(1).bool(), -1e9).softmax(-1)}


WHOLE = torch.ones(2, 5, dtype=torch.bool)


def test_mse_of_unpadded_maps_is_the_plain_mean():
    ours, theirs = make_maps(2), make_maps(2, seed=1)
    value = attention_loss(((0, 0, 1.0),), ours, theirs, WHOLE, "mse") / WHOLE.sum()
    torch.testing.assert_close(value, functional.mse_loss(ours[0], theirs[0]))


def test_kl_is_that_of_each_query():
    ours, theirs = make_maps(2), make_maps(2, seed=1)
    value = attention_loss(((0, 0, 1.0),), ours, theirs, WHOLE, "kl") / WHOLE.sum()
    expected = functional.kl_div(ours[0].clamp_min(1e-30).log(), theirs[0], reduction="sum") / (2 * 2 * 5)
    torch.testing.assert_close(value, expected)


def test_cosine_compares_flattened_maps():
    ours, theirs = make_maps(2), make_maps(2, seed=1)
    value = attention_loss(((0, 0, 1.0),), ours, theirs, WHOLE, "cosine") / WHOLE.sum()
    expected = 1 - functional.cosine_similarity(ours[0].flatten(2), theirs[0].flatten(2), dim=-1).mean()
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("distance", ["mse", "kl", "cosine"])
def test_equal_maps_cost_nothing_and_heads_are_averaged_where_counts_differ(distance):
    four = make_maps(4)
    two = {0: torch.cat([four[0][:, :2].mean(1, keepdim=True), four[0][:, 2:].mean(1, keepdim=True)], 1)}
    assert attention_loss(((0, 0, 1.0),), four, four, WHOLE, distance).item() == pytest.approx(0, abs=1e-5)
    assert attention_loss(((0, 0, 1.0),), two, four, WHOLE, distance).item() == pytest.approx(0, abs=1e-5)
    assert attention_loss(((0, 0, 1.0),), make_maps(4, seed=3), four, WHOLE, distance).item() > 0


@pytest.mark.parametrize("distance", ["mse", "kl", "cosine"])
def test_padding_changes_nothing(distance):
    ours, theirs = make_maps(2, rows=1, width=3), make_maps(2, rows=1, width=3, seed=1)
    value = attention_loss(((0, 0, 1.0),), ours, theirs, torch.ones(1, 3, dtype=torch.bool), distance)
    wide = [{0: functional.pad(maps[0], (0, 2, 0, 2))} for maps in (ours, theirs)]
    wide[0][0][:, :, 3:, :3] = 0.7
    mask = torch.tensor([[True, True, True, False, False]])
    torch.testing.assert_close(attention_loss(((0, 0, 1.0),), *wide, mask, distance), value)


def test_a_model_whose_maps_cannot_be_taken_is_a_config_error():
    class Stubborn:
        config = make_model(40).config

        def set_attn_implementation(self, name):
            pass

    with pytest.raises(ConfigError, match="cannot be taken from a llama"):
        AttentionTap(Stubborn(), {"decoder": [0]})
