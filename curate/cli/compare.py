"""``curate compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.options import emit, format_option, output_option, policy_option, reference_options

if TYPE_CHECKING:
    from curate.prompts.results import PromptAnalysis
    from curate.report.comparison import Comparison


@click.command()
@click.argument("a")
@click.argument("b")
@reference_options
@policy_option
@format_option("json", "html", told="Text or a page for people, or the whole artifact.")
@output_option
@click.pass_obj
def compare(settings: dict[str, Any] | None, /, a: str, b: str, **given: Any) -> int:  # noqa: ANN401 – click's own values
    """Two prompt sets or two runs, side by side: what differs in metrics, verdicts, students and configuration.

    A and B are two run folders, or two prompt files (or what analyze-prompts -f json wrote). Numbers of two embedders
    are not compared. Exit 0 whatever differs; 7 if a run folder is not what was recorded.

    \b
    curate compare examples/prompts.jsonl examples/narrow.jsonl
    curate compare reports/before reports/after -f html -o compare.html
    """  # noqa: D301 – click reads the escape
    from curate.runs.compare import compare_analyses, compare_runs, is_run

    kinds = {is_run(Path(a)), is_run(Path(b))}
    if len(kinds) > 1:
        raise click.UsageError("one is a run folder and the other is not: give two runs or two prompt sets")
    if kinds == {True}:
        comparison = compare_runs(Path(a), Path(b))
    else:
        one, other = _analyses((a, b), given, quiet=bool(settings and settings.get("quiet")))
        comparison = compare_analyses(one, other, names=(a, b))
    emit(_shown(comparison, given["form"]), given["output"])
    return 0


def _shown(comparison: Comparison, form: str) -> str:
    """The comparison in the format asked for."""
    if form == "json":
        return comparison.to_json()
    if form == "html":
        from curate.report.html import comparison_page

        return comparison_page(comparison)
    from curate.report.compare_views import comparison_text

    return comparison_text(comparison)


def _analyses(names: tuple[str, str], given: dict[str, Any], *, quiet: bool) -> list[PromptAnalysis]:
    """What analyze-prompts says of both, read or measured now with one embedder."""
    from curate.cli.progress import Reporter
    from curate.cli.prompt_inputs import needed, open_store, read_both, row_judge_of
    from curate.policy import load_policy
    from curate.runs.compare import read_analysis

    read = [read_analysis(Path(name)) for name in names]
    policy = load_policy(given["policy_name"])
    if unread := [name for name, analysis in zip(names, read, strict=True) if analysis is None]:
        needed(*unread, given["reference"])
    store = None
    found = []
    for name, analysis in zip(names, read, strict=True):
        if analysis is None:
            from curate.prompts.report_card import examine_prompts

            store = store or open_store(given["embedder"] or policy.prompts.embedder)
            with Reporter(quiet=quiet) as progress:
                prompts, known = read_both(name, given["reference"], given["column"], False, progress)
                judge = row_judge_of(policy, prompts)
                analysis, _ = examine_prompts(
                    prompts, policy=policy, reference=known, store=store, judge=judge, progress=progress
                )
        found.append(analysis)
    return found
