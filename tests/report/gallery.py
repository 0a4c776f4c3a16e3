"""Every kind of page over the small values, for whoever opens them in a browser."""

from functools import cache

from curate.gate import Verdict
from curate.prompts.results import Metric
from curate.report.comparison import Comparison, CountPair, MetricPair, TextPair
from curate.report.html import StepLine, comparison_page, decision_page, decisions_page, prompts_page, run_page

from .values import (
    HOSTILE,
    allowed_decision,
    denied_decision,
    diversity_report,
    filter_report,
    prompt_analysis,
    prompt_decision,
    shift_report,
    training_report,
)


def comparison(hostile: str = "") -> Comparison:
    """Two runs that differ in a verdict, a setting, rows and measures."""
    told = hostile or "the policy denies the family"
    return Comparison(
        of="runs",
        a=hostile or "reports/before",
        b="reports/after",
        metrics=(
            MetricPair(
                group="diversity", name="vendi", a=Metric(value=41.7, low=38.0, high=45.0),
                b=Metric(value=30.1, low=28.0, high=33.0), difference=-11.6, intervals_overlap=False,
            ),
            MetricPair(group="diversity", name=hostile or "odd", a=Metric(value=None), b=Metric(value=1.0)),
            MetricPair(
                group="student after", name="accuracy", a=Metric(value=0.817), b=Metric(value=0.82), difference=0.003
            ),
        ),
        counts=(CountPair(name="rows read", a=2400, b=2400), CountPair(name=hostile or "kept", a=1979, b=None)),
        differences=(
            TextPair(group="verdict", name="teacher", a="allow", b="deny"),
            TextPair(group="finding", name=hostile or "license: acme/x", a="nothing", b=f"deny: {told}"),
            TextPair(group="configuration", name="distill.seed", a="77", b=hostile or "78"),
        ),
        notes=(hostile or "the students were asked different held-out questions",),
    )  # fmt: skip


@cache
def gallery(hostile: str = "") -> dict[str, str]:
    """Name to page."""
    steps = [
        StepLine(name="license", status="ok", wall_s=0.1),
        StepLine(name="distill", status="ok", wall_s=94.2, note=hostile or "240 steps"),
    ]
    analysis = prompt_analysis(hostile)
    named = denied_decision().model_copy(update={"ref": hostile} if hostile else {})
    return {
        "decision": decision_page(named),
        "decisions": decisions_page([named, allowed_decision()], [("acme/lost", hostile or "no such repository")]),
        "analysis": prompts_page(analysis.diversity, shift_report(), filter_report(), None, analysis),
        "prompts": prompts_page(
            diversity_report(hostile=hostile), shift_report(), filter_report(hostile), prompt_decision(Verdict.REVIEW)
        ),
        "run": run_page(
            title=hostile or "tiny-helper from acme/embedded-teacher",
            steps=steps,
            teacher=allowed_decision(),
            base=allowed_decision(),
            filters=filter_report(hostile),
            diversity=diversity_report(hostile=hostile),
            shift=shift_report(),
            prompt_decision=prompt_decision(),
            training=training_report(hostile=hostile),
            baseline=training_report(with_kd=False),
            notes=["Unsigned: no key was given."],
        ),
        "denied-run": run_page(title="tiny-helper from acme/x", steps=steps[:1], teacher=denied_decision()),
        "comparison": comparison_page(comparison(hostile)),
    }


HOSTILE_NAMES = ("", HOSTILE)
