"""Response losses as pure functions of logits: cross-entropy and T²·D(teacher ‖ student). ``fused`` has the fast one.

Every divergence takes log-probabilities of teacher (``log_p``) and student (``log_q``), shape (rows, vocabulary), and
gives one value a row, in nats. Rows are positions; label −100 leaves a row out.
"""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from curate.errors import ConfigError

IGNORED = -100
"""The label of a position that is not learned."""


def cross_entropy(logits: Tensor, labels: Tensor, *, denominator: int | None = None) -> Tensor:
    """Sum of −log q(label) over labelled rows, divided by ``denominator`` (their count unless given)."""
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / _count(labels, denominator)


def kd_divergence(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    divergence: str = "forward_kl",
    denominator: int | None = None,
) -> Tensor:
    """T²·D of the softened distributions over labelled rows, divided by ``denominator`` (their count unless given).

    T² keeps the gradient's size the same at every temperature (Hinton et al., 2015, section 2).
    """
    name, options = parse_divergence(divergence)
    keep = labels != IGNORED
    log_p = functional.log_softmax(teacher_logits[keep] / temperature, dim=-1)
    log_q = functional.log_softmax(student_logits[keep] / temperature, dim=-1)
    rows = DIVERGENCES[name](log_p, log_q, **options)
    return temperature**2 * rows.sum() / _count(labels, denominator)


def _count(labels: Tensor, denominator: int | None) -> int:
    """What a sum over rows is divided by."""
    return max(1, int((labels != IGNORED).sum()) if denominator is None else denominator)


def parse_divergence(spec: str) -> tuple[str, dict[str, float]]:
    """A name and its options: ``"jsd:0.5"`` is ``("jsd", {"beta": 0.5})``.

    Raises:
        ConfigError: no such divergence, or a parameter it does not take or that lies outside its range.
    """
    name, _, text = spec.partition(":")
    if name not in DIVERGENCES:
        raise ConfigError(f"divergence {spec!r}: no such loss", hint=f"choose one of {', '.join(DIVERGENCES)}")
    signature = inspect.signature(DIVERGENCES[name]).parameters.values()
    options = {item.name: float(item.default) for item in signature if item.kind is inspect.Parameter.KEYWORD_ONLY}
    if not text and ":" not in spec:
        return name, options
    if not options:
        raise ConfigError(f"divergence {spec!r}: {name} takes no parameter", hint=f"write {name}")
    option = next(iter(options))
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"divergence {spec!r}: {text!r} is not a number", hint=f"write {name}:0.5") from error
    if not 0.0 < value < 1.0:
        raise ConfigError(
            f"divergence {spec!r}: {option} must lie strictly between 0 and 1",
            hint="at the ends it is forward_kl, reverse_kl or nothing; name those instead",
        )
    return name, {option: value}


def forward_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q): cover everything the teacher does."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def reverse_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(q ‖ p): stay where the teacher is (MiniLLM, Gu et al., 2024)."""
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def jsd(log_p: Tensor, log_q: Tensor, *, beta: float = 0.5) -> Tensor:
    """β·KL(p ‖ m) + (1−β)·KL(q ‖ m) with m = β·p + (1−β)·q (GKD, Agarwal et al., 2024, eq. 1)."""
    log_m = log_mixture(log_p, log_q, beta)
    return beta * forward_kl(log_p, log_m) + (1 - beta) * forward_kl(log_q, log_m)


def skew_kl(log_p: Tensor, log_q: Tensor, *, skew: float = 0.1) -> Tensor:
    """KL(p ‖ λ·p + (1−λ)·q): forward KL with a bounded gradient (DistiLLM, Ko et al., 2024)."""
    return forward_kl(log_p, log_mixture(log_p, log_q, skew))


def log_mixture(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """log(share·p + (1−share)·q), without leaving log space."""
    here = torch.tensor(share, dtype=torch.float64)
    return torch.logaddexp(log_p + float(here.log()), log_q + float((1 - here).log()))


DIVERGENCES: dict[str, Callable[..., Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
    "skew_kl": skew_kl,
}
"""Every divergence by name; a keyword-only argument is what follows the colon."""
