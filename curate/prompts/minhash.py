"""MinHash over character 4-grams (Broder 1997), LSH bands, and the Jaccard similarity that verifies a candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from curate.errors import RunError
from curate.progress import Progress, silent
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.pairs import Chunk, Runs
from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

SHINGLE = 4
"""One typing error touches four shingles; with 5-grams fewer mistyped twins are found (docs/metrics.md)."""
PERMUTATIONS = 128
BANDS = 32
BATCH = 5_000
LAGS = 4
"""Within a bucket each row meets its next few neighbours in row order; groups are found through chains of these."""
MOST_PAIRS = 12
ROWS_A_SHARE = 1 << 20
"""Keys of a band that are searched together, about: those whose first bits are alike, which all of a bucket's are."""
PIECE = 8192
EACH_BYTE = 0x0101010101010101
MOST_BITS = 28
"""Of a row number: two of them and a count of equal permutations fill 64 bits."""


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
    """(texts, 128) uint16: the low halves of MinHash signatures, of which different ones agree once in 65,536 times.

    Many of them lie in a temporary file.
    """
    out = ArrayFile("u2", PERMUTATIONS)
    parts = ((texts[start : start + BATCH],) for start in range(0, len(texts), BATCH))
    for signed in engine.map(sign, parts, shared=seed):
        out.add(signed)
        progress("minhash", out.rows, len(texts))
    return out.array()


def sign(seed: int, texts: Sequence[str]) -> np.ndarray:
    """(texts, 128) uint16 MinHash signatures of one batch."""
    import numpy as np

    try:
        from rensa import RMinHash
    except ImportError as error:
        from curate.errors import MissingExtra

        raise MissingExtra("rensa", "prompts") from error
    hashes, offsets = shingle_hashes(texts)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, seed)
    signed: np.ndarray = np.asarray(matrix.to_rows(), dtype=np.uint32)
    return signed.astype(np.uint16)


def band_of(signed: np.ndarray, band: int) -> np.ndarray:
    """(texts, 4) the part of the signatures that is one band."""
    width = PERMUTATIONS // BANDS
    return signed[:, band * width : (band + 1) * width]


def band_keys(band: np.ndarray) -> np.ndarray:
    """One 64-bit key a row for a band of its signature."""
    import numpy as np

    keys: np.ndarray = np.multiply(np.ascontiguousarray(band).view(np.uint64)[:, 0], np.uint64(0x9E3779B97F4A7C15))
    return keys


class Banded:
    """Texts by the bands of their signatures: which of them share one with a row; a bucket keeps its first 16."""

    def __init__(self, items: Sequence[str]) -> None:
        signed = signatures(items)
        self.keys = [band_keys(band_of(signed, band)) for band in range(BANDS)]
        self.buckets: list[dict[int, list[int]]] = [{} for _ in range(BANDS)]
        for buckets, keys in zip(self.buckets, self.keys, strict=True):
            for item, key in enumerate(keys.tolist()):
                buckets.setdefault(key, []).append(item)

    def pairs(self, rows: Sequence[str]) -> set[tuple[int, int]]:
        """(row, item) of texts that share a band. Rows are signed batch by batch."""
        import numpy as np

        found: set[tuple[int, int]] = set()
        for start in range(0, len(rows), BATCH):
            batch = signatures(rows[start : start + BATCH])
            for band in range(BANDS):
                mine = band_keys(band_of(batch, band))
                for row in np.flatnonzero(np.isin(mine, self.keys[band])).tolist():
                    found.update((start + row, item) for item in self.buckets[band][int(mine[row])][:16])
        return found


def likely_pairs(
    signed: np.ndarray,
    least: float,
    *,
    places: np.ndarray | None = None,
    wanted: np.ndarray | None = None,
    engine: Engine = LOCAL,
) -> Iterator[Chunk]:
    """Pairs that share a band and whose estimated Jaccard similarity may reach ``least`` (2.5 standard errors).

    Of one later place, the ``MOST_PAIRS`` most similar: rows of one template would otherwise meet all of their kind.

    Args:
        signed: (rows, 128) signatures.
        least: least Jaccard similarity.
        places: the rows to search, ascending; all if not given.
        wanted: (places,) which are looked at as the later one of a pair; all if not given.
        engine: where bands are searched.

    Yields:
        (pairs, 2) numbers of places, the smaller first, ordered by the later and by similarity; and the estimates. All
        pairs of some later places, range after range of them.

    Raises:
        RunError: more than 2²⁸ rows.
    """
    import numpy as np

    places = np.arange(len(signed)) if places is None else places
    bits = bits_of(len(places))
    fewest = PERMUTATIONS * (least - 2.5 * (max(least * (1 - least), 0.01) / PERMUTATIONS) ** 0.5)
    met = Runs(len(places), bits=bits)
    for codes in bands_of(signed, places, engine):
        met.add(codes if wanted is None else codes[wanted[codes >> np.uint64(bits)]])
    for codes, _ in met.ranges():
        earlier, later = unpacked(sorted_once(codes), bits)
        equal = agreeing(signed, places[earlier], places[later])
        likely = equal >= fewest
        unlike = (PERMUTATIONS - equal[likely]).astype(np.uint64)
        best = later[likely].astype(np.uint64) << (bits + 8) | unlike << bits | earlier[likely].astype(np.uint64)
        best = few_of_each(np.sort(best), bits + 8)
        earlier, later = (best & (1 << bits) - 1).astype(np.int64), (best >> bits + 8).astype(np.int64)
        yield np.stack([earlier, later], axis=1), 1 - (best >> bits & 255).astype(np.float32) / PERMUTATIONS


