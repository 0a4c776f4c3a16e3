"""How good a model is on held-out prompts, and how close to its teacher; normalised as in training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from curate.distillation.answers import generate_answers
from curate.distillation.batches import Batch, Encoder, Example, collate, group_by_length
from curate.distillation.chunks import cap
from curate.distillation.fused import choose_chunk
from curate.distillation.losses import forward_kl, reverse_kl
from curate.distillation.results import Quality
from curate.distillation.signals import Head, Probe, find_head
from curate.errors import RunError
from curate.progress import Progress, silent

BATCH_TOKENS = 8192
LARGEST = 700.0
"""A mean loss above this has no perplexity that can be written down."""
MEMORY_BYTES = 256 << 20
"""At most so much of the teacher's states is kept from one examination to the next."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out prompts, encoded, with the true answer where there is one."""

    examples: tuple[Example, ...]
    truths: tuple[str, ...]
    """Empty where the answer is the teacher's."""
    domains: tuple[str, ...] = ()
    """Where each comes from, as far as that is known."""


class _Sheet:
    """What was counted, a row an example: tokens, loss, forward and reverse KL, agreements."""

    def __init__(self, count: int) -> None:
        self.counts = torch.zeros(count, 5, dtype=torch.float64)
        self.right: dict[int, bool] = {}
        """By row: whether every answer token was the first choice."""

    def add(self, rows: Sequence[int], owner: Tensor, columns: Sequence[Tensor]) -> None:
        """Add what was found at some positions, each of which belongs to one row of a batch."""
        found = torch.stack([column.double() for column in columns], 1).cpu()
        self.counts.index_add_(0, torch.tensor(list(rows))[owner.cpu()], found)

    def mark_domains(
        self, domains: Sequence[str], compared: bool, truths: Sequence[str], answered: dict[int, bool]
    ) -> dict[str, Quality]:
        """Figures by domain, where there are several."""
        names = sorted(set(domains))
        if len(names) < 2:
            return {}
        places = {name: [row for row, domain in enumerate(domains) if domain == name] for name in names}
        return {name or "(none)": self.mark(rows, compared, truths, answered) for name, rows in places.items()}

    def mark(self, rows: list[int], compared: bool, truths: Sequence[str], answered: dict[int, bool]) -> Quality:
        """Figures of some rows."""
        tokens, loss, forward, reverse, agreed = self.counts[rows].sum(0).tolist()
        known = [row for row in rows if row in answered and truths[row]]
        if not tokens:
            return Quality()
        return Quality(
            perplexity=math.exp(loss / tokens) if loss / tokens < LARGEST else None,
            kl_to_teacher=max(0.0, forward / tokens) if compared else None,
            reverse_kl=max(0.0, reverse / tokens) if compared else None,
            top1_agreement=agreed / tokens if compared else None,
            accuracy=sum(answered[row] for row in known) / len(known) if known else None,
        )


@dataclass(frozen=True)
class Exam:
    """The same questions, before and after."""

    teacher: Any
    held_out: HeldOut
    encoder: Encoder
    vocabulary: int
    progress: Progress
    memory: dict[int, Tensor] = field(default_factory=dict)

    def take(self, model: Any, stage: str, *, ask: bool = True) -> Quality:  # noqa: ANN401
        """Examine one model; see ``measure_quality``."""
        return measure_quality(
            model,
            self.teacher,
            self.held_out,
            self.encoder,
            vocabulary=self.vocabulary,
            memory=self.memory,
            stage=f"evaluate {stage}",
            ask=ask,
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
    memory: dict[int, Tensor] | None = None,
    stage: str = "evaluate",
    ask: bool = True,
    progress: Progress = silent,
) -> Quality:
    """Perplexity, KL to the teacher and back, top-1 agreement, and accuracy where truths are known; by domain too.

    ``teacher`` is None where the two do not share a tokenizer; then only what needs no teacher is measured.
    ``vocabulary`` cuts both heads; 0 leaves them whole. ``memory`` keeps the teacher's states of the answers from
    one call to the next with the same prompts, as far as they are small. Without ``ask`` nothing is generated, and
    accuracy stays unknown.
    """
    examples = held_out.examples
    if not examples:
        return Quality()
    was_training = model.training
    model.eval()
    sheet = _Sheet(len(examples))
    done = 0
    for rows in group_by_length([example.length for example in examples], BATCH_TOKENS):
        batch = collate([examples[row] for row in rows], encoder.pad).to(next(model.parameters()).device.type)
        _add_batch(sheet, model, teacher, batch, rows, vocabulary, memory)
        done += len(rows)
        progress(stage, done, len(examples))
    if not bool(sheet.counts.isfinite().all()):
        raise RunError(
            f"{stage}: the model gives numbers that are not finite", hint="look at its weights and precision"
        )
    answered = _answer(model, held_out, encoder, sheet.right) if ask and any(held_out.truths) else {}
    model.train(was_training)
    compared = teacher is not None
    quality = sheet.mark(list(range(len(examples))), compared, held_out.truths, answered)
    domains = sheet.mark_domains(held_out.domains, compared, held_out.truths, answered)
    return quality.model_copy(update={"domains": domains})


