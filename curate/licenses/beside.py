"""License files beside a card: which speaks of the weights, which of the code alone, and what ``other`` stands for."""

# ruff: noqa: E501 – patterns stand whole

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from curate.artifact import sha256_text
from curate.gate import Evidence
from curate.licenses.card import Claim, ModelCard
from curate.licenses.facts import Catalogue
from curate.licenses.lazy import Pattern
from curate.licenses.texts import Identity, recognize

Role = Literal["weights", "code", "data", "notice"]
NAMED_FOR: tuple[tuple[Role, Pattern], ...] = (
    ("weights", Pattern(r"model|weight|checkpoint|diff")),
    ("code", Pattern(r"code|source|software|scripts?")),
    ("data", Pattern(r"data")),
    ("notice", Pattern(r"notice|third")),
)
CODE_ALONE = Pattern(
    r"\b(?:this|the following|the above) licen[sc]e (?:only )?(?:applies|covers|is) (?:only )?(?:to |for )?(?:only )?(?:the |all )?(?:source )?(?:code|software|scripts)\b"
    r"|\b(?:source )?code (?:in this (?:repository|repo|project) )?(?:is|are) (?:licen[sc]ed|released|distributed|made available) under\b"
    r"|\b(?:model )?(?:weights|checkpoints|parameters|models?)\b[^.\n]{0,60}\b(?:is|are) (?:not covered|(?:licen[sc]ed|released|governed|covered)[^.\n]{0,20}(?:separate|different|other|under|by))",
    re.I,
)
WITHIN = r"(?:[^.\n]|\.(?=\d))"
CODE_IN_CARD = Pattern(
    rf"\bcode\b{WITHIN}{{0,60}}\b(?:licen[sc]ed|released|under|follows)\b{WITHIN}{{0,120}}"
    rf"\b(?:weights?|models?|checkpoints?|parameters)\b{WITHIN}{{0,80}}\b(?:licen[sc]e\w*|terms|agreement)\b",
    re.I,
)
IS_LICENSE = Pattern(r"licen[sc]e|copying|use[_-]?policy|terms[_-]of[_-]use", re.I)


@dataclass(frozen=True)
class LicenseFile:
    """One license text beside a card."""

    name: str
    text: str
    role: Role
    is_plain_name: bool
    """The name does not tell the role."""
    identity: Identity
    evidence: Evidence


def license_files(card: ModelCard, catalogue: Catalogue) -> tuple[LicenseFile, ...]:
    """The texts beside a card, each with its role; read once a card."""
    if card.texts is None:
        card.texts = tuple(_read(card, catalogue))
    return card.texts


def _read(card: ModelCard, catalogue: Catalogue) -> Iterator[LicenseFile]:
    named = {name: text for name, text in sorted(card.files.items()) if IS_LICENSE.search(name) and text.strip()}
    roles = {name: _role_by_name(name) for name in named}
    weights_named = any(role == "weights" for role in roles.values())
    folder = card.where.rsplit("/", 1)[0]
    for name, text in named.items():
        role = roles[name] or _role_by_text(text, card, weights_named=weights_named)
        identity = recognize(text, catalogue) if role == "weights" else Identity()
        yield LicenseFile(
            name,
            text,
            role,
            roles[name] is None,
            identity,
            Evidence(source=f"{folder}/{name}", sha256=sha256_text(text)),
        )


def _role_by_name(name: str) -> Role | None:
    """What a file name says of what it covers; None for a plain ``LICENSE``."""
    stem = re.sub(r"licen[sc]e|\.(?:md|txt|rst)$", "", name.lower())
    return next((role for role, words in NAMED_FOR if words.search(stem)), None)


def _role_by_text(text: str, card: ModelCard, *, weights_named: bool) -> Role:
    """What a plain ``LICENSE`` covers: the code where another file is for the weights, or where it or the card says so."""
    if weights_named or CODE_ALONE.search(text[:2000]) or CODE_ALONE.search(text[-600:]):
        return "code"
    return "code" if CODE_IN_CARD.search(card.body.low) else "weights"


def resolved_claim(card: ModelCard, catalogue: Catalogue) -> Claim | None:
    """The license that the text for the weights is, word for word: what ``other`` or an ambiguous name stands for."""
    certain = [
        file
        for file in license_files(card, catalogue)
        if file.role == "weights" and file.identity.is_certain and file.identity.kind == "license"
    ]
    if len({file.identity.license for file in certain}) != 1:
        return None
    found = certain[0]
    return Claim(found.name, found.identity.license, found.identity.license, 0)
