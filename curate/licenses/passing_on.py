"""License texts that travel with a student: which were read where, which duty each keeps, and which stay open."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from curate.artifact import Artifact, Value
from curate.licenses.beside import license_files
from curate.licenses.card import RawCard, parse_card
from curate.licenses.decision import Decision, Duty, LineageNode
from curate.licenses.expression import read_expression
from curate.licenses.facts import Catalogue
from curate.licenses.names import ModelRef, safe_name

FOLDER = "licenses"
"""Below the student's folder."""
SHIP_TEXT, SHIP_NOTICE = "copy-of-license", "notice-file"
HOLDER = re.compile(r"^\W*copyright\b", re.I | re.M)
HEAD_CHARS = 1000
LONGEST_PART = 100
MAX_NAMED, LONGEST_NAME = 3, 100


class PassedText(Value):
    """One file of a publisher's, as it lies in the student's folder, byte for byte."""

    path: str
    """Below the student's folder."""
    sha256: str
    subject: str
    """The model or data set beside whose card it lay."""
    revision: str
    source: str
    """Where it was read."""
    license: str = ""
    """Catalogue id of the license that it certainly is, for the weights; empty for notices and what is not certain."""
    is_of_one_holder: bool = False
    """It begins with somebody's copyright line, so it is the text of its own model and of no other."""
    is_notice: bool = False


class TextDuty(Value):
    """A duty to ship a text, and how far the folder keeps it."""

    text: str
    """As the decision states it."""
    license: str
    condition: str
    kept: bool
    """Every model it is owed for is covered by a text that certainly is this license."""
    by: tuple[str, ...] = ()
    """Files that keep it, or may."""
    missing: tuple[str, ...] = ()
    """Models and data sets it is still owed for."""


class LicenseTexts(Artifact):
    """The publishers' texts in a student's folder, and the duties that ask for them."""

    kind: Literal["curate/license-texts@1"] = "curate/license-texts@1"
    texts: tuple[PassedText, ...] = ()
    duties: tuple[TextDuty, ...] = ()

    def told(self, duty: str) -> str:
        """A duty with what was done about it; a duty that asks for no text as it is."""
        about = next((one for one in self.duties if one.text == duty), None)
        return duty if about is None else f"{duty} – {_told(about)}"


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(name[:LONGEST_NAME] for name in names[:MAX_NAMED]) + more


def _told(duty: TextDuty) -> str:
    """What was done about a duty, and what is still to do."""
    files = _some(duty.by)
    if duty.kept:
        return f"done: {files}"
    if duty.condition == SHIP_NOTICE:
        done = f"passed on as they were: {files}; " if files else "no NOTICE was found; "
        return f"STILL OPEN: {done}read whether the license asks for a sentence of its own, and add it to NOTICE"
    doubt = f" ({files} may be it: compare)" if files else ""
    return (
        f"STILL OPEN: no text that is certainly this license lay beside {_some(duty.missing)}{doubt}; take it from the "
        f"licensor and add it to {FOLDER}/ of what you publish"
    )


def pass_on(
    read: Iterable[tuple[ModelRef, RawCard]], decision: Decision, catalogue: Catalogue
) -> tuple[LicenseTexts, dict[str, bytes]]:
    """What of the cards that a gate read goes into the student's folder, with the contents by path.

    Only files of the very cards that the decision is about count: same name, same commit, same digest.

    Args:
        read: the cards, as they were handed to the gate.
        decision: about the teacher (of several, all together) and the student's base.
        catalogue: the facts that they were judged with.
    """
    nodes = {node.ref: node for node in decision.lineage.nodes}
    owed = _owed(decision, catalogue)
    owners = dict.fromkeys(owner for _, named in owed for owner in named)
    contents: dict[str, bytes] = {}
    texts: list[PassedText] = []
    for ref, card in read:
        node = nodes.get(str(ref))
        if node is not None and str(ref) in owners and _is_of(node, card):
            texts.extend(_texts(ref, card, catalogue, contents))
    duties = tuple(_kept(duty, named, texts) for duty, named in owed)
    return LicenseTexts(texts=tuple(texts), duties=duties), contents


