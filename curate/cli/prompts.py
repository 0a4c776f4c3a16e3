"""``curate analyze-prompts`` and ``curate filter-prompts``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.options import Command, emit, emit_pieces, policy_option, reference_options, today
from curate.cli.prompt_inputs import chain_from, html_page, needed, open_engine, open_store, read_both, row_judge_of
from curate.errors import Denied

if TYPE_CHECKING:
    from curate.policy import Option, Policy
    from curate.progress import Progress
    from curate.prompts.engines import Engine
    from curate.prompts.promptset import PromptSet
    from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
    from curate.prompts.store import VectorStore

FORMATS = click.Choice(["text", "json", "html"])


def reading_options(command: Command) -> Command:
    """What both commands need to read prompts."""
    for option in (
        click.option("--strict", is_flag=True, help="Stop at the first line that cannot be read."),
        reference_options,
        click.option("-f", "--format", "form", type=FORMATS, default="text", show_default=True, help="Of the report."),
        click.option(
            "--workers", type=click.IntRange(min=1), metavar="N", help="Of a local Ray. [one for each processor]"
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where to run: this process, or Ray (RAY_ADDRESS, else a Ray of this machine).",
        ),
        policy_option,
    ):
        command = option(command)
    return command


@click.command("analyze-prompts")
@click.argument("file")
@reading_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the report here.")
@click.pass_obj
def analyze_prompts(
    settings: dict[str, Any] | None,
    file: str,
    policy_name: str,
    form: str,
    reference: str | None,
    embedder: str | None,
    column: str | None,
    strict: bool,
    output: Path | None,
    engine: str,
    workers: int | None,
) -> int:
    """Measure how varied FILE is, how far it lies from a reference, and what is wrong with it.

    FILE is JSONL, CSV or Parquet, a folder of these, or hf:owner/name[@revision][:split].

    \b
    curate analyze-prompts examples/prompts.jsonl --reference examples/reference.jsonl
    curate analyze-prompts examples/prompts.jsonl -f html -o prompts.html
    """  # noqa: D301 – click reads the escape
    from curate.cli.progress import Reporter
    from curate.policy import load_policy

    policy = load_policy(policy_name)
    needed(file, reference)
    with Reporter(quiet=is_quiet(settings)) as progress, open_engine(engine, workers) as at_work:
        prompts, known = read_both(file, reference, column, strict, progress)
        from curate.prompts.report_card import examine_prompts

        analysis, report = examine_prompts(
            prompts,
            policy=policy,
            reference=known,
            store=open_store(embedder or policy.prompts.embedder, at_work),
            judge=row_judge_of(policy, prompts),
            engine=at_work,
            progress=progress,
        )
    if form == "html":
        emit(html_page(analysis.diversity, analysis.shift, report, analysis=analysis), output)
    elif form == "json":
        emit(analysis.to_json(), output)
    else:
        from curate.report.text_prompts import analysis_text

        emit(analysis_text(analysis, place=file), output)
    return 0


@click.command("filter-prompts")
@click.argument("file")
@reading_options
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="FILE", help="What must not be asked. May be repeated."
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME[:K=V,…]",
    help="Run only the filters named; without it, the policy's chain. May be repeated.",
)
@click.option("--budget", type=click.IntRange(min=1), metavar="N", help="Select N of what is left.")
@click.option(
    "--select",
    "method",
    type=click.Choice(["coverage", "importance"]),
    default="coverage",
    show_default=True,
    help="With --budget: rows that cover most, or rows drawn by how like the reference they are (DSIR).",
)
@click.option(
    "--quota",
    type=click.Choice(["source", "cluster"]),
    help="With --budget: an equal share for each source or cluster.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the selection.")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="Kept rows: .jsonl, .csv or .parquet; a folder, or PATH/, gets them in Parquet files.",
)
@click.option("--dropped", type=click.Path(path_type=Path), help="Dropped rows, one JSON object a line, with reasons.")
@click.option("--ticket", type=click.Path(path_type=Path), help="Write the ticket here if the policy approves.")
@click.option("--dry-run", is_flag=True, help="Only count; write no rows.")
@click.option("--tokenizer", metavar="REF", help="Counts tokens for length:max_tokens=N.")
@click.pass_obj
def filter_prompts(settings: dict[str, Any] | None, /, **given: Any) -> int:  # noqa: ANN401 – click's own values
    """Drop the prompts of FILE that are not worth asking, with a reason for every dropped row.

    FILE is JSONL, CSV or Parquet, a folder of these, or hf:owner/name[@revision][:split]. The report goes to standard
    output; the rows go where -o and --dropped say.

    \b
    curate filter-prompts examples/prompts.jsonl -o kept.jsonl --dropped dropped.jsonl
    curate filter-prompts examples/prompts.jsonl --filter exact --filter near:jaccard_at_least=0.9 --dry-run
    """  # noqa: D301 – click reads the escape
    from curate.cli.progress import Reporter
    from curate.policy import load_policy

    if given["filters"] and given["ticket"]:
        raise click.UsageError("--ticket needs the policy's whole chain; leave out --filter")
    if given["dry_run"] and given["ticket"]:
        raise click.UsageError("--dry-run writes nothing, so no ticket")
    if given["budget"] is None and (given["quota"] or given["method"] != "coverage"):
        raise click.UsageError("--select and --quota need --budget N")
    chosen = chain_from(given["filters"])
    policy = load_policy(given["policy_name"])
    needed(given["file"], given["reference"], *given["benchmarks"])
    quiet = is_quiet(settings)
    with Reporter(quiet=quiet) as progress, open_engine(given["engine"], given["workers"]) as engine:
        prompts, known = read_both(given["file"], given["reference"], given["column"], given["strict"], progress)
        kept, report, store = run_chain(policy, prompts, known, chosen, given, engine, progress)
        write_rows(kept, report, given)
        measured = None
        if len(kept) and (given["ticket"] or given["form"] == "html"):
            from curate.prompts.analyze import analyze_prompts as measure

            measured = measure(
                kept, reference=known, store=store, drops=report.drops, source=prompts, progress=progress
            )
    return finish(policy, kept, report, measured, given)


def run_chain(
    policy: Policy,
    prompts: PromptSet,
    known: PromptSet | None,
    chosen: dict[str, dict[str, Option]],
    given: dict[str, Any],
    engine: Engine,
    progress: Progress,
) -> tuple[PromptSet, FilterReport, VectorStore]:
    """Run the filters that were chosen, or the policy's chain."""
    from curate.prompts.filters import filter_prompts as run
    from curate.prompts.reading import read_prompts

    benchmarks = [read_prompts(place, strict=given["strict"]) for place in given["benchmarks"]]
    store = open_store(given["embedder"] or policy.prompts.embedder, engine)
    kept, report = run(
        prompts,
        chain=chosen or policy.prompts.filters,
        reference=known,
        benchmarks=benchmarks,
        judge=row_judge_of(policy, prompts),
        store=store,
        tokenizer=given["tokenizer"],
        budget=given["budget"],
        method=given["method"],
        quota=given["quota"] or "",
        seed=given["seed"],
        policy_chain=policy.prompts.filters,
        policy_sha256=policy.digest(),
        engine=engine,
        progress=progress,
    )
    return kept, report, store


