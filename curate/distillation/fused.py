"""Task and response loss from hidden states, chunk by chunk: nothing of size tokens × vocabulary is ever held.

The gradients are computed in the forward pass, while a chunk's logits are at hand, so logits are made once and dropped.
Softmax and sums run in fp32 under bf16 matrix products (fp64 for fp64 input); rows are summed first, then in double:
one fp32 sum over a chunk of 12 million elements was measured to be off by 2e-4.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from curate.distillation.losses import IGNORED, parse_divergence
from curate.distillation.sweeps import SWEEPS

CHUNK_BYTES = {"cpu": 160 << 20, "cuda": 2 << 30}
"""Memory for the three (rows, vocabulary) fp32 tensors of one chunk."""


class FusedTerms(NamedTuple):
    """The weighted loss, whose backward fills the gradients, and each term alone, as measured."""

    loss: Tensor
    task: Tensor
    """Mean cross-entropy over labelled rows; not differentiable, 0 where its weight is 0."""
    kd: Tensor
    """T²·D, mean over labelled rows; not differentiable, 0 where its weight is 0."""


class _Work(NamedTuple):
    """Everything the sweep needs beside the two tensors that may want gradients."""

    teacher_hidden: Tensor | None
    teacher_head: Tensor | None
    labels: Tensor
    temperature: float
    task_weight: float
    kd_weight: float
    divergence: str
    chunk_tokens: int
    student_scale: float
    teacher_scale: float
    student_softcap: float | None
    teacher_softcap: float | None
    compute: torch.dtype
    want_hidden: bool
    want_head: bool


def fused_kd_loss(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor | None,
    teacher_head: Tensor | None,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    task_weight: float = 0.0,
    kd_weight: float = 1.0,
    divergence: str = "forward_kl",
    chunk_tokens: int | None = None,
    student_scale: float = 1.0,
    teacher_scale: float = 1.0,
    student_softcap: float | None = None,
    teacher_softcap: float | None = None,
) -> Tensor:
    """task_weight·CE + kd_weight·T²·D, each the mean over labels ≠ −100; a scalar with gradients for the student.

    Args:
        student_hidden: (N, H_s), the states that enter the head; rows are aligned already, nothing is shifted here.
        student_head: (V, H_s), cut to the shared vocabulary by the caller.
        teacher_hidden: (N, H_t), or None where ``kd_weight`` is 0.
        teacher_head: (V, H_t), or None likewise.
        labels: (N,) token ids, −100 where a row is not learned.
        temperature: softens both distributions.
        task_weight: weight of the cross-entropy with the labels, at temperature 1.
        kd_weight: weight of the divergence.
        divergence: forward_kl, reverse_kl, jsd:β, skew_kl:λ.
        chunk_tokens: rows at a time; chosen from a memory budget unless given.
        student_scale: factor on the student's logits, as some families have; ``teacher_scale`` likewise.
        teacher_scale: factor on the teacher's logits.
        student_softcap: c in c·tanh(logits / c), as some families have; ``teacher_softcap`` likewise.
        teacher_softcap: the teacher's.

    Raises:
        ConfigError: unknown divergence.
        ValueError: shapes that do not fit.
    """
    return fused_kd_terms(
        student_hidden,
        student_head,
        teacher_hidden,
        teacher_head,
        labels,
        temperature=temperature,
        task_weight=task_weight,
        kd_weight=kd_weight,
        divergence=divergence,
        chunk_tokens=chunk_tokens,
        student_scale=student_scale,
        teacher_scale=teacher_scale,
        student_softcap=student_softcap,
        teacher_softcap=teacher_softcap,
    ).loss


def fused_kd_terms(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor | None,
    teacher_head: Tensor | None,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    task_weight: float = 0.0,
    kd_weight: float = 1.0,
    divergence: str = "forward_kl",
    chunk_tokens: int | None = None,
    student_scale: float = 1.0,
    teacher_scale: float = 1.0,
    student_softcap: float | None = None,
    teacher_softcap: float | None = None,
) -> FusedTerms:
    """What ``fused_kd_loss`` gives, with each term alone beside it."""
    parse_divergence(divergence)
    _check_shapes(student_hidden, student_head, teacher_hidden, teacher_head, labels, kd_weight)
    device = student_hidden.device.type
    autocast = torch.is_autocast_enabled(device)
    recording = torch.is_grad_enabled()
    work = _Work(
        teacher_hidden=None if teacher_hidden is None else teacher_hidden.detach(),
        teacher_head=None if teacher_head is None else teacher_head.detach(),
        labels=labels,
        temperature=temperature,
        task_weight=task_weight,
        kd_weight=kd_weight,
        divergence=divergence,
        chunk_tokens=chunk_tokens or choose_chunk(student_head.shape[0], device),
        student_scale=student_scale,
        teacher_scale=teacher_scale,
        student_softcap=student_softcap,
        teacher_softcap=teacher_softcap,
        compute=torch.get_autocast_dtype(device) if autocast else student_hidden.dtype,
        want_hidden=recording and student_hidden.requires_grad,
        want_head=recording and student_head.requires_grad,
    )
    with torch.autocast(device, enabled=False):
        return FusedTerms(*_FusedKd.apply(student_hidden, student_head, work))  # type: ignore[no-untyped-call]


def choose_chunk(vocabulary: int, device: str = "cpu") -> int:
    """Rows whose three fp32 logit tensors fit the memory budget."""
    return max(16, CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (3 * 4 * vocabulary))


def _check_shapes(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor | None,
    teacher_head: Tensor | None,
    labels: Tensor,
    kd_weight: float,
) -> None:
    """Refuse shapes that do not fit, before anything is computed."""
    rows, vocabulary = student_hidden.shape[0], student_head.shape[0]
    if labels.shape != (rows,):
        raise ValueError(f"labels have shape {tuple(labels.shape)}, not ({rows},)")
    if not kd_weight:
        return
    if teacher_hidden is None or teacher_head is None:
        raise ValueError("kd_weight is not 0, but there are no teacher states")
    if teacher_hidden.shape[0] != rows or teacher_head.shape[0] != vocabulary:
        raise ValueError(
            f"teacher has {teacher_hidden.shape[0]} rows and {teacher_head.shape[0]} tokens, "
            f"the student {rows} and {vocabulary}: align rows and cut the heads first"
        )


class _FusedKd(torch.autograd.Function):
    """Values and gradients in one sweep; backward only hands the gradients out."""

    @staticmethod
    def forward(ctx, hidden: Tensor, head: Tensor, work: _Work) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        keep = (work.labels != IGNORED).nonzero(as_tuple=True)[0]
        whole = keep.numel() == hidden.shape[0]
        rows = hidden if whole else hidden[keep]
        teacher_rows = work.teacher_hidden
        if teacher_rows is not None and not whole:
            teacher_rows = teacher_rows[keep]
        sweep = _Sweep(rows, head, teacher_rows, work.labels[keep], work)
        sweep.run()
        grad_hidden = sweep.grad_hidden
        if grad_hidden is not None and not whole:
            grad_hidden = torch.zeros_like(hidden).index_copy_(0, keep, grad_hidden)
        ctx.save_for_backward(grad_hidden, sweep.grad_head)
        task, kd = sweep.means()
        loss = work.task_weight * task + work.kd_weight * kd
        dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        results = (loss.to(dtype), task.to(dtype), kd.to(dtype))
        ctx.mark_non_differentiable(results[1], results[2])
        return results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: Tensor, _task: Tensor, _kd: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        grads = [
            grad if grad is None or float(upstream) == 1.0 else grad * upstream.to(grad.dtype)
            for grad in ctx.saved_tensors
        ]
        return grads[0], grads[1], None


class _Sweep:
    """One pass over the labelled rows."""

    def __init__(self, rows: Tensor, head: Tensor, teacher_rows: Tensor | None, labels: Tensor, work: _Work) -> None:
        self.rows, self.head, self.teacher_rows, self.labels, self.work = rows, head, teacher_rows, labels, work
        self.precise = torch.float64 if rows.dtype == torch.float64 else torch.float32
        self.count = max(1, rows.shape[0])
        self.name, self.options = parse_divergence(work.divergence)
        self.task_sum = torch.zeros((), dtype=torch.float64, device=rows.device)
        self.kd_sum = torch.zeros_like(self.task_sum)
        self.grad_hidden = torch.empty_like(rows) if work.want_hidden else None
        self.grad_head = torch.zeros(head.shape, dtype=self.precise, device=head.device) if work.want_head else None

    def run(self) -> None:
        """Go through all chunks."""
        work = self.work
        head = self.head.to(work.compute)
        teacher_head = work.teacher_head.to(work.compute) if work.kd_weight and work.teacher_head is not None else None
        for start in range(0, self.rows.shape[0], work.chunk_tokens):
            place = slice(start, start + work.chunk_tokens)
            hidden = self.rows[place].to(work.compute)
            log_p = None
            if teacher_head is not None and self.teacher_rows is not None:
                log_p = self._teacher(self.teacher_rows[place].to(work.compute), teacher_head)
            grad = self._chunk(self._logits(hidden, head), log_p, self.labels[place])
            del log_p
            if grad is None:
                continue
            grad = grad.to(work.compute)
            if self.grad_hidden is not None:
                self.grad_hidden[place] = (grad @ head).to(self.grad_hidden.dtype)
            if self.grad_head is not None:
                if grad.dtype == self.grad_head.dtype:
                    self.grad_head.addmm_(grad.T, hidden)
                else:
                    self.grad_head += grad.T @ hidden
        if self.grad_head is not None:
            self.grad_head = self.grad_head.to(self.head.dtype)

    def means(self) -> tuple[Tensor, Tensor]:
        """Both terms in double."""
        return self.task_sum / self.count, self.kd_sum / self.count

    def _logits(self, hidden: Tensor, head: Tensor) -> Tensor:
        return cap((hidden @ head.T).to(self.precise), self.work.student_scale, self.work.student_softcap)

    def _teacher(self, hidden: Tensor, head: Tensor) -> Tensor:
        logits = cap((hidden @ head.T).to(self.precise), self.work.teacher_scale, self.work.teacher_softcap)
        return logits.div_(self.work.temperature).log_softmax(-1)

    def _chunk(self, logits: Tensor, log_p: Tensor | None, labels: Tensor) -> Tensor | None:
        """Add a chunk's sums; the gradient by the head's raw output, or None where nobody wants it."""
        work = self.work
        wanted = work.want_hidden or work.want_head
        bend = self._bend(logits) if wanted else None
        grad: Tensor | None = None
        log_q: Tensor | None = None
        if work.task_weight:
            log_q = logits.log_softmax(-1)
            self.task_sum -= log_q.gather(1, labels[:, None]).sum(dtype=torch.float64)
            if wanted:
                grad = log_q.exp().mul_(work.task_weight / self.count)
                mark = torch.full(
                    (len(labels), 1), -work.task_weight / self.count, dtype=grad.dtype, device=grad.device
                )
                grad.scatter_add_(1, labels[:, None], mark)
        if log_p is not None:
            if log_q is None or work.temperature != 1.0:
                log_q = logits.div_(work.temperature).log_softmax(-1)
            del logits
            rows, slope = SWEEPS[self.name](log_p, log_q, wanted, **self.options)
            self.kd_sum += work.temperature**2 * rows.sum(dtype=torch.float64)
            if slope is not None:
                slope = slope.mul_(work.kd_weight * work.temperature / self.count)
                grad = slope if grad is None else grad.add_(slope)
        return grad if grad is None or bend is None else grad.mul_(bend)

    def _bend(self, logits: Tensor) -> Tensor | float:
        """D logits / d raw output: the scale, times 1 − (logits / c)² where they are capped."""
        cap_at = self.work.student_softcap
        return self.work.student_scale * (1 - (logits / cap_at) ** 2) if cap_at else self.work.student_scale


def cap(raw: Tensor, scale: float, softcap: float | None) -> Tensor:
    """Scaled and soft-capped logits, in place."""
    if scale != 1.0:
        raw.mul_(scale)
    return raw.div_(softcap).tanh_().mul_(softcap) if softcap else raw
