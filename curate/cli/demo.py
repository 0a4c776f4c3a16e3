"""``curate demo``: the whole job, end to end, shown step by step."""

import getpass
from pathlib import Path
from typing import Any

import click

from curate.cli.options import today
from curate.cli.progress import Reporter


@click.command()
@click.option(
    "--teacher",
    type=click.Choice(["embedded", "smollm2"]),
    default="embedded",
    show_default=True,
    help="The teacher that ships with curate, or SmolLM2-135M-Instruct under a signed waiver.",
)
@click.option("--quick", is_flag=True, help="A tenth of the prompts, asked once: every step, but a weak student.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder in which the run's own folder is made.",
)
@click.pass_obj
def demo(obj: dict[str, Any], teacher: Any, quick: bool, root: Path) -> int:  # noqa: ANN401 – click narrows it
    """Three teachers judged, a prompt set filtered, a student distilled, and the run proved afterwards.

    Needs no network with the embedded teacher.

    \b
    curate demo
    curate demo --quick
    """  # noqa: D301 – click reads the escape
    from curate.runs.demo import demo_config, demo_policy
    from curate.runs.pipeline import run_pipeline

    day = today()
    policy = demo_policy(teacher, signer=getpass.getuser(), today=day)
    heading("1", "May these teachers teach?", f"policy {policy.name}")
    judge_three()
    heading("2", "One run through every gate", f"teacher {teacher}")
    with Reporter(quiet=obj["quiet"]) as progress:
        outcome = run_pipeline(
            demo_config(teacher, quick=quick),
            where=Path.cwd(),
            reports=root,
            today=day,
            policy=policy,
            progress=progress,
            say=lambda text: click.echo(f"   {text}"),
        )
    show_run(Path(outcome.folder))
    click.echo(f"\nreport: {Path(outcome.folder) / 'report.html'}")
    click.echo(f"prove:  curate verify-run {outcome.folder}")
    click.echo(f"run.json sha256 {outcome.record_sha256}")
    return 0


def heading(number: str, title: str, note: str) -> None:
    """A part of the demo begins."""
    click.echo(f"\n{click.style(f'{number}  {title}', bold=True)}  {click.style(f'({note})', dim=True)}\n")


def judge_three() -> None:
    """A denied teacher, one under review, an allowed one; each with its reasons."""
    from curate.licenses.check import check_license
    from curate.licenses.sources import make_source
    from curate.policy import load_policy
    from curate.report.text_license import render_decision
    from curate.runs.demo import TEACHERS, demo_cards
    from curate.runs.workshop import embedded_teacher

    source = make_source(cards=[demo_cards()], offline=True, embedded=embedded_teacher())
    for ref in TEACHERS:
        decision = check_license(ref, policy=load_policy("default"), source=source, today=today())
        click.echo("\n".join(f"   {line}" for line in render_decision(decision).rstrip().splitlines()) + "\n")


def show_run(folder: Path) -> None:
    """What was kept and dropped, and the student before and after."""
    from curate.distillation.results import TrainingReport
    from curate.prompts.results import DiversityReport, FilterReport, ShiftReport
    from curate.report.text_prompts import diversity_text, filter_text, shift_text
    from curate.report.text_training import training_text

    heading("3", "What was kept, what was dropped", "every dropped row has its reason in filter.json")
    click.echo(filter_text(FilterReport.read(folder / "filter.json")))
    click.echo("\n".join(diversity_text(DiversityReport.read(folder / "diversity.json"))) + "\n")
    click.echo("\n".join(shift_text(ShiftReport.read(folder / "shift.json"))))
    heading("4", "The student before and after", "held out from teacher and student")
    baseline = folder / "baseline.json"
    click.echo(
        training_text(
            TrainingReport.read(folder / "training.json"),
            TrainingReport.read(baseline) if baseline.is_file() else None,
        )
    )