def write_rows(kept: PromptSet, report: FilterReport, given: dict[str, Any]) -> None:
    """Kept and dropped rows, where they were asked for."""
    from curate.artifact import atomic_file
    from curate.prompts.promptset import write_parts, write_prompts

    if given["dry_run"]:
        return
    if given["dropped"]:
        with atomic_file(given["dropped"]) as stream:
            stream.writelines(drop.model_dump_json().encode("utf-8", "surrogatepass") + b"\n" for drop in report.drops)
    if given["output"]:
        is_folder = given["output"].endswith(("/", os.sep)) or Path(given["output"]).is_dir()
        (write_parts if is_folder else write_prompts)(Path(given["output"]), kept)


def finish(
    policy: Policy,
    kept: PromptSet,
    report: FilterReport,
    measured: tuple[DiversityReport, ShiftReport | None] | None,
    given: dict[str, Any],
) -> int:
    """Print the report, then the ticket or the refusal."""
    decision: PromptDecision | None = None
    refusal: Callable[[], object] | None = None
    if given["ticket"] and measured is not None:
        decision, refusal = write_ticket(policy, kept, report, measured, given["ticket"])
    if given["form"] == "json":
        emit_pieces(report.pieces())
    elif given["form"] == "html":
        diversity, shift = measured or (None, None)
        emit(html_page(diversity, shift, report, decision), None)
    else:
        from curate.report.text_prompts import filter_text

        emit(filter_text(report, place=given["file"], decision=decision), None)
    if not len(kept):
        raise Denied("no prompts left", hint="--dropped FILE names a reason for every row")
    if refusal is not None:
        refusal()
    return 0


def write_ticket(
    policy: Policy,
    kept: PromptSet,
    report: FilterReport,
    measured: tuple[DiversityReport, ShiftReport | None],
    place: Path,
) -> tuple[PromptDecision, Callable[[], object] | None]:
    """Write the approved prompts, the reports and the decision beside the ticket; the ticket itself if approved."""
    from curate.errors import NeedsReview
    from curate.gate import refuse
    from curate.prompts.judge import DECISION_FILE, approve_prompts
    from curate.prompts.results import PromptDecision as Decision

    folder = place.parent
    report.write(folder / "filter.json")
    measured[0].write(folder / "diversity.json")
    if measured[1] is not None:
        measured[1].write(folder / "shift.json")
    try:
        decision, ticket = approve_prompts(
            folder, kept, policy=policy, filter_report=report, diversity=measured[0], shift=measured[1], today=today()
        )
    except (Denied, NeedsReview):
        refused = Decision.read(folder / DECISION_FILE)
        return refused, lambda: refuse("prompts", refused.verdict, refused.findings)
    ticket.write(place)
    return decision, None


def is_quiet(settings: dict[str, Any] | None) -> bool:
    """Whether -q was given."""
    return bool((settings or {}).get("quiet"))
