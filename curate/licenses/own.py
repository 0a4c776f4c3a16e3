"""An organisation's own facts: licenses, models, data sets, texts and signed agreements, in a folder of its own.

Every file is YAML with any of the keys of ``SECTIONS``; a fact that ships with curate is replaced only where the entry
says ``replaces: true``. Errors name file and line.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from curate.artifact import Value, first_problem
from curate.errors import PolicyError
from curate.licenses.facts import TERMS, Agreement, Catalogue, Fingerprint, Known, LicenseFacts, OwnFacts
from curate.safeyaml import read_yaml

SECTIONS = ("licenses", "models", "datasets", "fingerprints", "agreements")
AGREED = ("covers", "signed_by", "signed_on", "until", "document_sha256")
HINT = "see docs/policies.md, Own facts"
Entry = TypeVar("Entry", bound=Value)


@dataclass
class _Gathered:
    """What was read so far, and where each id was given first."""

    shipped: Catalogue
    licenses: dict[str, LicenseFacts] = field(default_factory=dict)
    known: dict[str, list[Known]] = field(default_factory=lambda: {"models": [], "datasets": []})
    fingerprints: list[Fingerprint] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)

    def claim(self, kind: str, name: str, place: str, *, is_shipped: bool, replaces: bool) -> None:
        """Take an id, or refuse it: given twice, or ours without saying that it is replaced."""
        key = f"{kind}:{name}"
        if key in self.places:
            raise PolicyError(f"{place}: {name!r} was already given at {self.places[key]}", hint="keep one of the two")
        if is_shipped and not replaces:
            raise PolicyError(
                f"{place}: {name!r} ships with curate", hint="give it another id, or say replaces: true in the entry"
            )
        if replaces and not is_shipped:
            raise PolicyError(f"{place}: {name!r} replaces nothing that ships with curate", hint="leave replaces out")
        self.places[key] = place


def read_own_facts(folder: Path, shipped: Catalogue) -> OwnFacts:
    """Everything below a folder of own facts, validated against the shipped ones.

    Raises:
        PolicyError: no such folder, or a file that is not as it should be.
    """
    if not folder.is_dir():
        raise PolicyError(f"{folder}: no such folder of facts", hint="catalogue: is relative to the policy file")
    gathered, digest = _Gathered(shipped), hashlib.sha256()
    files = sorted(folder.rglob("*.yaml"))
    if not files:
        raise PolicyError(f"{folder}: holds no .yaml file", hint=HINT)
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        _read_file(path, gathered)
    _check_names(gathered)
    return OwnFacts(
        licenses=gathered.licenses,
        known={group: tuple(entries) for group, entries in gathered.known.items()},
        fingerprints=tuple(gathered.fingerprints),
        agreements=tuple(gathered.agreements),
        replaced=frozenset(gathered.replaced),
        sha256=digest.hexdigest(),
    )


def _read_file(path: Path, gathered: _Gathered) -> None:
    """The entries of one file."""
    document = read_yaml(path, error=PolicyError)
    root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(document, dict) or root is None:
        raise PolicyError(f"{path}:1: a mapping with {', '.join(SECTIONS)} is expected", hint=HINT)
    for section, entries in document.items():
        place = f"{path}:{_line(root, [section])}"
        if section not in SECTIONS:
            raise PolicyError(f"{place}: no section is called {section!r}; there are {', '.join(SECTIONS)}", hint=HINT)
        keyed = section in ("licenses", "agreements")
        if not isinstance(entries, dict if keyed else list):
            raise PolicyError(f"{place}: {section} holds a {'mapping by id' if keyed else 'list'}", hint=HINT)
        pairs = entries.items() if isinstance(entries, dict) else enumerate(entries)
        for key, entry in pairs:
            at = f"{path}:{_line(root, [section, key])}"
            if not isinstance(entry, dict):
                raise PolicyError(f"{at}: {section}.{key}: a mapping is expected", hint=HINT)
            _READ[section](str(key), dict(entry), at, gathered)


def _license(key: str, entry: dict[str, Any], place: str, gathered: _Gathered) -> None:
    """A license: as ours, and with the day on which it was read."""
    replaces = _replaces(entry, place)
    gathered.claim("license", key, place, is_shipped=key in gathered.shipped.licenses, replaces=replaces)
    _dated(entry, place)
    facts = _valid(LicenseFacts, {"id": key, **entry}, place)
    if set(facts.terms) != set(TERMS):
        raise PolicyError(f"{place}: terms needs {', '.join(TERMS)}", hint=HINT)
    if facts.kind == "agreement":
        raise PolicyError(f"{place}: an agreement stands under agreements:", hint=HINT)
    gathered.licenses[key] = facts


def _agreement(key: str, entry: dict[str, Any], place: str, gathered: _Gathered) -> None:
    """A signed agreement: a license of the kind ``agreement`` and what it covers."""
    gathered.claim("license", key, place, is_shipped=key in gathered.shipped.licenses, replaces=False)
    own: dict[str, Any] = {name: entry.pop(name) for name in AGREED if name in entry}
    agreement = _valid(Agreement, {"license": key, **own}, place)
    terms = {**dict.fromkeys(TERMS, "conditional"), **entry.pop("terms", {})}
    filled = {
        "id": key,
        "kind": "agreement",
        "confidence": "text",
        "read_on": str(agreement.signed_on),
        **entry,
        "terms": terms,
    }
    gathered.licenses[key] = _valid(LicenseFacts, filled, place)
    gathered.agreements.append(agreement)


def _known(group: str, entry: dict[str, Any], place: str, gathered: _Gathered) -> None:
    """A model or data set; what is known of it must be dated."""
    replaces = _replaces(entry, place)
    _dated(entry, place)
    known = _valid(Known, entry, place)
    shipped = {pattern for one in gathered.shipped.known[group] for pattern in one.ids}
    for pattern in known.ids:
        gathered.claim(group, pattern, place, is_shipped=pattern in shipped, replaces=replaces)
        gathered.replaced |= {pattern} & shipped
    for one in known.licenses:
        gathered.places.setdefault(f"named:{one}", place)
    if known.made_with and known.made_with not in gathered.shipped.sources:
        raise PolicyError(f"{place}: made_with is one of {', '.join(gathered.shipped.sources)}", hint=HINT)
    gathered.known[group].append(known)


def _fingerprint(_key: str, entry: dict[str, Any], place: str, gathered: _Gathered) -> None:
    """A text that was read, by the digest of its words."""
    replaces = _replaces(entry, place)
    printed = _valid(Fingerprint, entry, place)
    is_shipped = printed.sha256 in gathered.shipped.fingerprints
    gathered.claim("fingerprint", printed.sha256, place, is_shipped=is_shipped, replaces=replaces)
    gathered.places.setdefault(f"named:{printed.license}", place)
    gathered.fingerprints.append(printed)


_READ = {
    "licenses": _license,
    "agreements": _agreement,
    "models": lambda _key, entry, place, gathered: _known("models", entry, place, gathered),
    "datasets": lambda _key, entry, place, gathered: _known("datasets", entry, place, gathered),
    "fingerprints": _fingerprint,
}


def _check_names(gathered: _Gathered) -> None:
    """Every license that a model, data set or text names must be ours or theirs."""
    for key, place in gathered.places.items():
        kind, _, name = key.partition(":")
        if kind == "named" and name not in gathered.licenses and name not in gathered.shipped.licenses:
            raise PolicyError(f"{place}: no license has the id {name!r}", hint="curate show-license lists them")


def _replaces(entry: dict[str, Any], place: str) -> bool:
    """Whether the entry says that it stands instead of ours."""
    value = entry.pop("replaces", False)
    if not isinstance(value, bool):
        raise PolicyError(f"{place}: replaces is true or false", hint=HINT)
    return value


def _dated(entry: dict[str, Any], place: str) -> None:
    """Own facts carry the day on which they were read."""
    day = entry.get("read_on")
    if isinstance(day, date):
        entry["read_on"] = day = day.isoformat()
    try:
        date.fromisoformat(day or "")
    except (TypeError, ValueError) as wrong:
        raise PolicyError(f"{place}: read_on: the day on which this was read (YYYY-MM-DD)", hint=HINT) from wrong


def _valid(kind: type[Entry], entry: dict[str, Any], place: str) -> Entry:
    """The entry as a value, or what is wrong with it."""
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        raise PolicyError(f"{place}: {first_problem(error)}", hint=HINT) from error


def _line(node: yaml.Node, path: list[Any]) -> int:
    """The line of a key or list item below a composed document."""
    line = node.start_mark.line
    for step in path:
        if isinstance(node, yaml.MappingNode):
            key, node = next((pair for pair in node.value if str(pair[0].value) == str(step)), (node, node))
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return line + 1
