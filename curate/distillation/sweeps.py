"""The divergences of ``losses`` with their gradients, in place, for one chunk of the fused loss.

Each gives one value a row and its slope by the student's softened logits, or None where no slope is wanted. With
p the teacher's and q the student's probabilities and g = ∂D/∂q, the slope is q·(g − Σ q·g).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from curate.distillation.losses import log_mixture

Swept = tuple[Tensor, Tensor | None]
"""One value a row, and its slope by the student's softened logits. Sweeps may overwrite both inputs."""


def _forward_kl(log_p: Tensor, log_q: Tensor, wanted: bool) -> Swept:
    p = log_p.exp()
    rows = log_p.sub_(log_q).mul_(p).sum(-1)
    return rows, log_q.exp_().sub_(p) if wanted else None


def _reverse_kl(log_p: Tensor, log_q: Tensor, wanted: bool) -> Swept:
    q = log_q.exp()
    ratio = log_q.sub_(log_p)
    rows = torch.mul(q, ratio, out=log_p).sum(-1)
    return rows, ratio.sub_(rows[:, None]).mul_(q) if wanted else None


def _jsd(log_p: Tensor, log_q: Tensor, wanted: bool, *, beta: float) -> Swept:
    log_m = log_mixture(log_p, log_q, beta)
    q = log_q.exp()
    rows_p = log_p.exp().mul_(log_p.sub_(log_m)).sum(-1)
    ratio = log_q.sub_(log_m)
    rows_q = torch.mul(q, ratio, out=log_m).sum(-1)
    rows = beta * rows_p + (1 - beta) * rows_q
    return rows, ratio.sub_(rows_q[:, None]).mul_(q).mul_(1 - beta) if wanted else None


def _skew_kl(log_p: Tensor, log_q: Tensor, wanted: bool, *, skew: float) -> Swept:
    log_m = log_mixture(log_p, log_q, skew)
    p = log_p.exp()
    rows = log_p.sub_(log_m).mul_(p).sum(-1)
    if not wanted:
        return rows, None
    pull = p.div_(log_m.exp_()).mul_(log_q.exp_()).mul_(1 - skew)  # q · (1−λ) · p/m
    return rows, log_q.mul_(pull.sum(-1, keepdim=True)).sub_(pull)


SWEEPS: dict[str, Callable[..., Swept]] = {
    "forward_kl": _forward_kl,
    "reverse_kl": _reverse_kl,
    "jsd": _jsd,
    "skew_kl": _skew_kl,
}
"""The divergences of ``losses`` with their gradients, in place; a test holds both tables together."""


FLOOR = -30.0
"""The least log-probability of a bucket; an empty one would otherwise be minus infinity."""


def sweep_buckets(
    sweep: Callable[..., Swept], log_p: Tensor, log_q: Tensor, ids: Tensor, wanted: bool, **options: float
) -> Swept:
    """A divergence between buckets: one a listed token, one for all others.

    Args:
        sweep: one of ``SWEEPS``.
        log_p: (rows, k + 1), the teacher's, the last column for all others.
        log_q: (rows, vocabulary), the student's.
        ids: (rows, k), the listed tokens.
        wanted: whether the slope by the student's logits is.
        options: the divergence's.
    """
    listed = log_q.gather(1, ids)
    rest = log_q.scatter(1, ids, -torch.inf).logsumexp(-1, keepdim=True).clamp_min(FLOOR)
    rows, slope = sweep(log_p, torch.cat([listed, rest], 1), wanted, **options)
    if slope is None:
        return rows, None
    spread = log_q.sub_(rest).exp_().mul_(slope[:, -1:])  # the bucket's slope, shared as the student shares its mass
    return rows, spread.scatter_(1, ids, slope[:, :-1])
