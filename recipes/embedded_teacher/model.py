"""The teacher's shape, and the noise it is trained under: dropout on every branch, and whole layers left out."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def build_model(tokenizer: PreTrainedTokenizerFast, width: int, depth: int, context: int) -> LlamaForCausalLM:
    """A Llama with random weights and tied embeddings: heads of 64, feed-forward 2.5 times the width."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width * 5 // 2,
        num_hidden_layers=depth,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def add_dropout(model: LlamaForCausalLM, rate: float) -> None:
    """Drop ``rate`` of the embedding and of each attention and feed-forward output while training."""

    def drop(module: nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> object:
        if isinstance(output, tuple):
            return (functional.dropout(output[0], rate, module.training), *output[1:])
        return functional.dropout(output, rate, module.training)

    model.model.embed_tokens.register_forward_hook(drop)
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(drop)
        layer.mlp.register_forward_hook(drop)


@contextmanager
def some_layers_left_out(model: LlamaForCausalLM, rate: float, rng: random.Random) -> Iterator[None]:
    """For one step, leave out each inner layer with probability ``rate`` (LayerDrop, arXiv:1909.11556)."""
    whole = model.model.layers
    last = len(whole) - 1
    kept = [layer for place, layer in enumerate(whole) if place in (0, last) or rng.random() >= rate]
    model.model.layers = nn.ModuleList(kept)
    try:
        yield
    finally:
        model.model.layers = whole


def keep_layers(teacher: LlamaForCausalLM, kept: Sequence[int]) -> LlamaForCausalLM:
    """A student made of the teacher's embeddings, its last norm and some of its layers."""
    student = copy.deepcopy(teacher)
    student.model.layers = torch.nn.ModuleList(student.model.layers[index] for index in kept)
    for place, layer in enumerate(student.model.layers):
        layer.self_attn.layer_idx = place
    student.config.num_hidden_layers = len(kept)
    if getattr(student.config, "layer_types", None):
        student.config.layer_types = [student.config.layer_types[index] for index in kept]
    return student


class Average:
    """A running mean of a model's weights; its decay warms up, so early steps are soon forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._mean = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the mean towards the weights as they are now."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, weight in model.named_parameters():
            self._mean[name].lerp_(weight.detach(), 1 - decay)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Run the block with the mean weights in the model, then put its own back."""
        own = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self._copy(model, self._mean)
        try:
            yield
        finally:
            self._copy(model, own)

    @staticmethod
    @torch.no_grad()
    def _copy(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
        for name, weight in model.named_parameters():
            weight.copy_(weights[name])
