"""What does not fit beside a million rows lies in files without a name, and is mapped.

Mapped pages are page cache: the system takes them back when it needs room, so they are no memory that a row costs. The
files lie in the temporary folder (``TMPDIR``, else the system's), which should be on a disk: one in memory gives
nothing back. They never have a name (or lose it at once where the system cannot do that), so that nothing is left of a
run, however it ends. They are written, never stored into through the map: a full disk is an error then, not a signal.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from curate.artifact import write_failure
from curate.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SPILL_BYTES = 32 << 20
"""Tables, texts and vectors beyond so many bytes are written to a temporary file and mapped back."""
WRITTEN_AT_ONCE = 1 << 20
"""Bytes that are gathered before they are written."""
ROWS_AT_ONCE = 8192


def is_large(size: int) -> bool:
    """Whether so many bytes should lie in a file."""
    return size > SPILL_BYTES


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Failures of temporary files name their folder.

    Raises:
        RunError: there is no folder for them, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        folder = os.environ.get("TMPDIR") or tempfile.tempdir or "temporary folder"
        failure = write_failure(Path(folder), error)
        raise RunError(failure.message, hint="set TMPDIR to a folder on a disk with room") from error


def scratch_file() -> IO[bytes]:
    """A temporary file to write and then to map.

    Raises:
        RunError: there is no folder for it.
    """
    with failing_clearly():
        return tempfile.TemporaryFile("w+b", dir=os.environ.get("TMPDIR") or None, prefix="curate-")


def mapped(stream: IO[bytes]) -> mmap.mmap:
    """What was written to a file, mapped; it outlives the stream."""
    stream.flush()
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def gathered(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``array[rows]``; many of them lie in a file that goes with the array."""
    if not is_large(len(rows) * array[:1].nbytes):
        found: np.ndarray = array[rows]
        return found
    room = ArrayFile(array.dtype, *array.shape[1:])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        room.add(array[rows[start : start + ROWS_AT_ONCE]])
    return room.array()


class Spill:
    """Pieces of bytes, one after the other: in memory while they are few, then in a file without a name."""

    def __init__(self, *, beside: int = 1) -> None:
        """``beside``: how many grow at the same time."""
        self.beside = beside
        self.held: list[Any] = []
        self.size = 0
        self.stream: IO[bytes] | None = None

    def add(self, piece: Any, size: int) -> None:  # noqa: ANN401 – what a file writes: bytes, or an array's
        """One more, of so many bytes.

        Raises:
            RunError: the disk is full, or there is no folder for the file.
        """
        self.held.append(piece)
        self.size += size
        if self.size > WRITTEN_AT_ONCE if self.stream is not None else is_large(self.size * self.beside):
            self.write()

    def write(self) -> None:
        """Move what is in memory to the file."""
        if self.stream is None:
            self.stream = scratch_file()
        with failing_clearly():
            for piece in self.held:
                self.stream.write(piece)
            self.stream.flush()
        self.held, self.size = [], 0

    def content(self) -> mmap.mmap | None:
        """All so far, mapped; None while it is in memory."""
        if self.stream is None:
            return None
        self.write()
        return mapped(self.stream)


class ArrayFile:
    """An array that grows at the end: in memory while it is small, then in a file without a name."""

    def __init__(self, dtype: Any, *shape: int, beside: int = 1) -> None:  # noqa: ANN401 – as numpy takes it
        """``shape`` is that of one row: nothing where rows are numbers. ``beside``: how many grow at the same time."""
        import numpy as np

        self.dtype, self.shape = np.dtype(dtype), shape
        self.rows = 0
        self.parts = Spill(beside=beside)
        self.seen = np.zeros((0, *shape), dtype=dtype)

    def add(self, part: np.ndarray) -> None:
        """More rows.

        Raises:
            RunError: the disk is full, or there is no folder for the file.
        """
        import numpy as np

        if len(part):
            self.rows += len(part)
            part = np.ascontiguousarray(part, dtype=self.dtype)
            self.parts.add(part, part.nbytes)

    def array(self) -> np.ndarray:
        """All rows so far, not to be written to."""
        import numpy as np

        if self.rows == len(self.seen):
            return self.seen
        content = self.parts.content()
        if content is None:
            whole = self.parts.held[0] if len(self.parts.held) == 1 else np.concatenate(self.parts.held)
            self.parts.held = [whole]
            self.seen = whole.view()
            self.seen.flags.writeable = False
        else:
            self.seen = np.frombuffer(content, dtype=self.dtype).reshape(self.rows, *self.shape)
        return self.seen


class TableFile:
    """Tables one behind the other in one file without a name, which goes when the last of them does."""

    def __init__(self) -> None:
        self.stream: IO[bytes] | None = None
        self.ends = [0]

    @classmethod
    def of(cls, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """One table of its own.

        Raises:
            RunError: as ``add``.
        """
        held = cls()
        held.add(schema, batches)
        return held.tables()[0]

    def add(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """One more table, batch by batch.

        Raises:
            RunError: the disk is full, or there is no folder for the file.
        """
        import pyarrow as pa

        if self.stream is None:
            self.stream = scratch_file()
        writer = pa.ipc.new_stream(self.stream, schema)
        for batch in batches:
            with failing_clearly():
                writer.write_batch(batch)
        with failing_clearly():
            writer.close()
            self.ends.append(self.stream.tell())

    def tables(self) -> list[pa.Table]:
        """All so far, mapped."""
        import pyarrow as pa

        if self.stream is None:
            return []
        with failing_clearly():
            whole = pa.py_buffer(mapped(self.stream))
        return [pa.ipc.open_stream(whole[start:end]).read_all() for start, end in pairwise(self.ends)]