def met_any(signed: np.ndarray, places: np.ndarray, which: np.ndarray, *, engine: Engine = LOCAL) -> np.ndarray:
    """(places,) bool: which have one of some places before them among those that they meet in a band."""
    import numpy as np

    found = np.zeros(len(places), dtype=bool)
    for codes in bands_of(signed, places, engine):
        earlier, later = unpacked(codes, bits_of(len(places)))
        found[later[which[earlier]]] = True
    return found


def bits_of(rows: int) -> int:
    """Bits of a row number.

    Raises:
        RunError: more than 2²⁸ rows.
    """
    bits = max(1, (rows - 1).bit_length())
    if bits > MOST_BITS:
        raise RunError(f"near: {rows} rows are too many for one search", hint="filter the file in parts")
    return bits


def unpacked(codes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Earlier and later place of candidates."""
    import numpy as np

    return (codes & np.uint64((1 << bits) - 1)).astype(np.int64), (codes >> np.uint64(bits)).astype(np.int64)


def bands_of(signed: np.ndarray, places: np.ndarray, engine: Engine) -> Iterator[np.ndarray]:
    """The candidates of each share of the keys of each band."""
    bits = bits_of(len(places))
    shares = (share for band in range(BANDS) for share in shares_of(keyed(signed, places, band, bits)))
    return engine.map(band_pairs, ((share,) for share in shares), shared=bits)


def keyed(signed: np.ndarray, places: np.ndarray, band: int, bits: int) -> np.ndarray:
    """(places,) the key of each place in one band, but for its last bits, which are the place."""
    import numpy as np

    out = np.arange(len(places), dtype=np.uint64)
    whole, part = len(places) == len(signed), band_of(signed, band)
    for start in range(0, len(places), ROWS_A_SHARE):
        piece = slice(start, start + ROWS_A_SHARE)
        keys = band_keys(part[piece] if whole else part[places[piece]])
        out[piece] |= keys >> np.uint64(bits) << np.uint64(bits)
    return out


def shares_of(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Keys in shares of about ``ROWS_A_SHARE``, by their first bits."""
    import numpy as np

    cuts = max(0, (len(keys) - 1) // ROWS_A_SHARE).bit_length()
    if not cuts:
        yield keys
        return
    first = (keys >> np.uint64(64 - cuts)).astype(np.uint8)
    for share in range(1 << cuts):
        yield keys[first == share]


def band_pairs(bits: int, keys: np.ndarray) -> np.ndarray:
    """(pairs,) places of the same key of one band, ascending: the later place above ``bits``, the earlier below."""
    import numpy as np

    place = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    keys = np.sort(keys)
    found = [np.zeros(0, dtype=np.uint64)]
    for lag in range(1, min(LAGS, len(keys) - 1) + 1):
        same = np.flatnonzero(keys[lag:] ^ keys[:-lag] <= place)
        found.append((keys[same + lag] & place) << np.uint64(bits) | keys[same] & place)
    return np.sort(np.concatenate(found))


def sorted_once(numbers: np.ndarray) -> np.ndarray:
    """The different numbers in ascending order; sorting beats ``np.unique``'s hash table by far here."""
    import numpy as np

    numbers = np.sort(numbers)
    once: np.ndarray = numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers
    return once


def few_of_each(ordered: np.ndarray, bits: int) -> np.ndarray:
    """Of numbers in ascending order, the first ``MOST_PAIRS`` of those alike above some bits."""
    import numpy as np

    if len(ordered) <= MOST_PAIRS:
        return ordered
    above = ordered >> np.uint64(bits)
    few = np.concatenate([np.ones(MOST_PAIRS, dtype=bool), above[MOST_PAIRS:] != above[:-MOST_PAIRS]])
    left: np.ndarray = ordered[few]
    return left


def agreeing(signed: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(pairs,) uint8: in how many permutations two rows have the same minimum."""
    import numpy as np

    out = np.zeros(len(first), dtype=np.uint8)
    for start in range(0, len(first), PIECE):
        piece = slice(start, start + PIECE)
        same = (signed[first[piece]] == signed[second[piece]]).view(np.uint64)
        out[piece] = (same.sum(axis=1) * np.uint64(EACH_BYTE)) >> np.uint64(56)
    return out


@lru_cache(maxsize=2_000)
def shingles(text: str) -> frozenset[str]:
    """The character 4-grams of a text; a shorter text is its own."""
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Size of the intersection over size of the union."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if first or second else 1.0
