"""Importance resampling towards a reference: DSIR (Xie et al. 2023), on hashed words and pairs of words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BUCKETS = 10_000
TOKEN = re.compile(r"\w+|[^\w\s]+")
MOST_CHARACTERS = 8_000


def importance_order(texts: Sequence[str], reference: Sequence[str], *, seed: int = 0) -> list[int]:
    """Row numbers in the order in which importance resampling draws them; its first k are a sample of k rows.

    A row's weight is p(row) / q(row), the likelihoods of its hashed words and word pairs under one bag-of-n-grams
    model of the reference (p) and one of the pool (q), each smoothed by one count a bucket. Drawing without
    replacement in proportion to the weights is done by adding Gumbel noise to their logarithms (Kool et al. 2019).
    """
    import numpy as np

    rows = [hashed(text) for text in texts]
    target = log_shares([hashed(text) for text in reference])
    ratio = target - log_shares(rows)
    weights = np.array([float(ratio[buckets].sum()) for buckets in rows])
    noise = np.random.default_rng(seed).gumbel(size=len(rows))
    order: list[int] = np.argsort(-(weights + noise), kind="stable").tolist()
    return order


def hashed(text: str) -> np.ndarray:
    """The buckets of a text's words and word pairs, with repeats."""
    import numpy as np

    words = TOKEN.findall(text[:MOST_CHARACTERS].lower())
    grams = [*words, *(f"{first} {second}" for first, second in pairwise(words))]
    return np.array([zlib.crc32(gram.encode("utf-8", "replace")) % BUCKETS for gram in grams], dtype=np.int64)


def log_shares(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(BUCKETS,) logarithm of each bucket's share of all n-grams, one added to each count."""
    import numpy as np

    counts = np.ones(BUCKETS)
    for start in range(0, len(rows), 4096):
        counts += np.bincount(np.concatenate(rows[start : start + 4096]), minlength=BUCKETS)
    logs: np.ndarray = np.log(counts / counts.sum())
    return logs
