"""Candidate pairs beyond memory: kept in ascending runs, and read back range after range of their later place.

A pair is one 64-bit number with its later place above and its earlier place below. Runs lie one behind the other in a
file without a name once they are many (``scratch``), so that what is held does not grow with the pairs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from curate.prompts.scratch import ArrayFile

if TYPE_CHECKING:
    import numpy as np

Chunk = tuple["np.ndarray", "np.ndarray"]
"""All pairs of some later places: (pairs, 2) earlier and later place, ordered by the later; (pairs,) how similar."""
PLACES_AT_ONCE = 16_384
"""Later places whose pairs are looked at together: some two million candidates where rows of one template abound."""


class Runs:
    """Ascending runs of pair numbers, and of what is known of each pair."""

    def __init__(self, places: int, *, bits: int, known: str = "") -> None:
        """``bits`` of a number are the earlier place; ``known`` is the type of what stands beside it, if anything."""
        self.places, self.bits = places, bits
        self.codes = ArrayFile("u8", beside=2)
        self.known = ArrayFile(known, beside=2) if known else None
        self.ends = [0]

    def add(self, codes: np.ndarray, known: np.ndarray | None = None) -> None:
        """One more run."""
        self.codes.add(codes)
        if self.known is not None and known is not None:
            self.known.add(known)
        if len(codes):
            self.ends.append(self.ends[-1] + len(codes))

    def ranges(self, step: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The pairs of so many later places after those of others: numbers of all runs, and what stands beside them."""
        import numpy as np

        step = step or PLACES_AT_ONCE

        codes, known = self.codes.array(), None if self.known is None else self.known.array()
        bounds = np.arange(0, self.places + step, step, dtype=np.uint64) << np.uint64(self.bits)
        cuts = np.zeros((len(bounds), len(self.ends) - 1), dtype=np.int64)
        for run, (start, end) in enumerate(pairwise(self.ends)):
            cuts[:, run] = start + np.searchsorted(codes[start:end], bounds)
        for low, high in pairwise(cuts):
            parts = [slice(*cut) for cut in zip(low.tolist(), high.tolist(), strict=True) if cut[0] < cut[1]]
            if parts:
                found = np.concatenate([codes[part] for part in parts])
                yield found, found[:0] if known is None else np.concatenate([known[part] for part in parts])


class Refused:
    """Pairs that were asked about and are no duplicates, so that none is asked again in a later round.

    Within a round pairs come in ranges of ascending later places, so what a round refused is sorted range by range.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.rounds: list[np.ndarray] = []
        self.fresh = array("q")
        self.held = ArrayFile("i8")

    def add(self, earlier: int, later: int) -> None:
        """One more."""
        self.fresh.append(later * self.places + earlier)

    def end_range(self) -> None:
        """No more of these later places."""
        import numpy as np

        if self.fresh:
            self.held.add(np.sort(np.frombuffer(self.fresh, dtype=np.int64)))
            self.fresh = array("q")

    def end_round(self) -> None:
        """From here on these count."""
        self.end_range()
        self.rounds.append(self.held.array())
        self.held = ArrayFile("i8")

    def are_new(self, pairs: np.ndarray) -> np.ndarray:
        """(pairs,) False for what an earlier round refused; ordered by the later place."""
        import numpy as np

        codes = pairs[:, 1] * self.places + pairs[:, 0]
        found = np.ones(len(codes), dtype=bool)
        if len(codes):
            ends = [pairs[0, 1] * self.places, (pairs[-1, 1] + 1) * self.places]
            for known in self.rounds:
                found &= ~np.isin(codes, known[slice(*np.searchsorted(known, ends))])
        return found


def first_few(ordered: np.ndarray, most: int) -> np.ndarray:
    """(numbers,) bool: of each run of equal numbers, the first ``most``."""
    import numpy as np

    few: np.ndarray = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left") < most
    return few
