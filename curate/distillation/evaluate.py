"""How good a model is on held-out prompts, and how close to its teacher; normalised as in training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from curate.distillation.answers import generate_answers
from curate.distillation.batches import Encoder, Example, collate, group_by_length
from curate.distillation.chunks import cap
from curate.distillation.fused import choose_chunk
from curate.distillation.results import Quality
from curate.distillation.signals import Head, Probe, find_head
from curate.errors import RunError
from curate.progress import Progress, silent

BATCH_TOKENS = 8192


@dataclass(frozen=True)
class HeldOut:
    """Held-out prompts, encoded, with the true answer where there is one."""

    examples: tuple[Example, ...]
    truths: tuple[str, ...]
    """Empty where the answer is the teacher's."""


@dataclass
class _Sums:
    tokens: int = 0
    loss: float = 0.0
    divergence: float = 0.0
    agreed: int = 0


@dataclass(frozen=True)
class Exam:
    """The same questions, before and after."""

    teacher: Any
    held_out: HeldOut
    encoder: Encoder
    vocabulary: int
    progress: Progress

    def take(self, model: Any, stage: str) -> Quality:  # noqa: ANN401
        """Examine one model; see ``measure_quality``."""
        return measure_quality(
            model,
            self.teacher,
            self.held_out,
            self.encoder,
            vocabulary=self.vocabulary,
            stage=f"evaluate {stage}",
            progress=self.progress,
        )


@torch.no_grad()
def measure_quality(
    model: Any,  # noqa: ANN401 – transformers models
    teacher: Any,  # noqa: ANN401
    held_out: HeldOut,
    encoder: Encoder,
    *,
    vocabulary: int = 0,
    stage: str = "evaluate",
    progress: Progress = silent,
) -> Quality:
    """Perplexity, KL to the teacher, top-1 agreement, and accuracy where true answers are known.

    ``teacher`` is None where the two do not share a tokenizer; then only what needs no teacher is measured.
    ``vocabulary`` cuts both heads; 0 leaves them whole.
    """
    examples = held_out.examples
    if not examples:
        return Quality()
    was_training = model.training
    model.eval()
    sums = _Sums()
    hits: dict[int, bool] = {}
    done = 0
    for rows in group_by_length([example.length for example in examples], BATCH_TOKENS):
        _add_batch(sums, hits, model, teacher, [examples[row] for row in rows], rows, encoder.pad, vocabulary)
        done += len(rows)
        progress(stage, done, len(examples))
    if not math.isfinite(sums.loss + sums.divergence):
        raise RunError(
            f"{stage}: the model gives numbers that are not finite", hint="look at its weights and precision"
        )
    accuracy = _accuracy(model, held_out, encoder, hits) if any(held_out.truths) else None
    model.train(was_training)
    mean = sums.loss / sums.tokens
    return Quality(
        perplexity=math.exp(mean) if mean < 700 else None,
        kl_to_teacher=None if teacher is None else max(0.0, sums.divergence / sums.tokens),
        top1_agreement=None if teacher is None else sums.agreed / sums.tokens,
        accuracy=accuracy,
    )


def _add_batch(
    sums: _Sums,
    hits: dict[int, bool],
    model: Any,  # noqa: ANN401
    teacher: Any,  # noqa: ANN401
    examples: Sequence[Example],
    rows: Sequence[int],
    pad: int,
    vocabulary: int,
) -> None:
    """Read one batch with both models and add what is counted."""
    batch = collate(examples, pad).to(next(model.parameters()).device.type)
    ours = Probe(model)(batch).last[batch.predicts]
    theirs = None if teacher is None or teacher is model else Probe(teacher)(batch).last[batch.predicts]
    labels = batch.labels
    head, teacher_head = find_head(model), None if teacher is None else find_head(teacher)
    owner = batch.predicts.nonzero()[:, 0]
    right = torch.zeros_like(labels, dtype=torch.bool)
    step = choose_chunk(head.weight.shape[0])
    for start in range(0, len(labels), step):
        place = slice(start, start + step)
        log_q = _log_probabilities(head, ours[place], vocabulary)
        best = log_q.argmax(-1)
        right[place] = best == labels[place]
        sums.loss -= float(log_q.gather(1, labels[place, None]).sum(dtype=torch.float64))
        if teacher_head is not None and theirs is not None:
            log_p = _log_probabilities(teacher_head, theirs[place], vocabulary)
            sums.divergence += float((log_p.exp() * (log_p - log_q)).sum(-1).sum(dtype=torch.float64))
            best = best == log_p.argmax(-1)
        sums.agreed += len(best) if theirs is None else int(best.sum())
    sums.tokens += len(labels)
    wrong = set(owner[~right].tolist())
    hits.update({row: place not in wrong for place, row in enumerate(rows)})


def _log_probabilities(head: Head, states: Tensor, vocabulary: int) -> Tensor:
    """Log-softmax in fp32, (rows, vocabulary)."""
    states, weight = head.split(states, vocabulary or head.weight.shape[0])
    return cap((states @ weight.T).float(), head.scale, head.softcap).log_softmax(-1)


def _accuracy(model: Any, held_out: HeldOut, encoder: Encoder, hits: dict[int, bool]) -> float:  # noqa: ANN401
    """Share of greedy answers that equal the true one, case and white space aside.

    Where every answer token was the model's first choice, the greedy answer is the true one and need not be generated.
    The others are, and only as far as the longest true answer reaches.
    """
    known = [row for row, truth in enumerate(held_out.truths) if truth]
    todo = [row for row in known if not hits[row]]
    right = len(known) - len(todo)
    if todo:
        longest = max(len(held_out.examples[row].answer) for row in todo) + 2
        prompts = [held_out.examples[row].prompt for row in todo]
        answers = generate_answers(model, encoder, prompts, max_new_tokens=longest)
        right += sum(
            normalise(answer) == normalise(held_out.truths[row]) for answer, row in zip(answers, todo, strict=True)
        )
    return right / len(known)


def normalise(text: str) -> str:
    """Lower case, runs of white space as one blank."""
    return " ".join(text.casefold().split())
