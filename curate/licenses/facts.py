"""The catalogue: what licenses and terms say, and what is known of models and data sets; facts only, no norms."""

import hashlib
import re
from bisect import bisect_right
from datetime import date
from functools import cached_property, lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from curate.artifact import Value
from curate.licenses.catalogue_files import shipped_documents
from curate.licenses.names import slug
from curate.licenses.patterns import PatternIndex, matches
from curate.policy import Policy

LLAMA = re.compile(r"llama-?(\d(?:\.\d)?)")
TOKEN = re.compile(r"[a-z0-9]+")
TERMS = ("train_on_outputs", "distill_from_weights", "derivatives", "commercial_use", "redistribute")
Answer = Literal["granted", "conditional", "forbidden", "unknown"]
Confidence = Literal["text", "excerpt", "memory"]
LicenseKind = Literal[
    "permissive", "copyleft", "rail", "open-weights-custom", "noncommercial", "research", "proprietary-api", "data",
    "undetermined", "agreement",
]  # fmt: skip


class LicenseFacts(Value):
    """What one license or one service's terms say, and how well that is known."""

    id: str
    name: str
    kind: LicenseKind
    spdx: str = ""
    hub_tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    family: str = ""
    """The model family that alone may be improved or named under it."""
    url: str = ""
    read_on: str = ""
    terms: dict[str, Answer]
    conditions: tuple[str, ...] = ()
    section: str
    note: str
    remark: str = ""
    confidence: Confidence


class Known(Value):
    """What is known of models or data sets by their ids, apart from their own cards; a hint with exceptions."""

    ids: tuple[str, ...]
    """Patterns over lower-case ids, ``*`` as wildcard."""
    unless: tuple[str, ...] = ()
    """Ids the patterns would catch but that are another matter."""
    licenses: tuple[str, ...] = ()
    made_with: str = ""
    """A source from ``sources.yaml`` that went into it, such as ``openai-outputs``."""
    words: tuple[str, ...] = ()
    """Lower-case names under which prose speaks of it."""
    only_unread: bool = False
    """The owner's own card, where it is read, says it better."""
    basis: str
    confidence: Literal["high", "medium", "low", "memory"]
    """How well the fact is known; ``memory`` was recalled and is to be verified."""
    given: tuple[str, ...] = ()
    """Those of ``ids`` for which the fact was read in a source, whatever the confidence of the rest."""
    read_on: str = ""

    @property
    def caution(self) -> str:
        """A word of caution where the fact is not certain."""
        if self.confidence == "memory":
            return " (recalled, not read: verify before relying on it)"
        return "" if self.confidence == "high" else f" ({self.confidence} confidence)"


class Fingerprint(Value):
    """A text that was read: the digest of its words and what it is."""

    sha256: str = Field(pattern="[0-9a-f]{64}")
    license: str = ""
    kind: Literal["license", "use-policy", "margin"] = "license"
    """A margin is a preamble printed around licenses, which says nothing of its own."""
    source: str
    read_on: str = ""


class Agreement(Value):
    """A contract of the organisation's own: while in force it stands instead of the license of what it covers."""

    license: str
    covers: tuple[str, ...]
    """Patterns over lower-case ids of models; ``api:provider/model`` for hosted routes."""
    signed_by: str = Field(min_length=1)
    signed_on: date
    until: date
    document_sha256: str = Field(pattern="[0-9a-f]{64}")

    def holds_for(self, name: str, today: date) -> bool:
        """Whether it is in force today and covers a model."""
        return self.signed_on <= today <= self.until and any(matches(name.lower(), one) for one in self.covers)


class OwnFacts(NamedTuple):
    """What an organisation adds to the shipped facts, or puts in their place."""

    licenses: dict[str, LicenseFacts]
    known: dict[str, tuple[Known, ...]]
    fingerprints: tuple[Fingerprint, ...]
    agreements: tuple[Agreement, ...]
    replaced: frozenset[str]
    """Id patterns of shipped entries that no longer count."""
    sha256: str


NOTHING_OWN = OwnFacts({}, {}, (), (), frozenset(), "")


class Word(NamedTuple):
    """A name in prose, what it names, and longer names that must not be taken for it."""

    text: str
    known: Known
    longer: tuple[str, ...]
    tokens: frozenset[str]
    """Its runs of letters and digits; prose without one of them need not be searched."""


