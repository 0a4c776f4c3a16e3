"""Blocked cosine search over unit vectors: top neighbours, and centers of clusters.

Nothing of size rows × rows is ever held; the largest block is ``BLOCK_CELLS`` floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

BLOCK_CELLS = 1 << 24
"""Cells of one block of similarities (64 MiB of float32)."""
ROUNDING = 1e-5
"""Cosines of float32 vectors of one engine, or one number of threads, differ from another's by less."""


def block_rows(columns: int) -> int:
    """How many rows of similarities to ``columns`` fit a block."""
    return max(1, min(4096, BLOCK_CELLS // max(1, columns)))


def top_neighbors(
    queries: np.ndarray, index: np.ndarray, k: int, *, skip_self: bool = False, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """(queries, k) similarities, greatest first, and the rows of ``index`` they belong to.

    Args:
        queries: unit vectors.
        index: unit vectors to search.
        k: how many; fewer where the index is smaller.
        skip_self: ``queries`` is ``index``: a row is not its own neighbour.
        progress: hears of blocks.
    """
    import numpy as np

    k = max(0, min(k, len(index) - int(skip_self)))
    similar = np.zeros((len(queries), k), dtype=np.float32)
    rows = np.zeros((len(queries), k), dtype=np.int64)
    if k == 0:
        return similar, rows
    step = block_rows(len(index))
    for start in range(0, len(queries), step):
        block = queries[start : start + step] @ index.T
        here = np.arange(len(block))
        if skip_self:
            block[here, start + here] = -2.0
        if k == 1:
            rows[start : start + step, 0] = block.argmax(axis=1)
            similar[start : start + step, 0] = block[here, rows[start : start + step, 0]]
            continue
        best = np.argpartition(block, -k, axis=1)[:, -k:]
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        similar[start : start + step] = np.take_along_axis(values, order, axis=1)
        rows[start : start + step] = np.take_along_axis(best, order, axis=1)
        progress("neighbours", min(start + step, len(queries)), len(queries))
    return similar, rows


def cosines_of(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(pairs,) float64 cosines of rows with rows, which no block size and no number of threads changes."""
    import numpy as np

    out = np.zeros(len(one))
    for start in range(0, len(one), 4096):
        piece = slice(start, start + 4096)
        out[piece] = (one[piece].astype(np.float64) * two[piece]).sum(axis=1)
    return out


def find_centers(vectors: np.ndarray, clusters: int, *, seed: int = 0, rounds: int = 6) -> np.ndarray:
    """(clusters, dimensions) unit centers of spherical k-means on a sample."""
    import numpy as np

    generator = np.random.default_rng(seed)
    sample = vectors
    most = max(64 * clusters, 4096)
    if len(vectors) > most:
        sample = vectors[np.sort(generator.choice(len(vectors), most, replace=False))]
    clusters = max(1, min(clusters, len(sample)))
    centers = sample[np.sort(generator.choice(len(sample), clusters, replace=False))]
    return improve_centers(sample, centers, rounds=rounds)


def improve_centers(sample: np.ndarray, centers: np.ndarray, *, rounds: int = 6) -> np.ndarray:
    """(clusters, dimensions) unit centers after some rounds of spherical k-means from given ones."""
    import numpy as np

    centers = centers.copy()
    for _ in range(rounds):
        nearest = top_neighbors(sample, centers, 1)[1][:, 0]
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        centers[present] = np.add.reduceat(sample[order], starts, axis=0)
        lengths = np.linalg.norm(centers, axis=1, keepdims=True)
        centers = centers / np.maximum(lengths, 1e-9)
    return centers
