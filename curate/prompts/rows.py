"""Some rows of an Arrow table or column: by their numbers, copied only when and as far as they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from curate.prompts.engines import ranges
from curate.prompts.scratch import ArrayFile, TableFile, is_large

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH = 8192
"""Rows that are looked at together."""
ORDERED_AT_ONCE = 1 << 20
Gathered = TypeVar("Gathered")


class Lines(Sequence[str]):
    """Texts that are not held as a list; equal to any sequence of the same texts."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class Rows:
    """Some rows of an Arrow table, not copied: what is asked for is gathered then."""

    def __init__(self, whole: pa.Table, rows: np.ndarray) -> None:
        self.whole, self.rows = whole, rows

    @property
    def schema(self) -> pa.Schema:
        """Names, types and metadata of the columns."""
        return self.whole.schema

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return list(self.whole.column_names)

    @property
    def num_rows(self) -> int:
        """How many rows."""
        return len(self.rows)

    def take(self, rows: Sequence[int] | np.ndarray) -> Rows:
        """Some of these rows."""
        return self.at(chosen_of(self.rows, rows))

    def at(self, rows: np.ndarray) -> Rows:
        """Some rows of the whole."""
        return Rows(self.whole, rows)

    def slice(self, start: int, length: int) -> pa.Table:
        """Rows that follow one another, as a table of their own."""
        return take_rows(self.whole, self.rows[start : start + length])

    def select(self, names: Sequence[str]) -> Rows:
        """Some of the columns."""
        return Rows(self.whole.select(names), self.rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, gathered."""
        return take_rows(self.whole.column(name), self.rows)

    __getitem__ = column

    def to_batches(self, max_chunksize: int) -> Iterator[pa.RecordBatch]:
        """The rows, so many at a time at most."""
        for start in range(0, len(self.rows), max_chunksize):
            yield from self.slice(start, max_chunksize).to_batches(max_chunksize=max_chunksize)

    def gathered(self) -> pa.Table:
        """The rows as a table of their own; a large one lies in a memory-mapped file."""
        size = self.whole.nbytes * len(self.rows) / max(1, self.whole.num_rows)
        if not is_large(int(size)):
            return take_rows(self.whole, self.rows)
        return TableFile.of(self.schema, self.to_batches(BATCH))

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as JSON objects."""
        return [row for batch in self.to_batches(BATCH) for row in batch.to_pylist()]

    def __reduce__(self) -> tuple[Any, ...]:
        return as_it_is, (self.gathered(),)


class VectorRows:
    """Some rows of a large array, gathered when they are asked for; as bytes, they are the array of these rows."""

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of these rows."""
        return int(self.array[:1].nbytes) * len(self.rows)

    def __getitem__(self, places: Any) -> np.ndarray:  # noqa: ANN401 – what numpy takes as an index
        found: np.ndarray = self.array[self.rows[places]]
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return as_it_is, (self.array[self.rows],)


def as_it_is(gathered: Gathered) -> Gathered:
    """What some rows are in another process: they themselves, whole."""
    return gathered


def chosen_of(known: np.ndarray | None, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """The numbers of some rows of what may itself be some rows; four bytes each where they fit."""
    import numpy as np

    chosen = np.asarray(rows)
    if known is not None:
        return known[chosen] if len(chosen) else known[:0]
    small = not len(chosen) or int(chosen.max()) < 1 << 32
    return chosen.astype(np.uint32 if small else np.int64, copy=False)


def ordered(levels: np.ndarray) -> np.ndarray:
    """(rows,) the rows by a small number that each has, then as they come; many of them lie in a file."""
    import numpy as np

    found = ArrayFile(np.uint32 if len(levels) < 1 << 32 else np.int64)
    for level in np.unique(levels):
        for piece in ranges(len(levels), ORDERED_AT_ONCE):
            found.add(np.flatnonzero(levels[piece] == level) + piece.start)
    return found.array()


def take_rows(what: Any, rows: Sequence[int] | np.ndarray) -> Any:  # noqa: ANN401 – a table or a column, and the same again
    """Some rows of a table or column. Ascending ones are filtered chunk by chunk, which no size makes overflow."""
    import numpy as np
    import pyarrow as pa

    chosen = np.asarray(rows, dtype=np.int64)
    if len(chosen) and (np.diff(chosen) > 0).all():
        first = int(chosen[0])
        what = what.slice(first, int(chosen[-1]) - first + 1)
        if len(what) == len(chosen):
            return what
        mask = np.zeros(len(what), dtype=bool)
        mask[chosen - first] = True
        return what.filter(pa.array(mask))
    if len(what) == len(chosen) or len(chosen) < 2:
        return what.take(pa.array(chosen))
    ascending, places = np.unique(chosen, return_inverse=True)
    return take_rows(what, ascending).take(pa.array(places))
