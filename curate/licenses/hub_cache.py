"""Cards that the hub's client has already put on this machine; nothing here touches the network."""

import os
from pathlib import Path

from curate.licenses.card import RawCard
from curate.licenses.names import ModelRef, is_repo_id
from curate.licenses.sources import read_folder


class HubCache:
    """A ``CardSource`` over huggingface_hub's cache; its client is imported only for a repository that is there."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card of the cached snapshot that the asked revision (by default main) stands for."""
        if ref.kind == "api" or ref.folder or not is_repo_id(ref.name):
            return None
        if not (self.folder / f"{ref.kind}s--{ref.name.replace('/', '--')}").is_dir():
            return None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            ref.name, "README.md", cache_dir=self.folder, revision=ref.revision or None, repo_type=ref.kind
        )
        if not isinstance(found, str):
            return None
        snapshot = Path(found).parent
        return read_folder(snapshot, where=f"hub cache: {ref.kind}s/{ref.name}", revision=snapshot.name)


def cache_folder() -> Path:
    """Where the hub's client keeps what it fetched, by the variables it reads itself."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.path.expandvars(os.environ[name])).expanduser()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = os.environ.get("HF_HOME")
    return (Path(os.path.expandvars(home)) if home else caches / "huggingface").expanduser() / "hub"


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` (or ``TRANSFORMERS_OFFLINE``) tells the hub's client to stay off the network."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}
