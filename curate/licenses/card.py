"""A model or data-set card as claims: what it says of its license, its parents and its data, each with its line."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from curate.licenses.body import Body
from curate.licenses.frontmatter import Entry, FrontMatter, read_front_matter
from curate.licenses.lazy import Pattern
from curate.licenses.names import ModelRef, clean, repo_id_in
from curate.licenses.prose_parents import recipe_parents

if TYPE_CHECKING:
    from curate.licenses.beside import LicenseFile

MAX_BYTES = 4 << 20
WRONG_KEYS = Pattern(r"-?\s*(?:licen[cs]es?|lisences?|liscences?|licen[cs]e[ _-]?(?:id|type|tag)s?)\Z", re.I)
PARENT_KEYS = {"base model", "base-model", "model-base", "model_base", "base_models", "basemodel", "parent_model",
               "parent", "base_model_name", "finetuned_from"}  # fmt: skip
DATA_KEYS = {"dataset", "data", "train_datasets", "training_data", "dataset_tags"}
RELATIONS = ("finetune", "adapter", "quantized", "merge")
RELATION_KEYS = {"relation", "type", "kind", "weight"}


TELLING_TAGS = {
    "gpt4", "gpt-4", "chatgpt", "gpt-3.5", "sharegpt", "vicuna", "alpaca", "llama-2", "llama2", "llama-3", "llama3",
    "llama-3.1", "llama3.1", "llama-3.2", "llama-3.3",
}  # fmt: skip


@dataclass(frozen=True)
class RawCard:
    """What a source found: bytes and where they were, before anything is understood."""

    where: str
    content: bytes
    revision: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    """License and configuration files beside the card, bounded texts by file name."""
    tags: tuple[str, ...] = ()
    """Tags that the hub itself reports."""
    gated: str = ""
    """``auto`` or ``manual`` where the hub hands files only to those who accepted terms; empty elsewhere."""
    withheld: bool = False
    """Some file was not handed out: what is here is what the hub tells in the open."""
    originals: Mapping[str, bytes] = field(default_factory=dict)
    """Of the license files, those that may be passed on: whole, byte for byte, and no link that leads elsewhere."""

    @property
    def beside(self) -> dict[str, bytes]:
        """The files beside the card as bytes: as they are where that is known, else as they were read."""
        read = {name: text.encode("utf-8", "surrogatepass") for name, text in self.files.items()}
        return {**read, **self.originals}


@dataclass(frozen=True)
class Claim:
    """One value the card gives, as written and as read."""

    field: str
    raw: str
    text: str
    line: int
    oddity: str = ""
    kind: str = "str"


@dataclass(frozen=True)
class Parent:
    """A model or data set that the card says it comes from."""

    ref: ModelRef | None
    claim: Claim
    relation: str
    certain: bool = True
    """False for a link in prose, which counts only if something is known of what it names."""


@dataclass
class ModelCard:
    """A card's claims; made by ``parse_card`` only."""

    ref: ModelRef
    where: str
    revision: str
    sha256: str
    front: FrontMatter
    text: str
    files: Mapping[str, str]
    licenses: list[Claim] = field(default_factory=list)
    license_names: list[Claim] = field(default_factory=list)
    wrong_keys: list[Claim] = field(default_factory=list)
    parents: list[Parent] = field(default_factory=list)
    problems: list[tuple[str, int]] = field(default_factory=list)
    gated: bool = False
    gate_kind: str = ""
    """How the hub itself gates the repository: ``auto``, ``manual``, or empty."""
    withheld: bool = False
    """The hub did not hand out the card or a license file."""
    commercial_no: Claim | None = None

    license_links: list[Claim] = field(default_factory=list)
    hints: list[Claim] = field(default_factory=list)
    """Tags that speak of a parent or of data with terms of their own."""
    texts: "tuple[LicenseFile, ...] | None" = None
    """License texts beside the card, once ``license_files`` has read them."""

    @cached_property
    def gate(self) -> Body:
        """What a reader must accept before the files are given out."""
        texts = [
            text for entry in self.front.entries if entry.key.startswith("extra_gated") for text in entry.value.texts
        ]
        line = next((entry.line for entry in self.front.entries if entry.key.startswith("extra_gated")), 1)
        return Body("\n\n".join(texts), first_line=line)

    @cached_property
    def body(self) -> Body:
        """The prose below the front matter."""
        return Body(self.text[self.front.end :], first_line=self.text.count("\n", 0, self.front.end) + 1)


