"""Task and response loss from hidden states, chunk by chunk: nothing of size tokens × vocabulary is ever held.

The gradients are computed in the forward pass, while a chunk's logits are at hand, so logits are made once and dropped.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from curate.distillation.chunks import FusedKd, Work
from curate.distillation.losses import parse_divergence

CHUNK_BYTES = {"cpu": 160 << 20, "cuda": 2 << 30}
"""Memory for the three (rows, vocabulary) fp32 tensors of one chunk."""


class FusedTerms(NamedTuple):
    """The weighted loss, whose backward fills the gradients, and each term alone, as measured."""

    loss: Tensor
    task: Tensor
    """Mean cross-entropy over labelled rows; not differentiable, 0 where its weight is 0."""
    kd: Tensor
    """T²·D, mean over labelled rows; not differentiable, 0 where its weight is 0."""


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
    return _run(
        student_hidden,
        student_head,
        labels,
        teacher_hidden=None if teacher_hidden is None else teacher_hidden.detach(),
        teacher_head=None if teacher_head is None else teacher_head.detach(),
        temperature=temperature,
        task_weight=task_weight,
        kd_weight=kd_weight,
        divergence=divergence,
        chunk_tokens=chunk_tokens,
        student_scale=student_scale,
        teacher_scale=teacher_scale,
        student_softcap=student_softcap,
        teacher_softcap=teacher_softcap,
    )


def fused_topk_terms(
    student_hidden: Tensor,
    student_head: Tensor,
    top_ids: Tensor,
    top_log_probs: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    task_weight: float = 0.0,
    kd_weight: float = 1.0,
    divergence: str = "forward_kl",
    chunk_tokens: int | None = None,
    student_scale: float = 1.0,
    student_softcap: float | None = None,
) -> FusedTerms:
    """The same against a cached teacher: its k likeliest tokens, and one bucket for all others.

    ``top_ids`` is (N, k); ``top_log_probs`` is (N, k + 1) at ``temperature``, the last column the bucket's. The
    divergence between buckets is a lower bound of the whole one and meets it where k is the vocabulary.
    """
    parse_divergence(divergence)
    if top_ids.shape[0] != student_hidden.shape[0] or top_log_probs.shape[1] != top_ids.shape[1] + 1:
        raise ValueError(f"cached shapes {tuple(top_ids.shape)} and {tuple(top_log_probs.shape)} do not fit")
    return _run(
        student_hidden,
        student_head,
        labels,
        top_ids=top_ids,
        top_log_probs=top_log_probs,
        temperature=temperature,
        task_weight=task_weight,
        kd_weight=kd_weight,
        divergence=divergence,
        chunk_tokens=chunk_tokens,
        student_scale=student_scale,
        student_softcap=student_softcap,
    )


def _run(student_hidden: Tensor, student_head: Tensor, labels: Tensor, **options: Any) -> FusedTerms:  # noqa: ANN401
    """Fill in what the surroundings decide, and sweep."""
    device = student_hidden.device.type
    recording = torch.is_grad_enabled()
    options["chunk_tokens"] = options["chunk_tokens"] or choose_chunk(student_head.shape[0], device)
    work = Work(
        labels=labels,
        compute=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else student_hidden.dtype,
        want_hidden=recording and student_hidden.requires_grad,
        want_head=recording and student_head.requires_grad,
        **options,
    )
    with torch.autocast(device, enabled=False):
        return FusedTerms(*FusedKd.apply(student_hidden, student_head, work))  # type: ignore[no-untyped-call]


def choose_chunk(vocabulary: int, device: str = "cpu") -> int:
    """Rows whose three fp32 logit tensors fit the memory budget; a multiple of 64, as matrix products like it."""
    rows = CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (3 * 4 * vocabulary)
    return rows // 64 * 64 if rows >= 64 else max(16, rows)


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
