"""All pairs of unit vectors at or above a cosine, by clusters: what is compared, and with what, is decided here.

Each row lives in the cluster of its nearest center and visits a few more whose centers are nearly as near; it is
compared with the rows that live where it lives or visits: their outlines first, and what these leave open exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from curate.progress import Progress, silent
from curate.prompts.engines import LOCAL, Engine, ranges
from curate.prompts.neighbors import ROUNDING, cosines_of, improve_centers
from curate.prompts.outlines import BASIS_ROWS, BATCH, ROUNDED, drawn, find_basis, likely_within, outlines
from curate.prompts.pairs import Chunk, Runs
from curate.prompts.rows import VectorRows

if TYPE_CHECKING:
    import numpy as np

WHOLE = 16_384
"""So many rows are all compared with one another."""
CENTER_ROWS = 32
"""Rows of the sample in which centers are found, for each center."""
CENTERS = 1.5
"""Centers for each root of the rows: about as much time goes into joining them as into comparing inside."""
MARGIN = 0.1
"""A row visits centers whose cosine is at most so much less than that of the nearest."""
PAIRS_A_ROW = 32
"""A row is given so many of its neighbours that are placed before it: the first."""
PAIRS_AT_ONCE = 1 << 20
"""Pairs that are gathered before they are sorted and kept."""
DENSE = 50
"""Verifying one pair takes as long as so many in a product of matrices."""


class Cell(NamedTuple):
    """The rows of a cluster: who lives there and who visits, both ascending."""

    members: np.ndarray
    visitors: np.ndarray


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
    kinds = np.zeros(len(rows), dtype=np.int64) if kinds is None else kinds
    outlined, formed = form_cells(vectors, rows, cells, clusters=clusters, engine=engine)
    groups = in_groups(formed, engine.rows_a_part)
    parts = (
        (outlined[who], kinds[who], who, VectorRows(vectors, rows[who]), [tuple(map(len, cell)) for cell in group])
        for group in groups
        for who in [np.concatenate([part for cell in group for part in cell])]
    )
    found = Pairs(len(rows))
    for number, pairs in enumerate(engine.map(pairs_of_cells, parts, shared=threshold)):
        found.add(*pairs)
        progress("compare", number + 1, len(groups))
    del outlined, formed, groups, parts
    yield from found.all()


def form_cells(
    vectors: np.ndarray, rows: np.ndarray, cells: int, *, clusters: int | None = None, engine: Engine = LOCAL
) -> tuple[np.ndarray, list[Cell]]:
    """The outlines of some rows, and the clusters that they form; few rows are one cluster."""
    import numpy as np

    wanted = clusters or steady(CENTERS * len(rows) ** 0.5)
    sample = drawn(vectors, rows, max(CENTER_ROWS * wanted, BASIS_ROWS))
    outlined = outlines(vectors, rows, find_basis(vectors[rows[sample[:BASIS_ROWS]]]))
    if len(rows) <= WHOLE and not clusters:
        return outlined, [Cell(np.arange(len(rows)), np.zeros(0, dtype=np.int64))]
    return outlined, list(join_cells(outlined, centers_of(outlined[sample], wanted), cells, engine=engine))


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


def steady(number: float) -> int:
    """The number to the next sixteenth of an octave, so that it seldom changes when a few rows go."""
    return max(1, round(2 ** (round(16 * math.log2(max(number, 1))) / 16)))


def first_few(ordered: np.ndarray, most: int) -> np.ndarray:
    """(numbers,) bool: of each run of equal numbers, the first ``most``."""
    import numpy as np

    few: np.ndarray = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left") < most
    return few


def centers_of(sample: np.ndarray, clusters: int) -> np.ndarray:
    """(clusters, directions) unit centers of some outlined, from the first of them onwards."""
    import numpy as np

    flat = sample[:, :-1].astype(np.float32)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    return improve_centers(flat, flat[:clusters])


def join_cells(outlined: np.ndarray, centers: np.ndarray, cells: int, *, engine: Engine = LOCAL) -> Iterator[Cell]:
    """The clusters that some row lives in, with their members and visitors."""
    import numpy as np

    parts = ((outlined[rows],) for rows in ranges(len(outlined), BATCH))
    joined = list(engine.map(nearest_centers, parts, shared=(centers, cells)))
    starts = np.arange(len(joined)) * BATCH
    at_home = by_cell(np.concatenate([home for home, _, _ in joined]), None, len(centers))
    visits = np.concatenate([row + start for (_, row, _), start in zip(joined, starts, strict=True)])
    visiting = by_cell(np.concatenate([cell for _, _, cell in joined]), visits, len(centers))
    for members, visitors in zip(at_home, visiting, strict=True):
        if len(members):
            yield Cell(members, visitors)


def by_cell(cells: np.ndarray, rows: np.ndarray | None, count: int) -> list[np.ndarray]:
    """The rows of each cell, ascending; all rows in their order if none are given."""
    import numpy as np

    order = np.argsort(cells, kind="stable")
    bounds = np.searchsorted(cells[order], np.arange(1, count))
    return np.split(order if rows is None else rows[order], bounds)


def nearest_centers(shared: tuple[np.ndarray, int], outlined: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each row lives; and of visits, the row and the cell."""
    import numpy as np

    centers, cells = shared
    similar = outlined[:, :-1].astype(np.float32) @ centers.T
    home = similar.argmax(axis=1).astype(np.int32)
    here = np.arange(len(home))
    least = similar[here, home] - MARGIN
    similar[here, home] = -2.0
    row, cell = np.divmod(np.flatnonzero(similar >= least[:, None]), len(centers))
    order = np.lexsort((cell, -similar[row, cell], row))
    near = order[first_few(row[order], cells - 1)]
    return home, row[near].astype(np.int32), cell[near].astype(np.int32)


def in_groups(members: list[Cell], rows: int) -> list[list[Cell]]:
    """The clusters, so many together as have about so many rows; each by itself where that is 0."""
    groups: list[list[Cell]] = []
    room = 0
    for cell in members:
        if room <= 0:
            groups.append([])
            room = rows
        groups[-1].append(cell)
        room -= len(cell.members) + len(cell.visitors)
    return groups


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
