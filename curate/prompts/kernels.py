"""The array functions that deduplication rests on, in one place: no files, no rows of a table, no state.

Each takes arrays (or a batch of texts) and gives arrays, and can be run on any part of the rows by any engine; the plan
around them, which parts there are and in which order, is the caller's. In the order of use:

* ``sum_rows``, ``normalised``: token numbers of a batch to unit vectors (the static embedder);
* ``signatures``: a batch of texts to MinHash signatures; ``band_pairs``: keys of one LSH band to pairs of rows;
  ``likely_pairs``: signatures to pairs and their estimated Jaccard similarity;
* ``find_basis``, ``outlines``: vectors to outlines that bound their cosines; ``find_centers``: a sample to centers;
  ``join_cells``: outlines to the members and visitors of each cluster; ``pairs_of_cells``: some clusters to all their
  pairs above a threshold; ``similar_pairs``: these together;
* ``keep_first``: pairs to the rows that go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from curate.prompts.cells import join_cells
from curate.prompts.clusters import pairs_of_cells, similar_pairs
from curate.prompts.embed import normalised, sum_rows
from curate.prompts.minhash import PERMUTATIONS, band_pairs, likely_pairs, met_any, signatures
from curate.prompts.neighbors import find_centers
from curate.prompts.outlines import find_basis, outlines

if TYPE_CHECKING:
    from curate.prompts.pairs import Chunk

__all__ = [
    "PERMUTATIONS",
    "band_pairs",
    "find_basis",
    "find_centers",
    "join_cells",
    "keep_first",
    "likely_pairs",
    "met_any",
    "normalised",
    "outlines",
    "pairs_of_cells",
    "signatures",
    "similar_pairs",
    "sum_rows",
]

Why = TypeVar("Why")


def keep_first(
    chunks: Iterable[Chunk], judge: Callable[[int, int, float], Why | None]
) -> Iterator[tuple[int, int, Why]]:
    """Walk the pairs by the later place: it goes if a place before it that stays is its duplicate.

    Greedy, not connected components: nothing goes because of what has gone itself.

    Args:
        chunks: (pairs, 2) places in the order of preference, the earlier first, and (pairs,) how similar; the most
            similar is asked first. All pairs of a later place are in one chunk, behind those of places before it.
        judge: why two places are duplicates, None if they are not.

    Yields:
        Each place that goes, in ascending order, the place it goes for, and why.
    """
    import numpy as np

    gone = bytearray()
    for pairs, similar in chunks:
        gone.extend(bytes(max(0, int(pairs[:, 1].max(initial=-1)) + 1 - len(gone))))
        order = np.lexsort((pairs[:, 0], -similar, pairs[:, 1]))
        for (earlier, later), how in zip(pairs[order].tolist(), similar[order].tolist(), strict=True):
            if gone[earlier] or gone[later]:
                continue
            why = judge(earlier, later, how)
            if why is not None:
                gone[later] = True
                yield later, earlier, why