def decode(content: bytes) -> tuple[str, str]:
    """Card bytes as text with plain line ends, and what was wrong with the bytes."""
    problem = f"longer than {MAX_BYTES} bytes; the rest was not read" if len(content) > MAX_BYTES else ""
    content = content[:MAX_BYTES].removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as broken:
        text = content.decode("utf-8", "replace")
        if not problem or broken.start < MAX_BYTES - 4:
            problem = f"not UTF-8 text (byte {broken.start})"
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text, problem


def parse_card(ref: ModelRef, raw: RawCard) -> ModelCard:
    """The claims of a card; hostile or broken input gives problems, never an error."""
    text, problem = decode(raw.content)
    front = read_front_matter(text)
    card = ModelCard(
        ref=ref, where=raw.where, revision=raw.revision, sha256=hashlib.sha256(raw.content).hexdigest(),
        front=front, text=text, files=raw.files, gate_kind=raw.gated, withheld=raw.withheld,
    )  # fmt: skip
    if problem:
        card.problems.append((problem, 0))
    if front.problem:
        card.problems.append((front.problem, front.problem_line))
    _read_licenses(card)
    _read_parents(card)
    _read_tags(card, raw.tags)
    _read_files(card)
    _read_second_block(card)
    _read_recipes(card)
    card.gated = any(entry.key.startswith("extra_gated") for entry in front.entries)
    return card


def _claims(entry: Entry) -> Iterator[Claim]:
    """Every scalar of an entry as a claim."""
    for text, kind in entry.value.scalars:
        cleaned = clean(text)
        yield Claim(entry.key, text[:300], cleaned.text[:300], entry.line, cleaned.oddity, kind)


def _read_licenses(card: ModelCard) -> None:
    """License claims under the right key, and under keys the hub would not read."""
    for entry in card.front.all("license"):
        if entry.value.shape == "mapping" or entry.value.keyed:
            card.licenses.append(Claim("license", "{…}", "", entry.line, kind="mapping"))
        card.licenses.extend(_claims(entry))
    repeated = [entry.line for entry in card.front.all("license")]
    if len(repeated) > 1 and not card.front.problem:
        lines = ", ".join(str(line) for line in repeated)
        card.problems.append((f"the key license is given {len(repeated)} times (lines {lines})", repeated[-1]))
    for entry in card.front.all("license_name"):
        card.license_names.extend(_claims(entry))
    for entry in card.front.entries:
        if entry.key.startswith("license_link"):
            card.license_links.extend(_claims(entry))
        elif entry.key != "license" and WRONG_KEYS.match(entry.key):
            card.wrong_keys.extend(_claims(entry))
        elif entry.key == "commercial" and entry.value.texts and entry.value.texts[0].lower() in ("false", "no"):
            card.commercial_no = next(_claims(entry))


def _read_parents(card: ModelCard) -> None:
    """Base models and data sets from the front matter, under right and wrong keys."""
    relations = [entry.value.texts[0] for entry in card.front.all("base_model_relation") if entry.value.texts]
    relation = relations[-1].lower() if relations and relations[-1].lower() in RELATIONS else "base"
    for entry in card.front.entries:
        key = entry.key.lower()
        if key == "base_model" or key in PARENT_KEYS:
            add_parents(card, _id_claims(entry), "model", relation)
        elif key == "datasets" or key in DATA_KEYS:
            add_parents(card, _id_claims(entry), "dataset", "dataset")


