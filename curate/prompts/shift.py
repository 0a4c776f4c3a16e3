"""How far a prompt set lies from a reference: one function a distance, with the reference fixing every scale.

What a student gets wrong on the reference grows with these, slowly at first and steeply once on-target prompts run
out (docs/student-error.md); none of them is proportional to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.prompts.domain import domain_scores, held_out_scores
from curate.prompts.neighbors import top_neighbors
from curate.prompts.results import Metric
from curate.prompts.shares import wilson
from curate.prompts.sketches import Moments, covariance, moments

if TYPE_CHECKING:
    import numpy as np

PERMUTATIONS = 200
RESAMPLES = 200
QUANTILE = 0.95


@dataclass(frozen=True, eq=False)
class Compared:
    """Two samples of unit vectors: the prompts' and the reference's."""

    vectors: np.ndarray
    reference: np.ndarray
    seed: int = 0


def sqrt_mmd(seen: Compared) -> Metric:
    """Square root of the squared maximum mean discrepancy (Gretton et al. 2012), with a permutation p.

    RBF kernel, bandwidth the median distance within the reference. The V-statistic less what it has for sample size
    alone (a set's diagonal, which makes it the unbiased U-statistic), cut at 0: 0 to itself, at most about 1, linear in
    the off-topic share of a mixture. With the floor left in, a mixture of small share would be bent upwards (R² 0.985
    instead of 0.992 and more) and small sets would look farther than large ones. The interval is MMD² plus and minus
    1.96 bootstrap standard deviations, rooted.
    """
    import numpy as np

    kernel = rbf_kernel(np.concatenate([seen.vectors, seen.reference]), median_distance(seen.reference))
    m, n = len(seen.vectors), len(seen.reference)
    generator = np.random.default_rng(seed=seen.seed)
    signs = np.concatenate([np.full(m, 1 / m), np.full(n, -1 / n)])
    squared = float(quadratic(signs[None, :], kernel)[0])
    floor = own_floor(kernel[:m, :m]) + own_floor(kernel[m:, m:])
    shuffled = quadratic(np.stack([generator.permutation(signs) for _ in range(PERMUTATIONS)]), kernel)
    p = (1 + int((shuffled >= squared - 1e-12).sum())) / (1 + PERMUTATIONS)
    drawn = np.concatenate(
        [
            generator.multinomial(m, np.full(m, 1 / m), RESAMPLES) / m,
            -generator.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n,
        ],
        axis=1,
    )
    half = 1.96 * float(np.std(quadratic(drawn, kernel), ddof=1))
    value = squared - floor
    chance = root(float(np.quantile(shuffled, 0.95)) - floor)
    note = f"p = {p:.3f}; by chance up to {chance:.3f}"
    return Metric(value=root(value), low=root(value - half), high=root(value + half), note=note)


def own_floor(kernel: np.ndarray) -> float:
    """What a sample's diagonal adds to the V-statistic: (1 - mean kernel of two different rows) / rows.

    A single row has no two rows to tell it by, and keeps its floor.
    """
    rows = len(kernel)
    if rows < 2:
        return 0.0
    between = (float(kernel.sum()) - float(kernel.trace())) / (rows * (rows - 1))
    return (1 - between) / rows


def permutation_p(metric: Metric) -> float:
    """The p of a metric that was measured with one."""
    return float(metric.note.split("p = ")[1].split(";")[0])


def quadratic(weights: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(draws,) w'Kw for each row of weights."""
    product: np.ndarray = ((weights @ kernel) * weights).sum(axis=1)
    return product


def root(value: float) -> float:
    """The square root of what is 0 but for rounding, too."""
    return math.sqrt(max(value, 0.0))


def squared_distances(vectors: np.ndarray) -> np.ndarray:
    """(rows, rows) squared Euclidean distances."""
    import numpy as np

    wide = vectors.astype(np.float64)
    norms = (wide**2).sum(axis=1)
    distances: np.ndarray = np.maximum(norms[:, None] + norms[None, :] - 2 * wide @ wide.T, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def median_distance(vectors: np.ndarray) -> float:
    """The median distance of two different rows; 1 where all are equal."""
    import numpy as np

    upper = np.triu_indices(len(vectors), k=1)
    found = np.sqrt(squared_distances(vectors)[upper])
    median = float(np.median(found)) if len(found) else 0.0
    return median if median > 1e-6 else 1.0


def rbf_kernel(vectors: np.ndarray, bandwidth: float) -> np.ndarray:
    """(rows, rows) exp(-d²/2s²)."""
    import numpy as np

    kernel: np.ndarray = np.exp(squared_distances(vectors) / (-2 * bandwidth**2))
    return kernel


def sqrt_energy(seen: Compared) -> Metric:
    """Square root of the energy distance (Székely and Rizzo 2013), as a V-statistic: 0 to itself."""
    import numpy as np

    distances = np.sqrt(squared_distances(np.concatenate([seen.vectors, seen.reference])))
    m, n = len(seen.vectors), len(seen.reference)
    signs = np.concatenate([np.full(m, 1 / m), np.full(n, -1 / n)])
    return Metric(value=root(-float(quadratic(signs[None, :], distances)[0])))


def frechet(seen: Compared) -> Metric:
    """Fréchet distance of two Gaussians (Dowson and Landau 1982), not squared; has a floor in small samples."""
    if min(len(seen.vectors), len(seen.reference)) < 2:
        return Metric(value=None, note="needs two rows on each side")
    return Metric(value=frechet_of(moments(seen.vectors), moments(seen.reference)))


def frechet_of(one: Moments, two: Moments) -> float:
    """The Fréchet distance from the moments of two sets of two rows or more."""
    import numpy as np

    first, second = covariance(one), covariance(two)
    values, axes = np.linalg.eigh(first)
    half = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ second @ half), 0)).sum()
    gap = ((one.total / one.rows - two.total / two.rows) ** 2).sum()
    return root(float(gap + np.trace(first) + np.trace(second) - 2 * cross))


