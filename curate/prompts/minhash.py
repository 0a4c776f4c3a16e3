"""MinHash over character 4-grams (Broder 1997), LSH bands, and the Jaccard similarity that verifies a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from curate.progress import Progress, silent
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

SHINGLE = 4
"""One typing error touches four shingles; with 5-grams fewer mistyped twins are found (docs/metrics.md)."""
PERMUTATIONS = 128
BANDS = 32
BATCH = 5_000
PIECE = 65_536
"""Rows whose candidate pairs are put together at once, at least."""
MOST_PIECES = 64
MOST_WAITING = 1_000_000
"""Likely pairs that are gathered before the least similar of a row go."""
LAGS = 4
"""Within a bucket each row meets its next few neighbours in row order; groups are found through chains of these."""
MOST_PAIRS = 12


def shingle_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """64-bit hashes of all character 4-grams, text after text, and the offsets where each text begins."""
    import numpy as np

    padded = [text if len(text) >= SHINGLE else text.ljust(SHINGLE) for text in texts]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    lengths = np.fromiter((len(text) for text in padded), dtype=np.int64, count=len(padded))
    counts = lengths - SHINGLE + 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    starts = np.repeat(np.cumsum(lengths) - lengths - offsets[:-1], counts) + np.arange(offsets[-1])
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for place in range(SHINGLE):
        hashes = (hashes ^ letters[starts + place]) * np.uint64(0x100000001B3)
        hashes ^= hashes >> np.uint64(29)
    return hashes * np.uint64(0x9E3779B97F4A7C15), offsets.astype(np.uint64)


def signatures(
    texts: Sequence[str], *, seed: int = 42, engine: Engine = LOCAL, progress: Progress = silent
) -> np.ndarray:
    """(texts, 128) uint32 MinHash signatures; many of them lie in a temporary file."""
    out = ArrayFile("u4", PERMUTATIONS)
    parts = ((texts[start : start + BATCH],) for start in range(0, len(texts), BATCH))
    for signed in engine.map(sign, parts, shared=seed):
        out.add(signed)
        progress("minhash", out.rows, len(texts))
    return out.array()


def sign(seed: int, texts: Sequence[str]) -> np.ndarray:
    """(texts, 128) uint32 MinHash signatures of one batch."""
    import numpy as np

    try:
        from rensa import RMinHash
    except ImportError as error:
        from curate.errors import MissingExtra

        raise MissingExtra("rensa", "prompts") from error
    hashes, offsets = shingle_hashes(texts)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, seed)
    signed: np.ndarray = np.asarray(matrix.to_rows(), dtype=np.uint32)
    return signed


def band_of(signed: np.ndarray, band: int) -> np.ndarray:
    """(texts, 4) the part of the signatures that is one band."""
    width = PERMUTATIONS // BANDS
    return signed[:, band * width : (band + 1) * width]


def band_keys(band: np.ndarray) -> np.ndarray:
    """One 64-bit key a row for a band of its signature."""
    import numpy as np

    keys = np.zeros(len(band), dtype=np.uint64)
    for column in range(band.shape[1]):
        keys = (keys ^ band[:, column].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(31)
    return keys


def cross_pairs(items: Sequence[str], rows: Sequence[str]) -> set[tuple[int, int]]:
    """(row, item) of texts that share a band; a bucket keeps its first 16 items. Rows are signed batch by batch."""
    import numpy as np

    signed = signatures(items)
    keys = [band_keys(band_of(signed, band)) for band in range(BANDS)]
    buckets: list[dict[int, list[int]]] = [{} for _ in range(BANDS)]
    for band in range(BANDS):
        for item, key in enumerate(keys[band].tolist()):
            buckets[band].setdefault(key, []).append(item)
    found: set[tuple[int, int]] = set()
    for start in range(0, len(rows), BATCH):
        batch = signatures(rows[start : start + BATCH])
        for band in range(BANDS):
            mine = band_keys(band_of(batch, band))
            for row in np.flatnonzero(np.isin(mine, keys[band])).tolist():
                found.update((start + row, item) for item in buckets[band][int(mine[row])][:16])
    return found


def candidate_pairs(signed: np.ndarray, *, engine: Engine = LOCAL) -> np.ndarray:
    """(pairs, 2) rows that share a band, smaller row first, each pair once; many of them lie in a temporary file."""
    import numpy as np

    rows = len(signed)
    starts = np.arange(0, rows, max(PIECE, -(-rows // MOST_PIECES)))
    pieces = [ArrayFile(np.int64, beside=len(starts)) for _ in starts]
    for pairs in engine.map(band_pairs, ((band_of(signed, band),) for band in range(BANDS))):
        pairs = np.sort(pairs)
        cut = np.searchsorted(pairs, starts[1:] * rows)
        for piece, part in zip(pieces, np.split(pairs, cut), strict=False):
            piece.add(part)
    out = ArrayFile(np.int64, 2)
    for piece in pieces:
        pairs = sorted_once(piece.array())
        out.add(np.stack([pairs // rows, pairs % rows], axis=1))
    return out.array()


def band_pairs(_: None, band: np.ndarray) -> np.ndarray:
    """(pairs,) rows that have the same key of one band: smaller row × rows + greater row."""
    import numpy as np

    rows = len(band)
    keys = band_keys(band)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    found = [np.zeros(0, dtype=np.int64)]
    for lag in range(1, min(LAGS, rows - 1) + 1):
        same = np.flatnonzero(keys[lag:] == keys[:-lag])
        found.append(order[same].astype(np.int64) * rows + order[same + lag])
    return np.concatenate(found)


def sorted_once(numbers: np.ndarray) -> np.ndarray:
    """The different numbers in ascending order; sorting beats ``np.unique``'s hash table by far here."""
    import numpy as np

    numbers = np.sort(numbers)
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers


def likely_pairs(signed: np.ndarray, pairs: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs whose estimated Jaccard similarity may reach ``least`` (2.5 standard errors), and the estimates.

    Of one later row, the ``MOST_PAIRS`` most similar: rows of one template would otherwise meet all of their kind.
    """
    import numpy as np

    bound = least - 2.5 * (max(least * (1 - least), 0.01) / PERMUTATIONS) ** 0.5
    best, similar = np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32)
    more, estimates, waiting = [best], [similar], 0
    for start in range(0, len(pairs), BATCH):
        piece = pairs[start : start + BATCH]
        estimate = (signed[piece[:, 0]] == signed[piece[:, 1]]).mean(axis=1).astype(np.float32)
        likely = estimate >= bound
        more.append(piece[likely])
        estimates.append(estimate[likely])
        waiting += int(likely.sum())
        if waiting > max(MOST_WAITING, len(best) // 4):
            best, similar = most_similar(np.concatenate([best, *more]), np.concatenate([similar, *estimates]))
            more, estimates, waiting = [], [], 0
    return most_similar(np.concatenate([best, *more]), np.concatenate([similar, *estimates]))


def most_similar(pairs: np.ndarray, estimates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ``MOST_PAIRS`` most similar pairs of each later row, by later row, the most similar first."""
    import numpy as np

    order = np.lexsort((-estimates, pairs[:, 1]))
    later = pairs[order, 1]
    best = order[np.arange(len(order)) - np.searchsorted(later, later, side="left") < MOST_PAIRS]
    return pairs[best], estimates[best]


@lru_cache(maxsize=20_000)
def shingles(text: str) -> frozenset[str]:
    """The character 4-grams of a text; a shorter text is its own."""
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Size of the intersection over size of the union."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if first or second else 1.0
