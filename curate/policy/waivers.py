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

    def covers(self, finding: Finding, today: date) -> bool:
        """Whether it is in force today and is about this finding."""
        in_force = self.signed_on <= today <= self.until
        return in_force and self.rule == finding.rule and fnmatchcase(finding.subject.lower(), self.subject.lower())


def apply_waivers(
    findings: Iterable[Finding], waivers: Iterable[Waiver], *, waivable_denials: Iterable[str], today: date
) -> tuple[Finding, ...]:
    """Mark what a waiver in force covers: any review, and a denial only where its rule is listed as waivable."""
    waivers, waivable = tuple(waivers), frozenset(waivable_denials)
    marked = []
    for finding in findings:
        open_to_waiver = finding.verdict is Verdict.REVIEW or (
            finding.verdict is Verdict.DENY and finding.rule in waivable
        )
        waiver = next((w for w in waivers if open_to_waiver and w.covers(finding, today)), None)
        if waiver is None:
            marked.append(finding)
        else:
            note = f"{waiver.signed_by} on {waiver.signed_on}, until {waiver.until}: {waiver.reason}"
            marked.append(finding.model_copy(update={"waived_by": note}))
    return tuple(marked)
