"""A varied subset to a budget: facility location towards the reference, then over the pool; the same for one seed."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from curate.progress import Progress, silent
from curate.prompts.neighbors import find_centers, top_neighbors

if TYPE_CHECKING:
    import numpy as np

MOST_CANDIDATES = 10_000
MOST_TARGETS = 2_000


def select_rows(
    vectors: np.ndarray,
    budget: int,
    *,
    reference: np.ndarray | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[int]:
    """Rows to keep, in file order: half the budget covers the reference, the rest covers the pool.

    Each pick is the row that raises the summed best similarity of the targets most (facility location; the lazy greedy
    choice of Minoux 1978 gives the same picks as the full one). Above ``MOST_CANDIDATES`` rows, those nearest to the
    centers of a clustering stand for the rest.
    """
    import numpy as np

    if budget >= len(vectors):
        return list(range(len(vectors)))
    candidates = thin_out(vectors, max(MOST_CANDIDATES, 2 * budget), seed=seed)
    generator = np.random.default_rng(seed)
    picked: list[int] = []
    if reference is not None and len(reference):
        picked = facility_location(vectors[candidates], sample(reference, generator), budget // 2, [], progress)
    targets = sample(vectors, generator)
    picked = facility_location(vectors[candidates], targets, budget - len(picked), picked, progress)
    return sorted(int(candidates[row]) for row in picked)


def sample(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """At most ``MOST_TARGETS`` rows."""
    import numpy as np

    if len(vectors) <= MOST_TARGETS:
        return vectors
    return vectors[np.sort(generator.choice(len(vectors), MOST_TARGETS, replace=False))]


def thin_out(vectors: np.ndarray, most: int, *, seed: int) -> np.ndarray:
    """Row numbers of at most ``most`` rows: each cluster gives those nearest to its center, in proportion."""
    import numpy as np

    if len(vectors) <= most:
        return np.arange(len(vectors))
    centers = find_centers(vectors, max(2, round(most**0.5)), seed=seed)
    cosine, cluster = top_neighbors(vectors, centers, 1)
    order = np.lexsort((-cosine[:, 0], cluster[:, 0]))
    place = np.arange(len(order)) - np.searchsorted(cluster[order, 0], cluster[order, 0], side="left")
    size = np.bincount(cluster[:, 0])[cluster[order, 0]]
    best = np.argsort(place / size, kind="stable")[:most]
    kept: np.ndarray = np.sort(order[best])
    return kept


def facility_location(
    candidates: np.ndarray, targets: np.ndarray, budget: int, picked: list[int], progress: Progress
) -> list[int]:
    """Add ``budget`` candidates to ``picked``, greedily raising the mean best similarity of the targets."""
    import numpy as np

    similar = (candidates @ targets.T).astype(np.float32)
    covered = similar[picked].max(axis=0) if picked else np.full(len(targets), -1.0, dtype=np.float32)
    gains = np.zeros(len(candidates), dtype=np.float64)
    for start in range(0, len(candidates), 1024):
        gains[start : start + 1024] = np.maximum(similar[start : start + 1024] - covered, 0).sum(axis=1)
    taken = set(picked)
    queue = [(-gain, row) for row, gain in enumerate(gains.tolist()) if row not in taken]
    heapq.heapify(queue)
    chosen = list(picked)
    while queue and len(chosen) < len(picked) + budget:
        _, row = heapq.heappop(queue)
        gain = float(np.maximum(similar[row] - covered, 0).sum())
        if queue and -gain > queue[0][0] + 1e-9:
            heapq.heappush(queue, (-gain, row))
            continue
        chosen.append(row)
        covered = np.maximum(covered, similar[row])
        progress("select", len(chosen), len(picked) + budget)
    return chosen
