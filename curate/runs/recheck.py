"""What has changed since a decision was made, at the source and here, and whether it would come out the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from curate import __version__
from curate.artifact import Artifact, Value, read_json, sha256_file
from curate.errors import InputError, ModelNotFound, PolicyError
from curate.gate import ApprovedTeacher, Finding, Verdict, worst
from curate.licenses.check import check_license
from curate.licenses.decision import Decision, LineageNode
from curate.licenses.names import safe_name
from curate.licenses.sources import CardSource
from curate.policy import Policy, load_policy, policy_names
from curate.runs.config import read_run_config
from curate.runs.kept_cards import KeptCards, place_of
from curate.runs.teachers import DECISION, found_files
from curate.runs.verify import verify_run

What = Literal[
    "card", "license file", "revision", "license", "lineage", "policy", "catalogue", "curate", "waiver", "finding"
]


class Change(Value):
    """One thing that is not what it was."""

    what: What
    subject: str
    before: str
    now: str


class Rechecked(Value):
    """One decision, judged again."""

    name: str
    """The decision's file."""
    ref: str
    before: Verdict
    now: Verdict
    changes: tuple[Change, ...]

    @property
    def is_stricter(self) -> bool:
        """Whether the gate would say less now than it did."""
        return self.now.severity > self.before.severity


