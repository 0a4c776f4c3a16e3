"""Waivers: signed, dated, scoped exceptions that turn a finding into an accepted one, never silently."""

from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase

from pydantic import Field

from curate.artifact import Value
from curate.gate import Finding, Verdict


class Waiver(Value):
    """One accepted exception."""

    rule: str = Field(min_length=1)
    """The rule whose finding is accepted, exactly as the report names it."""
    subject: str = Field(min_length=1)
    """The subject of the finding: an exact id, or a pattern with ``*`` after an owner."""
    reason: str = Field(min_length=10)
    """Why it is acceptable; read by people months later."""
    signed_by: str = Field(min_length=1)
    signed_on: date
    until: date
    """The last day on which it holds."""
    finding_sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """Digest of the very finding that was looked at; empty covers every finding of this rule and subject."""

    def covers(self, finding: Finding, today: date) -> bool:
        """Whether it is in force today and is about this finding."""
        return self.names(finding, today) and self.finding_sha256 in {"", finding.sha256()}

    def names(self, finding: Finding, today: date) -> bool:
        """Whether it is in force on a day and names the rule and the subject of a finding."""
        in_force = self.signed_on <= today <= self.until
        return in_force and self.rule == finding.rule and fnmatchcase(finding.subject.lower(), self.subject.lower())

    def note(self) -> str:
        """What a finding that it covers says of it."""
        return f"{self.signed_by} on {self.signed_on}, until {self.until}: {self.reason}"


def is_waivable(finding: Finding, waivable_denials: Iterable[str]) -> bool:
    """Whether any waiver may lift a finding: every review, and denials only where their rule is listed."""
    denial = finding.verdict is Verdict.DENY and finding.rule in frozenset(waivable_denials)
    return finding.verdict is Verdict.REVIEW or denial


def apply_waivers(
    findings: Iterable[Finding], waivers: Iterable[Waiver], *, waivable_denials: Iterable[str], today: date
) -> tuple[Finding, ...]:
    """Mark what a waiver in force covers: any review, and a denial only where its rule is listed as waivable."""
    waivers, waivable = tuple(waivers), frozenset(waivable_denials)
    marked = []
    for finding in findings:
        is_open = is_waivable(finding, waivable)
        waiver = next((one for one in waivers if is_open and one.covers(finding, today)), None)
        marked.append(finding if waiver is None else finding.model_copy(update={"waived_by": waiver.note()}))
    return tuple(marked)
