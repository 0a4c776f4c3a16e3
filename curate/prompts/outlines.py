"""Outlines of unit vectors: a few principal dimensions and the length of the rest, which bound every cosine.

By Cauchy and Schwarz no product of x and y exceeds ``p·q + |x - p| |y - q|``, p and q being their projections on the
same directions. So the product of two outlines says which pairs cannot reach a threshold, in a third of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.prompts.engines import ranges
from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

DIRECTIONS = 79
"""Principal dimensions of an outline; what is left out is one number more."""
ROUNDED = 2e-3
"""Bounds of float16 outlines are off by less: two roundings of 2⁻¹¹ to each factor of numbers that sum to at most 1."""
BASIS_ROWS = 8192
BLOCK = 512
"""Rows of a block of bounds: with the few thousand of a cluster it stays in cache."""
DRAWN_FROM = 1 << 19
"""Rows whose draw is looked at together."""
BATCH = 4096
"""Rows that join clusters at once: the same on every engine, for a product of matrices rounds by its size."""


def drawn(vectors: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) places drawn by what their vectors hold: almost the same ones when a few rows have gone.

    So a search among the rows that are left forms almost the same clusters, and finds that nothing is left to find.
    """
    import numpy as np

    best, places = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    for piece in ranges(len(rows), DRAWN_FROM):
        part = vectors[rows[piece], :2] if vectors.shape[1] > 1 else vectors[rows[piece]][:, [0, 0]]
        head = np.ascontiguousarray(part).astype(np.float32, copy=False)
        key = head.view(np.uint64)[:, 0] * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
        best = np.concatenate([best, key * np.uint64(0xBF58476D1CE4E5B9)])
        places = np.concatenate([places, np.arange(piece.start, piece.stop)])
        first = np.argsort(best, kind="stable")[:count]
        best, places = best[first], places[first]
    return places


def find_basis(sample: np.ndarray) -> np.ndarray:
    """(dimensions, at most ``DIRECTIONS``) the principal directions of some vectors, not centered."""
    import numpy as np

    sample = sample.astype(np.float64)
    directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
    return np.ascontiguousarray(directions[:, :DIRECTIONS], dtype=np.float32)


def outlines(vectors: np.ndarray, rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(places, directions + 1) float16: the projection of each row and the length of what it leaves out.

    Many of them lie in a temporary file.
    """
    import numpy as np

    out = ArrayFile(np.float16, basis.shape[1] + 1)
    for batch in ranges(len(rows), BATCH):
        part = vectors[rows[batch]]
        flat = part @ basis
        left = np.einsum("ij,ij->i", part, part) - np.einsum("ij,ij->i", flat, flat)
        out.add(np.concatenate([flat, np.sqrt(np.maximum(left, 0))[:, None]], axis=1))
    return out.array()


def likely_within(outlined: np.ndarray, members: int, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a cluster whose bound reaches a threshold: of two members each once, of a visitor and a member all."""
    import numpy as np

    for begin in range(0, len(outlined), BLOCK):
        end = min(begin + BLOCK, len(outlined))
        most = min(end, members) if begin < members and end <= members else members
        bounds = outlined[begin:end] @ outlined[:most].T
        one, two = np.divmod(np.flatnonzero(bounds >= threshold), most)
        one += begin
        open_ones = (two < one) | (one >= members)
        yield one[open_ones], two[open_ones]
