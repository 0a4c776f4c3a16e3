"""Universal logit distillation: a teacher with another tokenizer (ULD, Boizard et al., 2024, section 3.2).

Token ids mean nothing across vocabularies, but shapes of distributions do: at each pair of answer positions both
softmaxes are sorted by size, the shorter one is filled up with zeros, and Σ |p₍ᵢ₎ − q₍ᵢ₎| is taken, which is the
Wasserstein-1 distance where any two tokens are as far apart as any others. Answers are paired position by position,
as far as the shorter one goes. Chunk by chunk, values and gradients together; no tensor is tokens × vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from curate.distillation.chunks import cap
from curate.distillation.fused import FusedTerms, choose_chunk, fused_kd_terms


@dataclass(frozen=True)
class HeadOptions:
    """What a family puts on its logits."""

    scale: float = 1.0
    softcap: float | None = None


@dataclass(frozen=True)
class _Work:
    """Everything the sweep needs beside the two tensors that may want gradients."""

    teacher_hidden: Tensor
    teacher_head: Tensor
    temperature: float
    chunk_tokens: int
    compute: torch.dtype
    student: HeadOptions
    teacher: HeadOptions
    want: bool


def fused_uld_terms(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor,
    teacher_head: Tensor,
    labels: Tensor,
    pairs: Tensor,
    *,
    temperature: float = 1.0,
    task_weight: float = 0.0,
    kd_weight: float = 1.0,
    chunk_tokens: int | None = None,
    student: HeadOptions = HeadOptions(),
    teacher: HeadOptions = HeadOptions(),
) -> FusedTerms:
    """task_weight·CE + kd_weight·ULD, each divided by the number of labels; and both terms alone.

    There is no T²: the distance is bounded by 2 at every temperature, and the paper has none.

    Args:
        student_hidden: (N, H_s), what enters the student's head.
        student_head: (V_s, H_s).
        teacher_hidden: (M, H_t), of the teacher's answer positions.
        teacher_head: (V_t, H_t).
        labels: (N,) token ids of the student's vocabulary.
        pairs: (P, 2), rows of the student with rows of the teacher; see ``pair_positions``.
        temperature: softens both distributions.
        task_weight: weight of the cross-entropy, at temperature 1.
        kd_weight: weight of the distance.
        chunk_tokens: rows at a time; chosen from a memory budget unless given.
        student: scale and soft cap of the student's logits.
        teacher: the teacher's.
    """
    device = student_hidden.device.type
    task = fused_kd_terms(
        student_hidden,
        student_head,
        None,
        None,
        labels,
        task_weight=task_weight,
        kd_weight=0.0,
        chunk_tokens=chunk_tokens,
        student_scale=student.scale,
        student_softcap=student.softcap,
    )
    rows = max(student_head.shape[0], teacher_head.shape[0])
    work = _Work(
        teacher_hidden=teacher_hidden.detach()[pairs[:, 1]],
        teacher_head=teacher_head.detach(),
        temperature=temperature,
        chunk_tokens=chunk_tokens or max(16, choose_chunk(rows, device) // 3),  # sorting takes places beside values
        compute=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else student_hidden.dtype,
        student=student,
        teacher=teacher,
        want=torch.is_grad_enabled() and (student_hidden.requires_grad or student_head.requires_grad),
    )
    with torch.autocast(device, enabled=False):
        total = _RankDistance.apply(student_hidden[pairs[:, 0]], student_head, work)  # type: ignore[no-untyped-call]
    kd = total / max(1, labels.shape[0])
    return FusedTerms(task.loss + kd_weight * kd, task.task, kd.detach())


def pair_positions(ours: Tensor, theirs: Tensor) -> Tensor:
    """(P, 2) of answer positions paired row by row, as far as the shorter answer goes.

    Args:
        ours: (rows, positions), true where the student predicts an answer token.
        theirs: the teacher's mask of the same rows.
    """
    counts = torch.stack([ours.sum(1), theirs.sum(1)], 1)
    starts = counts.cumsum(0) - counts
    shared = counts.amin(1)
    within = torch.cat([torch.arange(int(count), device=ours.device) for count in shared])
    return starts.repeat_interleave(shared, 0) + within[:, None]


class _RankDistance(torch.autograd.Function):
    """The sum over rows; gradients are found on the way and handed out in backward."""

    @staticmethod
    def forward(ctx, hidden: Tensor, head: Tensor, work: _Work) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """The distance summed over rows."""
        precise = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        weight, teacher_weight = head.to(work.compute), work.teacher_head.to(work.compute)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        grad_hidden = torch.zeros_like(hidden) if work.want else None
        grad_head = torch.zeros(head.shape, dtype=precise, device=head.device) if work.want else None
        for start in range(0, hidden.shape[0], work.chunk_tokens):
            place = slice(start, start + work.chunk_tokens)
            states = hidden[place].to(work.compute)
            teacher_raw = (work.teacher_hidden[place].to(work.compute) @ teacher_weight.T).to(precise)
            rows, slope = _rank_rows((states @ weight.T).to(precise), teacher_raw, work)
            total += rows.sum(dtype=torch.float64)
            if grad_hidden is not None and grad_head is not None:
                slope = slope.to(work.compute)
                grad_hidden[place] = (slope @ weight).to(hidden.dtype)
                grad_head += slope.T @ states
        ctx.save_for_backward(grad_hidden, None if grad_head is None else grad_head.to(head.dtype))
        return total.to(precise)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Hand the gradients out."""
        hidden, head = (None if grad is None else grad * upstream.to(grad.dtype) for grad in ctx.saved_tensors)
        return hidden, head, None


def _rank_rows(raw: Tensor, teacher_raw: Tensor, work: _Work) -> tuple[Tensor, Tensor]:
    """One value a row, and its slope by the head's raw output."""
    options = work.student
    logits = cap(raw, options.scale, options.softcap)
    bend = options.scale * (1 - (logits / options.softcap) ** 2) if options.softcap else options.scale
    q = (logits / work.temperature).softmax(-1)
    p = (cap(teacher_raw, work.teacher.scale, work.teacher.softcap) / work.temperature).softmax(-1)
    ranked_p = p.sort(-1, descending=True).values
    ranked_q, places = q.sort(-1, descending=True)
    width = ranked_q.shape[1]
    beyond = ranked_p[:, width:].sum(-1)
    gap = ranked_q
    gap[:, : ranked_p.shape[1]] -= ranked_p[:, :width]
    rows = gap.abs().sum(-1) + beyond
    pull = torch.empty_like(q).scatter_(1, places, gap.sign())
    slope = q * (pull - (q * pull).sum(-1, keepdim=True)) / work.temperature
    return rows, slope * bend
