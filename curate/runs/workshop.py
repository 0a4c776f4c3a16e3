"""What the steps of a run share: the configuration, the policy, the trail, and where things lie."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import ConfigError
from curate.licenses.card import RawCard
from curate.licenses.names import ModelRef
from curate.licenses.sources import CardSource, make_source
from curate.policy import Policy, policy_names
from curate.progress import Progress
from curate.runs.config import RunConfig
from curate.runs.trail import Trail

if TYPE_CHECKING:
    from curate.prompts.store import VectorStore

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass
class Workshop:
    """One run at work."""

    config: RunConfig
    where: Path
    """Folder that the run file's paths are relative to."""
    policy: Policy
    today: date
    trail: Trail
    progress: Progress
    say: Callable[[str], None]
    weights: Path | None = None
    """A local teacher's folder, once it is known."""
    store: "VectorStore | None" = None
    """Vectors of the policy's embedder, once they are needed."""

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.trail.root

    def path(self, name: str) -> Path:
        """A path of the run file."""
        return self.where / name

    def ref_of(self, name: str) -> str:
        """A teacher as the license gate asks for it: a folder absolute, the short name in full."""
        if name == "smollm2":
            return SMOLLM2
        return str(self.path(name).resolve()) if is_folder(name, self.where) else name

    def card_source(self) -> "KeptCards":
        """Where cards come from, keeping what is read."""
        folders = [self.path(folder) for folder in self.config.cards]
        if "smollm2" in {self.config.teacher, *(one.teacher for one in self.config.teachers)}:
            folders.append(demo_folder() / "cards")
        return KeptCards(make_source(cards=folders, offline=self.config.offline, embedded=embedded_teacher()))


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

    def write(self, folder: Path) -> list[Path]:
        """Write the cards in the layout of ``--cards``; names from cards are made safe first."""
        written = []
        for ref, card in self.read.values():
            kind = "datasets" if ref.kind == "dataset" else "models"
            place = folder / kind / safe_name(Path(ref.name).name if ref.folder else ref.name)
            place.mkdir(parents=True, exist_ok=True)
            (place / "README.md").write_bytes(card.content)
            written.append(place / "README.md")
            for name, text in card.files.items():
                (place / safe_name(name)).write_text(text, encoding="utf-8", errors="surrogatepass")
                written.append(place / safe_name(name))
        return written


def safe_name(name: str) -> str:
    """A file name for an id: ``owner/name`` as ``owner__name``, nothing that leads elsewhere."""
    return re.sub(r"[^\w.-]", "_", name.replace("/", "__"), flags=re.ASCII).lstrip(".")[:150] or "unnamed"


def is_folder(name: str, where: Path) -> bool:
    """Whether a run file's teacher is a folder: written as a path, or there."""
    return name.startswith((".", "/", "~")) or (":" not in name and (where / name / "config.json").is_file())


def package_folder() -> Path:
    """The installed package."""
    return Path(str(files("curate")))


def embedded_teacher() -> Path:
    """The teacher that ships with curate."""
    return package_folder() / "embedded" / "intent_teacher"


def demo_folder() -> Path:
    """The demo's prompts and cards."""
    return package_folder() / "embedded" / "demo"


def policy_place(config: RunConfig, where: Path) -> str:
    """The policy a run file names: a shipped one by name, or a file relative to the run file."""
    if config.policy in policy_names():
        return config.policy
    path = where / config.policy
    if not path.is_file():
        raise ConfigError(
            f"policy: {config.policy!r} is neither shipped nor a file here",
            hint=f"shipped: {', '.join(policy_names())}",
        )
    return str(path)
