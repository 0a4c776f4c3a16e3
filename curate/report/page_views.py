"""Each page's value: everything its template prints, worked out and drawn."""

from curate.artifact import Value
from curate.distillation.results import TrainingReport
from curate.gate import Finding, Verdict, settle
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptAnalysis, PromptDecision, ShiftReport
from curate.report.figures import Figure
from curate.report.numbers import ABSENT, format_number
from curate.report.recipe import loss_terms, settings, training_digests
from curate.report.text_prompts import summary
from curate.report.text_training import compared_models, domain_rows
from curate.report.views import (
    MAX_NODES,
    FindingsView,
    TreeNode,
    case_line,
    metric_rows,
    prompt_sentence,
    verdict_sentence,
    view_drops,
    view_findings,
    view_tree,
)

Rows = tuple[tuple[str, ...], ...]

AS_THEY_ARE = {
    Verdict.ALLOW: "As they are, before any filter, these prompts lie within the policy's bounds.",
    Verdict.REVIEW: "As they are, before any filter, a person must look at these prompts.",
    Verdict.DENY: "As they are, before any filter, these prompts lie outside the policy's bounds.",
}
"""What the verdict on an analysis means."""


class DecisionView(Value):
    """A decision as its page shows it."""

    decision: Decision
    sentence: str
    case: str
    findings: FindingsView
    trees: tuple[TreeNode, ...]
    digest: str
    most_nodes: int = MAX_NODES


class PromptsView(Value):
    """A prompt set as its page shows it; what was not measured is absent."""

    rows: int
    diversity: DiversityReport | None = None
    shift: ShiftReport | None = None
    filters: FilterReport | None = None
    decision: PromptDecision | None = None
    analysis: PromptAnalysis | None = None
    summary: tuple[tuple[str, tuple[str, ...]], ...] = ()
    as_they_are: Verdict | None = None
    """The verdict on an analysis, where nothing was decided."""
    sentence: str = ""
    findings: FindingsView | None = None
    bounds: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    answers: Rows = ()
    dropped: Rows = ()
    diversity_rows: Rows = ()
    shift_rows: Rows = ()
    map: Figure | None = None
    drops: Figure | None = None
    similarity: Figure | None = None
    quality: Figure | None = None
    clusters: Figure | None = None
    digests: Rows = ()


class TrainingView(Value):
    """A distillation as a run's page shows it."""

    report: TrainingReport
    quality: Figure | None
    cost: Figure | None
    losses: Figure | None
    exams: Figure | None
    domains: Rows
    models: tuple[str, ...]
    terms: Rows
    settings: Rows
    digests: Rows


def view_decision(decision: Decision) -> DecisionView:
    """A decision, worked out for its page."""
    return DecisionView(
        decision=decision,
        sentence=verdict_sentence(decision),
        case=case_line(decision.case),
        findings=view_findings(decision.findings, decision.verdict),
        trees=view_tree(decision.lineage, decision.findings),
        digest=decision.digest(),
    )


def view_prompts(
    diversity: DiversityReport | None,
    shift: ShiftReport | None,
    filters: FilterReport | None,
    decision: PromptDecision | None,
    analysis: PromptAnalysis | None = None,
) -> PromptsView:
    """A prompt set, worked out and drawn."""
    from curate.report import charts

    as_they_are = settle(analysis.findings) if analysis and not decision else None
    counted = (decision and decision.rows, diversity and diversity.rows, shift and shift.rows)
    clusters = (shift.clusters if shift else ()) or (diversity.clusters if diversity else ())
    return PromptsView(
        rows=next((rows for rows in counted if rows is not None), filters.rows_kept if filters else 0),
        diversity=diversity,
        shift=shift,
        filters=filters,
        decision=decision,
        analysis=analysis,
        summary=tuple(summary(analysis)) if analysis else (),
        as_they_are=as_they_are,
        sentence=prompt_sentence(decision) if decision else AS_THEY_ARE[as_they_are] if as_they_are else "",
        findings=view_findings(decision.findings, decision.verdict) if decision else None,
        bounds=decision.findings if decision else analysis.findings if analysis else (),
        notes=_notes(diversity, shift, filters),
        answers=tuple((name, f"{count:,}") for name, count in analysis.answers.items()) if analysis else (),
        dropped=_dropped_rows(filters) if filters else (),
        diversity_rows=metric_rows(diversity.metrics) if diversity else (),
        shift_rows=metric_rows(shift.metrics) if shift else (),
        map=charts.prompt_map(diversity.map, _map_totals(diversity, shift, filters)) if diversity else None,
        drops=charts.drops_by_filter(filters) if filters else None,
        similarity=charts.similarity_histogram(diversity.similarity_histogram) if diversity else None,
        quality=charts.quality_histogram(diversity.quality_histogram) if diversity else None,
        clusters=charts.cluster_shares(clusters),
        digests=_prompt_digests(diversity, shift, filters, decision),
    )


def _notes(
    diversity: DiversityReport | None, shift: ShiftReport | None, filters: FilterReport | None
) -> tuple[str, ...]:
    """What a reader should know of the numbers, and the first lines that could not be read."""
    told = [*(diversity.notes if diversity else ()), *(shift.notes if shift else ())]
    told += [*filters.notes, *(f"unreadable: {line}" for line in filters.unreadable[:5])] if filters else []
    return tuple(dict.fromkeys(told))


def _map_totals(diversity: DiversityReport, shift: ShiftReport | None, filters: FilterReport | None) -> dict[str, int]:
    """How many prompts each group of the map stands for."""
    totals = {one.name: one.dropped for one in filters.filters} if filters else {}
    totals["kept"] = filters.rows_kept if filters else diversity.rows
    totals["reference"] = shift.reference_rows if shift else 0
    return totals


def _dropped_rows(report: FilterReport) -> Rows:
    """The rows of the table of dropped rows."""
    return tuple(
        (drop.id, drop.filter, drop.reason, format_number(drop.score), drop.because_of or ABSENT)
        for drop in view_drops(report)
    )


def _prompt_digests(
    diversity: DiversityReport | None,
    shift: ShiftReport | None,
    filters: FilterReport | None,
    decision: PromptDecision | None,
) -> Rows:
    """What was read, what came of it and by which policy, by SHA-256."""
    measured = diversity or shift
    digests = {
        "file read": filters.prompts_sha256 if filters else measured.prompts_sha256 if measured else "",
        "reference": (shift.reference_sha256 if shift else "") or (filters.reference_sha256 if filters else ""),
        "kept file": decision.file_sha256 if decision else "",
        "policy": (decision.policy_sha256 if decision else "") or (filters.policy_sha256 if filters else ""),
        "decision": decision.digest() if decision else "",
    }
    return tuple((label, digest) for label, digest in digests.items() if digest)


def view_training(report: TrainingReport, baseline: TrainingReport | None) -> TrainingView:
    """A distillation, worked out and drawn."""
    from curate.report import charts_training

    models = compared_models(report, baseline)
    return TrainingView(
        report=report,
        quality=charts_training.quality_bars(models),
        cost=charts_training.footprint_bars(report),
        losses=charts_training.loss_curves(report.curve),
        exams=charts_training.exam_curves(report.exams),
        domains=tuple(tuple(row) for row in domain_rows(models)),
        models=tuple(models),
        terms=loss_terms(report.config.losses, report.balance),
        settings=settings(report),
        digests=training_digests(report),
    )