def _id_claims(entry: Entry) -> Iterator[Claim]:
    """The claims of an entry that may be ids: of mappings, not the words that describe the relation."""
    described = {text for key, text in entry.value.keyed if key.lower() in RELATION_KEYS}
    return (claim for claim in _claims(entry) if claim.kind != "null" and claim.raw not in described)


def add_parents(card: ModelCard, claims: Iterable[Claim], kind: str, relation: str) -> None:
    """Add what the claims name; a claim that is no id is kept as a parent nobody can read."""
    for claim in claims:
        name = repo_id_in(claim.text)
        if not claim.text:
            continue
        ref = None
        if name and name.lower() not in ("none", "null", "wip", "n/a", "unknown", "custom", "private"):
            ref = ModelRef("dataset" if kind == "dataset" else "model", name)
        card.parents.append(Parent(ref, claim, relation))


def _read_tags(card: ModelCard, hub_tags: tuple[str, ...]) -> None:
    """Parents that stand in tags: ``base_model:x``, ``base_model:adapter:x``, ``dataset:x``."""
    tags = [claim for entry in card.front.all("tags") for claim in _claims(entry)]
    tags.extend(Claim("tags", tag, tag, 0) for tag in hub_tags)
    for claim in tags:
        prefix, _, rest = claim.text.partition(":")
        if prefix == "base_model":
            first, _, name = rest.partition(":")
            relation = first if first in RELATIONS else "base"
            name = name if first in RELATIONS else rest
            add_parents(card, [_with_text(claim, name)], "model", relation)
        elif prefix == "dataset" and rest:
            add_parents(card, [_with_text(claim, rest)], "dataset", "dataset")
        elif prefix == "license" and rest:
            card.wrong_keys.append(_with_text(claim, rest))
        elif claim.text.lower().replace("_", "-") in TELLING_TAGS:
            card.hints.append(claim)


def _with_text(claim: Claim, text: str) -> Claim:
    """The same claim, read as something shorter."""
    return Claim(claim.field, claim.raw, text.strip(), claim.line, claim.oddity, claim.kind)


def _read_files(card: ModelCard) -> None:
    """Parents that stand in configuration files beside the card."""
    for name, key, relation in (
        ("adapter_config.json", "base_model_name_or_path", "adapter"),
        ("config.json", "_name_or_path", "config"),
    ):
        try:
            settings = json.loads(card.files.get(name, "{}"))
        except (ValueError, RecursionError):
            card.problems.append((f"{name} beside the card is not readable JSON", 0))
            continue
        value = settings.get(key) if isinstance(settings, dict) else None
        if isinstance(value, str) and value.strip():
            cleaned = clean(value[:300])
            claim = Claim(f"{name}: {key}", value[:300], cleaned.text, 0, cleaned.oddity)
            wanted = relation == "adapter" or "/" in repo_id_in(cleaned.text)
            if wanted and repo_id_in(cleaned.text).lower() != card.ref.name.lower():
                add_parents(card, [claim], "model", relation)


def _read_second_block(card: ModelCard) -> None:
    """A second block right behind the first is prose to the hub; what it forbids still counts."""
    rest = card.text[card.front.end : card.front.end + 20_000]
    if not card.front.found or not rest.lstrip().startswith("---"):
        return
    second = read_front_matter(rest)
    lines = card.text.count("\n", 0, card.front.end)
    if any(second.all("license")):
        card.problems.append(("a second block of metadata follows the first and names a license again", lines + 1))
    for entry in second.all("base_model"):
        add_parents(card, _id_claims(entry), "model", "base")


def _read_recipes(card: ModelCard) -> None:
    """Parents in merge recipes and in links of the prose."""
    if card.ref.kind == "dataset":
        return
    for name, line, certain in recipe_parents(card.body, card.ref.name):
        claim = Claim("merge recipe" if certain else "prose", name, name, line)
        card.parents.append(Parent(ModelRef("model", name), claim, "merge" if certain else "prose", certain))
