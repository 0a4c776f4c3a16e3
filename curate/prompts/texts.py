"""Many texts as one sequence of ``str`` over Arrow buffers: a text is decoded when it is looked at, and not kept.

A million prompts take their bytes and eight more each, may lie in a memory-mapped file, and share the memory of the
table they are a column of. Some of the rows of a table, or of texts, are their numbers and the same buffers: nothing is
copied until it is looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

from curate.prompts.scratch import SPILL_BYTES, spilled

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH = 8192


class Texts(Sequence[str]):
    """The texts of an Arrow column without nulls, in its order or that of some row numbers; equal to the same texts."""

    def __init__(self, column: pa.ChunkedArray, *, name: str = "", rows: np.ndarray | None = None) -> None:
        self.column = column
        self.name = name
        """The column of the prompt set's table that this is; empty if it is none."""
        self.rows = rows
        """Which texts of the column; None for all."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Texts packed from an iterator, batch by batch; many of them lie in memory-mapped files."""
        packed = Packed()
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == BATCH:
                packed.add(batch)
                batch = []
        packed.add(batch)
        return cls(packed.column())

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The arrays of the column."""
        return [Chunk(chunk) for chunk in self.column.chunks if len(chunk)]

    @cached_property
    def starts(self) -> list[int]:
        """Where each of them begins, and where the last one ends."""
        return [0, *accumulate(chunk.rows for chunk in self.chunks)]

    def __len__(self) -> int:
        return len(self.column) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            if place.step not in (None, 1):
                return list(self)[place]
            start, stop, _ = place.indices(len(self))
            return [text for low in range(start, stop, BATCH) for text in self._some(low, min(low + BATCH, stop))]
        place = place + len(self) if place < 0 else place
        if not 0 <= place < len(self):
            raise IndexError(place)
        if self.rows is not None:
            place = int(self.rows[place])
        number = bisect_right(self.starts, place) - 1
        return self.chunks[number][place - self.starts[number]]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BATCH):
            yield from self._some(start, start + BATCH)

    def _some(self, start: int, stop: int) -> list[str]:
        """The texts from one place to another, gathered at once."""
        if self.rows is None:
            found: list[str] = self.column[start:stop].to_pylist()
        else:
            found = take_rows(self.column, self.rows[start:stop]).to_pylist()
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return of_column, (self.gathered(), self.name)

    def __repr__(self) -> str:
        return f"Texts of {len(self)}: {self[:3]!r}"

    def gathered(self) -> pa.ChunkedArray:
        """The texts as a column of their own."""
        return self.column if self.rows is None else take_rows(self.column, self.rows)

    def take(self, rows: Sequence[int] | np.ndarray) -> Texts:
        """The texts of some rows, in their order."""
        return self.at(chosen_of(self.rows, rows))

    def at(self, rows: np.ndarray) -> Texts:
        """The texts of some rows of the column."""
        return Texts(self.column, name=self.name, rows=rows)


def of_column(column: pa.ChunkedArray, name: str) -> Texts:
    """Texts over a column, as they arrive in another process."""
    return Texts(column, name=name)


class Packed:
    """Batches of texts as Arrow arrays; what goes beyond ``SPILL_BYTES`` lies in memory-mapped files."""

    def __init__(self) -> None:
        self.chunks: list[pa.Array] = []
        self.on_disk: list[pa.Array] = []
        self.held = 0

    def add(self, texts: list[str]) -> None:
        """Take one batch."""
        import pyarrow as pa

        self.chunks.append(pa.array(texts, type=pa.large_string()))
        self.held += self.chunks[-1].nbytes
        if self.held > SPILL_BYTES:
            schema = pa.schema([pa.field("text", pa.large_string())])
            table = spilled(schema, (pa.record_batch([chunk], schema=schema) for chunk in self.chunks))
            self.on_disk += table.column(0).chunks
            self.chunks, self.held = [], 0

    def column(self) -> pa.ChunkedArray:
        """All texts."""
        import pyarrow as pa

        return pa.chunked_array([*self.on_disk, *self.chunks], type=pa.large_string())


class Labels(Sequence[str]):
    """Texts of which few differ: the different ones, and the number of each row's."""

    def __init__(self, names: list[str], codes: np.ndarray) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, texts: Iterable[str]) -> Labels:
        """Labels packed from an iterator."""
        import numpy as np

        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(text, len(known)) for text in texts), dtype=np.uint32)
        return cls(list(known), codes.astype(np.min_scalar_type(len(known))))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self.names[code] for code in self.codes[place].tolist()]
        return self.names[int(self.codes[place])]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BATCH):
            yield from self[start : start + BATCH]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Labels of {len(self)}: {self[:3]!r}"

    def take(self, rows: Sequence[int] | np.ndarray) -> Labels:
        """The labels of some rows, in their order."""
        import numpy as np

        return Labels(self.names, self.codes[np.asarray(rows, dtype=np.int64)])


class Chunk:
    """One Arrow array of strings: where each text begins, and all their bytes."""

    def __init__(self, array: pa.Array) -> None:
        import numpy as np
        import pyarrow as pa

        size = np.int64 if pa.types.is_large_string(array.type) else np.int32
        buffers = array.buffers()
        self.rows = len(array)
        self.ends = np.frombuffer(buffers[1], dtype=size)[array.offset : array.offset + len(array) + 1]
        self.data = memoryview(buffers[2] if buffers[2] is not None else b"")

    def __getitem__(self, row: int) -> str:
        return str(self.data[self.ends[row] : self.ends[row + 1]], "utf-8")


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
        if size <= SPILL_BYTES:
            return take_rows(self.whole, self.rows)
        return spilled(self.schema, self.to_batches(BATCH))

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as JSON objects."""
        return [row for batch in self.to_batches(BATCH) for row in batch.to_pylist()]

    def __reduce__(self) -> tuple[Any, ...]:
        return as_it_is, (self.gathered(),)


def as_it_is(table: pa.Table) -> pa.Table:
    """A table, as it arrives in another process."""
    return table


def chosen_of(known: np.ndarray | None, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """The numbers of some rows of what may itself be some rows; four bytes each where they fit."""
    import numpy as np

    chosen = np.asarray(rows)
    if known is not None:
        return known[chosen] if len(chosen) else known[:0]
    small = not len(chosen) or int(chosen.max()) < 1 << 32
    return chosen.astype(np.uint32 if small else np.int64)


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
