"""Attention maps of chosen layers, and the losses between them (Zagoruyko and Komodakis, 2017; Jiao et al., 2020).

Maps are taken through transformers' public attention interface: a chosen layer computes softmax(QKᵀ) itself and keeps
it, every other layer stays on scaled-dot-product attention. All layers get an explicit additive mask: the library may
hand that kernel no mask at all (meaning causal), and a layer that took it at its word would look into the future.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from curate.distillation.layers import LayerMap
from curate.distillation.sides import DECODER, ENCODER, find_layers, is_seq2seq
from curate.errors import ConfigError

IMPLEMENTATION = "curate_tap"
_TAPS: "WeakKeyDictionary[nn.Module, tuple[AttentionTap, str, int]]" = WeakKeyDictionary()


class AttentionTap:
    """Keeps the maps of some layers of one model; each forward pass overwrites the last.

    Layers are numbers by side; under ``cross`` they are the decoder's layers that look at the encoder.
    """

    def __init__(self, model: Any, layers: Mapping[str, Iterable[int]]) -> None:  # noqa: ANN401 – a transformers model
        self.model = model
        self.layers = {side: sorted(set(numbers)) for side, numbers in layers.items()}
        self.maps: dict[str, dict[int, Tensor]] = {}
        self.before = model.config._attn_implementation
        _register()
        model.set_attn_implementation(IMPLEMENTATION)
        if model.config._attn_implementation != IMPLEMENTATION:
            raise ConfigError(
                f"losses.attention: maps cannot be taken from a {model.config.model_type} model, whose code does not "
                "use transformers' attention interface",
                hint="set losses.attention.weight to 0 (the other terms work), or choose a teacher and student of a "
                "family that does, such as Llama, Qwen, Gemma, GPT-2 or T5",
            )
        for module, side, number in self._choose():
            _TAPS[module] = (self, side, number)

    def _choose(self) -> Iterator[tuple[nn.Module, str, int]]:
        """The modules that may call the attention function in chosen layers, with their side and number."""
        if not is_seq2seq(self.model.config):
            for module in self.model.modules():
                if (number := getattr(module, "layer_idx", None)) in self.layers[DECODER]:
                    yield module, DECODER, number
            return
        for side, numbers in self.layers.items():
            blocks = find_layers(self.model, ENCODER if side == ENCODER else DECODER)[1]
            for number in numbers:
                for module in blocks[number].modules():
                    if side == ENCODER or bool(getattr(module, "is_causal", False)) == (side == DECODER):
                        yield module, side, number

    def take(self) -> dict[str, dict[int, Tensor]]:
        """The maps of the last forward pass, handed out once."""
        maps, self.maps = self.maps, {}
        return maps

    def close(self) -> None:
        """Put the model back as it was."""
        for module in self.model.modules():
            _TAPS.pop(module, None)
        self.model.set_attn_implementation(self.before)
        self.maps = {}


def _register() -> None:
    """Make the implementation known to transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    # Never compiled: a layer's program serves the next layer too, whose maps would be kept under the first's number.
    outside = torch.compiler.disable(_attend)  # type: ignore[no-untyped-call]
    AttentionInterface.register(IMPLEMENTATION, outside)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,  # noqa: ANN401 – whatever the family passes
) -> tuple[Tensor, Tensor | None]:
    """Explicit attention where a tap listens, the fast kernel elsewhere."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    tap = _TAPS.get(module)
    if tap is None and kwargs.get("softcap") is None:
        output: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **kwargs
        )
        return output
    if kwargs.get("s_aux") is not None:
        raise ConfigError("losses.attention: models with attention sinks are not supported", hint="set its weight to 0")
    weights = _weights(query, key, attention_mask, causal=bool(getattr(module, "is_causal", True)), **kwargs)
    if tap is not None:
        owner, side, number = tap
        owner.maps.setdefault(side, {})[number] = weights
    dropout = float(kwargs.get("dropout") or 0.0)
    mixed = nn.functional.dropout(weights.to(value.dtype), p=dropout, training=module.training)
    return (mixed @ _repeat(value, query.shape[1])).transpose(1, 2).contiguous(), weights


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, *, causal: bool, **kwargs: Any) -> Tensor:  # noqa: ANN401
    """softmax(QKᵀ·scale) in fp32 as the eager path has it, (rows, heads, queries, keys)."""
    if mask is None and causal and query.shape[2] > 1:
        raise ConfigError("losses.attention: this model passes no attention mask", hint="set its weight to 0")
    scaling = kwargs.get("scaling")
    scores = (query @ _repeat(key, query.shape[1]).transpose(2, 3)) * (
        query.shape[-1] ** -0.5 if scaling is None else scaling
    )
    softcap = kwargs.get("softcap")
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if kwargs.get("position_bias") is not None:
        scores = scores + kwargs["position_bias"]
    if mask is not None:
        scores = scores + mask
    return torch.softmax(scores, dim=-1, dtype=torch.float32 if scores.dtype != torch.float64 else torch.float64)


def _repeat(states: Tensor, heads: int) -> Tensor:
    """Key or value heads, repeated up to the number of query heads."""
    return states if states.shape[1] == heads else states.repeat_interleave(heads // states.shape[1], dim=1)


def attention_loss(
    pairs: LayerMap,
    student: Mapping[int, Tensor],
    teacher: Mapping[int, Tensor],
    mask: Tensor,
    distance: str,
    keys: Tensor | None = None,
) -> Tensor:
    """Σ λ·distance over a layer map, summed over real queries; divide by their number in the whole batch.

    Args:
        pairs: the layer map.
        student: maps by layer, (rows, heads, queries, keys).
        teacher: the teacher's; where the number of heads differs, both are averaged over heads first.
        mask: (rows, queries), true where a token is real; padded queries count for nothing.
        distance: mse, kl, cosine.
        keys: (rows, keys), the same for what is looked at, where that is another text, as in cross-attention.
    """
    total = torch.zeros((), dtype=torch.float32, device=mask.device)
    for ours, theirs, weight in pairs:
        left, right = student[ours].float(), teacher[theirs].float()
        if left.shape[1] != right.shape[1]:
            left, right = left.mean(1, keepdim=True), right.mean(1, keepdim=True)
        total = total + weight * ATTENTION_DISTANCES[distance](left, right, mask, mask if keys is None else keys)
    return total


def mse(ours: Tensor, theirs: Tensor, mask: Tensor, keys: Tensor) -> Tensor:
    """Mean squared difference over heads and real keys, summed over real queries.

    Divided by the queries of one unpadded text it is the plain mean over the whole map.
    """
    queries = ((ours - theirs).square() * keys[:, None, None, :]).sum(-1).mean(1)
    return ((queries / keys.sum(-1, keepdim=True)) * mask).sum()


def kl(ours: Tensor, theirs: Tensor, mask: Tensor, keys: Tensor) -> Tensor:  # noqa: ARG001 – padded keys hold no mass
    """KL(teacher ‖ student) of each query's map, mean over heads, summed over real queries."""
    tiny = torch.finfo(ours.dtype).tiny
    queries = (torch.xlogy(theirs, theirs) - theirs * ours.clamp_min(tiny).log()).sum(-1).mean(1)
    return (queries * mask).sum()


def cosine(ours: Tensor, theirs: Tensor, mask: Tensor, keys: Tensor) -> Tensor:
    """1 − cosine similarity of each head's flattened map, mean over heads, counted once a real query."""
    keep = mask[:, None, :, None] * keys[:, None, None, :]
    similar = nn.functional.cosine_similarity((ours * keep).flatten(2), (theirs * keep).flatten(2), dim=-1)
    return ((1 - similar).mean(1) * mask.sum(-1)).sum()


ATTENTION_DISTANCES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "kl": kl,
    "cosine": cosine,
}