def _add_batch(
    sheet: _Sheet,
    model: Any,  # noqa: ANN401
    teacher: Any,  # noqa: ANN401
    batch: Batch,
    rows: Sequence[int],
    vocabulary: int,
    memory: dict[int, Tensor] | None,
) -> None:
    """Read one batch with both models and add what is counted."""
    ours = _remember(model, batch, rows[0], memory if model is teacher else None)
    theirs = None if teacher is None or teacher is model else _remember(teacher, batch, rows[0], memory)
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
        ones = torch.ones_like(best)
        forward = reverse = torch.zeros_like(best)
        agreed = ones
        if teacher_head is not None and theirs is not None:
            log_p = _log_probabilities(teacher_head, theirs[place], vocabulary)
            forward, reverse = forward_kl(log_p, log_q), reverse_kl(log_p, log_q)
            agreed = best == log_p.argmax(-1)
        losses = -log_q.gather(1, labels[place, None])[:, 0]
        sheet.add(rows, owner[place], [ones, losses, forward, reverse, agreed])
    wrong = set(owner[~right].tolist())
    sheet.right.update({row: place not in wrong for place, row in enumerate(rows)})


def _remember(model: Any, batch: Batch, number: int, memory: dict[int, Tensor] | None) -> Tensor:  # noqa: ANN401
    """The last states of a batch's answers, read once where a memory has room for them."""
    if memory is not None and number in memory:
        return memory[number]
    states: Tensor = Probe(model)(batch).last[batch.predicts]
    if memory is not None and sum(known.nbytes for known in memory.values()) + states.nbytes <= MEMORY_BYTES:
        memory[number] = states
    return states


def _log_probabilities(head: Head, states: Tensor, vocabulary: int) -> Tensor:
    """Log-softmax in fp32, (rows, vocabulary)."""
    states, weight = head.split(states, vocabulary or head.weight.shape[0])
    return cap((states @ weight.T).float(), head.scale, head.softcap).log_softmax(-1)


def _answer(model: Any, held_out: HeldOut, encoder: Encoder, right: dict[int, bool]) -> dict[int, bool]:  # noqa: ANN401
    """By row, whether the greedy answer equals the true one, case and white space aside.

    Where every answer token was the model's first choice, the greedy answer is the true one and need not be generated.
    The others are, and only as far as the longest true answer reaches.
    """
    known = [row for row, truth in enumerate(held_out.truths) if truth]
    todo = [row for row in known if not right[row]]
    answered = dict.fromkeys(known, True)
    if todo:
        longest = max(len(held_out.examples[row].answer) for row in todo) + 2
        prompts = [held_out.examples[row].prompt for row in todo]
        answers = generate_answers(model, encoder, prompts, max_new_tokens=longest)
        for answer, row in zip(answers, todo, strict=True):
            answered[row] = normalise(answer) == normalise(held_out.truths[row])
    return answered


def normalise(text: str) -> str:
    """Lower case, runs of white space as one blank."""
    return " ".join(text.casefold().split())
