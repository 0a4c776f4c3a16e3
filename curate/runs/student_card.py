"""The student's model card and NOTICE: what it was made from, under which duties, and what it measured."""

from collections.abc import Sequence

import yaml

from curate.distillation.config import LossConfig
from curate.distillation.results import TrainingReport
from curate.licenses.decision import Decision
from curate.prompts.results import PromptDecision
from curate.report.text_training import balance_line, compared_models, domain_rows, exam_rows, quality_rows
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
            f"`{_plain(decision.ref)}`{_at(decision.revision)}, on {prompts.rows} approved prompts.",
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
            f"tokens; {training.answers_from_file} answers from the file, {training.answers_from_teacher} from the "
            "teacher.",
            "",
            "## What it measures",
            "",
            *measures_table(training),
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
        ref for ref in (decision.ref, config.student.base) if ref.count("/") == 1 and not ref.startswith((".", "/"))
    ]
    if on_hub:
        metadata["base_model"] = sorted({ref.split("@")[0] for ref in on_hub})
    return {**metadata, "pipeline_tag": "text-generation", "tags": ["distillation", "knowledge-distillation", "curate"]}


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


def measures_table(training: TrainingReport) -> list[str]:
    """Before and after on prompts the student did not learn from, whole and by domain, as Markdown tables."""
    models = compared_models(training)
    names = ("teacher", "student before", "student after")
    lines = _markdown_table(("measure", *names), quality_rows(models))
    if rows := domain_rows(models):
        lines += ["", "By domain:", "", *_markdown_table(("domain", "measure", *names), rows)]
    if training.exams:
        headers, rows = exam_rows(training.exams)
        lines += ["", "While training:", "", *_markdown_table(headers, rows)]
    if line := balance_line(training.balance):
        lines += ["", f"{_plain(line)}."]
    return lines


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; cells may hold anything."""
    lines = [[_plain(cell) for cell in line] for line in (headers, *rows)]
    return [f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(headers), *lines[1:])]


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


def _plain(text: str) -> str:
    """One line without Markdown or HTML that could act."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
    for mark in "\\`<>[]|":
        line = line.replace(mark, f"\\{mark}" if mark in "\\[]|" else {"`": "'", "<": "&lt;", ">": "&gt;"}[mark])
    return line
