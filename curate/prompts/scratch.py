"""What does not fit beside a million rows lies in files without a name, and is mapped.

Mapped pages are page cache: the system takes them back when it needs room, so they are no memory that a row costs. The
files lie in the temporary folder (``TMPDIR``, else the system's), which should be on a disk: one in memory gives
nothing back. They never have a name (or lose it at once where the system cannot do that), so that nothing is left of a
run, however it ends. They are written, never stored into through the map: a full disk is an error then, and not a signal.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from curate.artifact import write_failure
from curate.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SPILL_BYTES = 32 << 20
"""Tables, texts and vectors beyond so many bytes are written to a temporary file and mapped back."""
ROWS_AT_ONCE = 8192


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
        return tempfile.TemporaryFile(dir=os.environ.get("TMPDIR") or None, prefix="curate-")


def mapped(stream: IO[bytes]) -> mmap.mmap:
    """What was written to a file, mapped; it outlives the stream."""
    stream.flush()
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def spilled(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """The batches as a table over a file without a name, which goes when the table does.

    Raises:
        RunError: the disk is full, or there is no folder for the file.
    """
    import pyarrow as pa

    with scratch_file() as stream:
        writer = pa.ipc.new_file(stream, schema)
        for batch in batches:
            with failing_clearly():
                writer.write_batch(batch)
        with failing_clearly():
            writer.close()
            content = mapped(stream)
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(content))).read_all()


def gathered(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``vectors[rows]``; many of them lie in a file that goes with the array."""
    if len(rows) * vectors.shape[1] * vectors.itemsize <= SPILL_BYTES:
        found: np.ndarray = vectors[rows]
        return found
    room = VectorFile(vectors.shape[1])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        room.add(vectors[rows[start : start + ROWS_AT_ONCE]])
    return room.array()


class VectorFile:
    """(rows, dimensions) float32 that grow at the end: in memory while they are few, then in a file without a name."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self.dimensions = dimensions
        self.rows = 0
        self.parts: list[np.ndarray] = []
        self.stream: IO[bytes] | None = None
        self.seen = np.zeros((0, dimensions), dtype=np.float32)

    def add(self, vectors: np.ndarray) -> None:
        """More rows.

        Raises:
            RunError: the disk is full.
        """
        import numpy as np

        self.parts.append(np.ascontiguousarray(vectors, dtype=np.float32))
        self.rows += len(vectors)
        if self.stream is not None or self.rows * self.dimensions * 4 > SPILL_BYTES:
            self._write()

    def _write(self) -> None:
        """Move what is in memory to the file."""
        if self.stream is None:
            self.stream = scratch_file()
        with failing_clearly():
            for part in self.parts:
                self.stream.write(part.data)
            self.stream.flush()
        self.parts = []

    def array(self) -> np.ndarray:
        """All rows so far, not to be written to."""
        import numpy as np

        if self.rows != len(self.seen):
            if self.stream is None:
                whole = self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)
                self.parts = [whole]
                self.seen = whole.view()
                self.seen.flags.writeable = False
            else:
                content = np.frombuffer(mapped(self.stream), dtype=np.float32)
                self.seen = content.reshape(self.rows, self.dimensions)
        return self.seen
