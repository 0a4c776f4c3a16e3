"""What is checked before anything slow: the config by itself, then the config against what the tickets allow."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.distillation.config import ULD, DistillConfig
from curate.distillation.layers import map_features, map_maps
from curate.distillation.lora import check_lora
from curate.distillation.sides import DECODER, ENCODER, count_layers
from curate.distillation.steplog import check_tensorboard
from curate.distillation.student import check_student
from curate.errors import ConfigError, Denied, TamperedError


def preflight(config: DistillConfig, *, teacher: str = "", anchor: Path = Path(), asks: bool = True) -> None:
    """Refuse a config that cannot be run before any model is loaded; in milliseconds, unless it is to be compiled.

    Args:
        config: what is asked for.
        teacher: a local teacher's folder, if it is one, so that layers can be checked against it.
        anchor: what relative paths in the config are relative to.
        asks: whether answers are still to come; with all of them on disk, no program is needed that serves a teacher.

    Raises:
        ConfigError: what is wrong, and what to write instead.
        UnavailableError: it is to be compiled, and nothing can be compiled here; or a server's program is not there.
    """
    from curate.distillation.losses import parse_divergence

    if config.losses.kd.divergence != ULD:
        parse_divergence(config.losses.kd.divergence)
    losses = config.losses
    _check_answers_alone(config)
    if config.signals == "cached" and losses.attention.weight:
        raise ConfigError(
            "signals: a cache holds no attention maps", hint="set signals to live, or losses.attention.weight to 0"
        )
    if config.signals == "cached" and losses.kd.weight and losses.kd.divergence == ULD:
        raise ConfigError("signals: uld ranks whole distributions, and a cache holds none", hint="set signals to live")
    if not (losses.task or losses.kd.weight or losses.feature.weight or losses.attention.weight):
        raise ConfigError("losses: every weight is 0, so there is nothing to learn from", hint="set losses.task to 1")
    if asks:
        _check_programs(config, anchor)
    if config.student.lora:
        check_lora()
    if config.tensorboard:
        check_tensorboard()
    if config.compile:
        _check_compiled(config)
    check_layers(config, read_layers(teacher), anchor)
    if config.evaluation.file and not (anchor / config.evaluation.file).is_file():
        raise ConfigError(f"evaluation.file: {anchor / config.evaluation.file}: no such file", hint="check the path")


def _check_programs(config: DistillConfig, anchor: Path) -> None:
    """Programs that are to serve a teacher are there."""
    from curate.distillation.serving import find_program

    for endpoint in config.endpoints:
        if endpoint and endpoint.serve:
            find_program(endpoint.serve, anchor)


def _check_compiled(config: DistillConfig) -> None:
    """Compiled layers in shards lose what attention and features are taken from, so they are not to be had."""
    from curate.distillation.compiling import check_compile
    from curate.distillation.fsdp_launch import fsdp_launched
    from curate.distillation.world import choose_device

    if config.sharding == "fsdp2" or fsdp_launched():
        raise ConfigError(
            "compile: layers in shards are not compiled", hint="set compile to false, or sharding to none"
        )
    check_compile(choose_device())


def _check_answers_alone(config: DistillConfig) -> None:
    """Through an endpoint, or from several teachers, a student learns from answers and from nothing else."""
    if not config.answers_alone:
        return
    source = "an endpoint gives" if not config.teachers else "several teachers give"
    if config.endpoint and config.teachers:
        raise ConfigError("endpoint: stands beside teachers", hint="give each of the teachers its own endpoint")
    if config.answer_temperature and (config.endpoint or all(one.endpoint for one in config.teachers)):
        raise ConfigError(
            "answer_temperature: for a teacher in memory, and here only servers answer",
            hint="set temperature below endpoint, and answer_temperature to 0",
        )
    if len({one.teacher for one in config.teachers}) < len(config.teachers):
        raise ConfigError("teachers: one is named twice", hint="name each once, with one share")
    if len(signals_used(config)) > 1 or config.signals == "cached":
        beyond = ", ".join(f"no {name}" for name in signals_used(config)[1:]) or "not what a cache keeps"
        raise ConfigError(
            f"losses: {source} answers alone, {beyond}",
            hint="set losses.kd, losses.feature.weight and losses.attention.weight to 0, and signals to live",
        )
    if config.student.keep_layers:
        raise ConfigError(
            "student.keep_layers: no teacher is in memory whose layers could be kept", hint="give student.base"
        )


def check_layers(config: DistillConfig, teacher: Mapping[str, int], anchor: Path) -> None:
    """Refuse layers and layer maps that do not fit the models, as far as local folders tell."""
    check_student(config.student, teacher)
    kept = {DECODER: config.student.keep_layers, ENCODER: config.student.keep_encoder_layers}
    student = dict(teacher) | {side: len(layers) for side, layers in kept.items() if layers}
    if config.student.base:
        student = read_layers(str(anchor / config.student.base))
    if not teacher or not student:
        return
    for make, term in ((map_features, config.losses.feature), (map_maps, config.losses.attention)):
        if set(student) == set(teacher) or term.weight:
            make(term.layers, student, teacher, kept)


def read_layers(folder: str) -> dict[str, int]:
    """The number of layers, by side, that a local model folder tells of; none where there is no such folder."""
    path = Path(folder) / "config.json"
    if not folder or not path.is_file():
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    return count_layers(settings)


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
