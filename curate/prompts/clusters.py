"""All pairs of unit vectors at or above a cosine, by clusters.

Each row is compared with the rows that live in the cells where it lives or visits (``cells``): their outlines first,
and what these leave open exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curate.progress import Progress, silent
from curate.prompts.cells import form_cells, in_groups
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.neighbors import ROUNDING, cosines_of
from curate.prompts.outlines import ROUNDED, likely_within
from curate.prompts.pairs import Chunk, Runs, first_few
from curate.prompts.rows import VectorRows

if TYPE_CHECKING:
    import numpy as np

PAIRS_A_ROW = 32
"""A row is given so many of its neighbours that are placed before it: the first."""
PAIRS_AT_ONCE = 1 << 20
"""Pairs that are gathered before they are sorted and kept."""
DENSE = 50
"""Verifying one pair takes as long as so many in a product of matrices."""


def similar_pairs(
    vectors: np.ndarray,
    threshold: float,
    *,
    rows: np.ndarray | None = None,
    kinds: np.ndarray | None = None,
    cells: int = 6,
    clusters: int | None = None,
    engine: Engine = LOCAL,
    progress: Progress = silent,
) -> Iterator[Chunk]:
    """(pairs, 2) places, the smaller first, and their float64 cosine: pairs at or above a threshold.

    Of a place's pairs with smaller ones, the ``PAIRS_A_ROW`` smallest. Inside a cluster the search is exact. All pairs
    of some later places come together, range after range of them.

    Args:
        vectors: (any, dimensions) float32 unit vectors; may be mapped.
        threshold: least cosine.
        rows: (places,) the row of ``vectors`` at each place; all in their order if not given.
        kinds: (places,) numbers; only places of one kind are paired.
        cells: most clusters a row is compared in; more find more pairs.
        clusters: how many there are; about 1.5√n if not given.
        engine: where batches join clusters and clusters are searched.
        progress: hears of clusters.
    """
    import numpy as np

    rows = np.arange(len(vectors)) if rows is None else rows
    kinds = np.zeros(len(rows), dtype=np.uint8) if kinds is None else kinds
    outlined, formed = form_cells(vectors, rows, cells, clusters=clusters, engine=engine)
    members: deque[int] = deque()

    def parts() -> Iterator[tuple[Any, ...]]:
        for group in in_groups(formed, engine.rows_a_part):
            members.append(sum(len(cell.members) for cell in group))
            who = np.concatenate([part for cell in group for part in cell])
            sizes = [tuple(map(len, cell)) for cell in group]
            yield outlined[who], kinds[who], who, VectorRows(vectors, rows[who]), sizes

    found, done = Pairs(len(rows)), 0
    for pairs in engine.map(pairs_of_cells, parts(), shared=threshold):
        found.add(*pairs)
        done += members.popleft()
        progress("compare", done, len(rows))
    yield from found.all()


class Pairs:
    """Pairs as they are found, each kept once, and of one later place only the first ``PAIRS_A_ROW``."""

    def __init__(self, places: int) -> None:
        self.bits = max(1, (places - 1).bit_length())
        self.runs = Runs(places, bits=self.bits, known="f8")
        self.fresh: list[tuple[np.ndarray, np.ndarray]] = []
        self.size = 0

    def add(self, earlier: np.ndarray, later: np.ndarray, cosine: np.ndarray) -> None:
        """Take some more."""
        self.fresh.append(((later << self.bits | earlier).astype("u8"), cosine))
        self.size += len(earlier)
        if self.size > PAIRS_AT_ONCE:
            self._end_run()

    def _end_run(self) -> None:
        """What has come since the last run is one more."""
        import numpy as np

        if self.fresh:
            codes, cosines = (np.concatenate(parts) for parts in zip(*self.fresh, strict=True))
            self.runs.add(*self._few(codes, cosines))
        self.fresh, self.size = [], 0

    def _few(self, codes: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ascending, each once, the first few of a later place."""
        import numpy as np

        codes, place = np.unique(codes, return_index=True)
        first = first_few(codes >> np.uint64(self.bits), PAIRS_A_ROW)
        return codes[first], cosines[place[first]]

    def all(self) -> Iterator[Chunk]:
        """(pairs, 2) earlier and later place, ordered by the later; and the cosines."""
        import numpy as np

        self._end_run()
        for codes, cosines in self.runs.ranges():
            codes, cosines = self._few(codes, cosines)
            later, earlier = codes >> np.uint64(self.bits), codes & np.uint64((1 << self.bits) - 1)
            yield np.stack([earlier, later], axis=1).astype(np.int64), cosines


def pairs_of_cells(
    threshold: float,
    outlined: np.ndarray,
    kinds: np.ndarray,
    who: np.ndarray,
    vectors: np.ndarray | VectorRows,
    sizes: list[tuple[int, int]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of some clusters that lie one behind the other: earlier place, later place, cosine.

    Args:
        threshold: least cosine.
        outlined: (rows, directions + 1) of all members and visitors.
        kinds: (rows,) only rows of one kind are paired.
        who: (rows,) their places among all.
        vectors: (rows, dimensions) their vectors.
        sizes: of each cluster, how many members, and how many visitors behind them.
    """
    import numpy as np

    found, start = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))], 0
    for members, visitors in sizes:
        stop = start + members + visitors
        likely = likely_within(outlined[start:stop].astype(np.float32), members, threshold - ROUNDED)
        for one, two in likely:
            one, two = one + start, two + start
            same = kinds[one] == kinds[two]
            found.append(verified(vectors, who, one[same], two[same], threshold))
        start = stop
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]


def verified(
    vectors: np.ndarray | VectorRows, who: np.ndarray, one: np.ndarray, two: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of some pairs those that reach the threshold: earlier place, later place, cosine."""
    import numpy as np

    mine, one_at = numbered(one)
    theirs, two_at = numbered(two)
    left, right = vectors[mine], vectors[theirs]
    if len(one) * DENSE > len(mine) * len(theirs):
        rough = (left @ right.T)[one_at, two_at]
    else:
        rough = np.einsum("ij,ij->i", left[one_at], right[two_at])
    edge = np.flatnonzero(np.abs(rough - threshold) < ROUNDING)
    rough[edge] = cosines_of(left[one_at[edge]], right[two_at[edge]]) >= threshold
    close = np.flatnonzero(rough >= threshold)
    first, second = who[one[close]], who[two[close]]
    earlier, later = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((earlier, later))
    order = order[first_few(later[order], PAIRS_A_ROW)]
    close = close[order]
    return earlier[order], later[order], cosines_of(left[one_at[close]], right[two_at[close]])


def numbered(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different places in ascending order, and the number of each place among them."""
    import numpy as np

    present = np.zeros(int(places.max(initial=-1)) + 1, dtype=bool)
    present[places] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[places]
