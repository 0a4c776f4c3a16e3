"""Self-contained HTML pages for decisions, prompts, runs and comparisons: no script, no network, nothing to load."""

from collections.abc import Sequence

from curate.artifact import Value
from curate.distillation.results import TrainingReport
from curate.gate import Verdict, worst
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptAnalysis, PromptDecision, ShiftReport
from curate.report.compare_views import view_comparison
from curate.report.comparison import Comparison
from curate.report.markup import render
from curate.report.page_views import DecisionView, PromptsView, view_decision, view_prompts, view_training
from curate.report.recipe import quality_sentence
from curate.report.text_training import compared_models
from curate.report.views import VERDICT_WORDS, FindingsView, StepLine, Tone

__all__ = ["StepLine", "comparison_page", "decision_page", "decisions_page", "prompts_page", "run_page"]


class DecisionPart(Value):
    """A decision within a run's page."""

    id: str
    label: str
    view: DecisionView
    like: str = ""
    """The label of an earlier part whose findings, duties and lineage are the same."""


class Reason(Value):
    """A line of a run's banner."""

    label: str
    text: str


def decision_page(decision: Decision) -> str:
    """May this model teach? The verdict, what decided it, what it was made from, by which rules."""
    return render("decision.html.j2", view=view_decision(decision))


def decisions_page(decisions: Sequence[Decision], problems: Sequence[tuple[str, str]] = ()) -> str:
    """Several decisions on one page: a table of verdicts, then each in full; with what could not be judged."""
    parts = [
        DecisionPart(id=f"model-{number}", label=decision.ref, view=view_decision(decision))
        for number, decision in enumerate(decisions, start=1)
    ]
    tone: Tone = worst(decision.verdict for decision in decisions).value if decisions else "quiet"
    counts = [
        (verdict.value, sum(1 for decision in decisions if decision.verdict is verdict))
        for verdict in reversed(Verdict)
    ]
    view = {
        "parts": parts,
        "tone": tone,
        "word": VERDICT_WORDS[tone] if decisions else "No verdict",
        "counts": [(word, count) for word, count in counts if count],
        "asked": len(decisions) + len(problems),
        "problems": problems,
    }
    return render("decisions.html.j2", view=view)


def prompts_page(
    diversity: DiversityReport | None,
    shift: ShiftReport | None = None,
    filters: FilterReport | None = None,
    decision: PromptDecision | None = None,
    analysis: PromptAnalysis | None = None,
) -> str:
    """Are these prompts worth asking? In short, then the map, what was dropped, how varied they are, how far they lie.

    Raises:
        MissingExtra: charts need altair and vl-convert.
    """
    return render("prompts.html.j2", view=view_prompts(diversity, shift, filters, decision, analysis))


def comparison_page(comparison: Comparison) -> str:
    """Two prompt sets or two runs, side by side.

    Raises:
        MissingExtra: charts need altair and vl-convert.
    """
    return render("compare.html.j2", view=view_comparison(comparison))


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
        DecisionPart(
            id=id_, label=label, view=view_decision(decision), like="Teacher" if _alike(teacher, decision) else ""
        )
        for id_, label, decision in asked
        if decision
    ]
    has_prompts = any(part is not None for part in (filters, diversity, shift, prompt_decision))
    prompts = view_prompts(diversity, shift, filters, prompt_decision) if has_prompts else None
    tone, word, reasons = _run_verdict(steps, decisions, prompts, training, baseline)
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
        "training": view_training(training, baseline) if training else None,
        "notes": notes,
        "contents": contents,
    }
    return render("run.html.j2", view=view)


def _alike(teacher: Decision | None, other: Decision) -> bool:
    """Whether another decision of the run says of the same model what the teacher's says."""
    return (
        teacher is not None
        and other is not teacher
        and (teacher.ref, teacher.revision, teacher.verdict, teacher.lineage)
        == (other.ref, other.revision, other.verdict, other.lineage)
        and (teacher.findings, teacher.obligations) == (other.findings, other.obligations)
    )


def _run_verdict(
    steps: Sequence[StepLine],
    decisions: Sequence[DecisionPart],
    prompts: PromptsView | None,
    training: TrainingReport | None,
    baseline: TrainingReport | None,
) -> tuple[Tone, str, list[Reason]]:
    """What a reader should know of a run within five seconds."""
    reasons = [Reason(label=part.label, text=_gate_line(part.view)) for part in decisions]
    verdicts = [part.view.decision.verdict for part in decisions]
    if prompts and prompts.decision and prompts.findings:
        verdicts.append(prompts.decision.verdict)
        reasons.append(Reason(label="Prompts", text=_with_reason(prompts.sentence, prompts.findings)))
    if training:
        reasons.append(Reason(label="Student", text=_student_line(training, baseline)))
    latest = {step.name: step for step in steps}.values()
    broken = [step for step in latest if step.tone == "deny"]
    gates = worst(verdicts) if verdicts else None
    if gates is not None and gates is not Verdict.ALLOW:
        return ("deny" if gates is Verdict.DENY else "review"), VERDICT_WORDS[gates.value], reasons
    if broken:
        failures = [Reason(label=f"Step {step.name}", text=step.note or step.status) for step in broken]
        return "deny", "Failed", [*failures, *reasons]
    if any(step.tone == "review" for step in latest):
        return "review", "Unfinished", reasons
    if gates is None:
        return "quiet", "No verdict yet", [*reasons, Reason(label="", text="No gate has decided.")]
    return "allow", "Allowed and distilled" if training else VERDICT_WORDS[gates.value], reasons


def _gate_line(view: DecisionView) -> str:
    """A license decision in a sentence or two."""
    return f"{view.decision.ref}. {_with_reason(view.sentence, view.findings)}"


def _with_reason(sentence: str, view: FindingsView) -> str:
    """A verdict's sentence, with the first finding that decided, if the verdict is not allow."""
    return f"{sentence.removesuffix('.')}: {view.decisive[0].finding.message}" if view.decisive else sentence


def _student_line(training: TrainingReport, baseline: TrainingReport | None) -> str:
    """What came of the distillation, in the measure that says most."""
    return f"{training.config.student.name}. {quality_sentence(compared_models(training, baseline))}"