class Recheck(Artifact):
    """Every license decision behind a run or a ticket, judged again with today's cards, policy and facts."""

    DATED: ClassVar[tuple[str, ...]] = ("checked_on",)

    kind: Literal["curate/recheck@1"] = "curate/recheck@1"
    place: str
    decided_on: date
    checked_on: date
    decisions: tuple[Rechecked, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if no verdict got stricter; else 3 or 4 by the strictest new one."""
        stricter = [one.now for one in self.decisions if one.is_stricter]
        return {Verdict.DENY: 3, Verdict.REVIEW: 4}.get(worst(stricter), 0) if stricter else 0


@dataclass
class Past:
    """What was decided, and what is known of how."""

    decisions: dict[str, Decision]
    policy: Policy | None
    """The policy as it was applied, where it was kept."""
    policy_place: str
    """The name of a shipped policy to look at today; empty where only a file can tell."""
    cards: Path | None = None
    """The cards as they were read, where they were kept."""
    notes: list[str] = field(default_factory=list)


def recheck(place: Path, *, policy: Policy | None, source: CardSource, today: date) -> Recheck:
    """Judge the decisions behind a run folder or a teacher's ticket again, and say what changed.

    Args:
        place: a run folder, or a ticket with its decision beside it.
        policy: today's norms; by default the shipped policy of the same name, or the one kept in the run folder.
        source: where cards come from today.
        today: the day on which waivers are looked at.

    Raises:
        InputError: there is no license decision here.
        TamperedError: the folder or the ticket's decision is not what was recorded.
        UnavailableError: a card cannot be had.
    """
    past = _read_run(place) if place.is_dir() else _read_ticket(place)
    norms = policy or _todays_policy(past, place)
    rechecked = tuple(
        _judge_again(name, before, past, policy=norms, source=source, today=today)
        for name, before in past.decisions.items()
    )
    return Recheck(
        place=str(place),
        decided_on=min(one.decided_on for one in past.decisions.values()),
        checked_on=today,
        decisions=rechecked,
        notes=tuple(past.notes),
    )


def _read_run(root: Path) -> Past:
    """The license decisions of a run folder that verifies."""
    verify_run(root)
    teachers = found_files(root, DECISION) or [DECISION]
    names = [name for name in (*teachers, "base_decision.json") if (root / name).is_file()]
    if not names:
        raise InputError(f"{root}: the run ended before its license gate", hint="there is no decision to judge again")
    return Past(
        decisions={name: Decision.read(root / name) for name in names},
        policy=Policy.read(root / "policy.json"),
        policy_place=read_run_config(root / "run.yaml").policy,
        cards=root / "cards",
    )


def _read_ticket(path: Path) -> Past:
    """The decision behind a teacher's ticket."""
    payload = read_json(path)
    if not isinstance(payload, dict) or payload.get("kind") != "curate/approved-teacher@1":
        raise InputError(
            f"{path}: not a teacher's ticket", hint="give a run folder, or what check-license --ticket wrote"
        )
    ticket = ApprovedTeacher.read_ticket(path)
    ticket.open_decision(path.parent)
    decision = Decision.read(path.parent / ticket.decision_path)
    return Past({ticket.decision_path: decision}, None, decision.policy.name)


def _todays_policy(past: Past, place: Path) -> Policy:
    """The shipped policy of the same name, else the one that was kept."""
    if past.policy_place in policy_names():
        return load_policy(past.policy_place)
    if past.policy is None:
        raise PolicyError(f"{place}: made under a policy file, {past.policy_place}", hint="give it as -p FILE")
    past.notes.append(f"the policy was a file, {past.policy_place}: judged by the copy in the run; give today's as -p")
    return past.policy


def _judge_again(
    name: str, before: Decision, past: Past, *, policy: Policy, source: CardSource, today: date
) -> Rechecked:
    """One decision then and now."""
    kept = KeptCards(source)
    try:
        now = check_license(before.ref, policy=policy, source=kept, case=before.case, today=today)
    except ModelNotFound as error:
        raise ModelNotFound(f"{before.ref}: its card can no longer be had", hint=error.hint) from error
    changes = [
        *_nodes(before, now),
        *(_files(kept, past.cards) if past.cards else ()),
        *_norms(before, now),
        *_findings(before, now),
    ]
    return Rechecked(name=name, ref=before.ref, before=before.verdict, now=now.verdict, changes=tuple(changes))


def _nodes(before: Decision, now: Decision) -> Iterator[Change]:
    """What differs in the lineage, model by model."""
    then = {node.ref: node for node in before.lineage.nodes}
    today = {node.ref: node for node in now.lineage.nodes}
    for ref in dict.fromkeys([*then, *today]):
        if ref not in today or ref not in then:
            yield Change(
                what="lineage",
                subject=ref,
                before=then[ref].status if ref in then else "not in it",
                now=today[ref].status if ref in today else "not in it",
            )
        else:
            yield from _node(then[ref], today[ref])


def _node(then: LineageNode, today: LineageNode) -> Iterator[Change]:
    """What differs in one model."""
    fields: tuple[tuple[What, str, str], ...] = (
        ("lineage", then.status, today.status),
        ("revision", then.revision, today.revision),
        ("card", then.sha256, today.sha256),
        ("license", then.license, today.license),
    )
    for what, old, new in fields:
        # a card that was read from a folder has no revision: that is no change at the source
        if old != new and (what != "revision" or (old and new)):
            yield Change(what=what, subject=then.ref, before=old or "none", now=new or "none")


def _files(kept: KeptCards, cards: Path) -> Iterator[Change]:
    """License texts and other files beside the cards that are not what the run kept."""
    for ref, card in kept.read.values():
        folder = cards / place_of(ref)
        if not folder.is_dir():
            continue
        then = {path.name: sha256_file(path) for path in folder.iterdir() if path.name != "README.md"}
        today = {safe_name(name): hashlib.sha256(one).hexdigest() for name, one in card.beside.items()}
        for name in sorted({*then, *today}):
            if then.get(name) != today.get(name):
                old, new = then.get(name, "none"), today.get(name, "none")
                yield Change(what="license file", subject=f"{ref}/{name}", before=old, now=new)


def _norms(before: Decision, now: Decision) -> Iterator[Change]:
    """Policy, facts and code."""
    fields: tuple[tuple[What, str, str, str], ...] = (
        ("policy", now.policy.name, before.policy.sha256, now.policy.sha256),
        ("catalogue", "licenses and terms", before.catalogue_sha256, now.catalogue_sha256),
        ("curate", "version", before.curate_version, now.curate_version or __version__),
    )
    for what, subject, old, new in fields:
        if old != new:
            yield Change(what=what, subject=subject, before=old, now=new)


def _findings(before: Decision, now: Decision) -> Iterator[Change]:
    """Waivers that no longer (or newly) hold, and findings that came or went."""
    then, today = _by_digest(before), _by_digest(now)
    for digest, finding in {**then, **today}.items():
        old, new = then.get(digest), today.get(digest)
        subject = f"{finding.rule}: {finding.subject}"
        if old is None or new is None:
            if finding.verdict is not Verdict.ALLOW:
                said = f"{finding.verdict}: {finding.message}"
                yield Change(
                    what="finding", subject=subject, before=said if old else "none", now=said if new else "none"
                )
        elif old.waived_by != new.waived_by:
            ended = "none in force" if old.waived_by else "none"
            yield Change(what="waiver", subject=subject, before=old.waived_by or "none", now=new.waived_by or ended)


def _by_digest(decision: Decision) -> dict[str, Finding]:
    """Findings by what they say."""
    return {finding.sha256(): finding for finding in decision.findings}
