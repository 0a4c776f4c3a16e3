"""Which student layer learns from which teacher layer. Loads no torch.

Hidden states are counted as transformers counts them: 0 is what enters the first layer, i is what layer i (from one)
gives, before any last norm. Attention maps are counted by layer, from zero. Presets share a weight of one evenly.
"""

from collections.abc import Callable, Mapping, Sequence

from curate.distillation.config import Layers, Pairs
from curate.distillation.sides import CROSS, DECODER, ENCODER
from curate.errors import ConfigError

LayerMap = tuple[tuple[int, int, float], ...]
"""(student, teacher, weight) triples."""
Depths = Mapping[str, int]
"""How many layers each side of a model has."""
Pair = tuple[int, int]


def map_features(
    layers: Layers, student: Depths, teacher: Depths, kept: Mapping[str, Sequence[int]]
) -> dict[str, LayerMap]:
    """Pairs of hidden states by side; ``kept`` are the teacher's layers that each side of the student was made of."""
    return _by_side("feature", map_hidden, tuple(teacher), layers, student, teacher, kept)


def map_maps(
    layers: Layers, student: Depths, teacher: Depths, kept: Mapping[str, Sequence[int]]
) -> dict[str, LayerMap]:
    """Pairs of attention layers by side, and for cross-attention where there is an encoder."""
    sides = (ENCODER, DECODER, CROSS) if ENCODER in teacher else (DECODER,)
    return _by_side("attention", map_attention, sides, layers, student, teacher, kept)


def _by_side(
    term: str,
    make: "Callable[[Pairs, int, int, Sequence[int], str], LayerMap]",
    sides: tuple[str, ...],
    layers: Layers,
    student: Depths,
    teacher: Depths,
    kept: Mapping[str, Sequence[int]],
) -> dict[str, LayerMap]:
    """Each side's own map; one preset for all of them shares a weight of one evenly."""
    if set(student) != set(teacher):
        raise ConfigError(
            f"losses.{term}: one model has an encoder and the other has none",
            hint=f"set losses.{term}.weight to 0, or choose a student like its teacher",
        )
    if not isinstance(layers, dict):
        if len(sides) > 1 and not isinstance(layers, str):
            raise ConfigError(
                f"losses.{term}.layers: it is not said whether these are pairs of {' or '.join(sides)}",
                hint=f"write {sides[-1]}: and the triples below it",
            )
        layers = dict.fromkeys(sides, layers)  # type: ignore[arg-type]
        share = 1 / len(sides)
    else:
        share = 1.0
    if wrong := sorted(set(layers) - set(sides)):
        raise ConfigError(
            f"losses.{term}.layers.{wrong[0]}: these models have no such layers for {term}",
            hint=f"name {' or '.join(sides)}",
        )
    maps: dict[str, LayerMap] = {}
    for side, pairs in layers.items():
        depth = DECODER if side == CROSS else side
        where = f"losses.{term}.layers" + (f".{side}" if len(sides) > 1 else "")
        found = make(pairs, student[depth], teacher[depth], kept.get(depth, ()), where)
        maps[side] = tuple((ours, theirs, weight * share) for ours, theirs, weight in found)
    return maps


def map_hidden(
    layers: Pairs, student: int, teacher: int, kept: Sequence[int] = (), where: str = "losses.feature.layers"
) -> LayerMap:
    """Pairs of hidden states for a student and a teacher of so many layers; ``kept`` as in ``keep_layers``."""
    if not isinstance(layers, str):
        return _check(layers, student + 1, teacher + 1, where, "hidden states")
    return _share(HIDDEN_PRESETS[layers](student, teacher, tuple(kept)))


def map_attention(
    layers: Pairs, student: int, teacher: int, kept: Sequence[int] = (), where: str = "losses.attention.layers"
) -> LayerMap:
    """Pairs of attention layers for a student and a teacher of so many layers."""
    if not isinstance(layers, str):
        return _check(layers, student, teacher, where, "layers")
    return _share(ATTENTION_PRESETS[layers](student, teacher, tuple(kept)))


def _share(pairs: list[Pair]) -> LayerMap:
    return tuple((student, teacher, 1.0 / len(pairs)) for student, teacher in pairs)


def _check(layers: LayerMap, student: int, teacher: int, where: str, what: str) -> LayerMap:
    """Explicit triples, each within both models."""
    if not layers:
        raise ConfigError(f"{where}: empty", hint="give triples or a preset, or set the weight to 0")
    for place, (ours, theirs, weight) in enumerate(layers):
        if not 0 <= ours < student or not 0 <= theirs < teacher or weight < 0:
            raise ConfigError(
                f"{where}[{place}]: {[ours, theirs, weight]} does not fit",
                hint=f"the student's {what} are 0 to {student - 1}, the teacher's 0 to {teacher - 1}; weights are ≥ 0",
            )
    return layers


def _hidden_uniform(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """Every student layer's output with the teacher's at the same relative depth."""
    return [(layer, max(1, round(layer * teacher / student))) for layer in range(1, student + 1)]


def _hidden_stitch(student: int, teacher: int, kept: tuple[int, ...]) -> list[Pair]:
    """Each output with the state that enters the teacher layer from which the next student layer was copied."""
    if not kept:
        return _hidden_uniform(student, teacher, kept)
    return [(layer, kept[layer]) for layer in range(1, student)] + [(student, teacher)]


def _hidden_last(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """Outputs counted from the end."""
    return [(student - back, teacher - back) for back in range(min(student, teacher))][::-1]


def _hidden_ends(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """The embedding's output and the last layer's."""
    return [(0, 0), (student, teacher)]


def _attention_uniform(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """Every student layer with the teacher's at the same relative depth."""
    return [(layer, max(1, round((layer + 1) * teacher / student)) - 1) for layer in range(student)]


def _attention_stitch(student: int, teacher: int, kept: tuple[int, ...]) -> list[Pair]:
    """Every student layer with the one it was copied from."""
    return list(enumerate(kept)) if kept else _attention_uniform(student, teacher, kept)


def _attention_ends(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """The first layer and the last."""
    return [(0, 0)] if student == 1 == teacher else [(0, 0), (student - 1, teacher - 1)]


def _attention_last(student: int, teacher: int, _kept: tuple[int, ...]) -> list[Pair]:
    """Layers counted from the end."""
    return [(student - 1 - back, teacher - 1 - back) for back in range(min(student, teacher))][::-1]


Preset = Callable[[int, int, tuple[int, ...]], list[Pair]]
HIDDEN_PRESETS: dict[str, Preset] = {
    "stitch": _hidden_stitch,
    "uniform": _hidden_uniform,
    "last-n": _hidden_last,
    "embedding+last": _hidden_ends,
}
ATTENTION_PRESETS: dict[str, Preset] = {
    "stitch": _attention_stitch,
    "uniform": _attention_uniform,
    "last-n": _attention_last,
    "embedding+last": _attention_ends,
}
