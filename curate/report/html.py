"""Self-contained HTML pages for a decision, a prompt set and a run: no script, no network, nothing to load."""

from collections.abc import Sequence

from curate.artifact import Value
from curate.distillation.results import TrainingReport
from curate.gate import Verdict, worst
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
from curate.report.figures import Figure
from curate.report.markup import render
from curate.report.numbers import ABSENT, format_number
from curate.report.text import compared_models
from curate.report.views import (
    VERDICT_WORDS,
    FindingsView,
    StepLine,
    Tone,
    TreeNode,
    case_line,
    metric_rows,
    prompt_sentence,
    verdict_sentence,
    view_drops,
    view_findings,
    view_tree,
)

__all__ = ["StepLine", "decision_page", "prompts_page", "run_page"]

Rows = tuple[tuple[str, ...], ...]


class DecisionView(Value):
    """A decision as its page shows it."""

    decision: Decision
    sentence: str
    case: str
    findings: FindingsView
    trees: tuple[TreeNode, ...]
    digest: str


class PromptsView(Value):
    """A prompt set as its page shows it; what was not measured is absent."""

    rows: int
    diversity: DiversityReport | None = None
    shift: ShiftReport | None = None
    filters: FilterReport | None = None
    decision: PromptDecision | None = None
    sentence: str = ""
    findings: FindingsView | None = None
    bounds: Rows = ()
    dropped: Rows = ()
    diversity_rows: Rows = ()
    shift_rows: Rows = ()
    map: Figure | None = None
    drops: Figure | None = None
    similarity: Figure | None = None
    clusters: Figure | None = None
    digests: Rows = ()


class TrainingView(Value):
    """A distillation as a run's page shows it."""

    report: TrainingReport
    quality: Figure | None
    cost: Figure | None
    losses: Figure | None
    terms: Rows
    settings: Rows
    digests: Rows


class DecisionPart(Value):
    """A decision within a run's page."""

    id: str
    label: str
    view: DecisionView


class Reason(Value):
    """A line of a run's banner."""

    label: str
    text: str


def decision_page(decision: Decision) -> str:
    """May this model teach? The verdict, what decided it, what it was made from, by which rules."""
    return render("decision.html.j2", view=_view_decision(decision))


def prompts_page(
    diversity: DiversityReport | None,
    shift: ShiftReport | None = None,
    filters: FilterReport | None = None,
    decision: PromptDecision | None = None,
) -> str:
    """Are these prompts worth asking? The map, what was dropped, how varied they are, how far from the reference.

    Raises:
        MissingExtra: charts need altair and vl-convert.
    """
    return render("prompts.html.j2", view=_view_prompts(diversity, shift, filters, decision))


def run_page(
    *,
    title: str,
    steps: Sequence[StepLine],
    teacher: Decision | None = None,
    base: Decision | None = None,
    filters: FilterReport | None = None,
    diversity: DiversityReport | None = None,
    shift: ShiftReport | None = None,
    prompt_decision: PromptDecision | None = None,
    training: TrainingReport | None = None,
    baseline: TrainingReport | None = None,
    notes: Sequence[str] = (),
) -> str:
    """A whole run: its steps, both gates, the prompts and the student, as far as it came.

    Raises:
        MissingExtra: charts need altair and vl-convert.
    """
    asked = (("teacher", "Teacher", teacher), ("base", "Base of the student", base))
    decisions = [
        DecisionPart(id=id_, label=label, view=_view_decision(decision)) for id_, label, decision in asked if decision
    ]
    has_prompts = any(part is not None for part in (filters, diversity, shift, prompt_decision))
    prompts = _view_prompts(diversity, shift, filters, prompt_decision) if has_prompts else None
    tone, word, reasons = _run_verdict(steps, decisions, prompts, training)
    contents = [("steps", "Steps")] if steps else []
    contents += [(part.id, part.label) for part in decisions]
    contents += [("prompts", "Prompts")] if prompts else []
    contents += [("student", "Student")] if training else []
    view = {
        "title": title,
        "tone": tone,
        "word": word,
        "reasons": reasons,
        "steps": steps,
        "decisions": decisions,
        "prompts": prompts,
        "training": _view_training(training, baseline) if training else None,
        "notes": notes,
        "contents": contents,
    }
    return render("run.html.j2", view=view)


