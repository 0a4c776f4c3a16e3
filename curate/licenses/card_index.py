"""What ``curate fetch`` wrote beside its cards: which commit each came from, and the digest of every file."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from curate.artifact import Artifact, Value, sha256_file
from curate.errors import ModelNotFound, TamperedError
from curate.licenses.names import ModelRef

INDEX_NAME = "index.json"


class FetchedFile(Value):
    """One file of a fetched card."""

    name: str
    sha256: str


class FetchedCard(Value):
    """A card with what the hub said of it when it was fetched."""

    ref: str
    kind: Literal["model", "dataset"]
    folder: str
    """Below the index, as ``--cards`` reads it: ``models/<owner>__<name>``."""
    revision: str
    """The commit."""
    asked: str = ""
    """The revision that was asked for, where one was."""
    source: str = ""
    """Its address."""
    gated: str = ""
    withheld: bool = False
    tags: tuple[str, ...] = ()
    files: tuple[FetchedFile, ...]


class CardIndex(Artifact):
    """Everything in a folder of fetched cards."""

    DATED: ClassVar[tuple[str, ...]] = ("fetched_on",)

    kind: Literal["curate/cards@1"] = "curate/cards@1"
    cards: tuple[FetchedCard, ...]
    absent: tuple[str, ...] = ()
    """What the hub was asked for and did not know."""
    fetched_on: date
    curate_version: str

    def find(self, ref: ModelRef) -> FetchedCard | None:
        """The entry of a ref; ids compare without regard to case."""
        return next((one for one in self.cards if one.ref.lower() == str(ref).lower()), None)


def read_index(folder: Path) -> CardIndex | None:
    """The index of a folder of cards; None where the cards were put there by hand."""
    path = folder / INDEX_NAME
    return CardIndex.read(path) if path.is_file() else None


def checked(entry: FetchedCard, ref: ModelRef, folder: Path) -> FetchedCard:
    """The entry, once its files are found to be those that were fetched.

    Raises:
        ModelNotFound: another revision was asked for than was fetched.
        TamperedError: a file is gone or was changed.
    """
    if ref.revision and ref.revision not in (entry.revision, entry.asked):
        raise ModelNotFound(
            f"{ref}: {folder} holds revision {entry.revision}, not {ref.revision!r}",
            hint="fetch the revision that is asked for",
        )
    for file in entry.files:
        path = folder / entry.folder / file.name
        if not path.is_file() or sha256_file(path) != file.sha256:
            raise TamperedError(f"{path}: not the file that was fetched", hint="fetch it again")
    return entry


def merged(old: CardIndex | None, cards: Iterable[FetchedCard], absent: Iterable[str]) -> dict[str, object]:
    """Cards and absences of an index after another fetch into the same folder."""
    by_ref = {one.ref.lower(): one for one in (*(old.cards if old else ()), *cards)}
    missing = {one.lower(): one for one in (*(old.absent if old else ()), *absent) if one.lower() not in by_ref}
    return {
        "cards": tuple(by_ref[key] for key in sorted(by_ref)),
        "absent": tuple(missing[key] for key in sorted(missing)),
    }
