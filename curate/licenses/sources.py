"""Where cards come from: a folder of cards, a model's own folder, the hub. The only door to the network is ``hub``."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from curate.errors import CardError, ModelNotFound
from curate.licenses.card import MAX_BYTES, RawCard
from curate.licenses.names import ModelRef, is_repo_id

if TYPE_CHECKING:
    from curate.licenses.card_index import FetchedCard

INDEX_NAME = "index.json"
BESIDE = ("adapter_config.json", "config.json")
MAX_BESIDE_BYTES = 1 << 18
MAX_ORIGINALS = 8
"""License files of one card that are kept byte for byte."""
LICENSE_FILES = ("license", "licence", "copying", "use_policy", "notice")


class CardSource(Protocol):
    """Anything that can be asked for a card."""

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card of a model or data set, or None if this source has none.

        Raises:
            HubUnreachable: the source is on the network and does not answer.
        """
        ...


class CardFolder:
    """Cards below ``models/<owner>__<name>/`` and ``datasets/<owner>__<name>/``; ids compare without regard to case.

    Where ``curate fetch`` left its index, commits, tags and gates come from there, and files must be those it wrote.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CardError(
                f"{folder}: no such folder of cards", hint="give the folder that holds models/ and datasets/"
            )
        self.folder = folder
        self.listings: dict[str, dict[str, Path]] = {}
        self.fetched: dict[str, FetchedCard] = {}
        if (folder / INDEX_NAME).is_file():
            from curate.licenses.card_index import CardIndex

            self.fetched = {card.ref.lower(): card for card in CardIndex.read(folder / INDEX_NAME).cards}

    def _listing(self, kind: str) -> dict[str, Path]:
        if kind not in self.listings:
            below = self.folder / f"{kind}s"
            paths = below.iterdir() if below.is_dir() else ()
            self.listings[kind] = {path.name.lower(): path for path in sorted(paths)}
        return self.listings[kind]

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card under this id, if the folder holds one.

        Raises:
            ModelNotFound: the index tells of another revision than the one asked for.
            TamperedError: a fetched file was changed.
        """
        if ref.kind == "api" or ref.folder or not is_repo_id(ref.name):
            return None
        path = self._listing(ref.kind).get(ref.place.split("/")[1].lower())
        if path is None:
            return None
        card = read_folder(path, where=f"{ref.kind}s/{path.name}", revision=ref.revision)
        entry = self.fetched.get(str(ref).lower())
        if card is None or entry is None:
            return card
        from curate.licenses.card_index import checked

        entry = checked(entry, ref, self.folder)
        return replace(card, revision=entry.revision, tags=entry.tags, gated=entry.gated, withheld=entry.withheld)


class ModelFolder:
    """The card of a model that lies in a folder of its own, as ``save_pretrained`` and the hub's cache lay it out."""

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card in the folder that the ref names; a folder without one gives an empty card."""
        if not ref.folder:
            return None
        folder = Path(ref.name)
        if not folder.is_dir():
            raise ModelNotFound(f"{folder}: no such folder", hint="check the path, or give owner/name")
        return read_folder(folder, where=folder.name or str(folder)) or _with_files(RawCard(str(folder), b""), folder)


EMBEDDED = ModelRef("model", "embedded")


class EmbeddedTeacher:
    """The teacher that ships with curate, under the ref ``embedded``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """Its card."""
        return read_folder(self.folder, where="embedded") if ref == EMBEDDED else None


class OnlyEmbedded:
    """The embedded teacher's own card alone: it names and credits its data sets, and nothing of it is on the hub."""

    def __init__(self, source: CardSource) -> None:
        self.source = source

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """Its card; nothing else is asked for, so that it can be judged without a network."""
        return self.source.fetch(ref) if ref == EMBEDDED else None


class FirstOf:
    """Several sources, asked in order."""

    def __init__(self, sources: Iterable[CardSource]) -> None:
        self.sources = tuple(sources)

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The first answer there is."""
        for source in self.sources:
            card = source.fetch(ref)
            if card is not None:
                return card
        return None


def read_folder(folder: Path, *, where: str, revision: str = "") -> RawCard | None:
    """The card in a folder with the license and configuration files beside it; None if there is no README."""
    path = folder / "README.md"
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}", hint="check its permissions") from error
    return _with_files(RawCard(f"{where}/README.md", content, revision), folder)


def _with_files(card: RawCard, folder: Path) -> RawCard:
    """The card with the license and configuration files beside it, each bounded.

    A link is read, for it can only make stricter, but what it leads to is not the publisher's to pass on.
    """
    contents: dict[str, bytes] = {}
    linked = set()
    for path in sorted(folder.iterdir())[:2000]:
        name = path.name.lower()
        if (name in BESIDE or is_license_file(name)) and path.is_file():
            if path.is_symlink() and not _is_cached(path):
                linked.add(path.name)
            with path.open("rb") as stream:
                contents[path.name] = stream.read(MAX_BESIDE_BYTES)
    texts = {name: content.decode("utf-8", "replace") for name, content in contents.items()}
    own = {name: content for name, content in contents.items() if name not in linked}
    return replace(card, files=texts, originals=originals_in(own))


def _is_cached(path: Path) -> bool:
    """Whether a link is one that the hub's client made: from a snapshot to a blob of the same repository."""
    repository = path.parent.resolve().parent.parent
    return path.parent.resolve().parent.name == "snapshots" and path.resolve().parent == repository / "blobs"


def originals_in(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Of files as they were read up to the bound, the license files that were read whole."""
    whole = {
        name: content
        for name, content in contents.items()
        if is_license_file(name) and content.strip() and len(content) < MAX_BESIDE_BYTES
    }
    return dict(list(whole.items())[:MAX_ORIGINALS])


def is_license_file(name: str) -> bool:
    """Whether a file name is one under which license texts are kept."""
    stem = name.lower().rsplit("/", 1)[-1]
    named = any(word in stem for word in LICENSE_FILES)
    return named and stem.rsplit(".", 1)[-1] in (stem, "md", "txt", "rst", "license", "openmdw-1.1", "1")


def make_source(
    *, cards: Iterable[Path] = (), offline: bool = False, embedded: Path | None = None, token: str | None = None
) -> CardSource:
    """The sources a command asks: the model's own folder, folders of cards, then (only without those) the hub.

    Offline, by argument or by the hub's own ``HF_HUB_OFFLINE``, the hub's cache stands in for the hub.
    """
    from curate.licenses.hub_cache import HubCache, is_offline

    folders = [CardFolder(folder) for folder in cards]
    sources: list[CardSource] = [ModelFolder(), *folders]
    if embedded is not None:
        sources.insert(0, EmbeddedTeacher(embedded))
    if offline or (is_offline() and not folders):
        sources.append(HubCache())
    elif not folders:
        from curate.licenses.hub import Hub

        sources.append(Hub(token=token))
    return FirstOf(sources)
