"""What a model shows while it reads a batch: last states and head for the logits, chosen hidden states, chosen maps."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from curate.distillation.attention import AttentionTap
from curate.distillation.batches import Batch
from curate.errors import ConfigError


@dataclass
class Signals:
    """One forward pass."""

    last: Tensor
    """What enters the head, (rows, positions, H)."""
    hidden: dict[int, Tensor] = field(default_factory=dict)
    """Chosen hidden states: 0 enters the first layer, i leaves layer i."""
    maps: dict[int, Tensor] = field(default_factory=dict)
    """Attention maps of chosen layers, (rows, heads, queries, keys), fp32."""


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
        if self.bias is None:
            return states, weight
        ones = torch.ones(*states.shape[:-1], 1, dtype=states.dtype, device=states.device)
        return torch.cat([states, ones], -1), torch.cat([weight, self.bias[:vocabulary, None]], -1)


def find_head(model: Any) -> Head:  # noqa: ANN401 – a transformers model
    """The output layer with the scale and soft cap that some families put on their logits."""
    layer = model.get_output_embeddings()
    if layer is None:
        raise ConfigError(f"a {model.config.model_type} model has no output layer", hint="use a causal language model")
    config = model.config
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    return Head(layer.weight, scale, getattr(config, "final_logit_softcapping", None), getattr(layer, "bias", None))


def find_layers(model: Any) -> tuple[str, nn.ModuleList]:  # noqa: ANN401
    """The list of decoder layers and its name inside the model."""
    count = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise ConfigError(
        f"a {model.config.model_type} model keeps its layers where they cannot be found",
        hint="set losses.feature.weight and losses.attention.weight to 0, and give student.base",
    )


class Probe:
    """Runs a model without its head and keeps what was asked for, and no more."""

    def __init__(self, model: Any, *, hidden: Iterable[int] = (), maps: Iterable[int] = ()) -> None:  # noqa: ANN401
        self.model = model
        self.kept: dict[int, Tensor] = {}
        self.hooks: list[Any] = []
        wanted = set(hidden)
        if wanted:
            self._listen(wanted)
        layers = sorted(set(maps))
        self.tap = AttentionTap(model, layers) if layers else None

    def _listen(self, wanted: set[int]) -> None:
        layers = find_layers(self.model)[1]
        if 0 in wanted:
            self.hooks.append(layers[0].register_forward_pre_hook(self._keep_input, with_kwargs=True))
        for index in sorted(wanted - {0}):
            self.hooks.append(layers[index - 1].register_forward_hook(self._keep_output(index)))

    def _keep_input(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.kept[0] = args[0] if args else kwargs["hidden_states"]

    def _keep_output(self, index: int) -> Any:  # noqa: ANN401 – a hook
        def keep(_module: nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401
            self.kept[index] = output[0] if isinstance(output, tuple) else output

        return keep

    def __call__(self, batch: Batch) -> Signals:
        """Read a batch."""
        self.kept = {}
        output = self.model.base_model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            position_ids=batch.position_ids,
            use_cache=False,
        )
        kept, self.kept = self.kept, {}
        maps = dict(self.tap.maps) if self.tap else {}
        if self.tap:
            self.tap.maps.clear()
        return Signals(output.last_hidden_state, kept, maps)

    def close(self) -> None:
        """Leave the model as it was."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
        if self.tap:
            self.tap.close()
            self.tap = None
