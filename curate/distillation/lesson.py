"""Which prompts teach and which examine, each with its answer: a true one where the file has it, else the teacher's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from curate.distillation.answers import AnswerFile, ask_teacher
from curate.distillation.batches import Encoder, Example
from curate.distillation.config import DistillConfig
from curate.distillation.evaluate import HeldOut, normalise
from curate.distillation.loading import find_start
from curate.distillation.rows import Row, answer_column, read_rows
from curate.errors import PromptsError
from curate.progress import Progress

EXAM = "exam:"
"""Before the ids of evaluation prompts in the answer file, which may be those of training prompts."""


@dataclass(frozen=True)
class Lesson:
    """Everything to learn from and to be examined on."""

    examples: tuple[Example, ...]
    held_out: HeldOut
    answers_from_file: int
    """Of the examples."""


def prepare_lesson(
    config: DistillConfig,
    prompts: Path,
    teacher: Any,  # noqa: ANN401 – a transformers model
    teacher_reads: Encoder,
    student_reads: Encoder,
    *,
    folder: Path,
    fingerprint: str,
    anchor: Path,
    progress: Progress,
    paired: bool = False,
) -> Lesson:
    """Read, split, ask the teacher where no true answer is known, encode.

    ``fingerprint`` is what the answers belong to; answers of the same one in ``folder`` are not asked for again.
    ``paired`` examples know how the teacher reads them, too.
    """
    rows = read_rows(prompts, answers=config.answers)
    learning, examining = split_rows(rows, config, anchor)
    if not learning:
        raise PromptsError(f"{prompts}: no prompts to learn from", hint="approve more, or hold fewer out")
    file = AnswerFile(folder / "answers.jsonl", fingerprint)
    todo = [row for row in [*learning, *examining] if not row.answer]
    answers = ask_teacher(
        teacher, teacher_reads, [row.id for row in todo], [row.prompt for row in todo], file, progress=progress
    )
    return Lesson(
        examples=_encode(student_reads, learning, answers, teacher_reads if paired else None),
        held_out=HeldOut(
            _encode(student_reads, examining, answers),
            tuple(row.answer for row in examining),
            tuple(row.domain for row in examining),
        ),
        answers_from_file=sum(bool(row.answer) for row in learning),
    )


def split_rows(rows: Sequence[Row], config: DistillConfig, anchor: Path) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows to be examined on; no prompt is in both."""
    if config.evaluation.file:
        path = anchor / config.evaluation.file
        examining = read_rows(path, answers=answer_column(path, config.answers))
        examining = [examining[place] for place in _some(len(examining), config.evaluation.max_prompts, config.seed)]
        asked = {normalise(row.prompt) for row in examining}
        learning = [row for row in rows if normalise(row.prompt) not in asked]
        return learning, [replace(row, id=EXAM + row.id) for row in examining]
    count = round(config.evaluation.fraction * len(rows))
    if config.evaluation.fraction and len(rows) > 1:
        count = max(1, count)
    held = set(_some(len(rows), min(count, config.evaluation.max_prompts), config.seed))
    asked = {normalise(rows[place].prompt) for place in held}
    learning = [row for place, row in enumerate(rows) if place not in held and normalise(row.prompt) not in asked]
    return learning, [row for place, row in enumerate(rows) if place in held]


def _some(count: int, at_most: int, seed: int) -> list[int]:
    """Row numbers of a seeded sample, in the file's order."""
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(order[:at_most])


def _encode(
    encoder: Encoder, rows: Sequence[Row], answers: dict[str, str], teacher_reads: Encoder | None = None
) -> tuple[Example, ...]:
    columns = [row.id for row in rows], [row.prompt for row in rows], [row.answer or answers[row.id] for row in rows]
    examples = encoder.encode(*columns)
    if teacher_reads is not None:
        twins = teacher_reads.encode(*columns)
        examples = [replace(example, twin=twin) for example, twin in zip(examples, twins, strict=True)]
    return tuple(examples)


def make_encoder(tokenizer: Any, config: DistillConfig, *models: Any) -> Encoder:  # noqa: ANN401
    """An encoder for the first of the models that fits every model's context."""
    rooms = [getattr(model.config, "max_position_embeddings", 0) or 0 for model in models if model is not None]
    return Encoder(
        tokenizer,
        max_prompt_tokens=config.max_prompt_tokens,
        max_answer_tokens=config.max_answer_tokens,
        context=min((room for room in rooms if room), default=0),
        start=find_start(models[0]) if models else None,
    )
