"""Vectors by text: no text is encoded twice, within a run and, for slow embedders, between runs.

The vectors of a slow embedder lie in one file that only grows: a header, then for each text its hash and its vector.
They are written block by block as they are made, so that a run which is killed goes on where it stopped; what a kill
left half written at the end is cut off. The file is mapped, not read: memory does not grow with it. Vectors of a fast
embedder lie in a temporary file once they are many.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from curate.artifact import write_failure
from curate.errors import ModelNotFound, PromptsError
from curate.lock import lock
from curate.progress import Progress, silent
from curate.prompts.embed import BFLOAT16, BLOCK, Embedder, load_embedder, shared_out
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.keys import AT_ONCE, KEY_BYTES, Index, hash_text, packed
from curate.prompts.results import EmbedderRef
from curate.prompts.scratch import ArrayFile, gathered

if TYPE_CHECKING:
    import numpy as np

HEADER_BYTES = 64
KIND = "curate/vectors@1"
FAST_BLOCK = 65_536
"""Least number of texts that workers are given before their vectors are awaited, where the embedder is fast."""
REMAKE = "delete the file; it is made again"


class VectorStore:
    """The vectors of one embedder, by the hash of their text."""

    def __init__(self, embedder: Embedder, *, folder: Path | None = None, engine: Engine = LOCAL) -> None:
        self.embedder, self.engine = embedder, engine
        self.block = BLOCK * engine.at_once
        """Texts that are encoded, and for slow embedders kept on disk, at once."""
        if embedder.is_cheap and engine is not LOCAL:
            self.block = max(self.block, FAST_BLOCK)
        self.index = Index()
        self.held = ArrayFile("<f4", embedder.ref.dimensions)
        self.records: np.ndarray | None = None
        """The file's vectors, where there is a file."""
        precision = "-bfloat16" if embedder.ref.name.endswith(BFLOAT16) else ""
        name = f"{embedder.ref.sha256[:16]}{precision}.vectors"
        self.path = None if folder is None or embedder.is_cheap else folder / name
        if self.path is not None and self.path.is_file():
            with locked(self.path) as stream:
                self._catch_up(stream)

    @property
    def vectors(self) -> np.ndarray:
        """(texts, dimensions) every vector there is, in the order in which they were made."""
        return self.held.array() if self.records is None else self.records

    def __call__(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts, dimensions): each text's unit vector; new texts are encoded, the others looked up."""
        import numpy as np

        found = self.places(texts, progress=progress)
        vectors = self.vectors
        if len(found) == len(vectors) and np.array_equal(found, np.arange(len(found))):
            return read_only(vectors)
        return gathered(vectors, found)

    def places(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts,) the row of ``vectors`` each text's vector lies in; new texts are encoded."""
        import numpy as np

        keys = ArrayFile(np.uint64, 2)
        new: dict[bytes, str] = {}
        encode = self._encode if self.path is None else self._encode_to_disk
        for start in range(0, len(texts), AT_ONCE):
            batch = texts[start : start + AT_ONCE]
            hashes = [hash_text(text) for text in batch]
            asked = packed(hashes)
            keys.add(asked)
            for place in np.flatnonzero(self.index.find(asked) < 0).tolist():
                new.setdefault(hashes[place], batch[place])
            while len(new) >= self.block:
                block = {key: new.pop(key) for key in list(islice(new, self.block))}
                encode(block)
                progress("embed", start + len(batch), len(texts))
        if new:
            encode(new)
            progress("embed", len(texts), len(texts))
        found, wanted = ArrayFile(np.int64), keys.array()
        for start in range(0, len(texts), AT_ONCE):
            found.add(self.index.find(wanted[start : start + AT_ONCE]))
        return found.array()

    def hold(self, texts: Iterable[str], *vectors: np.ndarray) -> None:
        """Take vectors that were made elsewhere: those of the texts, in their order."""
        self.index, self.held = Index(), ArrayFile("<f4", self.embedder.ref.dimensions)
        self.index.add([hash_text(text) for text in texts], 0)
        for part in vectors:
            self.held.add(part)

    def _encode(self, new: dict[bytes, str]) -> None:
        """Encode a block of new texts and keep their vectors for this run."""
        made = self._made(list(new.values()))
        self.index.add(list(new), self.held.rows)
        self.held.add(made)

    def _encode_to_disk(self, new: dict[bytes, str]) -> None:
        """Encode a block of new texts and append them to the file; what another run has appended counts."""
        import numpy as np

        assert self.path is not None  # noqa: S101 – for the type checker: only called with a path
        with locked(self.path) as stream:
            self._catch_up(stream)
        known = self.index.find(packed(new)).tolist()
        keys = [key for key, row in zip(new, known, strict=True) if row < 0]
        if not keys:
            return
        records = np.zeros(len(keys), dtype=self._record())
        records["vector"] = self._made([new[key] for key in keys])
        records["key"] = [np.void(key) for key in keys]
        with locked(self.path) as stream:
            stream.seek(0, os.SEEK_END)
            append(stream, self.path, records.tobytes())
            self._catch_up(stream)

    def _made(self, texts: list[str]) -> np.ndarray:
        """(texts, dimensions) vectors of new texts, made here or on the engine's workers."""
        import numpy as np

        ref = self.embedder.ref
        if self.engine is LOCAL:
            return checked(self.embedder.encode(texts), len(texts), ref)
        places = shared_out(texts, is_cheap=self.embedder.is_cheap)
        made = np.zeros((len(texts), ref.dimensions), dtype=np.float32)
        parts = (([texts[row] for row in part],) for part in places)
        found = self.engine.map(encode_as, parts, shared=ref, on_gpu=not self.embedder.is_cheap)
        for part, vectors in zip(places, found, strict=True):
            made[part] = checked(vectors, len(part), ref)
        return made

    def _record(self) -> Any:  # noqa: ANN401 – a numpy dtype
        import numpy as np

        return np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f4", (self.embedder.ref.dimensions,))])

    def _catch_up(self, stream: IO[bytes]) -> None:
        """See every whole record of the file; a half one at the end, which a kill left, is cut off."""
        import numpy as np

        assert self.path is not None  # noqa: S101 – for the type checker: only called with a path
        check_header(stream, self.path, self.embedder.ref.dimensions)
        size = stream.seek(0, os.SEEK_END) - HEADER_BYTES
        record = self._record()
        count = size // record.itemsize
        if size % record.itemsize:
            stream.truncate(HEADER_BYTES + count * record.itemsize)
        known = 0 if self.records is None else len(self.records)
        if count > known:
            records = np.memmap(self.path, dtype=record, mode="r", offset=HEADER_BYTES, shape=(count,))
            for start in range(known, count, AT_ONCE):
                content = records["key"][start : start + AT_ONCE].tobytes()
                keys = [content[place : place + KEY_BYTES] for place in range(0, len(content), KEY_BYTES)]
                self.index.add(keys, start)
            self.records = records["vector"]


