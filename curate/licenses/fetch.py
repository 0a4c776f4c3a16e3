"""Cards, license files and lineage, gathered at pinned revisions into a folder that ``--cards`` reads."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Lock

from curate import __version__
from curate.artifact import atomic_file, sha256_file
from curate.errors import CardError
from curate.licenses.card import RawCard
from curate.licenses.card_index import CardIndex, FetchedCard, FetchedFile, merged, read_index
from curate.licenses.facts import Catalogue, load_catalogue
from curate.licenses.lineage import trace_chain
from curate.licenses.names import ModelRef
from curate.licenses.sources import INDEX_NAME, CardSource
from curate.progress import Progress, silent

AT_ONCE = 8
"""Refs that are looked up side by side; a hub answers no faster to more."""


class Remembered:
    """A source that asks another one only once for each card, from any number of threads, and remembers the answers."""

    def __init__(self, source: CardSource) -> None:
        self.source = source
        self.lock = Lock()
        self.answers: dict[tuple[str, str], Future[RawCard | None]] = {}
        self.asked: dict[tuple[str, str], ModelRef] = {}

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card; the first to ask looks it up, the others wait for the same answer."""
        key = (ref.key, ref.revision)
        with self.lock:
            answer = self.answers.get(key)
            if is_first := answer is None:
                answer = self.answers[key] = Future()
                self.asked[key] = ref
        if is_first:
            try:
                answer.set_result(self.source.fetch(ref))
            except BaseException as error:  # noqa: BLE001 – it is raised below, in every thread that asked
                answer.set_exception(error)
        return answer.result()


def fetch_cards(
    refs: Iterable[ModelRef],
    folder: Path,
    *,
    source: CardSource,
    today: date,
    catalogue: Catalogue | None = None,
    progress: Progress = silent,
) -> CardIndex:
    """Fetch the cards of some refs and of all they were made from, and write them with their index.

    Cards of an earlier fetch into the same folder stay, unless they are fetched anew.

    Raises:
        CardError: a ref is a folder or a hosted route, which have no card on the hub.
        HubUnreachable: the hub does not answer; nothing is written then.
    """
    catalogue = catalogue or load_catalogue()
    wanted = list(refs)
    for ref in wanted:
        if ref.folder or ref.kind == "api":
            raise CardError(f"{ref}: only cards on the hub are fetched", hint="give owner/name or dataset:owner/name")
    memory = Remembered(source)
    each_of(wanted, lambda ref: trace_chain(ref, memory, catalogue), progress=progress)
    old = read_index(folder)
    found = [(memory.asked[key], answer.result()) for key, answer in memory.answers.items()]
    cards = [_write_card(ref, raw, folder) for ref, raw in _pinned_first(found, wanted) if raw is not None]
    absent = [str(ref) for ref, raw in found if raw is None]
    _remove_stale(old, cards, folder)
    index = CardIndex.model_validate({**merged(old, cards, absent), "fetched_on": today, "curate_version": __version__})
    index.write(folder / INDEX_NAME)
    return index


def each_of(
    refs: list[ModelRef], look: Callable[[ModelRef], object], *, progress: Progress, at_once: int = AT_ONCE
) -> None:
    """Look at every ref, several side by side; the first error ends it."""
    with ThreadPoolExecutor(max_workers=min(at_once, max(len(refs), 1))) as pool:
        waiting = [pool.submit(look, ref) for ref in refs]
        try:
            for done, answer in enumerate(waiting, start=1):
                answer.result()
                progress("fetch", done, len(refs))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pinned_first(
    found: list[tuple[ModelRef, RawCard | None]], wanted: list[ModelRef]
) -> list[tuple[ModelRef, RawCard | None]]:
    """Of a card that was asked for at several revisions, the one that the user named comes last and stays."""
    named = {(ref.key, ref.revision) for ref in wanted}
    return sorted(found, key=lambda one: (one[0].key, (one[0].key, one[0].revision) in named))


def _remove_stale(old: CardIndex | None, cards: list[FetchedCard], folder: Path) -> None:
    """Files of an earlier fetch that a card fetched anew no longer has must not be read beside it."""
    fresh = {card.ref.lower(): {file.name for file in card.files} for card in cards}
    for card in old.cards if old else ():
        for file in card.files:
            if card.ref.lower() in fresh and file.name not in fresh[card.ref.lower()]:
                (folder / card.folder / file.name).unlink(missing_ok=True)


def _write_card(ref: ModelRef, raw: RawCard, folder: Path) -> FetchedCard:
    """Write a card with the files beside it, in the layout of ``--cards``; a card that is empty is an empty file."""
    below = ref.place
    place = folder / below
    contents = {"README.md": raw.content, **raw.beside}
    files = []
    for name, content in sorted(contents.items()):
        if "/" in name or "\\" in name or name.startswith("."):
            raise CardError(f"{ref}: a file of the name {name!r} is not written", hint="leave this repository out")
        with atomic_file(place / name) as stream:
            stream.write(content)
        files.append(FetchedFile(name=name, sha256=sha256_file(place / name)))
    return FetchedCard(
        ref=str(ref), kind="dataset" if ref.kind == "dataset" else "model", folder=below, revision=raw.revision,
        asked=ref.revision, source=raw.where, gated=raw.gated, withheld=raw.withheld, tags=raw.tags, files=tuple(files),
    )  # fmt: skip
