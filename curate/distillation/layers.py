"""Which student layer learns from which teacher layer. Loads no torch.

Hidden states are counted as transformers counts them: 0 is what enters the first layer, i is what layer i (from one)
gives, before any last norm. Attention maps are counted by layer, from zero. Presets share a weight of one evenly.
"""

from collections.abc import Callable, Sequence

from curate.distillation.config import Layers
from curate.errors import ConfigError

LayerMap = tuple[tuple[int, int, float], ...]
"""(student, teacher, weight) triples."""
Pair = tuple[int, int]


def map_hidden(layers: Layers, student: int, teacher: int, kept: Sequence[int] = ()) -> LayerMap:
    """Pairs of hidden states for a student and a teacher of so many layers; ``kept`` as in ``keep_layers``."""
    if not isinstance(layers, str):
        return _check(layers, student + 1, teacher + 1, "feature", "hidden states")
    return _share(HIDDEN_PRESETS[layers](student, teacher, tuple(kept)))


def map_attention(layers: Layers, student: int, teacher: int, kept: Sequence[int] = ()) -> LayerMap:
    """Pairs of attention layers for a student and a teacher of so many layers."""
    if not isinstance(layers, str):
        return _check(layers, student, teacher, "attention", "layers")
    return _share(ATTENTION_PRESETS[layers](student, teacher, tuple(kept)))


def _share(pairs: list[Pair]) -> LayerMap:
    return tuple((student, teacher, 1.0 / len(pairs)) for student, teacher in pairs)


def _check(layers: LayerMap, student: int, teacher: int, term: str, what: str) -> LayerMap:
    """Explicit triples, each within both models."""
    if not layers:
        raise ConfigError(f"losses.{term}.layers: empty", hint="give triples or a preset, or set the weight to 0")
    for place, (ours, theirs, weight) in enumerate(layers):
        if not 0 <= ours < student or not 0 <= theirs < teacher or weight < 0:
            raise ConfigError(
                f"losses.{term}.layers[{place}]: {[ours, theirs, weight]} does not fit",
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