def _run_verdict(
    steps: Sequence[StepLine],
    decisions: Sequence[DecisionPart],
    prompts: PromptsView | None,
    training: TrainingReport | None,
) -> tuple[Tone, str, list[Reason]]:
    """What a reader should know of a run within five seconds."""
    reasons = [Reason(label=part.label, text=_gate_line(part.view)) for part in decisions]
    verdicts = [part.view.decision.verdict for part in decisions]
    if prompts and prompts.decision and prompts.findings:
        verdicts.append(prompts.decision.verdict)
        reasons.append(Reason(label="Prompts", text=prompts.sentence + _because(prompts.findings)))
    if training:
        reasons.append(Reason(label="Student", text=_student_line(training)))
    broken = [step for step in steps if step.tone == "deny"]
    gates = worst(verdicts) if verdicts else None
    if gates is Verdict.DENY or gates is Verdict.REVIEW:
        return gates.value, VERDICT_WORDS[gates.value], reasons
    if broken:
        failures = [Reason(label=f"Step {step.name}", text=step.note or step.status) for step in broken]
        return "deny", "Failed", [*failures, *reasons]
    if gates is None:
        return "quiet", "No verdict yet", [*reasons, Reason(label="", text="No gate has decided.")]
    return "allow", "Allowed and distilled" if training else VERDICT_WORDS[gates.value], reasons


def _gate_line(view: DecisionView) -> str:
    """A license decision in a sentence or two."""
    return f"{view.decision.ref}. {view.sentence}{_because(view.findings)}"


def _because(view: FindingsView) -> str:
    """The first finding that decided, if the verdict is not allow."""
    return f" {view.decisive[0].finding.message}" if view.decisive else ""


def _student_line(training: TrainingReport) -> str:
    """What came of the distillation, in the measure that says most."""
    before, after, teacher = training.before, training.after, training.teacher
    for label, field in (
        ("accuracy", "accuracy"),
        ("KL to the teacher", "kl_to_teacher"),
        ("perplexity", "perplexity"),
    ):
        if getattr(after, field) is not None:
            was, now, aim = (format_number(getattr(quality, field)) for quality in (before, after, teacher))
            return f"{training.config.student.name}. {label} {now} after, {was} before; the teacher's is {aim}."
    return f"{training.config.student.name}, {training.steps:,} steps."


def _view_decision(decision: Decision) -> DecisionView:
    """A decision, worked out for its page."""
    return DecisionView(
        decision=decision,
        sentence=verdict_sentence(decision),
        case=case_line(decision.case),
        findings=view_findings(decision.findings, decision.verdict),
        trees=view_tree(decision.lineage, decision.findings),
        digest=decision.digest(),
    )


def _view_prompts(
    diversity: DiversityReport | None,
    shift: ShiftReport | None,
    filters: FilterReport | None,
    decision: PromptDecision | None,
) -> PromptsView:
    """A prompt set, worked out and drawn."""
    from curate.report import charts

    counted = (decision and decision.rows, diversity and diversity.rows, shift and shift.rows)
    clusters = (shift.clusters if shift else ()) or (diversity.clusters if diversity else ())
    return PromptsView(
        rows=next((rows for rows in counted if rows is not None), filters.rows_kept if filters else 0),
        diversity=diversity,
        shift=shift,
        filters=filters,
        decision=decision,
        sentence=prompt_sentence(decision) if decision else "",
        findings=view_findings(decision.findings, decision.verdict) if decision else None,
        bounds=tuple((f.rule, _bound_verdict(f.verdict, f.waived_by), f.message) for f in decision.findings)
        if decision
        else (),
        dropped=_dropped_rows(filters) if filters else (),
        diversity_rows=metric_rows(diversity.metrics) if diversity else (),
        shift_rows=metric_rows(shift.metrics) if shift else (),
        map=charts.prompt_map(diversity.map) if diversity else None,
        drops=charts.drops_by_filter(filters) if filters else None,
        similarity=charts.similarity_histogram(diversity.similarity_histogram) if diversity else None,
        clusters=charts.cluster_shares(clusters),
        digests=_prompt_digests(diversity, shift, filters, decision),
    )


def _bound_verdict(verdict: Verdict, waived_by: str) -> str:
    """A verdict as a word, and whether it was waived."""
    return VERDICT_WORDS[verdict.value] + (" (waived)" if waived_by else "")


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


def _view_training(report: TrainingReport, baseline: TrainingReport | None) -> TrainingView:
    """A distillation, worked out and drawn."""
    from curate.report import charts_training
    from curate.report.recipe import loss_terms, settings, training_digests

    return TrainingView(
        report=report,
        quality=charts_training.quality_bars(compared_models(report, baseline)),
        cost=charts_training.footprint_bars(report),
        losses=charts_training.loss_curves(report.curve),
        terms=loss_terms(report.config.losses),
        settings=settings(report),
        digests=training_digests(report),
    )
