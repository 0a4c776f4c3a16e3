"""Check the decisions of a run: verdicts follow from findings, those from policy, cards and catalogue."""

from collections import Counter
from pathlib import Path
from typing import TypeVar

from curate import __version__
from curate.artifact import Artifact, sha256_file
from curate.errors import CurateError, InputError, TamperedError
from curate.gate import Finding, is_path, settle
from curate.licenses.check import check_license
from curate.licenses.decision import Decision
from curate.licenses.facts import load_catalogue
from curate.licenses.sources import CardFolder
from curate.policy import Policy, is_waivable
from curate.prompts.results import PromptDecision
from curate.runs.student_license import STUDENT_DECISION, StudentDecision
from curate.runs.teachers import DECISION, check_united, found_files

Kind = TypeVar("Kind", bound=Artifact)
AnyDecision = Decision | PromptDecision | StudentDecision
KINDS: dict[str, type[AnyDecision]] = {
    "decision.json": Decision,
    "base_decision.json": Decision,
    STUDENT_DECISION: StudentDecision,
    "prompt_decision.json": PromptDecision,
}
"""The decisions of a run in the order they are made."""
LONGEST_KEPT_NAME = 150


def check_decisions(root: Path) -> tuple[str, ...]:
    """Settle every decision of a run folder again; returns what a reader should know.

    Raises:
        TamperedError: a verdict, a waiver or a finding is not what policy, cards and catalogue come to.
    """
    own = found_files(root, DECISION)
    kinds = {**dict.fromkeys(own, Decision), **KINDS}
    decisions = {name: _read(kind, root / name) for name, kind in kinds.items() if (root / name).is_file()}
    if not decisions:
        return ()
    path = root / "policy.json"
    if not path.is_file():
        raise TamperedError(f"{path}: gone, but there are decisions under it")
    policy = _read(Policy, path)
    policy_sha256 = sha256_file(path)
    for name, decision in decisions.items():
        under = decision.policy.sha256 if isinstance(decision, Decision) else decision.policy_sha256
        if under != policy_sha256:
            raise TamperedError(f"{root / name}: made under another policy than the one in the folder")
        _check_verdict(root / name, decision, policy)
    notes: dict[str, None] = {}
    together = decisions.get(DECISION)
    if own and isinstance(together, Decision):
        check_united(root, together, [_read(Decision, root / name) for name in own], policy)
    for name, decision in decisions.items():
        if isinstance(decision, Decision) and not (own and name == DECISION):
            notes.update(dict.fromkeys(_check_again(root / name, decision, policy)))
    return tuple(notes)


def _read(kind: type[Kind], path: Path) -> Kind:
    """An artifact of a run, which nobody but curate wrote."""
    try:
        return kind.read(path)
    except InputError as error:
        raise TamperedError(f"{path}: not what a run writes: {error.message}") from error


def _check_verdict(path: Path, decision: AnyDecision, policy: Policy) -> None:
    """The verdict follows from the findings, and every waived one from a waiver of the policy in force that day."""
    if settle(decision.findings) is not decision.verdict:
        raise TamperedError(f"{path}: says {decision.verdict}, but its findings come to {settle(decision.findings)}")
    for finding in decision.findings:
        if finding.waived_by and not _is_waived(finding, decision, policy):
            raise TamperedError(f"{path}: {finding.rule}: waived, but by no waiver of the policy in the folder")


def _is_waived(finding: Finding, decision: AnyDecision, policy: Policy) -> bool:
    """Whether a waiver of the policy says what the finding says of it."""
    return is_waivable(finding, policy.waivable_denials) and any(
        waiver.note() == finding.waived_by and waiver.names(finding, decision.decided_on) for waiver in policy.waivers
    )


def _check_again(path: Path, decision: Decision, policy: Policy) -> list[str]:
    """Judge the kept cards again, where the same facts and the same code are here to do it."""
    catalogue = load_catalogue()
    if decision.catalogue_sha256 != catalogue.sha256:
        return [f"judged by catalogue {decision.catalogue_sha256[:16]}; {catalogue.sha256[:16]} is installed here"]
    if decision.curate_version != __version__:
        return [f"judged by curate {decision.curate_version}; this is {__version__}, so cards were not judged again"]
    cards = path.parent / "cards"
    nodes = decision.lineage.nodes
    if not cards.is_dir() or any(len(node.ref) > LONGEST_KEPT_NAME for node in nodes):
        return []
    for what, ref in (("teacher", decision.ref), ("student's base", decision.case.student_base)):
        if is_path(ref):
            return [f"{path.name}: the {what} is a folder, so its card was not judged again"]
    again = _judge(decision, policy, cards)
    if again is None or _gist(again) != _gist(decision):
        raise TamperedError(f"{path}: the cards in the folder come to {_first_difference(decision, again)}")
    return []


def _judge(decision: Decision, policy: Policy, cards: Path) -> Decision | None:
    """The decision that the kept cards come to on the day it was made; None if they come to none."""
    try:
        return check_license(
            decision.ref,
            policy=policy,
            source=CardFolder(cards),
            case=decision.case,
            today=decision.decided_on,
            revision=decision.revision,
        )
    except CurateError:
        return None


def _gist(decision: Decision) -> tuple[Counter[tuple[str, str, str, str]], str]:
    """What may not differ: rules, subjects and verdicts, whatever a card's place was called."""
    found = Counter(
        (finding.rule, finding.subject, finding.verdict.value, finding.waived_by) for finding in decision.findings
    )
    return found, decision.verdict.value


def _first_difference(before: Decision, again: Decision | None) -> str:
    """What the cards say that the decision does not, or the other way round."""
    if again is None:
        return "no decision at all"
    found, expected = _gist(before)[0], _gist(again)[0]
    for rule, subject, verdict, _ in expected - found:
        return f"{verdict} by {rule} about {subject}, which it leaves out"
    for rule, subject, verdict, _ in found - expected:
        return f"no {verdict} by {rule} about {subject}, which it has"
    return f"{again.verdict}"
