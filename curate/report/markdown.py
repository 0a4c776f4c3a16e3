"""A decision as Markdown, for a pull request or an issue; text from cards can neither format, link nor ping."""

import re
from collections.abc import Sequence

from curate.gate import Evidence, Finding, Verdict
from curate.licenses.decision import Decision
from curate.report.text import bound_text
from curate.report.views import (
    CONFIDENCE_WORDS,
    VERDICT_MARKS,
    VERDICT_WORDS,
    FindingsView,
    TreeNode,
    case_line,
    verdict_sentence,
    view_findings,
    view_tree,
)

_SPECIAL = re.compile(r"([\\`*_\[\]|~$>])")
_BLOCK_START = re.compile(r"^([#+=:-]|\d+(?=[.)](\s|$)))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", "@": "&#64;", "#": "&#35;"}
MAX_SHOWN = 60
"""Findings in full; the rest are counted."""


def decision_markdown(decision: Decision) -> str:
    """Verdict, what decided it with its evidence, waivers, duties, lineage and digests, as Markdown."""
    view = view_findings(decision.findings, decision.verdict)
    parts = [
        f"# {_badge(decision.verdict)}: {plain(decision.ref)}",
        f"{verdict_sentence(decision)} The case: {plain(case_line(decision.case))}.",
        _waivers(view),
        _findings("What decided it", [item.finding for item in view.decisive]),
        _findings("What else was found", [item.finding for item in view.others]),
        _listed(_duties_title(decision), [plain(duty) for duty in decision.obligations]),
        _tree(view_tree(decision.lineage, decision.findings), decision.lineage.truncated),
        _judged_by(decision),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def problems_markdown(problems: Sequence[tuple[str, str]]) -> str:
    """References that could not be judged, each with the reason; nothing for none."""
    lines = [f"- {plain(reason if reason.startswith(ref) else f'{ref}: {reason}')}" for ref, reason in problems]
    return "\n".join(["# – Not judged", "", *lines]) + "\n" if lines else ""


def plain(text: str, limit: int = 1000) -> str:
    """Hostile text on one line that Markdown shows as it is."""
    shown = _SPECIAL.sub(r"\\\1", bound_text(text, limit).strip())
    shown = "".join(_ENTITIES.get(char, char) for char in shown).replace("://", "&#58;//")
    shown = re.sub(r"(?i)\b(www)\.", r"\1&#46;", shown)
    return _BLOCK_START.sub(lambda start: "".join(f"&#{ord(char)};" for char in start[0]), shown)


def _duties_title(decision: Decision) -> str:
    """A denied model passes nothing on; what it would have is still worth knowing."""
    return "What would pass to the student" if decision.verdict is Verdict.DENY else "What passes to the student"


def _badge(verdict: str) -> str:
    """Mark and word of a verdict."""
    return f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}"


def _waivers(view: FindingsView) -> str:
    """Who waived what, and what would be so without."""
    if not view.waived:
        return ""
    lines = [f"> **Waived.** Without waivers the verdict would be: {VERDICT_WORDS[view.without_waivers]}."]
    lines += [
        f"> - **{plain(item.finding.rule)}** on {plain(item.finding.subject)}, by {plain(item.finding.waived_by)}"
        for item in view.waived
    ]
    return "\n".join([lines[0], ">", *lines[1:]])


def _findings(title: str, findings: Sequence[Finding]) -> str:
    """Findings as a list, each with its evidence below it."""
    if not findings:
        return ""
    lines = [f"## {title}", ""]
    for finding in findings[:MAX_SHOWN]:
        waived = " (waived)" if finding.waived_by else ""
        lines.append(
            f"- **{_badge(finding.verdict)}**{waived} {plain(finding.subject)}, {plain(finding.rule)}: "
            f"{plain(finding.message)}"
        )
        lines += [f"  - {_evidence(evidence)}" for evidence in finding.evidence[:12]]
    if len(findings) > MAX_SHOWN:
        lines.append(f"- and {len(findings) - MAX_SHOWN} more")
    return "\n".join(lines)


def _evidence(evidence: Evidence) -> str:
    """Source, place and quote on one line."""
    place = [plain(evidence.source, 300)]
    place += [f"line {evidence.line}"] if evidence.line is not None else []
    place += [f"section {plain(evidence.section, 120)}"] if evidence.section else []
    place += [f"read on {plain(evidence.read_on, 20)}"] if evidence.read_on else []
    place += [plain(CONFIDENCE_WORDS.get(evidence.confidence, evidence.confidence))] if evidence.confidence else []
    quote = f": “{plain(evidence.quote, 500)}”" if evidence.quote else ""
    return ", ".join(place) + quote


def _listed(title: str, items: Sequence[str]) -> str:
    """A heading and a list; nothing for none."""
    return "\n".join([f"## {title}", "", *(f"- {item}" for item in items)]) if items else ""


def _tree(trees: Sequence[TreeNode], truncated: bool) -> str:
    """The lineage as a nested list."""
    lines = ["## What it was made from", ""]
    if truncated:
        lines += ["The lineage was cut short: it is deeper or wider than what is read, or goes in a circle.", ""]
    for tree in trees:
        lines += _branch(tree, 0)
    return "\n".join(lines)


def _branch(tree: TreeNode, depth: int) -> list[str]:
    """One node and what it was made from."""
    told = [plain(tree.relation, 60)] if tree.relation else []
    told.append(plain(tree.node.license, 80) or "no license named")
    told += {"missing": ["could not be read"], "known": ["from the catalogue, no card read"]}.get(tree.node.status, [])
    told += ["shown elsewhere"] if tree.is_repeat else []
    sign = "– not read" if tree.node.is_unread_data else _badge(tree.node.verdict)
    line = f"{'  ' * depth}- {sign} **{plain(tree.node.ref, 200)}** ({'; '.join(told)})"
    return [line, *(below for parent in tree.parents for below in _branch(parent, depth + 1))]


def _judged_by(decision: Decision) -> str:
    """Policy, catalogue and decision by digest."""
    return "\n".join(
        [
            "## What it was judged by",
            "",
            f"- policy {plain(decision.policy.name)}, sha256 `{plain(decision.policy.sha256, 64)}`",
            f"- license catalogue, sha256 `{plain(decision.catalogue_sha256, 64)}`",
            f"- this decision, sha256 `{decision.digest()}`",
            f"- decided on {decision.decided_on} with curate {plain(decision.curate_version, 40)}",
        ]
    )
