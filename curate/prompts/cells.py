"""Cells: clusters of about 1.5 √n rows' outlines, each with the rows that live there and those that only visit.

A row lives where the nearest center is, and visits a few more that are almost as near. Who is where is kept as sorted
numbers (``pairs``), so that nothing of it is held but the cells at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from curate.prompts.engines import LOCAL, Engine, ranges
from curate.prompts.neighbors import improve_centers
from curate.prompts.outlines import BASIS_ROWS, BATCH, drawn, find_basis, outlines
from curate.prompts.pairs import Runs, first_few

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
ROW_BITS = 32
AT_ONCE = 1 << 20
"""Rows in cells that are sorted together, about."""


class Cell(NamedTuple):
    """The rows of a cluster: who lives there and who visits, both ascending."""

    members: np.ndarray
    visitors: np.ndarray


def form_cells(
    vectors: np.ndarray, rows: np.ndarray, cells: int, *, clusters: int | None = None, engine: Engine = LOCAL
) -> tuple[np.ndarray, Iterator[Cell]]:
    """The outlines of some rows, and the clusters that they form; few rows are one cluster."""
    import numpy as np

    wanted = clusters or steady(CENTERS * len(rows) ** 0.5)
    sample = drawn(vectors, rows, max(CENTER_ROWS * wanted, BASIS_ROWS))
    outlined = outlines(vectors, rows, find_basis(vectors[rows[sample[:BASIS_ROWS]]]))
    if len(rows) <= WHOLE and not clusters:
        return outlined, iter([Cell(np.arange(len(rows)), np.zeros(0, dtype=np.int64))])
    return outlined, join_cells(outlined, centers_of(outlined[sample], wanted), cells, engine=engine)


def steady(number: float) -> int:
    """The number to the next sixteenth of an octave, so that it seldom changes when a few rows go."""
    return max(1, round(2 ** (round(16 * math.log2(max(number, 1))) / 16)))


def centers_of(sample: np.ndarray, clusters: int) -> np.ndarray:
    """(clusters, directions) unit centers of some outlined, from the first of them onwards."""
    import numpy as np

    flat = sample[:, :-1].astype(np.float32)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    return improve_centers(flat, flat[:clusters])


def join_cells(outlined: np.ndarray, centers: np.ndarray, cells: int, *, engine: Engine = LOCAL) -> Iterator[Cell]:
    """The clusters that some row lives in, with their members and visitors."""
    import numpy as np

    bits, visits = np.int64(ROW_BITS + 1), np.int64(1 << ROW_BITS)
    joined = Runs(len(centers), bits=ROW_BITS + 1)
    fresh: list[np.ndarray] = []
    batches = list(ranges(len(outlined), BATCH))
    found = engine.map(nearest_centers, ((outlined[batch],) for batch in batches), shared=(centers, cells))
    for batch, (home, row, cell) in zip(batches, found, strict=True):
        fresh.append(home.astype(np.int64) << bits | np.arange(batch.start, batch.stop))
        fresh.append(cell.astype(np.int64) << bits | visits | row.astype(np.int64) + batch.start)
        if sum(map(len, fresh)) > AT_ONCE or batch is batches[-1]:
            joined.add(np.sort(np.concatenate(fresh)))
            fresh = []
    for codes, _ in joined.ranges(max(1, len(centers) * AT_ONCE // max(1, joined.ends[-1]))):
        places = np.sort(codes).astype(np.int64)
        for cell in np.split(places, np.flatnonzero(np.diff(places >> bits)) + 1):
            is_visit = (cell & visits) != 0
            rows = cell & visits - 1
            if not is_visit.all():
                yield Cell(rows[~is_visit], rows[is_visit])


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


def in_groups(members: Iterable[Cell], rows: int) -> Iterator[list[Cell]]:
    """The clusters, so many together as have about so many rows; each by itself where that is 0."""
    group: list[Cell] = []
    room = rows
    for cell in members:
        group.append(cell)
        room -= len(cell.members) + len(cell.visitors)
        if room <= 0:
            yield group
            group, room = [], rows
    if group:
        yield group
