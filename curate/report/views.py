"""What the pages show, worked out before any markup: which findings decided, the lineage as a tree, samples to list."""

from collections.abc import Iterable, Sequence
from typing import Literal

from curate.artifact import Value
from curate.gate import Finding, Verdict, worst
from curate.licenses.decision import Case, Decision, Lineage, LineageNode
from curate.prompts.drops import Drop, drop_of
from curate.prompts.results import FilterReport, Metric, PromptDecision
from curate.report.measures import label, meaning, spelling
from curate.report.numbers import ABSENT

MAX_FINDINGS = 300
MAX_NODES = 300
"""Drawn in a tree; the page says how many there are."""
MAX_DEPTH = 12
DROPS_PER_FILTER = 8

Tone = Literal["allow", "review", "deny", "quiet"]

VERDICT_WORDS = {"allow": "Allowed", "review": "Needs review", "deny": "Denied"}
VERDICT_MARKS = {"allow": "✓", "review": "!", "deny": "✕", "quiet": "–"}
CONFIDENCE_WORDS = {
    "text": "the text itself was read",
    "excerpt": "an excerpt was read",
    "memory": "recalled, not read: check it",
    "high": "known with high confidence",
    "medium": "known with medium confidence",
    "low": "known with low confidence: check it",
}
STATUS_TONES: dict[str, Tone] = {
    **dict.fromkeys(("done", "ok", "passed", "finished", "allow", "allowed", "reused"), "allow"),
    **dict.fromkeys(("review", "needs review", "unfinished", "interrupted", "killed"), "review"),
    **dict.fromkeys(("failed", "error", "deny", "denied", "broken"), "deny"),
}


class StepLine(Value):
    """One step of a run as a page shows it."""

    name: str
    status: str
    wall_s: float | None = None
    note: str = ""

    @property
    def tone(self) -> Tone:
        """How its status is coloured."""
        return STATUS_TONES.get(self.status.lower(), "quiet")


class NumberedFinding(Value):
    """A finding with its place in the decision, by which other parts of the page refer to it."""

    number: int
    finding: Finding


class TreeNode(Value):
    """A model or data set in the lineage tree, with what it was made from below it."""

    node: LineageNode
    relation: str = ""
    findings: tuple[NumberedFinding, ...] = ()
    parents: tuple["TreeNode", ...] = ()
    is_repeat: bool = False
    """Shown in full elsewhere in the tree."""


class FindingsView(Value):
    """The findings of a decision in the order in which a person reads them."""

    decisive: tuple[NumberedFinding, ...]
    """Those whose effective verdict is the decision's; for an allowed one, none."""
    others: tuple[NumberedFinding, ...]
    waived: tuple[NumberedFinding, ...]
    without_waivers: Verdict
    """What the verdict would be if nobody had waived anything."""
    left_out: int = 0


def view_findings(findings: Sequence[Finding], verdict: Verdict) -> FindingsView:
    """Findings split into those that decided, those that were waived and the rest; the strictest first."""
    numbered = [NumberedFinding(number=i + 1, finding=finding) for i, finding in enumerate(findings)]
    numbered.sort(key=lambda item: (-item.finding.effective.severity, -item.finding.verdict.severity, item.number))
    shown = numbered[:MAX_FINDINGS]
    strict = verdict is not Verdict.ALLOW
    decisive = [item for item in shown if strict and item.finding.effective is verdict]
    return FindingsView(
        decisive=tuple(decisive),
        others=tuple(item for item in shown if item not in decisive),
        waived=tuple(item for item in shown if item.finding.waived_by),
        without_waivers=worst(finding.verdict for finding in findings),
        left_out=len(numbered) - len(shown),
    )


def verdict_sentence(decision: Decision) -> str:
    """What the verdict means for the one who asked."""
    role = "be the base of a student" if decision.case.as_base else "teach"
    if decision.verdict is Verdict.DENY:
        return f"This model may not {role}."
    if decision.verdict is Verdict.REVIEW:
        return f"A person must look before this model may {role}."
    duties = len(decision.obligations)
    return f"This model may {role}" + (f", under {duties} {'duty' if duties == 1 else 'duties'}." if duties else ".")


def prompt_sentence(decision: PromptDecision) -> str:
    """What the verdict on a prompt set means."""
    rows = f"{decision.rows:,} prompts"
    return {
        Verdict.ALLOW: f"These {rows} are worth asking.",
        Verdict.REVIEW: f"A person must look before these {rows} are asked.",
        Verdict.DENY: f"These {rows} may not be asked.",
    }[decision.verdict]


def case_line(case: Case) -> str:
    """What is about to be done, in a line."""
    student = f"student {case.student_name}" if case.student_name else "a student"
    base = f" from {case.student_base}" if case.student_base else ""
    use = f"{'commercial' if case.commercial else 'non-commercial'}, {'published' if case.published else 'internal'}"
    seen = joined([SIGNAL_WORDS.get(one, one) for one in case.signals]) or "nothing"
    return f"{student}{base}; {use}; the student sees {seen}"


SIGNAL_WORDS = {"hidden-states": "hidden states", "attentions": "attention maps"}


def joined(words: Sequence[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def view_tree(lineage: Lineage, findings: Iterable[Finding]) -> tuple[TreeNode, ...]:
    """The lineage from the root down; then whatever no link reaches. Each node is drawn in full once."""
    by_subject: dict[str, list[NumberedFinding]] = {}
    for number, finding in enumerate(findings, start=1):
        by_subject.setdefault(finding.subject, []).append(NumberedFinding(number=number, finding=finding))
    nodes = {node.ref: node for node in lineage.nodes[:MAX_NODES]}
    below: dict[str, list[tuple[str, str]]] = {}
    for link in lineage.links:
        below.setdefault(link.child, []).append((link.parent, link.relation))
    drawn: set[str] = set()

    def grow(ref: str, relation: str, depth: int) -> TreeNode:
        node = nodes[ref]
        if ref in drawn or depth > MAX_DEPTH:
            return TreeNode(node=node, relation=relation, is_repeat=True)
        drawn.add(ref)
        parents = tuple(grow(parent, how, depth + 1) for parent, how in below.get(ref, ()) if parent in nodes)
        return TreeNode(node=node, relation=relation, findings=tuple(by_subject.get(ref, ())), parents=parents)

    trees: list[TreeNode] = []
    for ref in nodes:
        if ref not in drawn:
            trees.append(grow(ref, "" if not trees else "also looked at", 0))
    return tuple(trees)


def view_drops(report: FilterReport) -> tuple[Drop, ...]:
    """The first dropped rows of every filter, for people to judge the filters by."""
    taken: dict[str, int] = {}
    shown = []
    for row in report.drops.rows():
        by = row[1]
        taken[by] = taken.get(by, 0) + 1
        if taken[by] <= DROPS_PER_FILTER:
            shown.append(drop_of(row))
    return tuple(shown)


def metric_rows(metrics: dict[str, Metric]) -> tuple[tuple[str, ...], ...]:
    """Name, value, interval and meaning of every metric."""
    return tuple(
        (label(name), spelling(name)(metric.value), _interval(name, metric), meaning(name, metric.note))
        for name, metric in metrics.items()
    )


def _interval(name: str, metric: Metric) -> str:
    """The 95 % interval, or a dash."""
    if metric.low is None or metric.high is None:
        return ABSENT
    spell = spelling(name)
    return f"{spell(metric.low).removesuffix(' %')} to {spell(metric.high)}"
