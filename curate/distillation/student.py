"""The student: made from the teacher by keeping layers, or a model of its own; and how it leaves the house."""

import copy
from pathlib import Path
from typing import Any

from curate.distillation.config import StudentConfig
from curate.distillation.signals import find_layers
from curate.distillation.teacher import STORED, load_model
from curate.errors import ConfigError


def make_student(
    config: StudentConfig,
    teacher: Any,  # noqa: ANN401 – a transformers model
    tokenizer: Any,  # noqa: ANN401
    *,
    offline: bool = False,
) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of a student in fp32.

    Raises:
        ConfigError: neither or both of ``keep_layers`` and ``base``, or layers the teacher does not have.
    """
    check_student(config)
    if config.base:
        name, _, revision = config.base.partition("@") if not Path(config.base).is_dir() else (config.base, "", "")
        return load_model(name, revision, offline=offline)
    return keep_layers(teacher, config.keep_layers), tokenizer


def check_student(config: StudentConfig, teacher_layers: int | None = None) -> None:
    """Refuse a student that cannot be made; layers are checked where the teacher's number is known."""
    if bool(config.base) == bool(config.keep_layers):
        both = "both keep_layers and base are given" if config.base else "neither keep_layers nor base is given"
        raise ConfigError(f"student: {both}", hint="give one: layers of the teacher to copy, or a model to start from")
    if len(set(config.keep_layers)) != len(config.keep_layers):
        raise ConfigError(f"student.keep_layers: {list(config.keep_layers)} names a layer twice", hint="name each once")
    highest = max(config.keep_layers, default=0)
    if min(config.keep_layers, default=0) < 0 or (teacher_layers is not None and highest >= teacher_layers):
        known = "0 upwards" if teacher_layers is None else f"0 to {teacher_layers - 1}"
        raise ConfigError(
            f"student.keep_layers: {list(config.keep_layers)} does not fit", hint=f"the teacher's layers are {known}"
        )


def keep_layers(teacher: Any, layers: tuple[int, ...]) -> Any:  # noqa: ANN401
    """A copy of a model with some of its layers, weights and all."""
    check_student(StudentConfig(keep_layers=layers), teacher.config.num_hidden_layers)
    prefix = find_layers(teacher)[0] + "."
    student = type(teacher)(cut_config(teacher.config, layers))
    weights = {}
    for name, tensor in teacher.state_dict().items():
        if not name.startswith(prefix):
            weights[name] = tensor
            continue
        number, _, rest = name[len(prefix) :].partition(".")
        if int(number) in layers:
            weights[f"{prefix}{layers.index(int(number))}.{rest}"] = tensor
    student.load_state_dict(weights)
    student.tie_weights()
    student.generation_config = copy.deepcopy(teacher.generation_config)
    setattr(student, STORED, stored_dtype(teacher))
    return student.to(next(teacher.parameters()).device).requires_grad_(True)


def cut_config(config: Any, layers: tuple[int, ...]) -> Any:  # noqa: ANN401
    """The config for so many layers, every per-layer list in it cut alike."""
    cut = copy.deepcopy(config)
    whole = config.num_hidden_layers
    for name, value in list(vars(config).items()):
        listed = isinstance(value, list | tuple) and len(value) == whole and not name.startswith("_")
        if listed and name != "architectures" and not name.endswith("_token_id"):
            setattr(cut, name, type(value)(value[layer] for layer in layers))
    if getattr(config, "attention_types", None) is not None:  # GPT-Neo tells its layers in runs
        cut.attention_types = [[[config.attention_layers[layer]], 1] for layer in layers]
    cut.num_hidden_layers = len(layers)
    return cut


def export_student(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    folder: Path,
    *,
    dtype: str = "fp32",
) -> None:
    """Save a student as a plain transformers folder; projections and taps are not part of it.

    ``dtype`` is fp32, bf16, fp16, or auto: as the model it was made from is stored.
    """
    import torch

    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    stored = known.get(dtype) or stored_dtype(model)
    saved = copy.deepcopy(model).to(stored) if stored != torch.float32 else model
    folder.mkdir(parents=True, exist_ok=True)
    saved.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read


def stored_dtype(model: Any) -> Any:  # noqa: ANN401
    """The floating type in which a model lies on disk; fp32 where that is not known."""
    import torch

    return getattr(model, STORED, torch.float32)
