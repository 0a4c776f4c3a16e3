"""The student's model card and NOTICE: what it was made from, under which duties, and what it measured."""

import re
from collections.abc import Iterable, Sequence

import yaml

from curate.distillation.config import LossConfig
from curate.distillation.results import TrainingReport
from curate.gate import is_path
from curate.licenses.decision import Decision
from curate.licenses.facts import Catalogue, load_catalogue
from curate.licenses.names import is_repo_id
from curate.licenses.passing_on import LicenseTexts
from curate.prompts.results import PromptDecision
from curate.report.text_training import balance_line, compared_models, domain_rows, exam_rows, quality_rows
from curate.runs.config import RunConfig

NO_LICENSE = ("other", "unknown")
"""Identifiers of the hub that name no license."""


def student_card(
    config: RunConfig,
    decision: Decision,
    prompts: PromptDecision,
    training: TrainingReport,
    *,
    run_id: str,
    sources: Iterable[str] = (),
    texts: LicenseTexts | None = None,
) -> str:
    """The card as Markdown with the hub's metadata; every value from outside is quoted by YAML or escaped.

    ``sources`` are those that the approved prompts name, ``texts`` the publishers' texts in the student's folder.
    """
    texts = texts or LicenseTexts()
    duties = (*decision.obligations, *prompts.obligations)
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_metadata(config, decision, sources), sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            "",
            f"# {_plain(config.student.name)}",
            "",
            f"Distilled with curate {decision.curate_version} in run `{_plain(run_id)}` from "
            f"{_taught_by(decision, training)}, on {prompts.rows:,} approved prompts.",
            "",
            "## What may be done with it",
            "",
            f"License: `{_plain(config.student.license)}`. Duties that came down from the teacher and the prompts:",
            "",
            *([f"- {_plain(texts.told(duty))}" for duty in duties] or ["- none"]),
            *_passed_on(texts),
            *_waivers(decision),
            "",
            "This is what was measured and recorded, not legal advice.",
            "",
            "## How it was taught",
            "",
            f"L = {_formula(training.config.losses)}; {training.steps:,} optimizer steps over {training.tokens:,} "
            f"answer tokens; {_answers(training)}.",
            *_teachers(training),
            "",
            "## What was measured",
            "",
            f"On {training.prompts_held_out:,} held-out prompts, which it did not learn from:",
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


def _metadata(config: RunConfig, decision: Decision, sources: Iterable[str]) -> dict[str, object]:
    """Front matter in the hub's fields; models and data sets are named only where the hub can know them."""
    metadata: dict[str, object] = {**hub_license(config.student.license), "library_name": "transformers"}
    models = {ref.partition("@")[0] for ref in (*decision.ref.split(" + "), config.student.base)}
    if on_hub := sorted(filter(_is_on_hub, models)):
        # the hub takes several base models for a merge unless it is told otherwise
        metadata |= {"base_model": on_hub, "base_model_relation": "finetune"}
    if data := sorted(filter(_is_on_hub, _data_sets(config, sources))):
        metadata["datasets"] = data
    return {**metadata, "pipeline_tag": "text-generation", "tags": ["distillation", "knowledge-distillation", "curate"]}


def _data_sets(config: RunConfig, sources: Iterable[str]) -> set[str]:
    """What was asked from the hub, and the sources of rows that the catalogue knows as data sets there."""
    named = {source.removeprefix("dataset:") for source in sources}
    known = {name for name in named if load_catalogue().lookup("datasets", name)}
    asked = config.prompts.removeprefix("hf:").partition(":")[0] if config.prompts.startswith("hf:") else ""
    return {asked, *known}


def _is_on_hub(name: str) -> bool:
    """Whether a name can be a repository of the hub; bare names are left out, for they may be anything."""
    return "/" in name and is_repo_id(name)


def hub_license(name: str, catalogue: Catalogue | None = None) -> dict[str, str]:
    """A license in the hub's words: an identifier it knows, else ``other`` with a name and, where known, a link."""
    tag = name.strip().lower()
    meant = (catalogue or load_catalogue()).find(name) if tag else ()
    known = [one for facts in meant for one in facts.hub_tags if one not in NO_LICENSE]
    if tag in known or (len(meant) == 1 and known):
        return {"license": tag if tag in known else known[0]}
    if not tag:
        return {"license": "unknown"}
    facts = meant[0] if len(meant) == 1 else None
    link = facts.url if facts else ""
    kebab = "-".join(re.findall(r"[a-z0-9.]+", tag))[:80] or "unnamed"
    return {"license": "other", "license_name": kebab, **({"license_link": link} if link else {})}


def _taught_by(decision: Decision, training: TrainingReport) -> str:
    """The teacher with its revision, or all of them with their shares."""
    if len(training.teachers) < 2:
        return f"{_named(decision.ref)}{_at(decision.revision)}"
    shares = [f"{_named(one.ref)}{_at(one.revision)} ({one.share:.0%})" for one in training.teachers]
    return " and ".join(shares)


def _named(ref: str) -> str:
    """A teacher as the world may read it: of a folder on this machine the last part alone."""
    if not is_path(ref):
        return f"`{_plain(ref)}`"
    last = re.split(r"[\\/]", ref.rstrip("\\/"))[-1]
    return f"the local folder `{_plain(last)}`"


def _answers(training: TrainingReport) -> str:
    """Where the answers came from."""
    whose = "the teacher" if len(training.teachers) < 2 else "the teachers"
    counts = {"the file": training.answers_from_file, whose: training.answers_from_teacher}
    return ", ".join(f"{count:,} answers from {place}" for place, count in counts.items() if count) or "no answers"


def _teachers(training: TrainingReport) -> list[str]:
    """What each teacher answered and what of it did not teach; nothing where nothing was asked."""
    lines = []
    for one in training.teachers:
        gone = ", ".join(f"{count} {_plain(reason)}" for reason, count in one.dropped.items())
        through = f" through an endpoint as `{_plain(', '.join(one.served_as))}`" if one.served_as else ""
        if one.servings:
            through += f" (started for it: {_plain(', '.join(dict.fromkeys(start.title for start in one.servings)))})"
        if one.answers:
            lines.append(
                f"- {_named(one.ref)}: {one.answers:,} answers{through}, {one.cut:,} cut at the bound; "
                f"dropped: {gone or 'none'}"
            )
    return ["", *lines] if lines else []


def _formula(losses: LossConfig) -> str:
    """The loss as it was used."""
    terms = [f"{losses.task:g}·L_task"] if losses.task else []
    if losses.kd.weight:
        divergence = losses.kd.divergence.replace("_", " ").replace("kl", "KL")
        terms.append(f"{losses.kd.weight:g}·L_KD ({divergence}, T = {losses.kd.temperature:g})")
    if losses.feature.weight:
        terms.append(f"{losses.feature.weight:g}·L_feat ({losses.feature.distance})")
    if losses.attention.weight:
        terms.append(f"{losses.attention.weight:g}·L_att ({losses.attention.distance.replace('kl', 'KL')})")
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
        lines += ["", f"{_plain(line[0].upper() + line[1:])}."]
    return lines


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; cells may hold anything."""
    lines = [[_plain(cell) for cell in line] for line in (headers, *rows)]
    return [f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(headers), *lines[1:])]


def _passed_on(texts: LicenseTexts) -> list[str]:
    """The publishers' files in the folder, each with its digest and where it was read."""
    lines = [f"- `{one.path}` `{one.sha256}` from {_plain(one.source)}{_at(one.revision)}" for one in texts.texts]
    return ["", "Publishers' license files that travel with it, byte for byte:", "", *lines] if lines else []


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