def c2st_auc(seen: Compared) -> Metric:
    """How well a linear classifier tells the two sets apart, five-fold held out: 0.5 cannot, 1 always.

    The classifier two-sample test (Lopez-Paz and Oquab, 2017) with logistic regression.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(len(seen.vectors), len(seen.reference)) < 10:
        return Metric(value=None, note="needs ten rows on each side")
    rows = np.concatenate([in_fixed_order(seen.vectors), in_fixed_order(seen.reference)]).astype(np.float64)
    labels = np.concatenate([np.ones(len(seen.vectors)), np.zeros(len(seen.reference))])
    folds = StratifiedKFold(5, shuffle=True, random_state=seen.seed)
    scores = cross_val_predict(
        LogisticRegression(class_weight="balanced", max_iter=1000), rows, labels, cv=folds, method="decision_function"
    )
    return Metric(value=float(roc_auc_score(labels, scores)))


def in_fixed_order(vectors: np.ndarray) -> np.ndarray:
    """The rows in an order of their own, so that folds do not depend on that of the file."""
    import numpy as np

    ordered: np.ndarray = vectors[np.lexsort(vectors.T[:8])]
    return ordered


def off_target_share(seen: Compared) -> Metric:
    """Least share of prompts that must lie off the reference: more fall under its own 5 % mark than 5 %.

    Blind to prompts that are on the topic one by one but too many of a kind: those show in ``sqrt_mmd``.
    """
    import numpy as np

    k = min(5, max(1, len(seen.reference) - 1))
    threshold = float(np.quantile(held_out_scores(seen.reference, k, seed=seen.seed), 1 - QUANTILE))
    under = float((domain_scores(seen.vectors, seen.reference, k) < threshold).mean())
    low, high = wilson(under, len(seen.vectors))
    return Metric(value=excess(under), low=excess(low), high=excess(high))


def excess(under: float) -> float:
    """The share above what the reference itself would have under its mark."""
    return max(0.0, (under - (1 - QUANTILE)) / QUANTILE)


def prdc_precision(seen: Compared) -> Metric:
    """Share of prompts that fall inside some reference row's neighbourhood (Kynkäänniemi et al. 2019), k = 5.

    Blind to what is missing from the prompts, and to topics that are asked for too often.
    """
    inside = neighbourhoods(seen)
    if inside is None:
        return Metric(value=None, note="needs six rows on each side")
    share = float(inside.any(axis=0).mean())
    low, high = wilson(share, len(seen.vectors))
    return Metric(value=share, low=low, high=high, note="blind to missing topics")


def prdc_coverage(seen: Compared) -> Metric:
    """Share of reference rows with a prompt in their neighbourhood (Naeem et al. 2020), k = 5.

    Blind to what is added beside the reference: flat until hardly a prompt on the topic is left.
    """
    inside = neighbourhoods(seen)
    if inside is None:
        return Metric(value=None, note="needs six rows on each side")
    share = float(inside.any(axis=1).mean())
    low, high = wilson(share, len(seen.reference))
    return Metric(value=share, low=low, high=high, note="blind to what is added off the topic")


def neighbourhoods(seen: Compared) -> np.ndarray | None:
    """(reference, prompts) whether a prompt is as near to a reference row as that row's fifth nearest in its set."""
    k = 5
    if min(len(seen.vectors), len(seen.reference)) <= k:
        return None
    edge = top_neighbors(seen.reference, seen.reference, k, skip_self=True)[0][:, -1]
    inside: np.ndarray = seen.reference @ seen.vectors.T >= edge[:, None]
    return inside


DistanceFunction = Callable[[Compared], Metric]

DISTANCES: dict[str, DistanceFunction] = {
    function.__name__: function
    for function in (sqrt_mmd, off_target_share, c2st_auc, sqrt_energy, frechet, prdc_precision, prdc_coverage)
}
"""Every distance by name; policies, reports and JSON go by these names."""
