"""The student's model card and NOTICE: what it was made from, under which duties, and what it measured."""

from collections.abc import Sequence

import yaml

from curate.distillation.config import LossConfig
from curate.distillation.results import Quality, TrainingReport
from curate.licenses.decision import Decision
from curate.prompts.results import PromptDecision
from curate.runs.config import RunConfig


def student_card(
    config: RunConfig, decision: Decision, prompts: PromptDecision, training: TrainingReport, *, run_id: str
) -> str:
    """The card as Markdown with the hub's metadata; every value from outside is quoted by YAML or escaped."""
    duties = (*decision.obligations, *prompts.obligations)
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_metadata(config, decision), sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            "",
            f"# {_plain(config.student.name)}",
            "",
            f"Distilled with curate {decision.curate_version} in run `{_plain(run_id)}` from "
            f"{_taught_by(decision, training)}, on {prompts.rows} approved prompts.",
            "",
            "## What may be done with it",
            "",
            f"License: `{_plain(config.student.license)}`. Duties that came down from the teacher and the prompts:",
            "",
            *([f"- {_plain(duty)}" for duty in duties] or ["- none"]),
            *_waivers(decision),
            "",
            "This is what was measured and recorded, not legal advice.",
            "",
            "## How it was taught",
            "",
            f"L = {_formula(training.config.losses)}; {training.steps} optimizer steps over {training.tokens} answer "
            f"tokens; {training.answers_from_file} answers from the file, {training.answers_from_teacher} from "
            f"{'the teacher' if len(training.teachers) < 2 else 'the teachers'}.",
            *_teachers(training),
            "",
            "## What it measures",
            "",
            *_table(training),
            "",
            "## Proof",
            "",
            f"- license decision `{training.teacher_decision_sha256}`",
            f"- prompt decision `{training.dataset_decision_sha256}`",
            f"- policy `{_plain(decision.policy.name)}` `{decision.policy.sha256}`",
            f"- weights and tokenizer `{training.student_sha256}`",
            "",
        ]
    )


def notice(config: RunConfig, duties: Sequence[str]) -> str:
    """The NOTICE that travels with the student: one duty a line."""
    lines = [f"{_plain(config.student.name)}", "", "This model carries the following duties:", ""]
    return "\n".join([*lines, *(f"- {_plain(duty)}" for duty in duties), ""])


def _metadata(config: RunConfig, decision: Decision) -> dict[str, object]:
    """Front matter in the hub's fields; a base model is named only where the hub can know it."""
    metadata: dict[str, object] = {"license": config.student.license, "library_name": "transformers"}
    on_hub = [
        ref
        for ref in (*decision.ref.split(" + "), config.student.base)
        if ref.count("/") == 1 and not ref.startswith((".", "/"))
    ]
    if on_hub:
        metadata["base_model"] = sorted({ref.split("@")[0] for ref in on_hub})
    return {**metadata, "pipeline_tag": "text-generation", "tags": ["distillation", "knowledge-distillation", "curate"]}


def _taught_by(decision: Decision, training: TrainingReport) -> str:
    """The teacher with its revision, or all of them with their shares."""
    if len(training.teachers) < 2:
        return f"`{_plain(decision.ref)}`{_at(decision.revision)}"
    shares = [f"`{_plain(one.ref)}`{_at(one.revision)} ({one.share:.0%})" for one in training.teachers]
    return " and ".join(shares)


def _teachers(training: TrainingReport) -> list[str]:
    """What each teacher answered and what of it did not teach; nothing where nothing was asked."""
    lines = []
    for one in training.teachers:
        gone = ", ".join(f"{count} {_plain(reason)}" for reason, count in one.dropped.items())
        through = f" through an endpoint as `{_plain(', '.join(one.served_as))}`" if one.served_as else ""
        if one.answers:
            lines.append(
                f"- `{_plain(one.ref)}`: {one.answers} answers{through}, {one.cut} cut at the bound; "
                f"dropped: {gone or 'none'}"
            )
    return ["", *lines] if lines else []


def _formula(losses: LossConfig) -> str:
    """The loss as it was used."""
    terms = [f"{losses.task:g}·L_task"] if losses.task else []
    if losses.kd.weight:
        terms.append(f"{losses.kd.weight:g}·L_KD ({losses.kd.divergence}, T = {losses.kd.temperature:g})")
    if losses.feature.weight:
        terms.append(f"{losses.feature.weight:g}·L_feat ({losses.feature.distance})")
    if losses.attention.weight:
        terms.append(f"{losses.attention.weight:g}·L_att ({losses.attention.distance})")
    return " + ".join(terms)


def _table(training: TrainingReport) -> list[str]:
    """Before and after on prompts the student did not learn from, as a Markdown table."""
    rows: list[tuple[str, Quality]] = [
        ("teacher", training.teacher),
        ("student before", training.before),
        ("student after", training.after),
    ]
    head = ["| model | perplexity | KL to teacher | top-1 agreement | accuracy |", "|---|---|---|---|---|"]
    return head + [
        f"| {name} | {_number(q.perplexity)} | {_number(q.kl_to_teacher)} | {_number(q.top1_agreement)} "
        f"| {_number(q.accuracy)} |"
        for name, q in rows
    ]


def _waivers(decision: Decision) -> list[str]:
    """Waivers are told as loudly as duties."""
    waived = [finding for finding in decision.findings if finding.waived_by]
    if not waived:
        return []
    return [
        "",
        "Waived findings:",
        "",
        *[f"- {_plain(f.rule)}: {_plain(f.message)} ({_plain(f.waived_by)})" for f in waived],
    ]


def _at(revision: str) -> str:
    return f" at revision `{_plain(revision)}`" if revision else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _plain(text: str) -> str:
    """One line without Markdown or HTML that could act."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
    for mark in "\\`<>[]|":
        line = line.replace(mark, f"\\{mark}" if mark in "\\[]|" else {"`": "'", "<": "&lt;", ">": "&gt;"}[mark])
    return line
