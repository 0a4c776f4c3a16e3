"""The prompt wing's reports as plain text: how many, how varied, how far, what is wrong, what to do; then tables."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from curate.gate import Finding, Verdict, settle
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
from curate.report.measures import meaning
from curate.report.text import escape_controls, table

ADVICE = {
    "too-few": "bring more prompts, or loosen the filter that drops most",
    "too-narrow": "add prompts from the topics of the reference that are missing",
    "too-far": "bring prompts nearer to the task, or filter with off_domain and a reference",
    "low-quality": "filter with garbage and language, or bring better rows",
    "no-reference": "give prompts of the target task with --reference",
    "no-benchmark": "give what the student is tested on with --benchmark",
    "row-license": "add a license or source column",
    "embedder": "measure with the embedder the policy names",
    "whole-chain": "run the policy's whole chain",
}
"""What to do about a finding, by its rule."""

BARS = " ▁▂▃▄▅▆▇█"


def analysis_text(analysis: PromptAnalysis, *, place: str = "") -> str:
    """The whole analysis: the answer in one screen, then the numbers behind it."""
    unreadable = f", {analysis.rows_unreadable} lines unreadable" if analysis.rows_unreadable else ""
    head = f"{place or 'prompts'}: {analysis.rows:,} rows{unreadable}"
    lines = [f"{head} – {settle(analysis.findings).value.upper()} as they are", ""]
    bars = histogram_bars(analysis.diversity.quality_histogram)
    for name, what in summary(analysis):
        first, *others = what
        lines.append(f"  {name:<13}  {first}" + (f"; 0 {bars} 1" if name == "how good" and bars.strip() else ""))
        lines += [f"  {'':<13}  {other}" for other in others]
    lines += ["", *diversity_text(analysis.diversity)]
    if analysis.shift is not None:
        lines += ["", *shift_text(analysis.shift)]
    dropped = [one for one in analysis.filters if one.dropped]
    if dropped:
        lines += ["", "What the policy's chain would drop", *counts_text(dropped)]
    lines += [f"note: {note}" for note in analysis.notes]
    lines += ["", "Against the policy, as they are", *findings_text(analysis.findings)]
    return "\n".join(map(escape_controls, lines)) + "\n"


def summary(analysis: PromptAnalysis) -> list[tuple[str, tuple[str, ...]]]:
    """The answer in ten seconds: how many, how varied, how far, how good, what is wrong, what to do."""
    kept = analysis.rows - sum(one.dropped for one in analysis.filters)
    most = sorted((one for one in analysis.filters if one.dropped), key=lambda one: -one.dropped)[:5]
    reasons = ", ".join(f"{one.name} {one.dropped:,}" for one in most)
    after = f"{kept:,} ({kept / max(analysis.rows, 1):.0%}) after the policy's chain"
    wrong = [one for one in analysis.findings if one.effective is not Verdict.ALLOW]
    rules = ", ".join(dict.fromkeys(one.rule for one in wrong))
    answers = ", ".join(f"{name} {count:,}" for name, count in analysis.answers.items() if count)
    rows = [
        ("how many", f"{analysis.rows:,} rows; {after}" + (f"; dropped most: {reasons}" if reasons else "")),
        ("how varied", spread_of(analysis.diversity.metrics)),
        ("how far", distance_of(analysis.shift)),
        ("how good", quality_of(analysis.diversity.metrics)),
        *([("answers", answers or "none faulty, none repeated")] if analysis.answers else []),
        ("what is wrong", rules or "nothing that the policy bounds"),
    ]
    advice = list(dict.fromkeys(ADVICE[one.rule] for one in wrong if one.rule in ADVICE))
    if most:
        advice.append("curate filter-prompts drops the rows above, with a reason for each")
    return [*((name, (what,)) for name, what in rows), ("what to do", tuple(advice) or ("nothing",))]


def shown(metrics: Mapping[str, Metric], name: str, form: str) -> str:
    """A metric's value in a format; a dash where it was not measured."""
    value = metrics[name].value if name in metrics else None
    return "–" if value is None else format(value, form)


def spread_of(metrics: Mapping[str, Metric]) -> str:
    """How varied, in a line."""
    parts = [f"about {shown(metrics, 'vendi', '.0f')} unlike prompts"]
    if metrics["cluster_entropy"].value is not None:
        parts.append(f"{shown(metrics, 'cluster_entropy', '.0%')} of the reference's spread over topics")
        parts.append(f"{shown(metrics, 'reference_coverage', '.0%')} of its coverage")
    return "; ".join([*parts, f"nearest other prompt at cosine {shown(metrics, 'mean_nn_similarity', '.2f')}"])


def distance_of(shift: ShiftReport | None) -> str:
    """How far from the reference, in a line."""
    if shift is None:
        return "unknown without --reference"
    mmd = shift.metrics["sqrt_mmd"]
    interval = "" if mmd.low is None or mmd.high is None else f" ({mmd.low:.2f} … {mmd.high:.2f})"
    off = shown(shift.metrics, "off_target_share", ".0%")
    return f"sqrt_mmd {shown(shift.metrics, 'sqrt_mmd', '.2f')}{interval}, 0 like the reference; at least {off} off it"


