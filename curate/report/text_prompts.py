"""The prompt wing's reports as plain text: how many, how varied, how far, what is wrong, what to do."""

from collections import Counter
from collections.abc import Iterable, Sequence

from curate.gate import Finding, Verdict
from curate.prompts.results import (
    Cluster,
    DiversityReport,
    FilterCount,
    FilterReport,
    Metric,
    PromptAnalysis,
    PromptDecision,
    ShiftReport,
)
from curate.report.text import display_width, escape_controls

ADVICE = {
    "too-few": "bring more prompts, or loosen the filter that drops most",
    "too-narrow": "add prompts from the clusters of the reference that are missing",
    "too-far": "bring prompts nearer to the task, or filter with off_domain and a reference",
    "no-reference": "give prompts of the target task with --reference",
    "no-benchmark": "give what the student is tested on with --benchmark",
    "row-license": "add a license or source column",
    "embedder": "measure with the embedder the policy names",
    "whole-chain": "run the policy's whole chain",
}
"""What to do about a finding, by its rule."""

MEANS = {
    "vendi": "about so many unlike prompts",
    "cluster_entropy": "spread over the reference's topics, 1 like the reference",
    "reference_coverage": "how near the reference's rows find a prompt, 1 like among themselves",
    "mean_nn_similarity": "cosine to the nearest other prompt",
    "effective_rank": "directions the set uses",
    "distinct_2": "different word pairs",
    "compression_ratio": "greater is more repetitive",
    "mean_pairwise_distance": "blind to duplicates",
    "sqrt_mmd": "0 like the reference; grows with the off-topic share",
    "off_target_share": "least share off the reference",
    "c2st_auc": "0.5 cannot be told apart, 1 always",
    "sqrt_energy": "0 like the reference",
    "frechet": "has a floor in small samples",
}
"""What a number means, in a few words."""


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Lines of a table without a heading, hostile text made harmless; columns in ``right`` are right-aligned."""
    if not rows:
        return []
    flush = set(right)
    shown = [[escape_controls(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        fills = [" " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            fill + cell if place in flush else cell + fill
            for place, (cell, fill) in enumerate(zip(row, fills, strict=True))
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def filter_text(report: FilterReport, *, place: str = "", decision: PromptDecision | None = None) -> str:
    """What every filter dropped, the most frequent reasons, and the decision if one was asked for."""
    unreadable = f", {report.rows_unreadable} lines unreadable" if report.rows_unreadable else ""
    share = report.rows_kept / report.rows_read if report.rows_read else 0.0
    lines = [
        f"{place or 'prompts'}: {report.rows_read:,} rows read{unreadable}; {report.rows_kept:,} kept ({share:.1%})",
        "",
    ]
    lines += counts_text(report.filters)
    reasons = Counter((drop.filter, drop.reason.split(":")[0]) for drop in report.drops)
    if reasons:
        most = [(f"{count:,}", name, reason) for (name, reason), count in reasons.most_common(8)]
        lines += ["", "Most frequent reasons", *table(most, right=[0])]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"unreadable: {line}" for line in report.unreadable[:5]]
    if report.embedder is not None:
        lines += ["", f"embedder {report.embedder.spec} ({report.embedder.sha256[:12]})"]
    if decision is not None:
        lines += ["", f"Decision: {decision.verdict.value}", *findings_text(decision.findings)]
    return "\n".join(map(escape_controls, lines)) + "\n"


def counts_text(filters: Sequence[FilterCount]) -> list[str]:
    """Rows in and dropped, for each filter in the order they ran."""
    rows = [("filter", "rows in", "dropped", "share")]
    rows += [
        (one.name, f"{one.rows_in:,}", f"{one.dropped:,}", f"{one.dropped / one.rows_in:.1%}" if one.rows_in else "–")
        for one in filters
    ]
    return table(rows, right=[1, 2, 3])


def findings_text(findings: Sequence[Finding]) -> list[str]:
    """One line a finding, the strictest first, with what to do."""
    lines = []
    for one in sorted(findings, key=lambda found: -found.effective.severity):
        waived = f" (waived by {one.waived_by})" if one.waived_by else ""
        lines.append(f"  {one.verdict.value:<6}  {one.rule}: {one.message}{waived}")
        if one.effective is not Verdict.ALLOW and one.rule in ADVICE:
            lines.append(f"          → {ADVICE[one.rule]}")
    return lines


def analysis_text(analysis: PromptAnalysis, *, place: str = "") -> str:
    """The whole analysis in one screen."""
    unreadable = f", {analysis.rows_unreadable} lines unreadable" if analysis.rows_unreadable else ""
    lines = [f"{place or 'prompts'}: {analysis.rows:,} rows{unreadable}", "", *diversity_text(analysis.diversity)]
    if analysis.shift is not None:
        lines += ["", *shift_text(analysis.shift)]
    dropped = [one for one in analysis.filters if one.dropped]
    if dropped:
        lines += ["", "What the policy's chain would drop", *counts_text(dropped)]
    lines += [f"note: {note}" for note in analysis.notes]
    lines += ["", "Against the policy, as it is", *findings_text(analysis.findings)]
    return "\n".join(map(escape_controls, lines)) + "\n"


def diversity_text(report: DiversityReport) -> list[str]:
    """How varied, with the largest topics."""
    head = f"Diversity (subsample of {report.subsample:,}, embedder {report.embedder.spec})"
    return [head, *metrics_text(report.metrics), *clusters_text(report.clusters[:6])]


def shift_text(report: ShiftReport) -> list[str]:
    """How far from the reference, with the topics that differ most."""
    head = f"Shift against the reference ({report.reference_rows:,} rows)"
    return [head, *metrics_text(report.metrics), *clusters_text(report.clusters[:6])]


def metrics_text(metrics: dict[str, Metric]) -> list[str]:
    """Name, value, interval, meaning."""
    rows = []
    for name, metric in metrics.items():
        value = "–" if metric.value is None else f"{metric.value:.3f}"
        interval = "" if metric.low is None or metric.high is None else f"{metric.low:.3f} … {metric.high:.3f}"
        meaning = MEANS.get(name, "")
        note = f"{meaning}; {metric.note}" if metric.note and metric.note != meaning else meaning
        rows.append((name, value, interval, note))
    return table(rows, right=[1])


def clusters_text(clusters: Sequence[Cluster]) -> list[str]:
    """Share of the set, share of the reference, and the words that name it."""
    rows = []
    for one in clusters:
        other = "" if one.reference_share is None else f"reference {one.reference_share:.1%}"
        rows.append((f"{one.share:.1%}", other, ", ".join(one.words) or "(no words)"))
    return ["  topics:", *table(rows, right=[0])] if rows else []
