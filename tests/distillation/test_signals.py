"""Hidden states and head give the model's own logits, whatever its family puts on top."""

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from curate.distillation import losses
from curate.distillation.batches import Example, collate
from curate.distillation.chunks import cap
from curate.distillation.config import parse_config
from curate.distillation.sides import find_layers
from curate.distillation.signals import Probe, find_head
from curate.distillation.stack import LossStack
from curate.errors import ConfigError
from tests.distillation.counting import count_totals

from .classroom import make_model
from .test_attention import make_gemma, make_gpt2
from .test_student import make_neo

SHAPE = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
OPT = {"vocab_size": 40, "hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS = {
    "llama": lambda: make_model(40),
    "gpt2": make_gpt2,
    "gpt_neo": make_neo,
    "gemma2, capped": make_gemma,
    "granite, scaled down": lambda: GraniteForCausalLM(GraniteConfig(**SHAPE, **IDS, logits_scaling=4.0)).eval(),
    "cohere, scaled": lambda: CohereForCausalLM(CohereConfig(**SHAPE, **IDS, logit_scale=0.25)).eval(),
    "phi, biased": lambda: biased(PhiForCausalLM(PhiConfig(**SHAPE, **IDS)).eval()),
    "opt, narrow embedding": lambda: OPTForCausalLM(
        OPTConfig(**OPT, **IDS, word_embed_proj_dim=8, max_position_embeddings=32)
    ).eval(),
}
BATCH = collate([Example("a", (5, 6, 7, 8), (9, 10, 2)), Example("b", (11, 12), (13, 2))], 0)


def biased(model):
    torch.nn.init.normal_(model.lm_head.bias)
    return model


def read_logits(model):
    inputs = {"input_ids": BATCH.input_ids, "attention_mask": BATCH.mask.long()}
    return model(**inputs).logits[BATCH.predicts]


@pytest.mark.parametrize("name", MODELS)
def test_states_and_head_give_the_models_own_logits(name):
    torch.manual_seed(0)
    model = MODELS[name]()
    head = find_head(model)
    with torch.no_grad():
        states, weight = head.split(Probe(model)(BATCH).last[BATCH.predicts], 40)
        torch.testing.assert_close(
            cap(states @ weight.T, head.scale, head.softcap), read_logits(model), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", ["gemma2, capped", "granite, scaled down", "phi, biased"])
def test_the_response_terms_are_those_of_whole_logits(name):
    torch.manual_seed(0)
    student, teacher = MODELS[name](), make_model(40, seed=8)
    config = parse_config({"losses": {"task": 0.5, "kd": {"temperature": 2.0, "divergence": "jsd:0.3"}}})
    loss, terms = LossStack(student, teacher, config.losses)(BATCH, count_totals([BATCH]))
    logits, labels = read_logits(student), BATCH.labels
    task = losses.cross_entropy(logits, labels)
    kd = losses.kd_divergence(logits, read_logits(teacher), labels, temperature=2.0, divergence="jsd:0.3")
    torch.testing.assert_close(terms["task"], task.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(terms["kd"], kd.detach(), rtol=1e-4, atol=1e-6)
    expected = torch.autograd.grad(0.5 * task + kd, list(student.parameters()))
    for got, want in zip(torch.autograd.grad(loss, list(student.parameters())), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)


def test_heads_are_cut_to_the_shared_vocabulary():
    student, teacher = make_model(44), make_model(48, seed=8)
    losses_config = parse_config({}).losses
    _, terms = LossStack(student, teacher, losses_config, vocabulary=40)(BATCH, count_totals([BATCH]))
    expected = losses.kd_divergence(read_logits(student)[:, :40], read_logits(teacher)[:, :40], BATCH.labels)
    torch.testing.assert_close(terms["kd"], expected.detach(), rtol=1e-4, atol=1e-6)


def test_layers_are_found_by_their_number():
    assert find_layers(make_gpt2())[0] == "transformer.h"
    assert find_layers(make_model(40))[0] == "model.layers"
    model = make_model(40)
    model.config.num_hidden_layers = 9
    with pytest.raises(ConfigError, match="cannot be found"):
        find_layers(model)


def test_maps_of_a_family_outside_the_interface_are_refused():
    with pytest.raises(ConfigError, match="cannot be taken from a gpt_neo"):
        Probe(make_neo(), maps=[0])
