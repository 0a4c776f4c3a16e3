"""The engine of the fused loss: one pass over chunks of rows, values and gradients together.

Softmax and sums run in fp32 under bf16 matrix products (fp64 for fp64 input); rows are summed first, then in double:
one fp32 sum over a chunk of 12 million elements was measured to be off by 2e-4.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from curate.distillation.losses import IGNORED, parse_divergence
from curate.distillation.sweeps import SWEEPS, sweep_buckets

TILE_BYTES = 2 << 20
"""Bytes of the fp32 logits that are worked on at once on a CPU: what its second-level cache holds, about."""


HEAD_BLOCK = 1024
"""Tokens of the vocabulary whose bf16 gradients are added to the fp32 sum at once on a CPU, for the same reason."""


class Work(NamedTuple):
    """Everything the sweep needs beside the two tensors that may want gradients; see ``fused`` for the meanings."""

    labels: Tensor
    temperature: float
    task_weight: float
    kd_weight: float
    divergence: str
    chunk_tokens: int
    compute: torch.dtype
    """What the matrix products run in."""
    want_hidden: bool
    want_head: bool
    teacher_hidden: Tensor | None = None
    teacher_head: Tensor | None = None
    top_ids: Tensor | None = None
    top_log_probs: Tensor | None = None
    student_scale: float = 1.0
    teacher_scale: float = 1.0
    student_softcap: float | None = None
    teacher_softcap: float | None = None

    def pick(self, rows: Tensor) -> "Work":
        """The same work on some of the rows."""
        return self._replace(
            labels=self.labels[rows],
            teacher_hidden=None if self.teacher_hidden is None else self.teacher_hidden[rows],
            top_ids=None if self.top_ids is None else self.top_ids[rows],
            top_log_probs=None if self.top_log_probs is None else self.top_log_probs[rows],
        )


class FusedKd(torch.autograd.Function):
    """Values and gradients in one sweep; backward only hands the gradients out."""

    @staticmethod
    def forward(ctx, hidden: Tensor, head: Tensor, work: Work) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Loss, task and KD term; the gradients wait in ``ctx``."""
        keep = (work.labels != IGNORED).nonzero(as_tuple=True)[0]
        whole = keep.numel() == hidden.shape[0]
        rows = hidden if whole else hidden[keep]
        if not whole:
            work = work.pick(keep)
        sweep = _Sweep(rows, head, work)
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
        """Hand the gradients out."""
        grads = [
            grad if grad is None or float(upstream) == 1.0 else grad * upstream.to(grad.dtype)
            for grad in ctx.saved_tensors
        ]
        return grads[0], grads[1], None


