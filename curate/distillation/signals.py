"""What a model shows while it reads a batch: last states and head for the logits, chosen hidden states, chosen maps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from curate.distillation.attention import AttentionTap
from curate.distillation.batches import Batch
from curate.distillation.sides import DECODER, find_layers, is_seq2seq
from curate.errors import ConfigError


@dataclass
class Signals:
    """One forward pass."""

    last: Tensor
    """What enters the head, (rows, positions, H)."""
    states: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    """Chosen hidden states by side: 0 enters its first layer, i leaves layer i."""
    attentions: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    """Attention maps of chosen layers by side, or under ``cross``, (rows, heads, queries, keys), fp32."""

    def to(self, device: torch.device) -> "Signals":
        """The same on a device; a teacher that is spread over several ends on another than the student's."""
        moved = (
            {side: {number: tensor.to(device) for number, tensor in kept.items()} for side, kept in sides.items()}
            for sides in (self.states, self.attentions)
        )
        return Signals(self.last.to(device), *moved)

    @property
    def hidden(self) -> dict[int, Tensor]:
        """The decoder's hidden states."""
        return self.states.get(DECODER, {})

    @property
    def maps(self) -> dict[int, Tensor]:
        """The decoder's own maps."""
        return self.attentions.get(DECODER, {})


@dataclass(frozen=True)
class Head:
    """A model's output layer: logits = cap(scale · states · weightᵀ)."""

    weight: Tensor
    scale: float = 1.0
    softcap: float | None = None
    bias: Tensor | None = None

    def split(self, states: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
        """States and weights, cut to a vocabulary; a bias becomes one more column."""
        weight = self.weight[:vocabulary] if vocabulary < self.weight.shape[0] else self.weight
        weight = weight.to(states.device)  # a teacher that is spread over devices may keep its head on another
        if self.bias is None:
            return states, weight
        ones = torch.ones(*states.shape[:-1], 1, dtype=states.dtype, device=states.device)
        return torch.cat([states, ones], -1), torch.cat([weight, self.bias[:vocabulary, None].to(weight)], -1)


def find_head(model: Any) -> Head:  # noqa: ANN401 – a transformers model
    """The output layer with the scale and soft cap that some families put on their logits."""
    layer = model.get_output_embeddings()
    if layer is None:
        raise ConfigError(f"a {model.config.model_type} model has no output layer", hint="use a language model")
    config = model.config
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    if getattr(config, "scale_decoder_outputs", False):  # T5 with one matrix for embedding and head
        scale *= float(config.d_model) ** -0.5
    bias = getattr(layer, "bias", None)
    if (added := getattr(model, "final_logits_bias", None)) is not None:  # BART and its kin
        bias = added[0] if bias is None else bias + added[0]
    return Head(layer.weight, scale, getattr(config, "final_logit_softcapping", None), bias)


READER = "_curate_read"
"""The attribute under which a sharded model has ``read_states`` as its own: a way in that gathers its weights."""


def read_states(model: Any, batch: Batch) -> Tensor:  # noqa: ANN401
    """The last states of a causal model, or of a decoder that looks at its encoder; (rows, positions, H)."""
    states: Tensor
    if not is_seq2seq(model.config):
        states = model.base_model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        return states
    if batch.prompt_ids is None or batch.prompt_mask is None:
        raise ValueError("a batch for a causal model was given to one with an encoder")
    prompt_mask = batch.prompt_mask.long()
    read = model.get_encoder()(input_ids=batch.prompt_ids, attention_mask=prompt_mask).last_hidden_state
    states = model.get_decoder()(
        input_ids=batch.input_ids,
        attention_mask=batch.mask.long(),
        encoder_hidden_states=read,
        encoder_attention_mask=prompt_mask,
        use_cache=False,
    ).last_hidden_state
    return states


Chosen = Iterable[int] | Mapping[str, Iterable[int]]
"""Numbers by side; without sides, the decoder's."""


class Probe:
    """Runs a model without its head and keeps what was asked for, and no more."""

    def __init__(self, model: Any, *, hidden: Chosen = (), maps: Chosen = ()) -> None:  # noqa: ANN401
        self.model = model
        self.kept: dict[str, dict[int, Tensor]] = {}
        self.hooks: list[Any] = []
        for side, wanted in _by_side(hidden).items():
            self._listen(side, wanted)
        layers = _by_side(maps)
        self.tap = AttentionTap(model, layers) if layers else None

    def _listen(self, side: str, wanted: set[int]) -> None:
        layers = find_layers(self.model, side)[1]
        if 0 in wanted:
            self.hooks.append(layers[0].register_forward_pre_hook(self._keep_input(side), with_kwargs=True))
        for index in sorted(wanted - {0}):
            self.hooks.append(layers[index - 1].register_forward_hook(self._keep_output(side, index)))

    def _keep_input(self, side: str) -> Any:  # noqa: ANN401 – a hook
        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.kept.setdefault(side, {})[0] = args[0] if args else kwargs["hidden_states"]

        return keep

    def _keep_output(self, side: str, index: int) -> Any:  # noqa: ANN401 – a hook
        def keep(_module: nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401
            self.kept.setdefault(side, {})[index] = output[0] if isinstance(output, tuple) else output

        return keep

    def __call__(self, batch: Batch) -> Signals:
        """Read a batch, wherever it lies; what is shown lies there too."""
        self.kept = {}
        asked, batch = batch.input_ids.device, batch.to(self.model.get_input_embeddings().weight.device)
        reader = getattr(self.model, READER, None)
        last = reader(batch) if reader else read_states(self.model, batch)
        kept, self.kept = self.kept, {}
        return Signals(last, kept, self.tap.take() if self.tap else {}).to(asked)

    def close(self) -> None:
        """Leave the model as it was."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
        if self.tap:
            self.tap.close()
            self.tap = None


def _by_side(chosen: Chosen) -> dict[str, set[int]]:
    """Sides of which something is asked for."""
    named = chosen if isinstance(chosen, Mapping) else {DECODER: chosen}
    return {side: wanted for side, numbers in named.items() if (wanted := set(numbers))}
