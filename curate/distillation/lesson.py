"""Which prompts teach and which examine, each with its answer: a true one where the file has it, else the teacher's."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from curate.artifact import write_text
from curate.distillation.answer_file import Answer
from curate.distillation.batches import Encoder, Example
from curate.distillation.config import DistillConfig
from curate.distillation.evaluate import HeldOut, normalise
from curate.distillation.loading import find_start
from curate.distillation.rows import Row, answer_column, read_rows
from curate.errors import PromptsError

AnswerCheck = Callable[[str, bool], str]
"""Takes an answer and whether it ended by itself; says why it must not teach, or nothing. Handed in by ``runs``."""
EXAM = "exam:"
"""Before the ids of evaluation prompts in the answer file, which may be those of training prompts."""


@dataclass(frozen=True)
class Lesson:
    """Everything to learn from and to be examined on."""

    examples: tuple[Example, ...]
    held_out: HeldOut
    answers_from_file: int
    """Of the examples."""
    dropped: "tuple[Dropped, ...]" = ()


@dataclass(frozen=True)
class Dropped:
    """A row whose answer is not fit to teach, nor to examine."""

    id: str
    reason: str
    detail: str = ""
    filter: str = "answer"


def prepare_lesson(
    config: DistillConfig,
    prompts: Path,
    ask: Callable[[Sequence[Row]], dict[str, Answer]],
    student_reads: Encoder,
    *,
    folder: Path,
    anchor: Path,
    check: AnswerCheck | None = None,
    teacher_reads: Encoder | None = None,
) -> Lesson:
    """Read, split, ask where no true answer is known, drop what must not teach, encode.

    With ``teacher_reads`` examples know how the teacher reads them, too.
    Leaves ``folder/dropped.jsonl`` where answers were dropped: id, filter and reason of each.
    """
    rows = read_rows(prompts, answers=config.answers)
    learning, examining = split_rows(rows, config, anchor)
    if not learning:
        raise PromptsError(f"{prompts}: no prompts to learn from", hint="approve more, or hold fewer out")
    answers = ask([row for row in [*learning, *examining] if not row.answer])
    dropped = _judge(answers, check)
    gone = {one.id for one in dropped}
    _tell_dropped(folder / "dropped.jsonl", dropped)
    learning = [row for row in learning if row.id not in gone]
    examining = [row for row in examining if row.id not in gone]
    if not learning:
        raise PromptsError(
            f"{prompts}: none of the {len(dropped)} answers is fit to teach; the first: {dropped[0].reason}",
            hint=f"look at {folder / 'dropped.jsonl'}",
        )
    return Lesson(
        examples=_encode_twice(student_reads, teacher_reads, learning, answers),
        held_out=HeldOut(
            _encode(student_reads, examining, answers),
            tuple(row.answer for row in examining),
            tuple(row.domain for row in examining),
        ),
        answers_from_file=sum(bool(row.answer) for row in learning),
        dropped=dropped,
    )


def _tell_dropped(path: Path, dropped: Sequence[Dropped]) -> None:
    """Write what was dropped, if anything was."""
    path.unlink(missing_ok=True)
    if dropped:
        write_text(path, "".join(json.dumps(vars(one), ensure_ascii=False) + "\n" for one in dropped))


def _judge(answers: dict[str, Answer], check: AnswerCheck | None) -> tuple[Dropped, ...]:
    """Answers that must not teach: none was given, or the check says so."""
    dropped = []
    for name, answer in answers.items():
        if answer.finish == "error":
            dropped.append(Dropped(name, "refused by the server", answer.why))
        elif answer.finish == "content_filter":
            dropped.append(Dropped(name, "stopped by the server's content filter"))
        elif check is not None and (reason := check(answer.text, answer.finish != "length")):
            dropped.append(Dropped(name, reason))
    return tuple(dropped)


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


def _encode_twice(
    encoder: Encoder, teacher_reads: Encoder | None, rows: Sequence[Row], answers: dict[str, Answer]
) -> tuple[Example, ...]:
    """Examples of the student, each with its twin of the teacher where that reads otherwise."""
    examples = _encode(encoder, rows, answers)
    if teacher_reads is None:
        return examples
    twins = _encode(teacher_reads, rows, answers)
    return tuple(replace(example, twin=twin) for example, twin in zip(examples, twins, strict=True))


def _encode(encoder: Encoder, rows: Sequence[Row], answers: dict[str, Answer]) -> tuple[Example, ...]:
    """Examples; an answer that was cut has no end token, however few tokens of the student's it comes to."""
    texts = [row.answer or answers[row.id].text for row in rows]
    examples = encoder.encode([row.id for row in rows], [row.prompt for row in rows], texts)
    cut = {row.id for row in rows if not row.answer and answers[row.id].finish == "length"}
    return tuple(
        replace(one, answer=one.answer[:-1])
        if one.id in cut and one.answer[1:] and one.answer[-1] == encoder.end
        else one
        for one in examples
    )


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
