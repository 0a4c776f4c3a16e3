"""The cards that a run read, kept in its folder with what the hub said of each, so that they can be judged again."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from curate import __version__
from curate.artifact import atomic_file, sha256_file, sha256_text
from curate.licenses.card import RawCard
from curate.licenses.card_index import CardIndex, FetchedCard, FetchedFile
from curate.licenses.names import ModelRef, is_repo_id, safe_name
from curate.licenses.sources import INDEX_NAME, CardSource


@dataclass
class KeptCards:
    """A card source that remembers every card it handed out, so that the run folder can keep them."""

    source: CardSource
    read: dict[str, tuple[ModelRef, RawCard]] = field(default_factory=dict)

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card, remembered."""
        card = self.source.fetch(ref)
        if card is not None:
            self.read[ref.key] = (ref, card)
        return card

    def write(self, folder: Path, *, today: date) -> list[Path]:
        """Write the cards in the layout of ``--cards``, names made safe first, and an index of gates, tags and commits.

        A model's own folder has its card kept and no entry: nothing but the card is known of it.
        """
        written: list[Path] = []
        entries = []
        for ref, card in self.read.values():
            below = place_of(ref)
            beside = {safe_name(name): content for name, content in card.beside.items()}
            files = [_write(folder / below / name, one) for name, one in {**beside, "README.md": card.content}.items()]
            written += files
            if is_repo_id(ref.name) and not ref.folder and ref.kind != "api":
                entries.append(_entry(ref, card, below, files))
        if entries:
            index = CardIndex(cards=tuple(entries), fetched_on=today, curate_version=__version__)
            index.write(folder / INDEX_NAME)
            written.append(folder / INDEX_NAME)
        return written


def place_of(ref: ModelRef) -> str:
    """Where a card is kept, below the folder of cards; two folders of one name, such as ``final``, lie apart."""
    if ref.folder:
        return f"{Path(ref.place).parent}/{safe_name(Path(ref.name).name)}-{sha256_text(ref.name)[:8]}"
    return ref.place


def _write(path: Path, content: bytes) -> Path:
    """One kept file, byte for byte."""
    with atomic_file(path) as stream:
        stream.write(content)
    return path


def _entry(ref: ModelRef, card: RawCard, below: str, files: list[Path]) -> FetchedCard:
    """What the hub said of a card."""
    return FetchedCard(
        ref=str(ref),
        kind="dataset" if ref.kind == "dataset" else "model",
        folder=below,
        revision=card.revision,
        asked=ref.revision,
        source=card.where,
        gated=card.gated,
        withheld=card.withheld,
        tags=card.tags,
        files=tuple(FetchedFile(name=path.name, sha256=sha256_file(path)) for path in sorted(files)),
    )
