"""Vectors by text: no text is encoded twice, within a run and, for slow embedders, between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.artifact import atomic_file
from curate.errors import PromptsError
from curate.progress import Progress, silent
from curate.prompts.embed import BFLOAT16, Embedder
from curate.prompts.results import EmbedderRef

if TYPE_CHECKING:
    import numpy as np

HASH_BYTES = 16


class VectorStore:
    """The vectors of one embedder, by the hash of their text."""

    def __init__(self, embedder: Embedder, *, folder: Path | None = None) -> None:
        import numpy as np

        self.embedder = embedder
        self.rows: dict[bytes, int] = {}
        self.vectors = np.zeros((0, embedder.ref.dimensions), dtype=np.float32)
        precision = "-bfloat16" if embedder.ref.name.endswith(BFLOAT16) else ""
        name = f"{embedder.ref.sha256[:16]}{precision}.npy"
        self.path = None if folder is None or embedder.is_cheap else folder / name
        if self.path is not None and self.path.is_file():
            self._load(self.path)

    def __call__(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts, dimensions): each text's unit vector; new texts are encoded, the others looked up."""
        import numpy as np

        keys = [hash_text(text) for text in texts]
        new: dict[bytes, str] = {}
        for key, text in zip(keys, texts, strict=True):
            if key not in self.rows:
                new.setdefault(key, text)
        if new:
            first = len(self.vectors)
            made = checked(self.embedder.encode(list(new.values()), progress=progress), len(new), self.embedder.ref)
            self.vectors = np.concatenate([self.vectors, made]) if first else made
            self.rows.update({key: first + number for number, key in enumerate(new)})
            if self.path is not None:
                self._save(self.path)
        found = np.fromiter((self.rows[key] for key in keys), dtype=np.int64, count=len(keys))
        if len(found) == len(self.vectors) and np.array_equal(found, np.arange(len(found))):
            return read_only(self.vectors)
        vectors: np.ndarray = self.vectors[found]
        return vectors

    def _load(self, path: Path) -> None:
        import numpy as np

        try:
            with path.open("rb") as stream:
                keys, vectors = np.load(stream), np.load(stream)
        except (OSError, ValueError, EOFError) as error:
            raise PromptsError(f"{path}: a broken vector cache", hint="delete the file; it is made again") from error
        if vectors.ndim != 2 or vectors.shape != (len(keys), self.embedder.ref.dimensions):
            raise PromptsError(f"{path}: vectors of another embedder", hint="delete the file; it is made again")
        self.vectors = vectors
        self.rows = {key.tobytes(): number for number, key in enumerate(keys)}

    def _save(self, path: Path) -> None:
        import numpy as np

        with atomic_file(path) as stream:
            np.save(stream, np.frombuffer(b"".join(self.rows), dtype=np.uint8).reshape(-1, HASH_BYTES))
            np.save(stream, self.vectors)


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


def hash_text(text: str) -> bytes:
    """A text's key in the store."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=HASH_BYTES).digest()