class Catalogue:
    """All facts, indexed; made once a process."""

    def __init__(self, documents: dict[str, Any], sha256: str, own: OwnFacts = NOTHING_OWN) -> None:
        self.sha256 = hashlib.sha256(f"{sha256}\n{own.sha256}\n".encode()).hexdigest() if own.sha256 else sha256
        self.licenses: dict[str, LicenseFacts] = {}
        self.known: dict[str, tuple[Known, ...]] = {}
        for name, document in sorted(documents.items()):
            for key, entry in document.get("licenses", {}).items():
                self.licenses[key] = LicenseFacts.model_validate({"id": key, "kind": document["kind"], **entry})
            if "known" in document:
                entries = (half for entry in document["known"] for half in _halves(Known.model_validate(entry)))
                shipped = (_without(entry, own.replaced) for entry in entries)
                self.known[name] = (*own.known.get(name, ()), *(entry for entry in shipped if entry.ids))
        self.licenses.update(own.licenses)
        printed = [Fingerprint.model_validate(entry) for entry in documents.get("fingerprints", {}).get("read", ())]
        self.fingerprints = {entry.sha256: entry for entry in (*printed, *own.fingerprints)}
        self.agreements = own.agreements
        self.conditions: dict[str, str] = documents["conditions"]["conditions"]
        self.ambiguous: dict[str, list[str]] = documents["conditions"]["ambiguous_names"]
        self.licensors: dict[str, list[str]] = documents["conditions"]["licensors"]
        self.short_names: dict[str, str] = documents["conditions"]["short_names"]
        self.name_parts: dict[str, str] = documents["conditions"]["name_parts"]
        self.sources: dict[str, str] = documents["sources"]["sources"]
        self.hosted: dict[str, Any] = documents["hosted"]

    @cached_property
    def by_name(self) -> dict[str, str]:
        """Every id, tag, SPDX id, name and alias (slugged) to its entry; ids and SPDX win over aliases."""
        index: dict[str, str] = {}
        for facts in self.licenses.values():
            index[slug(facts.id)] = facts.id
        for group in ("spdx", "hub_tags", "name", "aliases"):
            for facts in self.licenses.values():
                names = getattr(facts, group)
                for name in (names,) if isinstance(names, str) else names:
                    if name:
                        index.setdefault(slug(name), facts.id)
        return index

    def find(self, name: str) -> tuple[LicenseFacts, ...]:
        """The entries a claimed name may mean: none, one, or all that carry an ambiguous name."""
        key = slug(name)
        if key in self.ambiguous:
            return tuple(self.licenses[one] for one in self.ambiguous[key])
        short = _shortened(key)
        found = self.by_name.get(key) or self.by_name.get(self.short_names.get(short, short))
        if not found:
            llama = LLAMA.search(key)
            version = f"llama{llama[1]}" if llama else ""
            part = next((id_ for part, id_ in self.name_parts.items() if part in key), "")
            found = version if version in self.licenses else part
        return (self.licenses[found],) if found else ()

    @cached_property
    def indexes(self) -> dict[str, PatternIndex[Known]]:
        """The id patterns of models and data sets, ready to be asked."""
        return {
            group: PatternIndex((entry.ids, entry.unless, entry) for entry in entries)
            for group, entries in self.known.items()
        }

    def lookup(self, group: str, name: str) -> tuple[Known, ...]:
        """What is known of a model or data set by its id: the closest owner's entry, then all that its name betrays."""
        found = self.indexes[group].find(name.lower())
        return found if len(found) < 2 else _once(found)

    @cached_property
    def words(self) -> dict[str, tuple[Word, ...]]:
        """Every name by which prose speaks of something known, with the longer names that begin with it."""
        spoken: dict[str, tuple[Word, ...]] = {}
        for group, entries in self.known.items():
            pairs = [(word, entry) for entry in entries for word in entry.words]
            names = sorted({word for word, _ in pairs})
            spoken[group] = tuple(
                Word(word, entry, _longer(word, names), frozenset(TOKEN.findall(word))) for word, entry in pairs
            )
        return spoken


def _longer(word: str, names: list[str]) -> tuple[str, ...]:
    """Of sorted names, those that begin with a word and go on."""
    at = bisect_right(names, word)
    return tuple(takewhile(lambda name: name.startswith(word), names[at:]))


def _once(found: tuple[Known, ...]) -> tuple[Known, ...]:
    """Entries without the recalled half of one whose read half is among them: they say the same."""
    told: dict[tuple[object, ...], Known] = {}
    for known in found:
        key = (known.licenses, known.made_with, known.basis, known.only_unread, known.read_on)
        if key not in told or known.confidence == "high":
            told[key] = known
    return tuple(told.values())


def _halves(known: Known) -> tuple[Known, ...]:
    """An entry as what was read in a source, which is certain, and what was not."""
    if not known.given:
        return (known,)
    rest = tuple(one for one in known.ids if one not in known.given)
    certain = known.model_copy(update={"ids": known.given, "confidence": "high", "given": ()})
    return (certain, known.model_copy(update={"ids": rest, "given": (), "words": ()})) if rest else (certain,)


def _without(known: Known, patterns: frozenset[str]) -> Known:
    """The entry without the id patterns that an organisation replaced."""
    if patterns.isdisjoint(known.ids):
        return known
    return known.model_copy(update={"ids": tuple(one for one in known.ids if one not in patterns)})


def _shortened(key: str) -> str:
    """A license name without the words that carry nothing: ``the-apache-license-version-2.0`` is ``apache-2.0``."""
    key = re.sub(r"\bv(?=\d)", "", key)
    key = re.sub(r"(\d)-(\d)\Z", r"\1.\2", key)
    dropped = {"the", "license", "licence", "licensed", "version", "v", "agreement", "public", "general", "gnu", "only"}
    parts = [part for part in key.replace("v2.0", "2.0").replace("v3.0", "3.0").split("-") if part not in dropped]
    return "-".join(parts).replace("creative-commons", "cc").replace("-or-later", "").replace("+", "")


@lru_cache(maxsize=4)
def load_catalogue(own_folder: Path | None = None) -> Catalogue:
    """The shipped facts, with those of an organisation's own folder added; the digest covers both.

    Raises:
        PolicyError: the folder or a file in it is not as it should be (file, line and why).
    """
    documents, digest = shipped_documents()
    shipped = Catalogue(documents, digest)
    if own_folder is None:
        return shipped
    from curate.licenses.own import read_own_facts

    return Catalogue(documents, digest, read_own_facts(own_folder, shipped))


def catalogue_for(policy: Policy) -> Catalogue:
    """The facts that a policy is judged with: ours, and those in the folder it names."""
    return load_catalogue(policy.catalogue_folder())
