"""How varied a prompt set is: one function a metric, all at a stated subsample, so that sets of different size compare.

Vendi and effective rank rise with text off the topic, mean pairwise distance does not see duplicates, and reference
coverage does not see what is added beside the reference: read them together (docs/metrics.md).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from curate.prompts.language import wrong_language
from curate.prompts.neighbors import find_centers, top_neighbors
from curate.prompts.quality import row_fault
from curate.prompts.results import Metric
from curate.prompts.scores import quality_score
from curate.prompts.shares import wilson
from curate.prompts.sketches import Moments, cluster_counts, effective_number, mean_cosine, moments, spectrum

if TYPE_CHECKING:
    import numpy as np

WORD = re.compile(r"\w+")
COMPRESSED_CHARACTERS = 1 << 20


@dataclass(frozen=True, eq=False)
class Seen:
    """What the metrics look at: a subsample's unit vectors and texts, and the reference's vectors if any."""

    vectors: np.ndarray
    texts: Sequence[str] = field(default=())
    reference: np.ndarray | None = None
    seed: int = 0
    are_answers: bool = False
    asked: Sequence[str] = field(default=())
    """The prompts beside a column of answers, where there are any."""

    @cached_property
    def moments(self) -> Moments:
        """Of the vectors, worked out once for every metric that needs no more."""
        return moments(self.vectors)


def usable_share(seen: Seen) -> Metric:
    """Share of rows in which the row checks find nothing: no garbage, no unfilled slot.

    Of answers, not refused, cut off, looping, or in another language than asked. Wilson interval.
    """
    if not seen.texts:
        return Metric(value=None, note="no text")
    asked = seen.asked or [""] * len(seen.texts)
    faults = [
        row_fault(text, answers=seen.are_answers) or (wrong_language(text, prompt) if prompt else "")
        for text, prompt in zip(seen.texts, asked, strict=True)
    ]
    share = sum(not fault for fault in faults) / len(faults)
    low, high = wilson(share, len(faults))
    return Metric(value=share, low=low, high=high)


def quality(seen: Seen) -> Metric:
    """Mean quality score of the rows (``curate.prompts.scores``). Blind to meaning; code and names score lower."""
    import numpy as np

    if not seen.texts:
        return Metric(value=None, note="no text")
    scores = np.array([quality_score(text) for text in seen.texts])
    mean, half = float(scores.mean()), 1.96 * float(scores.std()) / float(np.sqrt(len(scores)))
    return Metric(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))


def vendi(seen: Seen) -> Metric:
    """Vendi score (Friedman and Dieng 2023): exp of the entropy of the similarity matrix's eigenvalues, in d × d form.

    1 for one prompt repeated, at most min(rows, dimensions) for prompts that share nothing.
    """
    values = spectrum(seen.moments)
    return Metric(value=effective_number(values) if len(values) else None)


def effective_rank(seen: Seen) -> Metric:
    """Exp of the entropy of the singular values (Roy and Vetterli 2007): how many directions the set uses."""
    values = spectrum(seen.moments)
    return (
        Metric(value=effective_number(values**0.5)) if len(values) else Metric(value=None, note="no row has a vector")
    )


def cluster_entropy(seen: Seen) -> Metric:
    """Exp of the entropy over clusters of the reference, as a share of the reference's own: 1 spreads like it."""
    if seen.reference is None or len(seen.reference) < 20:
        return Metric(value=None, note="needs a reference of 20 rows or more")
    centers = find_centers(seen.reference, min(50, max(2, len(seen.reference) // 10)), seed=seen.seed)
    own = effective_number(cluster_counts(seen.reference, centers))
    return Metric(value=effective_number(cluster_counts(seen.vectors, centers)) / own)


def reference_coverage(seen: Seen) -> Metric:
    """Mean cosine of reference rows to their nearest prompt, as a share of the reference's own, size for size."""
    import numpy as np

    if seen.reference is None or len(seen.reference) < 2:
        return Metric(value=None, note="needs a reference")
    best = top_neighbors(seen.reference, seen.vectors, 1)[0][:, 0]
    scale = max(own_coverage(seen.reference, len(seen.vectors), seen.seed), 1e-9)
    half = 1.96 * float(best.std()) / np.sqrt(len(best)) / scale
    mean = float(best.mean()) / scale
    return Metric(value=mean, low=mean - half, high=mean + half)


def own_coverage(reference: np.ndarray, rows: int, seed: int) -> float:
    """What so many rows of the reference do for its others, so that a small set is not blamed for its size."""
    import numpy as np

    if len(reference) - rows < 20:
        return float(top_neighbors(reference, reference, 1, skip_self=True)[0].mean())
    order = np.random.default_rng(seed).permutation(len(reference))
    return float(top_neighbors(reference[order[rows:]], reference[order[:rows]], 1)[0].mean())


def mean_nn_similarity(seen: Seen) -> Metric:
    """Mean cosine to the nearest other prompt; near 1 means that most prompts have a twin."""
    import numpy as np

    if len(seen.vectors) < 2:
        return Metric(value=None, note="needs two rows")
    best = top_neighbors(seen.vectors, seen.vectors, 1, skip_self=True)[0][:, 0]
    mean, half = float(best.mean()), 1.96 * float(best.std()) / float(np.sqrt(len(best)))
    return Metric(value=mean, low=mean - half, high=mean + half)


def mean_pairwise_distance(seen: Seen) -> Metric:
    """Mean cosine distance of two prompts, from the length of the mean vector. Blind to duplicates."""
    if len(seen.vectors) < 2:
        return Metric(value=None, note="needs two rows")
    return Metric(value=1 - mean_cosine(seen.moments), note="blind to duplicates")


def distinct_2(seen: Seen) -> Metric:
    """Different word pairs over all word pairs (Li et al. 2016)."""
    pairs = [pair for text in seen.texts for pair in word_pairs(text)]
    return Metric(value=len(set(pairs)) / len(pairs)) if pairs else Metric(value=None, note="no word pairs")


def word_pairs(text: str) -> list[tuple[str, str]]:
    """Neighbouring words of a text, in lower case."""
    words = WORD.findall(text.lower())
    return list(pairwise(words))


def compression_ratio(seen: Seen) -> Metric:
    """Size over compressed size (zlib) of all texts, sorted; greater is more repetitive (Shaib et al. 2024)."""
    joined = "\n".join(sorted(seen.texts))[:COMPRESSED_CHARACTERS].encode("utf-8", "replace")
    return Metric(value=len(joined) / len(zlib.compress(joined, 9))) if joined else Metric(value=None, note="no text")


MetricFunction = Callable[[Seen], Metric]

METRICS: dict[str, MetricFunction] = {
    function.__name__: function
    for function in (
        vendi,
        cluster_entropy,
        reference_coverage,
        mean_nn_similarity,
        effective_rank,
        distinct_2,
        compression_ratio,
        mean_pairwise_distance,
        usable_share,
        quality,
    )
}
"""Every diversity metric by name; policies, reports and JSON go by these names."""
