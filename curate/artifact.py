"""Values that cross files: frozen, with one canonical JSON form whose SHA-256 is the file's own.

An artifact's digest is the SHA-256 of the bytes that ``write`` puts on disk, so anyone can check it with ``sha256sum``.
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from curate.errors import InputError, RunError, TamperedError

CHUNK_BYTES = 1 << 20


class Value(BaseModel):
    """An immutable value; unknown fields are refused, so a misspelt key never passes unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ArtifactRef(Value):
    """Where an artifact lies, relative to its run folder, and the SHA-256 of its bytes."""

    path: str
    sha256: str
    kind: str = ""


class Artifact(Value):
    """A value with a kind, a canonical JSON form and a digest.

    Subclasses set ``kind: Literal["curate/<name>@<version>"]``. A new optional field keeps the version; a renamed or
    removed one makes the next, with a reader for the old. Fields named in ``DATED`` (dates, wall times, paths of this
    machine) are recorded but left out of ``resume_digest``.
    """

    DATED: ClassVar[tuple[str, ...]] = ()

    kind: str

    def to_json(self) -> str:
        """The canonical form: sorted keys, two spaces, UTF-8, one newline at the end; NaN is refused."""
        return "".join(self.pieces())

    def pieces(self, *, without: Collection[str] = ()) -> Iterator[str]:
        """The canonical form, without some fields, in pieces; a class with a field of many rows gives more than one."""
        yield canonical_json(self.model_dump(mode="json", exclude=set(without)))

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical form, which is the file's."""
        return sha256_pieces(self.pieces())

    def resume_digest(self) -> str:
        """The digest without what differs from one honest repetition to the next."""
        return sha256_pieces(self.pieces(without=self.DATED))

    def write(self, path: Path) -> ArtifactRef:
        """Write the canonical form atomically and say where it lies (``path`` is the file's name alone)."""
        digest = hashlib.sha256()
        with atomic_file(path) as stream:
            for piece in self.pieces():
                content = piece.encode("utf-8", "surrogatepass")
                digest.update(content)
                stream.write(content)
        return ArtifactRef(path=path.name, sha256=digest.hexdigest(), kind=self.kind)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an artifact; a missing, broken or other-kind file is an ``InputError``."""
        payload = read_json(path)
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            raise InputError(f"{path}: not a {cls.__name__}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first problem of a pydantic error as ``field.path: message``."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {problem['msg']}{more}"


def canonical_json(payload: Any) -> str:  # noqa: ANN401 – any JSON value
    """One JSON text for one value, the same in every process."""
    return json.dumps(payload, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """SHA-256 (hex) of a text's UTF-8 bytes."""
    return sha256_pieces([text])


def sha256_pieces(pieces: Iterable[str]) -> str:
    """SHA-256 (hex) of the UTF-8 bytes of a text that comes in pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces; a missing file is a ``TamperedError``."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(CHUNK_BYTES):
                digest.update(piece)
    except FileNotFoundError as error:
        raise TamperedError(f"{path}: recorded, but gone") from error
    return digest.hexdigest()


def sha256_folder(folder: Path) -> str:
    """SHA-256 (hex) over the sorted ``path NUL digest`` lines of every regular file below a folder.

    Caches (``__pycache__``) and hidden folders are left out; symbolic links are followed, as the hub's cache uses them.
    """
    digest = hashlib.sha256()
    for path in folder_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def folder_files(folder: Path) -> list[Path]:
    """The regular files below a folder in a fixed order, without hidden parts and byte code."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_json(path: Path) -> Any:  # noqa: ANN401 – any JSON value
    """Read a JSON file; a missing or broken one is an ``InputError`` that names line and column."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_file(path) as stream:
        stream.write(text.encode("utf-8", "surrogatepass"))


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary stream that becomes ``path`` only when everything was written and synced.

    Raises:
        RunError: the disk is full or the folder cannot be written; the old file, if any, is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise write_failure(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_failure(path: Path, error: OSError) -> RunError:
    """What a failed write is called, with the next thing to try."""
    if error.errno == errno.ENOSPC:
        return RunError(f"{path}: disk full", hint="free some space or choose another folder, then resume")
    return RunError(f"{path}: cannot be written: {error.strerror}", hint="check the folder and its permissions")
