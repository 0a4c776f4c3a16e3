"""Are two tokenizers the same one? Size does not tell: vocabulary, merges and special ids do."""

import json
from typing import Any

from curate.artifact import canonical_json, sha256_text
from curate.distillation.config import ULD, LossConfig
from curate.distillation.sides import is_seq2seq
from curate.errors import ConfigError

SPECIALS = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


def check_pair(teacher: tuple[Any, Any], student: tuple[Any, Any], losses: LossConfig) -> None:
    """Refuse (model, tokenizer) pairs that cannot be compared by the terms that are asked for.

    Raises:
        ConfigError: what does not go together, and the ways out.
    """
    deep = [name for name in ("feature", "attention") if getattr(losses, name).weight]
    if deep and not same_sides(teacher[0], student[0]):
        raise ConfigError(
            f"losses.{deep[0]}: one model has an encoder and the other has none, so their layers do not pair",
            hint=f"set losses.{deep[0]}.weight to 0, or choose a student like its teacher",
        )
    if deep or (losses.kd.weight and losses.kd.divergence != ULD):
        check_same_vocabulary(teacher[1], student[1], deep=bool(deep))


def read_alike(teacher: tuple[Any, Any], student: tuple[Any, Any]) -> bool:
    """Whether (model, tokenizer) pairs make the same tokens of the same prompt and answer."""
    return not find_difference(teacher[1], student[1]) and same_sides(teacher[0], student[0])


def same_sides(teacher: Any, student: Any) -> bool:  # noqa: ANN401 – transformers models
    """Whether both read prompt and answer alike: as one text, or with an encoder and a decoder."""
    return is_seq2seq(teacher.config) == is_seq2seq(student.config)


def check_same_vocabulary(teacher: Any, student: Any, *, deep: bool = False) -> None:  # noqa: ANN401
    """Refuse two tokenizers that would give the same text different ids.

    ``deep`` says that hidden states or attention maps are compared too, for which there is no way round.

    Raises:
        ConfigError: they differ; says in what, and the ways out.
    """
    difference = find_difference(teacher, student)
    if difference:
        off = "the weights of losses.feature and attention to 0 and " if deep else ""
        raise ConfigError(
            f"student and teacher do not share a tokenizer: {difference}",
            hint=f"set {off}losses.kd.divergence to {ULD} (universal logit distillation), or learn from answers "
            "alone: set the weights of losses.kd, feature and attention to 0; or use student.keep_layers, or a base "
            "with the teacher's tokenizer",
        )


def find_difference(teacher: Any, student: Any) -> str:  # noqa: ANN401
    """The first difference in words; empty if there is none."""
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if ours != theirs:
        wrong = sorted(token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token))
        return f"{len(wrong)} tokens, such as {wrong[0]!r}, have other ids (sizes {len(ours)} and {len(theirs)})"
    if _merges(teacher) != _merges(student):
        return "their merges differ"
    for name in SPECIALS:
        if getattr(teacher, name, None) != getattr(student, name, None):
            return f"{name} is {getattr(student, name, None)} for the student and {getattr(teacher, name, None)}"
    return ""


def _merges(tokenizer: Any) -> Any:  # noqa: ANN401
    """How text is split into tokens, as the fast tokenizer's own JSON tells it; None for a slow one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    payload = json.loads(backend.to_str())
    model = payload.get("model") or {}
    return model.get("type"), model.get("merges"), payload.get("normalizer"), payload.get("pre_tokenizer")


def fingerprint_tokenizer(tokenizer: Any) -> str:  # noqa: ANN401
    """What a tokenizer reads like: how it splits, its tokens, special ids and chat template."""
    specials = [getattr(tokenizer, name, None) for name in SPECIALS]
    template = getattr(tokenizer, "chat_template", None)
    return sha256_text(canonical_json([tokenizer.get_vocab(), _merges(tokenizer), specials, template]))


def choose_vocabulary(tokenizer: Any, teacher_rows: int, student_rows: int) -> int:  # noqa: ANN401
    """How many rows of both heads are compared: all where they agree, the tokenizer's where padding differs."""
    size = max(tokenizer.get_vocab().values()) + 1
    if size > min(teacher_rows, student_rows):
        raise ConfigError(
            f"the tokenizer has {size} tokens, but the heads have {teacher_rows} (teacher), {student_rows} (student)",
            hint="one of the models does not belong to its tokenizer",
        )
    return teacher_rows if teacher_rows == student_rows else size