def encode_as(ref: EmbedderRef, texts: list[str]) -> np.ndarray:
    """On a worker: the vectors of some texts, by the embedder of that spec if it is the very same there.

    Raises:
        ModelNotFound: the worker has another model, or the same in another precision.
    """
    embedder = embedder_of(ref.spec)
    if embedder.ref != ref:
        raise ModelNotFound(
            f"embedder {ref.spec}: {ref.name} {ref.sha256[:12]} here, {embedder.ref.name} {embedder.ref.sha256[:12]} "
            "on a worker",
            hint="give every worker the same model and the same kind of processor",
        )
    return embedder.encode(texts)


@lru_cache(maxsize=1)
def embedder_of(spec: str) -> Embedder:
    """An embedder, loaded once a worker."""
    return load_embedder(spec)


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """The file, made if it is not there, for this process alone while it is open."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            lock(stream, wait=True)
            yield stream
    except OSError as error:
        raise write_failure(path, error) from error


def append(stream: IO[bytes], path: Path, content: bytes) -> None:
    """Write at the end and wait until it is on the disk; on failure what was there before stays alone."""
    end = stream.tell()
    try:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        stream.truncate(end)
        raise write_failure(path, error) from error


def check_header(stream: IO[bytes], path: Path, dimensions: int) -> None:
    """Write the header of a new file, or hold that of an old one against the embedder.

    Raises:
        PromptsError: another kind of file, or vectors of other dimensions.
    """
    stream.seek(0)
    header = stream.read(HEADER_BYTES)
    wanted = json.dumps({"kind": KIND, "dimensions": dimensions}).ljust(HEADER_BYTES - 1).encode() + b"\n"
    if header == wanted:
        return
    if wanted.startswith(header):
        stream.seek(0)
        stream.truncate()
        append(stream, path, wanted)
        return
    try:
        known = json.loads(header)["kind"] == KIND
    except (ValueError, KeyError, TypeError):
        known = False
    what = "vectors of another embedder" if known else "a broken vector cache"
    raise PromptsError(f"{path}: {what}", hint=REMAKE)


def checked(vectors: np.ndarray, rows: int, ref: EmbedderRef) -> np.ndarray:
    """What an embedder gave, if it is finite and of the shape it promised.

    Raises:
        PromptsError: it is not.
    """
    import numpy as np

    if vectors.shape != (rows, ref.dimensions):
        raise PromptsError(
            f"embedder {ref.spec}: gave {vectors.shape} for {(rows, ref.dimensions)}", hint="try another"
        )
    wrong = ~np.isfinite(vectors.sum(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 1
        raise PromptsError(f"embedder {ref.spec}: a vector that is not finite, for text {row}", hint="try another")
    return vectors


def read_only(vectors: np.ndarray) -> np.ndarray:
    """A view that cannot be written to."""
    view = vectors.view()
    view.flags.writeable = False
    return view
