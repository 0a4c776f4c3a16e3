"""The student: made from the teacher by keeping layers, or a model of its own; and how it leaves the house."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.distillation.config import StudentConfig
from curate.distillation.loading import STORED, load_model
from curate.distillation.sides import COUNTS, DECODER, ENCODER, count_layers, find_layers, is_seq2seq
from curate.distillation.signals import find_head
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
    return keep_layers(teacher, config.keep_layers, config.keep_encoder_layers), tokenizer


def check_student(config: StudentConfig, teacher: Mapping[str, int] | None = None) -> None:
    """Refuse a student that cannot be made; layers are checked where the teacher's numbers, by side, are known."""
    if bool(config.base) == bool(config.keep_layers):
        both = "both keep_layers and base are given" if config.base else "neither keep_layers nor base is given"
        raise ConfigError(f"student: {both}", hint="give one: layers of the teacher to copy, or a model to start from")
    if config.base and config.keep_encoder_layers:
        raise ConfigError("student: keep_encoder_layers does not go with base", hint="give keep_layers, or no layers")
    if config.keep_encoder_layers and teacher and ENCODER not in teacher:
        raise ConfigError("student.keep_encoder_layers: the teacher has no encoder", hint="leave it out")
    _check_kept("keep_layers", config.keep_layers, (teacher or {}).get(DECODER))
    _check_kept("keep_encoder_layers", config.keep_encoder_layers, (teacher or {}).get(ENCODER))


def _check_kept(name: str, layers: tuple[int, ...], count: int | None) -> None:
    """Refuse layers that are named twice or are not there."""
    if len(set(layers)) != len(layers):
        raise ConfigError(f"student.{name}: {list(layers)} names a layer twice", hint="name each once")
    if min(layers, default=0) < 0 or (count is not None and max(layers, default=0) >= count):
        known = "0 upwards" if count is None else f"0 to {count - 1}"
        raise ConfigError(f"student.{name}: {list(layers)} does not fit", hint=f"the teacher's layers are {known}")


def keep_layers(teacher: Any, layers: tuple[int, ...], encoder_layers: tuple[int, ...] = ()) -> Any:  # noqa: ANN401
    """A copy of a model with some of its decoder's layers, weights and all; of its encoder's too, if any are named."""
    counts = count_layers(teacher.config)
    check_student(StudentConfig(keep_layers=layers, keep_encoder_layers=encoder_layers), counts)
    if getattr(teacher, "is_quantized", False):
        raise ConfigError(
            "student.keep_layers: the teacher is loaded in 8 or 4 bits, which do not train",
            hint="give student.base, or load the teacher in bf16",
        )
    kept = {DECODER: layers, ENCODER: encoder_layers or tuple(range(counts.get(ENCODER, 0)))}
    prefixes = {find_layers(teacher, side)[0] + ".": kept[side] for side in counts}
    tied = find_head(teacher).weight is teacher.get_input_embeddings().weight
    student = type(teacher)(cut_config(teacher.config, kept, tied=tied))
    theirs = teacher.state_dict()
    student.load_state_dict({name: theirs[_origin(name, prefixes, theirs)] for name in student.state_dict()})
    if tied:
        student.tie_weights()
    else:  # the embedding may still be one with those of encoder and decoder
        student.set_input_embeddings(student.get_input_embeddings())
    student.generation_config = copy.deepcopy(teacher.generation_config)
    setattr(student, STORED, stored_dtype(teacher))
    return student.to(next(teacher.parameters()).device).requires_grad_(True)


def _origin(name: str, prefixes: Mapping[str, tuple[int, ...]], known: Mapping[str, Any]) -> str:
    """The teacher's name of a student's tensor."""
    for prefix, layers in prefixes.items():
        if name.startswith(prefix):
            number, _, rest = name[len(prefix) :].partition(".")
            own = f"{prefix}{layers[int(number)]}.{rest}"
            return own if own in known else f"{prefix}0.{rest}"  # T5 keeps its position bias in the first layer alone
    return name


def cut_config(config: Any, kept: Mapping[str, tuple[int, ...]], *, tied: bool = True) -> Any:  # noqa: ANN401
    """The config for so many layers a side, every list in it that goes by the decoder's layers cut alike."""
    cut = copy.deepcopy(config)
    layers, whole = kept[DECODER], count_layers(config)[DECODER]
    for name, value in list(vars(config).items()):
        listed = isinstance(value, list | tuple) and len(value) == whole and not name.startswith("_")
        if listed and name != "architectures" and not name.endswith("_token_id"):
            setattr(cut, name, type(value)(value[layer] for layer in layers))
    if getattr(config, "attention_types", None) is not None:  # GPT-Neo tells its layers in runs
        cut.attention_types = [[[config.attention_layers[layer]], 1] for layer in layers]
    if is_seq2seq(config):
        cut.num_hidden_layers = len(kept[ENCODER])
        decoder = next(name for name in COUNTS[DECODER] if getattr(config, name, None))
        setattr(cut, decoder, len(layers))
    else:
        cut.num_hidden_layers = len(layers)
    if not tied:
        cut.tie_word_embeddings = False
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
