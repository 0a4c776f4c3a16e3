"""The sides of a model by name: a causal model has a decoder; a sequence-to-sequence one an encoder before it.

Its decoder looks at the encoder through cross-attention, which is named apart where attention maps are meant.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"
COUNTS = {
    ENCODER: ("encoder_layers", "num_layers", "num_hidden_layers"),
    DECODER: ("decoder_layers", "num_decoder_layers", "num_hidden_layers", "num_layers", "n_layer"),
}
"""Names under which configs tell how many layers a side has, the surest first."""


def is_seq2seq(config: Any) -> bool:  # noqa: ANN401 – a transformers config, or one read from JSON
    """Whether a model reads the prompt with an encoder and answers with a decoder."""
    return bool(_tell(config, ("is_encoder_decoder",)))


def count_layers(config: Any) -> dict[str, int]:  # noqa: ANN401
    """Layers by side; a side whose number the config does not tell is left out."""
    sides = (ENCODER, DECODER) if is_seq2seq(config) else (DECODER,)
    found = {side: _tell(config, COUNTS[side] if len(sides) > 1 else COUNTS[DECODER][2:]) for side in sides}
    return {side: int(count) for side, count in found.items() if count}


def _tell(config: Any, names: tuple[str, ...]) -> int:  # noqa: ANN401
    found = (config.get(name) if isinstance(config, Mapping) else getattr(config, name, None) for name in names)
    return int(next((value for value in found if value), 0))


def find_layers(model: Any, side: str = DECODER) -> "tuple[str, nn.ModuleList]":  # noqa: ANN401
    """The list of a side's layers and its name inside the model.

    Raises:
        ConfigError: a family that keeps them elsewhere.
    """
    from torch import nn

    part = model
    if is_seq2seq(model.config):
        part = model.get_encoder() if side == ENCODER else model.get_decoder()
    count = count_layers(model.config).get(side)
    inside = {id(module) for module in part.modules()}
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and id(module) in inside:
            return name, module
    raise ConfigError(
        f"a {model.config.model_type} model keeps its layers where they cannot be found",
        hint="set losses.feature.weight and losses.attention.weight to 0, and give student.base",
    )
