"""Texts by their hashes, as arrays: 16 bytes a text, where a dictionary of texts takes some hundreds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from curate.prompts.engines import batches
from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

KEY_BYTES = 16
"""BLAKE2b cut to 128 bits: among 10⁹ texts two have the same key with a chance of 10⁻²¹."""
AT_ONCE = 8192
SHARE = 1 << 19
"""Keys that are sorted together, about."""
MOST_SHARES = 256
MOST_RECENT = 1 << 18
"""Keys that are kept in a dictionary before they are sorted in among the others."""


def hash_text(text: str) -> bytes:
    """A text's key."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()


def keys_of(texts: Iterable[str]) -> np.ndarray:
    """(texts, 2) uint64: the key of each text."""
    import numpy as np

    found = [np.zeros((0, 2), dtype=np.uint64)]
    found += [packed(map(hash_text, batch)) for batch in batches(texts, AT_ONCE)]
    return np.concatenate(found)


def packed(keys: Iterable[bytes]) -> np.ndarray:
    """(keys, 2) uint64: keys as they lie in memory."""
    import numpy as np

    return np.frombuffer(b"".join(keys), dtype=np.uint64).reshape(-1, 2)


def first_places(keys: np.ndarray) -> np.ndarray:
    """(rows,) the first place at which each row of numbers stands."""
    import numpy as np

    order = np.lexsort(keys.T[::-1])
    is_new = np.zeros(len(order), dtype=bool)
    is_new[:1] = True
    for column in keys.T:
        told = column[order]
        is_new[1:] |= told[1:] != told[:-1]
    starts = np.maximum.accumulate(np.where(is_new, np.arange(len(order)), 0))
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[starts]
    return first


def shares_of(texts: Iterable[str], count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(n,) int64 rows, ascending, and (n, 2) uint64 keys of about so many texts, those together whose keys begin alike.

    Texts that are the same are in the same share. The shares wait in files where there are many keys.
    """
    import numpy as np

    bits = min(-(-count // SHARE) - 1, MOST_SHARES - 1).bit_length() if count else 0
    files = [ArrayFile(np.uint64, 3, beside=1 << bits) for _ in range(1 << bits)]
    row = 0
    for batch in batches(texts, AT_ONCE << bits // 2):
        part = np.empty((len(batch), 3), dtype=np.uint64)
        part[:, 0] = np.arange(row, row + len(batch))
        part[:, 1:] = packed(map(hash_text, batch))
        row += len(batch)
        for share, places in by_share(part[:, 1], bits):
            files[share].add(part[places])
    while files:
        found = files.pop().array()
        yield found[:, 0].astype(np.int64), found[:, 1:]


def first_rows(texts: Iterable[str], severities: np.ndarray) -> np.ndarray:
    """(rows,) the row that each text stands for: of those with the same text the least severe, then the first.

    A row without text stands for itself. Memory is eight bytes a row at most, and that of one share.

    Args:
        texts: of each row.
        severities: (rows,) a small number a row.
    """
    import numpy as np

    count = len(severities)
    found = np.arange(count, dtype=np.uint32 if count < 1 << 32 else np.int64)
    nothing = keys_of([""])
    all_alike = not count or severities.min() == severities.max()
    for rows, keys in shares_of(texts, count):
        if not all_alike:
            order = np.argsort(severities[rows], kind="stable")
            rows, keys = rows[order], keys[order]
        found[rows] = rows[first_places(keys)]
        empty = rows[(keys == nothing).all(axis=1)]
        found[empty] = empty
    return found


class Index:
    """Which row belongs to a key: recent keys in a dictionary, the others in a few sorted runs (24 bytes a key).

    A run is at least twice as long as the next one, so that a key is moved as often as the logarithm of their number.
    """

    def __init__(self) -> None:
        self.recent: dict[bytes, int] = {}
        self.runs: list[Run] = []

    def add(self, keys: list[bytes], start: int) -> None:
        """Keys of rows that follow one another; a key that is there keeps its row."""
        for row, known in enumerate(self.find(packed(keys)).tolist()):
            if known < 0:
                self.recent.setdefault(keys[row], start + row)
        if len(self.recent) > MOST_RECENT:
            self._end_run()

    def _end_run(self) -> None:
        """Move the recent keys to the others."""
        import numpy as np

        keys, rows = packed(self.recent), np.fromiter(self.recent.values(), np.int64, len(self.recent))
        self.recent = {}
        order = np.argsort(keys[:, 0], kind="stable")
        self.runs.append(Run(keys[order, 0], keys[order, 1], rows[order]))
        while len(self.runs) > 1 and len(self.runs[-2].rows) < 2 * len(self.runs[-1].rows):
            self.runs[-2:] = [self.runs[-2].joined(self.runs[-1])]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(keys,) the row of each key; -1 where there is none."""
        import numpy as np

        rows = np.full(len(keys), -1, dtype=np.int64)
        asked = np.argsort(keys[:, 0], kind="stable") if self.runs else np.zeros(0, dtype=np.int64)
        for run in self.runs:
            rows[asked] = run.find(keys[asked])
            asked = asked[rows[asked] < 0]
        if self.recent:
            content = np.ascontiguousarray(keys).tobytes()
            for place in np.flatnonzero(rows < 0).tolist():
                rows[place] = self.recent.get(content[place * KEY_BYTES : (place + 1) * KEY_BYTES], -1)
        return rows


class Run(NamedTuple):
    """Keys and their rows, sorted by the first half of the key; many of them lie in files."""

    high: np.ndarray
    low: np.ndarray
    rows: np.ndarray

    def joined(self, other: Run) -> Run:
        """Both as one, piece after piece of about ``SHARE`` keys."""
        import numpy as np

        pieces = 1 + (len(self.rows) + len(other.rows)) // SHARE
        bounds = np.arange(1, pieces, dtype=np.uint64) * np.uint64(((1 << 64) - 1) // pieces)
        files = ArrayFile(np.uint64, beside=3), ArrayFile(np.uint64, beside=3), ArrayFile(np.int64, beside=3)
        cuts = [[0, *np.searchsorted(one.high, bounds).tolist(), len(one.rows)] for one in (self, other)]
        for mine, theirs in zip(pairwise(cuts[0]), pairwise(cuts[1]), strict=True):
            part = [np.concatenate([a[slice(*mine)], b[slice(*theirs)]]) for a, b in zip(self, other, strict=True)]
            order = np.argsort(part[0], kind="stable")
            for file, column in zip(files, part, strict=True):
                file.add(column[order])
        return Run(*(file.array() for file in files))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(keys,) the row of each key; -1 where there is none. Fastest where keys ascend."""
        import numpy as np

        rows = np.full(len(keys), -1, dtype=np.int64)
        places = np.searchsorted(self.high, keys[:, 0])
        asked = np.flatnonzero(places < len(self.rows))
        while len(asked):
            asked = asked[self.high[places[asked]] == keys[asked, 0]]
            same = self.low[places[asked]] == keys[asked, 1]
            rows[asked[same]] = self.rows[places[asked[same]]]
            asked = asked[~same]
            places[asked] += 1
            asked = asked[places[asked] < len(self.rows)]
        return rows


def by_share(keys: np.ndarray, bits: int) -> Iterator[tuple[int, np.ndarray]]:
    """The places of some 64-bit keys in each share that has any: those whose first (at most eight) bits are alike."""
    import numpy as np

    share = (keys >> np.uint64(56)).astype(np.uint8) >> np.uint8(8 - bits)
    order = np.argsort(share, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(share[order])) + 1):
        if len(places):
            yield int(share[places[0]]), places
