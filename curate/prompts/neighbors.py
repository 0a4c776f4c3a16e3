"""Blocked cosine search over unit vectors: top neighbours, and all pairs above a threshold by clustering.

Nothing of size rows × rows is ever held; the largest block is ``BLOCK_CELLS`` floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.progress import Progress, silent
from curate.prompts.engines import LOCAL, Engine, ranges

if TYPE_CHECKING:
    import numpy as np

BLOCK_CELLS = 1 << 24
"""Cells of one block of similarities (64 MiB of float32)."""
PAIR_BLOCK = 256
"""Rows of a block inside a cluster: small, so that little above the diagonal is computed in vain."""
ROUNDING = 1e-5
"""Cosines of float32 vectors of one engine, or one number of threads, differ from another's by less."""
PAIRS_A_ROW = 32
"""A row meets at most so many better-placed neighbours in one cluster."""


def block_rows(columns: int) -> int:
    """How many rows of similarities to ``columns`` fit a block."""
    return max(1, min(4096, BLOCK_CELLS // max(1, columns)))


def top_neighbors(
    queries: np.ndarray, index: np.ndarray, k: int, *, skip_self: bool = False, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """(queries, k) similarities, greatest first, and the rows of ``index`` they belong to.

    Args:
        queries: unit vectors.
        index: unit vectors to search.
        k: how many; fewer where the index is smaller.
        skip_self: ``queries`` is ``index``: a row is not its own neighbour.
        progress: hears of blocks.
    """
    import numpy as np

    k = max(0, min(k, len(index) - int(skip_self)))
    similar = np.zeros((len(queries), k), dtype=np.float32)
    rows = np.zeros((len(queries), k), dtype=np.int64)
    if k == 0:
        return similar, rows
    step = block_rows(len(index))
    for start in range(0, len(queries), step):
        block = queries[start : start + step] @ index.T
        here = np.arange(len(block))
        if skip_self:
            block[here, start + here] = -2.0
        if k == 1:
            rows[start : start + step, 0] = block.argmax(axis=1)
            similar[start : start + step, 0] = block[here, rows[start : start + step, 0]]
            continue
        best = np.argpartition(block, -k, axis=1)[:, -k:]
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        similar[start : start + step] = np.take_along_axis(values, order, axis=1)
        rows[start : start + step] = np.take_along_axis(best, order, axis=1)
        progress("neighbours", min(start + step, len(queries)), len(queries))
    return similar, rows


def cosines_of(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(pairs,) float64 cosines of rows with rows, which no block size and no number of threads changes."""
    import numpy as np

    out = np.zeros(len(one))
    for start in range(0, len(one), 4096):
        piece = slice(start, start + 4096)
        out[piece] = (one[piece].astype(np.float64) * two[piece]).sum(axis=1)
    return out


def find_centers(vectors: np.ndarray, clusters: int, *, seed: int = 0, rounds: int = 6) -> np.ndarray:
    """(clusters, dimensions) unit centers of spherical k-means on a sample."""
    import numpy as np

    generator = np.random.default_rng(seed)
    sample = vectors
    most = max(64 * clusters, 4096)
    if len(vectors) > most:
        sample = vectors[np.sort(generator.choice(len(vectors), most, replace=False))]
    clusters = max(1, min(clusters, len(sample)))
    centers = sample[np.sort(generator.choice(len(sample), clusters, replace=False))].copy()
    for _ in range(rounds):
        nearest = top_neighbors(sample, centers, 1)[1][:, 0]
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        centers[present] = np.add.reduceat(sample[order], starts, axis=0)
        lengths = np.linalg.norm(centers, axis=1, keepdims=True)
        centers = centers / np.maximum(lengths, 1e-9)
    return centers


def similar_pairs(
    vectors: np.ndarray,
    threshold: float,
    *,
    cells: int = 4,
    clusters: int | None = None,
    engine: Engine = LOCAL,
    progress: Progress = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """(pairs, 2) row numbers, the smaller first, and their cosine: pairs at or above a threshold.

    Each row joins its ``cells`` nearest of about √n clusters; inside a cluster the search is exact. With four cells
    99.9 % of the pairs at cosine 0.9 were found on real prompts (docs/metrics.md).
    """
    import numpy as np

    rows = len(vectors)
    wanted = clusters or max(1, round(rows**0.5))
    members = [np.arange(rows)]
    if rows >= 2000:
        members = join_cells(vectors, find_centers(vectors, wanted), cells, engine=engine)
    keys, values = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    together = in_groups(members, engine.rows_a_part)
    joined = [np.concatenate(group) for group in together]
    parts = ((vectors[rows_], [len(cell) for cell in group]) for rows_, group in zip(joined, together, strict=True))
    for number, (first, second, cosine) in enumerate(engine.map(pairs_of_cells, parts, shared=threshold)):
        keys.append(joined[number][first] * rows + joined[number][second])
        values.append(cosine)
        progress("compare", number + 1, len(together))
    key, place = np.unique(np.concatenate(keys), return_index=True)
    return np.stack([key // rows, key % rows], axis=1) if rows else np.zeros((0, 2), int), np.concatenate(values)[place]


def in_groups(members: list[np.ndarray], rows: int) -> list[list[np.ndarray]]:
    """The clusters, so many together as have about so many rows; each by itself where that is 0."""
    groups: list[list[np.ndarray]] = []
    room = 0
    for cell in members:
        if room <= 0:
            groups.append([])
            room = rows
        groups[-1].append(cell)
        room -= len(cell)
    return groups


def pairs_of_cells(
    threshold: float, vectors: np.ndarray, sizes: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs inside each of some clusters that lie one behind the other: smaller row, greater row, cosine."""
    import numpy as np

    found, start = [], 0
    for size in sizes:
        first, second, cosine = pairs_within(vectors[start : start + size], threshold)
        found.append((first + start, second + start, cosine))
        start += size
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]


def nearest_centers(shared: tuple[np.ndarray, int], vectors: np.ndarray) -> np.ndarray:
    """(rows, cells) the numbers of each row's nearest centers."""
    return top_neighbors(vectors, *shared)[1]


def join_cells(vectors: np.ndarray, centers: np.ndarray, cells: int, *, engine: Engine = LOCAL) -> list[np.ndarray]:
    """The rows of each cluster, ascending, where every row joins the clusters of its nearest ``cells`` centers."""
    import numpy as np

    parts = ((vectors[rows],) for rows in ranges(len(vectors), engine.rows_a_part))
    joined = np.concatenate(list(engine.map(nearest_centers, parts, shared=(centers, cells)))).ravel()
    order = np.argsort(joined, kind="stable")
    bounds = np.flatnonzero(np.diff(joined[order])) + 1
    return np.split(order // min(cells, len(centers)), bounds)


def pairs_within(vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs inside one cluster: the smaller row, the greater row, their cosine; rows must be in ascending order."""
    import numpy as np

    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    step = min(PAIR_BLOCK, block_rows(len(vectors)))
    for start in range(0, len(vectors), step):
        stop = min(start + step, len(vectors))
        block = vectors[start:stop] @ vectors[:stop].T
        second, first = np.divmod(np.flatnonzero(block >= threshold - ROUNDING), stop)
        below = first < second + start
        second, first = second[below], first[below]
        edge = np.flatnonzero(block[second, first] < threshold + ROUNDING)
        under = edge[cosines_of(vectors[start + second[edge]], vectors[first[edge]]) < threshold]
        second, first = np.delete(second, under), np.delete(first, under)
        if len(second):
            place = np.arange(len(second)) - np.searchsorted(second, second, side="left")
            second, first = second[place < PAIRS_A_ROW], first[place < PAIRS_A_ROW]
        found.append((first, second + start, cosines_of(vectors[start + second], vectors[first])))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros(0)
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]
