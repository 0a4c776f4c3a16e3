"""Names as people and machines write them: cleaned, slugged, told apart as model, data set, folder or route."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["model", "dataset", "api"]

REPO_ID = re.compile(r"(?!.*(?:\.\.|--))[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?\Z", re.ASCII)
HUB_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<kind>datasets/|models/)?(?P<id>[\w.-]+(?:/[\w.-]+)?)", re.I
)
LOOK_ALIKES = str.maketrans(
    "авекмнорстухіјѕԁɡοαιυνκρτеАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧ‐‑‒–—−",
    "abekmhopctyxijsdgoaiuvkpteABEKMHOPCTYXIJSABEZHIKMNOPTYX------",
)
LINK_PARTS = {"blob", "tree", "resolve", "raw", "main"}


@dataclass(frozen=True)
class Cleaned:
    """A value freed of look-alikes and invisible characters, and what was odd about it."""

    text: str
    oddity: str = ""


@lru_cache(maxsize=4096)
def clean(value: str) -> Cleaned:
    """The value as a reader would take it, and whether it contained characters that deceive."""
    value = value.strip(" \t\r\n")
    if value.isascii() and value.isprintable():
        return Cleaned(value)
    odd: list[str] = []
    kept = []
    for char in value:
        category = unicodedata.category(char)
        if category in ("Cf", "Cc", "Co", "Cs"):
            odd.append(f"U+{ord(char):04X}")
            kept.append(" " if char in "\t\r\n" else "")
        else:
            kept.append(char)
    bare = "".join(kept)
    folded = unicodedata.normalize("NFKC", bare).translate(LOOK_ALIKES)
    odd.extend(f"U+{ord(char):04X}" for char in bare if not char.isascii() and char not in folded)
    shown = ", ".join(dict.fromkeys(odd[:8]))
    return Cleaned(folded.strip(), f"deceiving characters {shown}" if odd else "")


@lru_cache(maxsize=8192)
def slug(name: str) -> str:
    """Lower case, every run of other characters than letters, digits, dot and plus a hyphen."""
    return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")


def is_repo_id(name: str) -> bool:
    """Whether the hub would take this as ``name`` or ``owner/name``."""
    return len(name) <= 193 and REPO_ID.match(name) is not None


def repo_id_in(value: str) -> str:
    """The ``owner/name`` (or bare name) that a value or hub address names, without a revision; empty if none."""
    text = value.strip().strip("\"'<>()[] ")
    if address := HUB_ADDRESS.search(text):
        text = "/".join(part for part in address["id"].split("/") if part not in LINK_PARTS)
    text = text.removesuffix(".git").rstrip("/").split("@")[0]
    return text if is_repo_id(text) else ""


@dataclass(frozen=True)
class ModelRef:
    """What is asked about: a model, a data set, a folder with a model, or a hosted route."""

    kind: Kind
    name: str
    """``owner/name``, ``provider/model``, or the folder as given."""
    revision: str = ""
    folder: bool = False

    @property
    def key(self) -> str:
        """What tells members of a lineage apart; ids compare without regard to case."""
        name = self.name if self.folder else self.name.lower()
        return f"{self.kind}:{name}"

    @property
    def place(self) -> str:
        """Where a folder of cards holds it: ``models/owner__name``, or ``datasets/…``. No other id has it."""
        kind = "datasets" if self.kind == "dataset" else "models"
        return f"{kind}/{repo_folder(self.name)}"

    def __str__(self) -> str:
        """As reports print it."""
        return {"model": "", "dataset": "dataset:", "api": "api:"}[self.kind] + self.name


def safe_name(name: str) -> str:
    """A file name for an id: ``owner/name`` as ``owner__name``, nothing that leads elsewhere."""
    return re.sub(r"[^\w.-]", "_", name.replace("/", "__"), flags=re.ASCII).lstrip(".")[:150] or "unnamed"


def repo_folder(name: str) -> str:
    """A folder's name for an id of the hub: ``owner__name``, where the first two underscores are the slash.

    An id of which that is not so, such as ``a__b/c`` beside ``a/b__c``, is told by a hash behind a sign that no id has.
    """
    plain, slash = safe_name(name), name.find("/")
    if name.replace("/", "__", 1) == plain and plain.find("__") == slash:
        return plain
    return f"{plain}={hashlib.sha256(name.lower().encode()).hexdigest()[:16]}"
