"""Many texts as one sequence of ``str`` over Arrow buffers: a text is decoded when it is looked at, and not kept.

A million prompts take their bytes and eight more each, may lie in a memory-mapped file, and share the memory of the
table they are a column of. Some of many texts are their numbers and the same buffers: nothing is copied until it is
looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

from curate.prompts.rows import BATCH, Lines, chosen_of, take_rows
from curate.prompts.scratch import TableFile, is_large

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Texts(Lines):
    """The texts of an Arrow column without nulls, in its order or that of some row numbers; equal to the same texts."""

    def __init__(self, column: pa.ChunkedArray, *, name: str = "", rows: np.ndarray | None = None) -> None:
        self.column = column
        self.name = name
        """The column of the prompt set's table that this is; empty if it is none."""
        self.rows = rows
        """Which texts of the column; None for all."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Texts packed from an iterator, batch by batch; many of them lie in a memory-mapped file."""
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
    """Batches of texts as Arrow arrays; what goes beyond some lies in a memory-mapped file."""

    def __init__(self) -> None:
        self.chunks: list[pa.Array] = []
        self.on_disk = TableFile()
        self.held = 0

    def add(self, texts: list[str]) -> None:
        """Take one batch."""
        import pyarrow as pa

        self.chunks.append(pa.array(texts, type=pa.large_string()))
        self.held += self.chunks[-1].nbytes
        if is_large(self.held):
            schema = pa.schema([pa.field("text", pa.large_string())])
            self.on_disk.add(schema, (pa.record_batch([chunk], schema=schema) for chunk in self.chunks))
            self.chunks, self.held = [], 0

    def column(self) -> pa.ChunkedArray:
        """All texts."""
        import pyarrow as pa

        on_disk = [chunk for table in self.on_disk.tables() for chunk in table.column(0).chunks]
        return pa.chunked_array([*on_disk, *self.chunks], type=pa.large_string())


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
