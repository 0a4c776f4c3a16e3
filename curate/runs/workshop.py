"""What the steps of a run share: the configuration, the policy, the trail, and where things lie."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import ConfigError
from curate.gate import is_path
from curate.licenses.sources import make_source
from curate.policy import Policy, policy_names
from curate.progress import Progress
from curate.runs.config import RunConfig
from curate.runs.kept_cards import KeptCards
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
    cards: KeptCards | None = None
    """The cards that the license gate read, once it did."""
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


def is_folder(name: str, where: Path) -> bool:
    """Whether a run file's teacher is a folder: written as a path, or there."""
    return is_path(name) or (":" not in name and (where / name / "config.json").is_file())


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
