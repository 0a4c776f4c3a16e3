"""In how many texts each word stands, by the words' hashes: nothing is held but the words of some texts at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.prompts.keys import by_share
from curate.prompts.minhash import sorted_once
from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

ROW_BITS = 10
"""Texts whose words are made different together are numbered in so many bits."""
KEY_BITS = 64 - ROW_BITS
"""Of a hash, which tell a word: among two million words two are told for one with a chance of 10⁻⁴."""
GROUPS_AT_ONCE = 32
SHARE_BITS = 4


class WordCounts:
    """How often a word was counted, asked like a dictionary."""

    def __init__(self, words: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> None:
        """(words,) int64: the hashes of the words of all texts; (texts,) where those of each text begin and end."""
        import numpy as np

        shares = [ArrayFile(np.uint64, 2, beside=1 << SHARE_BITS) for _ in range(1 << SHARE_BITS)]
        for start in range(0, len(ends), GROUPS_AT_ONCE << ROW_BITS):
            some = slice(start, start + (GROUPS_AT_ONCE << ROW_BITS))
            keys, counts = np.unique(of_each_text(words, begins[some], ends[some]), return_counts=True)
            counted = np.stack([keys, counts.astype(np.uint64)], axis=1)
            for share, places in by_share(counted[:, 0], SHARE_BITS):
                shares[share].add(counted[places])
        words_told, counts_told = ArrayFile(np.uint64), ArrayFile(np.int64)
        for file in shares:
            found = file.array()
            order = np.argsort(found[:, 0])
            once, first = np.unique(found[order, 0], return_index=True)
            if len(once):
                words_told.add(once)
                counts_told.add(np.add.reduceat(found[order, 1], first))
        self.keys, self.counts = words_told.array(), counts_told.array()

    def get(self, word: str, default: int) -> int:
        """In how many texts the word stands; ``default`` if in none."""
        import numpy as np

        key = np.uint64(hash(word) % (1 << 64) >> ROW_BITS << ROW_BITS)
        place = int(np.searchsorted(self.keys, key))
        return int(self.counts[place]) if place < len(self.keys) and self.keys[place] == key else default


def of_each_text(words: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(pairs,) uint64: the words of each text, each once a text, without the last bits of their hashes."""
    import numpy as np

    found = [np.zeros(0, dtype=np.uint64)]
    for start in range(0, len(ends), 1 << ROW_BITS):
        low, high = begins[start : start + (1 << ROW_BITS)], ends[start : start + (1 << ROW_BITS)]
        texts = np.repeat(np.arange(len(low), dtype=np.uint64), high - low) << np.uint64(KEY_BITS)
        keys = words[low[0] : high[-1]].view(np.uint64) >> np.uint64(ROW_BITS)
        found.append(sorted_once(texts | keys) << np.uint64(ROW_BITS))
    return np.concatenate(found)