def quality_of(metrics: Mapping[str, Metric]) -> str:
    """How good the rows look, in a line."""
    usable, mean = shown(metrics, "usable_share", ".1%"), shown(metrics, "quality", ".2f")
    return f"{usable} of the rows without a fault; mean quality {mean}"


def histogram_bars(counts: Sequence[int]) -> str:
    """One sign a bin, by the square root of its share of the fullest, so that rare bins show."""
    most = max(counts, default=0)
    return "".join(BARS[math.ceil(8 * math.sqrt(count / most))] if count else BARS[0] for count in counts)


def filter_text(report: FilterReport, *, place: str = "", decision: PromptDecision | None = None) -> str:
    """What every filter dropped, the most frequent reasons, and the decision if one was asked for."""
    unreadable = f", {report.rows_unreadable} lines unreadable" if report.rows_unreadable else ""
    share = report.rows_kept / report.rows_read if report.rows_read else 0.0
    head = f"{place or 'prompts'}: {report.rows_read:,} rows read{unreadable}"
    lines = [f"{head}; {report.rows_kept:,} kept ({share:.1%})", "", *counts_text(report.filters)]
    reasons = Counter((by, reason.split(":")[0]) for _, by, reason, *_ in report.drops.rows())
    if reasons:
        most = [(f"{count:,}", name, reason) for (name, reason), count in reasons.most_common(8)]
        lines += ["", *table(most, ["rows", "filter", "most frequent reasons"]).splitlines()]
    lines += [f"note: {escape_controls(note)}" for note in report.notes]
    lines += [f"unreadable: {escape_controls(line)}" for line in report.unreadable[:5]]
    if report.embedder is not None:
        lines += ["", f"embedder {report.embedder.spec} ({report.embedder.sha256[:12]})"]
    if decision is not None:
        lines += ["", f"Decision: {decision.verdict.value}", *findings_text(decision.findings)]
    return "\n".join(map(escape_controls, lines)) + "\n"


def counts_text(filters: Sequence[FilterCount]) -> list[str]:
    """Rows in and dropped, for each filter in the order they ran."""
    rows = [
        (one.name, f"{one.rows_in:,}", f"{one.dropped:,}", f"{one.dropped / one.rows_in:.1%}" if one.rows_in else "–")
        for one in filters
    ]
    return table(rows, ["filter", "rows in", "dropped", "share"]).splitlines()


def findings_text(findings: Sequence[Finding]) -> list[str]:
    """One line a finding, the strictest first, with what to do."""
    lines = []
    for one in sorted(findings, key=lambda found: -found.effective.severity):
        waived = f" (waived by {one.waived_by})" if one.waived_by else ""
        lines.append(f"  {one.verdict.value:<6}  {one.rule}: {escape_controls(one.message + waived)}")
        if one.effective is not Verdict.ALLOW and one.rule in ADVICE:
            lines.append(f"          → {ADVICE[one.rule]}")
    return lines


def diversity_text(report: DiversityReport) -> list[str]:
    """How varied, with the largest topics."""
    head = f"Diversity (subsample of {report.subsample:,}, embedder {report.embedder.spec})"
    notes = [f"note: {escape_controls(note)}" for note in report.notes]
    return [head, *metrics_text(report.metrics), "", *clusters_text(report.clusters[:6]), *notes]


def shift_text(report: ShiftReport) -> list[str]:
    """How far from the reference, with the topics that differ most."""
    head = f"Shift against the reference ({report.reference_rows:,} rows)"
    notes = [f"note: {escape_controls(note)}" for note in report.notes]
    return [head, *metrics_text(report.metrics), "", *clusters_text(report.clusters[:6]), *notes]


def metrics_text(metrics: Mapping[str, Metric]) -> list[str]:
    """Name, value, interval, meaning."""
    rows = []
    for name, metric in metrics.items():
        value = "–" if metric.value is None else f"{metric.value:.3f}"
        interval = "" if metric.low is None or metric.high is None else f"{metric.low:.3f} … {metric.high:.3f}"
        rows.append((name, value, interval, meaning(name, metric.note)))
    return table(rows, ["metric", "value", "95 % interval", "what it says"], width=120).splitlines()


def clusters_text(clusters: Sequence[Cluster]) -> list[str]:
    """Share of the set, share of the reference, and the words that name it."""
    if not clusters:
        return []
    compared = any(one.reference_share is not None for one in clusters)
    rows = []
    for one in clusters:
        other = [f"{one.reference_share:.1%}" if one.reference_share is not None else ""] if compared else []
        rows.append((f"{one.share:.1%}", *other, ", ".join(one.words) or "(no words)"))
    heads = ["share", *(["reference"] if compared else []), "topic" if not compared else "topics that differ most"]
    return table(rows, heads).splitlines()