def _owed(decision: Decision, catalogue: Catalogue) -> list[tuple[Duty, tuple[str, ...]]]:
    """Each duty to ship a text once, with every model and data set of the lineage under its license."""
    stated: dict[tuple[str, str], Duty] = {}
    subjects: dict[tuple[str, str], dict[str, None]] = {}
    under = [(node, _licenses(node, catalogue)) for node in decision.lineage.nodes]
    for duty in decision.duties:
        if duty.condition not in (SHIP_TEXT, SHIP_NOTICE):
            continue
        key = (duty.license, duty.condition)
        stated.setdefault(key, duty)
        same = (node for node, names in under if duty.license in names)
        bound = (node.ref for node in same if node.kind == "model" or duty.condition == SHIP_TEXT)
        subjects.setdefault(key, {}).update(dict.fromkeys((duty.subject, *bound)))
    return [(duty, tuple(subjects[key])) for key, duty in stated.items()]


def _licenses(node: LineageNode, catalogue: Catalogue) -> set[str]:
    """Catalogue ids of what a member claims to be under; of alternatives, all."""
    stated = [read_expression(part, catalogue) for part in node.license.split(", ") if part]
    return {facts.id for choices in stated for choice in choices for named in choice for facts in named.facts}


def _is_of(node: LineageNode, card: RawCard) -> bool:
    """Whether a card is the one that a decision was made on."""
    return node.revision == card.revision and node.sha256 == hashlib.sha256(card.content).hexdigest()


def _texts(ref: ModelRef, card: RawCard, catalogue: Catalogue, contents: dict[str, bytes]) -> Iterator[PassedText]:
    """The license files beside a card, each under a name of its own that leads nowhere else."""
    known = {file.name: file for file in license_files(parse_card(ref, card), catalogue)}
    for name, content in card.originals.items():
        path = _free_path(ref, name, contents)
        contents[path] = content
        file = known.get(name)
        certain = file is not None and file.role == "weights" and file.identity.is_certain
        yield PassedText(
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
            subject=str(ref),
            revision=card.revision,
            source=f"{card.where.removesuffix('/README.md')}/{name}",
            license=file.identity.license if file and certain and file.identity.kind == "license" else "",
            is_of_one_holder=file is not None and HOLDER.search(file.text[:HEAD_CHARS]) is not None,
            is_notice="notice" in name.lower(),
        )


def _free_path(ref: ModelRef, name: str, taken: Iterable[str]) -> str:
    """``licenses/<model>-<file>``; a number where that is taken on some file system."""
    whose = safe_name(Path(ref.name).name if ref.folder else str(ref))[:LONGEST_PART]
    stem = f"{whose}-{safe_name(name)[:LONGEST_PART]}"
    used = {path.lower() for path in taken}
    path, number = f"{FOLDER}/{stem}", 1
    while path.lower() in used:
        number += 1
        path = f"{FOLDER}/{number}-{stem}"
    return path


def _kept(duty: Duty, owners: tuple[str, ...], texts: Sequence[PassedText]) -> TextDuty:
    """How far the texts keep a duty; a notice is never known to be all that a license asks for."""
    about = {"text": duty.text, "license": duty.license, "condition": duty.condition}
    theirs = [one for one in texts if one.subject in owners]
    if duty.condition == SHIP_NOTICE:
        notices = tuple(one.path for one in theirs if one.is_notice)
        return TextDuty(**about, kept=False, by=notices, missing=owners)
    exact = [one for one in theirs if one.license == duty.license]
    has_common = any(not one.is_of_one_holder for one in exact)
    missing = tuple(owner for owner in owners if not has_common and owner not in {one.subject for one in exact})
    doubtful = [one for one in theirs if one.subject in missing and not one.license and not one.is_notice]
    shown = doubtful if missing else exact
    return TextDuty(**about, kept=not missing, by=tuple(one.path for one in shown), missing=missing)
