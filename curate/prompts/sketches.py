"""What metrics need to know of many rows, small and mergeable: the sum of two parts' sketches is the whole's.

Parts may be read anywhere and in any order; a figure made from the merged sketch is that of all rows at once, up to
rounding in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.prompts.neighbors import top_neighbors

if TYPE_CHECKING:
    import numpy as np

LEAST_EIGENVALUE = 1e-10


@dataclass(frozen=True, eq=False)
class Moments:
    """Rows, their sum (d,) and their second moment (d, d), all unscaled, in float64."""

    rows: int
    total: np.ndarray
    second: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        """The moments of both parts together."""
        return Moments(self.rows + other.rows, self.total + other.total, self.second + other.second)


def moments(vectors: np.ndarray) -> Moments:
    """The moments of (rows, d) vectors."""
    import numpy as np

    wide = vectors.astype(np.float64)
    return Moments(len(wide), wide.sum(axis=0), wide.T @ wide)


def spectrum(found: Moments) -> np.ndarray:
    """Eigenvalues above zero of X'X over its trace: of unit vectors, those of the similarity matrix K/n. They sum to 1.

    Rows without a vector (zeros) count for nothing.
    """
    import numpy as np

    scale = float(found.second.trace())
    if scale <= 0:
        return np.zeros(0)
    values = np.linalg.eigvalsh(found.second / scale)
    values = values[values > LEAST_EIGENVALUE]
    return np.asarray(values / values.sum())


def covariance(found: Moments) -> np.ndarray:
    """(d, d) covariance of two rows or more, with rows - 1 below."""
    import numpy as np

    mean = found.total / found.rows
    return np.asarray((found.second - found.rows * np.outer(mean, mean)) / (found.rows - 1))


def mean_cosine(found: Moments) -> float:
    """Mean cosine of two different rows of two or more, from the length of their sum."""
    own = float(found.second.trace())
    return (float((found.total**2).sum()) - own) / (found.rows * (found.rows - 1))


def cluster_counts(vectors: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """How many rows lie nearest to each center; counts of parts add up."""
    import numpy as np

    return np.bincount(top_neighbors(vectors, centers, 1)[1][:, 0], minlength=len(centers))


def effective_number(weights: np.ndarray) -> float:
    """Exp of the entropy of weights as shares (Hill number of order 1): k for k equal ones."""
    import numpy as np

    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
