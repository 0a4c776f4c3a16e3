"""What is checked before anything slow: the config by itself, then the config against what the tickets allow."""

import json
from pathlib import Path
from typing import Any

from curate.distillation.config import DistillConfig
from curate.distillation.layers import map_attention, map_hidden
from curate.distillation.lora import check_lora
from curate.distillation.steplog import check_tensorboard
from curate.distillation.student import check_student
from curate.errors import ConfigError, Denied, TamperedError


def preflight(config: DistillConfig, *, teacher: str = "", anchor: Path = Path()) -> None:
    """Refuse a config that cannot be run, in milliseconds and before any model is loaded.

    Args:
        config: what is asked for.
        teacher: a local teacher's folder, if it is one, so that layers can be checked against it.
        anchor: what relative paths in the config are relative to.

    Raises:
        ConfigError: what is wrong, and what to write instead.
    """
    from curate.distillation.losses import parse_divergence

    parse_divergence(config.losses.kd.divergence)
    losses = config.losses
    if config.signals == "cached" and (losses.feature.weight or losses.attention.weight):
        raise ConfigError(
            "signals: a cache holds no hidden states and no attention maps",
            hint="set signals to live, or losses.feature.weight and losses.attention.weight to 0",
        )
    if not (losses.task or losses.kd.weight or losses.feature.weight or losses.attention.weight):
        raise ConfigError("losses: every weight is 0, so there is nothing to learn from", hint="set losses.task to 1")
    if config.student.lora:
        check_lora()
    if config.tensorboard:
        check_tensorboard()
    teacher_layers = count_layers(teacher)
    check_student(config.student, teacher_layers)
    student_layers = len(config.student.keep_layers) or count_layers(str(anchor / config.student.base))
    if teacher_layers and student_layers:
        map_hidden(losses.feature.layers, student_layers, teacher_layers, config.student.keep_layers)
        map_attention(losses.attention.layers, student_layers, teacher_layers, config.student.keep_layers)
    if config.evaluation.file and not (anchor / config.evaluation.file).is_file():
        raise ConfigError(f"evaluation.file: {anchor / config.evaluation.file}: no such file", hint="check the path")


def count_layers(folder: str) -> int | None:
    """The number of layers a local model folder tells of; None where there is no such folder."""
    path = Path(folder) / "config.json"
    if not folder or not path.is_file():
        return None
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    layers = next((settings[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in settings), None)
    return int(layers) if layers is not None else None


def signals_used(config: DistillConfig) -> tuple[str, ...]:
    """Which of a teacher's signals a config learns from, in the words of the license gate."""
    losses = config.losses
    used = {
        "responses": True,
        "logits": losses.kd.weight > 0,
        "hidden-states": losses.feature.weight > 0,
        "attentions": losses.attention.weight > 0,
    }
    return tuple(name for name, is_used in used.items() if is_used)


def check_leave(decision: dict[str, Any], config: DistillConfig) -> None:
    """Hold the config against the case that the license gate decided: no other signals, no other starting model.

    Raises:
        TamperedError: the decision tells of no case.
        Denied: the config goes beyond it.
    """
    case = decision.get("case")
    if not isinstance(case, dict):
        raise TamperedError("the teacher's decision tells of no case, so it cannot be known what it allows")
    beyond = [name for name in signals_used(config) if name not in case.get("signals", ())]
    if beyond:
        raise Denied(
            f"the teacher was approved for {', '.join(case.get('signals', ()))}, not for {', '.join(beyond)}",
            hint="ask the license gate again with --signals, or set those weights to 0",
        )
    asked, given = config.student.base, case.get("student_base") or ""
    if asked.casefold() != given.casefold():
        raise Denied(
            f"the teacher was approved for a student made from {given or 'itself'}, not from {asked or 'the teacher'}",
            hint="ask the license gate again with --student-base",
        )
