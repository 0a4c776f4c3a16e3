"""What every gate speaks: verdicts, findings with their evidence, and the tickets that only gates make."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path, PureWindowsPath
from typing import Any, Literal, Self

from curate.artifact import Artifact, Value, canonical_json, read_json, sha256_file, sha256_folder, sha256_text
from curate.errors import Denied, InputError, NeedsReview, TamperedError


class Verdict(StrEnum):
    """What a gate says; from lenient to strict."""

    ALLOW = "allow"
    REVIEW = "review"
    DENY = "deny"

    @property
    def severity(self) -> int:
        """0 for allow, 1 for review, 2 for deny."""
        return ("allow", "review", "deny").index(self.value)


def is_path(ref: str) -> bool:
    """Whether a model's name is written as a place on a machine, of whatever system, and so is no name of the hub."""
    return ref.startswith((".", "/", "~")) or bool(PureWindowsPath(ref).drive)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The strictest of some verdicts; of none at all, review: silence is not consent."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.REVIEW)


class Evidence(Value):
    """Where a finding comes from, so that a person can look it up."""

    source: str
    """A file, an address or a card field."""
    quote: str = ""
    """The user's own card or file, verbatim and bounded."""
    section: str = ""
    """The section of a license or of terms."""
    line: int | None = None
    sha256: str = ""
    """Digest of the text that was read."""
    read_on: str = ""
    """ISO date on which the source was read, where known."""
    confidence: str = ""
    """How well a catalogue fact is known: text, excerpt or memory."""


class Finding(Value):
    """One thing a rule noticed about one subject."""

    rule: str
    subject: str
    verdict: Verdict
    message: str
    evidence: tuple[Evidence, ...] = ()
    waived_by: str = ""
    """Who waived it, until when and why; empty if nobody did."""

    @property
    def effective(self) -> Verdict:
        """The verdict after waivers."""
        return Verdict.ALLOW if self.waived_by else self.verdict

    def sha256(self) -> str:
        """Digest of what was found (rule, subject, verdict, message, quotes), whoever waived it."""
        quotes = [evidence.quote for evidence in self.evidence]
        return sha256_text(canonical_json([self.rule, self.subject, self.verdict.value, self.message, quotes]))


def settle(findings: Iterable[Finding]) -> Verdict:
    """The verdict of a whole list of findings, waivers counted; no finding at all is review."""
    return worst(finding.effective for finding in findings)


def refuse(subject: str, verdict: Verdict, findings: Iterable[Finding]) -> None:
    """Raise ``Denied`` or ``NeedsReview`` for a verdict that is not allow, naming the finding that decided."""
    if verdict is Verdict.ALLOW:
        return
    reasons = [finding for finding in findings if finding.effective is verdict]
    reason = f"{reasons[0].rule}: {reasons[0].message}" if reasons else "nothing speaks for it"
    if verdict is Verdict.DENY:
        raise Denied(f"{subject}: denied: {reason}", hint="choose another, or change the policy that says so")
    raise NeedsReview(f"{subject}: needs review: {reason}", hint="look into it, then sign a waiver in the policy")


RowJudge = Callable[[str, str], Finding]
"""Judges a row's (license, source) pair; handed to ``prompts`` by those who may import ``licenses``."""


class Ticket(Artifact):
    """Leave to go on, bound to the decision that gave it."""

    decision_path: str
    """The decision's file, relative to the ticket's folder."""
    decision_sha256: str
    policy_sha256: str
    obligations: tuple[str, ...] = ()

    def open_decision(self, root: Path) -> dict[str, Any]:
        """The decision behind the ticket, re-hashed.

        Raises:
            TamperedError: the decision is gone, was changed, does not allow, or is absent from the folder's ledger.
        """
        if Path(self.decision_path).is_absolute() or ".." in Path(self.decision_path).parts:
            raise TamperedError(f"ticket names a decision outside its folder: {self.decision_path}")
        path = root / self.decision_path
        if sha256_file(path) != self.decision_sha256:
            raise TamperedError(f"{path}: the decision is not the one this ticket was made from")
        decision: dict[str, Any] = read_json(path)
        if decision.get("verdict") != Verdict.ALLOW.value:
            raise TamperedError(f"{path}: the decision does not allow what the ticket claims")
        ledger = root / "ledger.jsonl"
        if ledger.exists() and self.decision_sha256 not in ledger.read_text(encoding="utf-8"):
            raise TamperedError(f"{path}: the decision is not in the trail of {root}")
        return decision

    @classmethod
    def read_ticket(cls, path: Path) -> Self:
        """Read a ticket file; anything else is a ``TamperedError``, for a ticket is never written by hand."""
        try:
            return cls.read(path)
        except InputError as error:
            raise TamperedError(f"{path}: not a valid ticket: {error.message}") from error


class ApprovedTeacher(Ticket):
    """A teacher that may teach; made by ``Decision.approve`` alone."""

    kind: Literal["curate/approved-teacher@1"] = "curate/approved-teacher@1"
    ref: str
    revision: str = ""
    """The commit the decision was about; empty for a local folder."""
    location: str = ""
    """The folder with the weights when it is a local one; empty for the hub."""
    content_sha256: str = ""
    """``sha256_folder`` of that folder."""

    def open(self, root: Path) -> dict[str, Any]:
        """Re-hash the decision and, for a local teacher, the weights; returns the decision."""
        decision = self.open_decision(root)
        if decision.get("ref") != self.ref or (decision.get("revision") or "") != self.revision:
            raise TamperedError(f"the ticket is for {self.ref}@{self.revision}, the decision is not")
        if self.location and self.content_sha256 and sha256_folder(Path(self.location)) != self.content_sha256:
            raise TamperedError(f"{self.location}: the teacher's files are not those that were approved")
        return decision


class ApprovedDataset(Ticket):
    """Prompts that are worth asking; made by ``approve_prompts`` alone."""

    kind: Literal["curate/approved-dataset@1"] = "curate/approved-dataset@1"
    path: str
    """The approved prompts (Parquet), relative to the ticket's folder."""
    file_sha256: str
    rows: int

    def open(self, root: Path) -> Path:
        """Re-hash the decision and the prompts; returns the prompts' path."""
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise TamperedError(f"ticket names prompts outside its folder: {self.path}")
        decision = self.open_decision(root)
        if decision.get("file_sha256") != self.file_sha256:
            raise TamperedError("the ticket's prompts are not those the decision is about")
        path = root / self.path
        if sha256_file(path) != self.file_sha256:
            raise TamperedError(f"{path}: the prompts are not those that were approved")
        return path
