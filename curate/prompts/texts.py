"""Many texts as one sequence of ``str`` over Arrow buffers: a text is decoded when it is looked at, and not kept.

A million prompts take their bytes and eight more each, may lie in a memory-mapped file, and share the memory of the
table they are a column of.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 8192


class Texts(Sequence[str]):
    """The texts of an Arrow column without nulls, in its order; equal to any sequence of the same texts."""

    def __init__(self, column: pa.ChunkedArray, *, name: str = "") -> None:
        self.column = column
        self.name = name
        """The column of the prompt set's table that this is; empty if it is none."""
        self.chunks = [Chunk(chunk) for chunk in column.chunks if len(chunk)]
        self.starts = [0]
        for chunk in self.chunks:
            self.starts.append(self.starts[-1] + chunk.rows)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Texts packed from an iterator, batch by batch."""
        import pyarrow as pa

        chunks, batch = [], []
        for text in texts:
            batch.append(text)
            if len(batch) == BATCH:
                chunks.append(pa.array(batch, type=pa.large_string()))
                batch = []
        chunks.append(pa.array(batch, type=pa.large_string()))
        return cls(pa.chunked_array(chunks, type=pa.large_string()))

    def __len__(self) -> int:
        return self.starts[-1]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            found: list[str] = self.column[place].to_pylist() if place.step in (None, 1) else list(self)[place]
            return found
        place = place + len(self) if place < 0 else place
        if not 0 <= place < len(self):
            raise IndexError(place)
        number = bisect_right(self.starts, place) - 1
        return self.chunks[number][place - self.starts[number]]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BATCH):
            yield from self.column[start : start + BATCH].to_pylist()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return of_column, (self.column, self.name)

    def __repr__(self) -> str:
        return f"Texts of {len(self)}: {self[:3]!r}"

    def take(self, rows: Sequence[int]) -> Texts:
        """The texts of some rows, in their order."""
        return Texts(take_rows(self.column, rows))


def of_column(column: pa.ChunkedArray, name: str) -> Texts:
    """Texts over a column, as they arrive in another process."""
    return Texts(column, name=name)


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


def take_rows(what: Any, rows: Sequence[int]) -> Any:  # noqa: ANN401 – a table or a column, and the same again
    """Some rows of a table or column. Ascending ones are filtered chunk by chunk, which no size makes overflow."""
    import numpy as np
    import pyarrow as pa

    chosen = np.asarray(rows, dtype=np.int64)
    if len(chosen) and (np.diff(chosen) > 0).all():
        mask = np.zeros(len(what), dtype=bool)
        mask[chosen] = True
        return what.filter(pa.array(mask))
    return what.take(pa.array(chosen))