class _Sweep:
    """One pass over the labelled rows."""

    def __init__(self, rows: Tensor, head: Tensor, work: Work) -> None:
        self.rows, self.head, self.work = rows, head, work
        self.precise = torch.float64 if rows.dtype == torch.float64 else torch.float32
        self.count = max(1, rows.shape[0])
        self.name, self.options = parse_divergence(work.divergence)
        self.task_sum = torch.zeros((), dtype=torch.float64, device=rows.device)
        self.kd_sum = torch.zeros_like(self.task_sum)
        self.grad_hidden = torch.zeros_like(rows) if work.want_hidden else None
        self.grad_head = torch.zeros(head.shape, dtype=self.precise, device=head.device) if work.want_head else None

    def run(self) -> None:
        """Go through all chunks; the large buffers are the same for each, since new ones cost page faults."""
        work = self.work
        head = self.head.to(work.compute)
        self.teacher_head = None if work.teacher_head is None else work.teacher_head.to(work.compute)
        count = min(work.chunk_tokens, self.rows.shape[0])
        raw = head.new_empty(count, head.shape[0])
        teacher_raw = torch.empty_like(raw) if work.kd_weight and work.teacher_hidden is not None else None
        for start in range(0, self.rows.shape[0], work.chunk_tokens):
            place = slice(start, min(start + work.chunk_tokens, self.rows.shape[0]))
            hidden = self.rows[place].to(work.compute)
            logits = torch.mm(hidden, head.T, out=raw[: hidden.shape[0]])
            grad = self._slope(logits, self._teacher_raw(place, teacher_raw), start)
            if grad is None:
                continue
            if self.grad_hidden is not None:
                self.grad_hidden[place] = (grad @ head).to(self.grad_hidden.dtype)
            if self.grad_head is not None:
                _add_product(self.grad_head, grad, hidden)
        if self.grad_head is not None:
            self.grad_head = self.grad_head.to(self.head.dtype)

    def means(self) -> tuple[Tensor, Tensor]:
        """Both terms in double."""
        return self.task_sum / self.count, self.kd_sum / self.count

    def _teacher_raw(self, place: slice, out: Tensor | None) -> Tensor | None:
        """What the teacher's head gives for a chunk, before scale and softmax."""
        work = self.work
        if out is None or work.teacher_hidden is None or self.teacher_head is None:
            return None
        hidden = work.teacher_hidden[place].to(work.compute)
        return torch.mm(hidden, self.teacher_head.T, out=out[: hidden.shape[0]])

    def _slope(self, raw: Tensor, teacher_raw: Tensor | None, start: int) -> Tensor | None:
        """Add a chunk's sums, a few rows at a time; their slopes take the place of the student's raw output.

        On a CPU the rows are so few that they stay in its cache from one operation to the next.
        """
        work, some = self.work, False
        count = raw.shape[0]
        tile = max(1, TILE_BYTES // (raw.shape[1] * 4)) if raw.device.type == "cpu" else max(1, count)
        for first in range(0, count, tile):
            here = slice(first, min(count, first + tile))
            place = slice(start + here.start, start + here.stop)
            logits = cap(raw[here].to(self.precise), work.student_scale, work.student_softcap)
            log_p = self._log_p(None if teacher_raw is None else teacher_raw[here], place) if work.kd_weight else None
            grad = self._chunk(logits, log_p, place)
            if grad is not None:
                raw[here], some = grad, True
        return raw if some else None

    def _log_p(self, raw: Tensor | None, place: slice) -> Tensor | None:
        """The teacher's softened log-probabilities: of the whole vocabulary, or of a cache's buckets."""
        work = self.work
        if work.top_log_probs is not None:
            return work.top_log_probs[place].to(self.precise).log_softmax(-1)
        if raw is None:
            return None
        logits = cap(raw.to(self.precise), work.teacher_scale, work.teacher_softcap)
        return logits.div_(work.temperature).log_softmax(-1)

    def _chunk(self, logits: Tensor, log_p: Tensor | None, place: slice) -> Tensor | None:
        """Add a chunk's sums; the gradient by the head's raw output, or None where nobody wants it."""
        work = self.work
        wanted = work.want_hidden or work.want_head
        bend = self._bend(logits) if wanted else 1.0
        grad: Tensor | None = None
        log_q: Tensor | None = None
        if work.task_weight:
            log_q = logits.log_softmax(-1)
            grad = self._task(log_q, work.labels[place, None], wanted)
        if log_p is not None:
            if log_q is None or work.temperature != 1.0:
                log_q = logits.div_(work.temperature).log_softmax(-1)
            del logits
            slope = self._kd(log_p, log_q, place, wanted)
            if slope is not None:
                grad = slope if grad is None else grad.add_(slope)
        plain = grad is None or (isinstance(bend, float) and bend == 1.0)
        return grad if grad is None or plain else grad.mul_(bend)

    def _task(self, log_q: Tensor, labels: Tensor, wanted: bool) -> Tensor | None:
        """Cross-entropy: q minus one at the label."""
        self.task_sum -= log_q.gather(1, labels).sum(dtype=torch.float64)
        if not wanted:
            return None
        share = self.work.task_weight / self.count
        grad = log_q.exp().mul_(share)
        return grad.scatter_add_(1, labels, torch.full(labels.shape, -share, dtype=grad.dtype, device=grad.device))

    def _kd(self, log_p: Tensor, log_q: Tensor, place: slice, wanted: bool) -> Tensor | None:
        """T²·D and its slope by the student's logits."""
        sweep = SWEEPS[self.name]
        if self.work.top_ids is None:
            rows, slope = sweep(log_p, log_q, wanted, **self.options)
        else:
            rows, slope = sweep_buckets(sweep, log_p, log_q, self.work.top_ids[place], wanted, **self.options)
        self.kd_sum += self.work.temperature**2 * rows.sum(dtype=torch.float64)
        return None if slope is None else slope.mul_(self.work.kd_weight * self.work.temperature / self.count)

    def _bend(self, logits: Tensor) -> Tensor | float:
        """D logits / d raw output: the scale, times 1 − (logits / c)² where they are capped."""
        cap_at = self.work.student_softcap
        return self.work.student_scale * (1 - (logits / cap_at) ** 2) if cap_at else self.work.student_scale


def _add_product(total: Tensor, grad: Tensor, hidden: Tensor) -> None:
    """Add gradᵀ·hidden to the total. A bf16 product is cast to fp32 first: on a CPU, some tokens at a time."""
    if grad.dtype == total.dtype:
        total.addmm_(grad.T, hidden)
        return
    size = min(HEAD_BLOCK if total.device.type == "cpu" else total.shape[0], total.shape[0])
    narrow, wide = hidden.new_empty(size, hidden.shape[1]), total.new_empty(size, hidden.shape[1])
    for start in range(0, total.shape[0], size):
        block = total[start : start + size]
        product = torch.mm(grad[:, start : start + size].T, hidden, out=narrow[: block.shape[0]])
        block += wide[: block.shape[0]].copy_(product)


def cap(raw: Tensor, scale: float, softcap: float | None) -> Tensor:
    """Scaled and soft-capped logits, in place."""
    if scale != 1.0:
        raw.mul_(scale)
    return raw.div_(softcap).tanh_().mul_(softcap) if softcap else raw
