"""Row licenses: what the judge that was handed in says of each row's license and source."""

from __future__ import annotations

from curate.gate import Finding, Verdict
from curate.prompts.engines import each
from curate.prompts.forms import exact_form
from curate.prompts.work import Gone, Work

NOTHING_SAID = frozenset(
    {"", "none", "null", "nan", "n/a", "na", "unknown", "noassertion", "unspecified", "other", "?", "-"}
)


def license(work: Work, *, conflicts: bool = True, missing: str = "drop") -> list[Gone]:  # noqa: A001 – its name
    """Rows that are denied, under review, without a license, or the permissive copy of a denied row.

    Args:
        work: the job, with the row judge.
        conflicts: a row whose text also stands under a denied license is dropped, whatever it claims itself.
        missing: ``drop``, or ``keep`` rows without a license.
    """
    if work.prompts.licenses is None and work.prompts.sources is None:
        work.notes.append("license: skipped, no column names a license or a source")
        return []
    if work.judge is None:
        from curate.errors import PromptsError

        raise PromptsError("license: no judge was handed in", hint="leave the filter out, or hand in a row judge")
    findings = [work.finding(row) for row in range(len(work.prompts))]
    drops = {}
    for row, finding in enumerate(findings):
        reason = why(work, row, finding)
        if reason and not (missing == "keep" and reason.startswith("no license")):
            drops[row] = Gone(row, reason)
    if conflicts:
        denied: dict[str, int] = {}
        for row, finding in enumerate(findings):
            if finding is not None and finding.effective is Verdict.DENY:
                denied.setdefault(exact_form(work.prompts.texts[row]), row)
        denied.pop("", None)
        open_rows = [row for row in range(len(findings)) if row not in drops] if denied else []
        forms = each(work.engine, exact_form, (work.prompts.texts[row] for row in open_rows))
        for row, form in zip(open_rows, forms, strict=True):
            other = denied.get(form)
            if other is not None:
                reason = f"in conflict: the same text stands under {claimed(work, other)}"
                drops[row] = Gone(row, reason, because_of=work.prompts.ids[other])
    return [drops[row] for row in sorted(drops)]


def why(work: Work, row: int, finding: Finding | None) -> str:
    """Why a row may not be used; empty if it may."""
    if finding is None or finding.effective is Verdict.ALLOW:
        return ""
    if work.prompts.licenses is not None and work.prompts.licenses[row].casefold() in NOTHING_SAID:
        return f"no license: {finding.message}"
    return f"{'denied' if finding.effective is Verdict.DENY else 'needs review'}: {finding.message}"


def claimed(work: Work, row: int) -> str:
    """A row's license and source, for people."""
    licenses, sources = work.prompts.licenses, work.prompts.sources
    parts = [licenses[row] if licenses else "", f"(source {sources[row]})" if sources and sources[row] else ""]
    return " ".join(part for part in parts if part)
