"""``curate distill``: teach a student, given the tickets of both gates."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.progress import Reporter

if TYPE_CHECKING:
    from curate.distillation.results import TrainingReport

FilePath = click.Path(path_type=Path)


@click.command()
@click.argument("config", type=FilePath)
@click.option("--teacher", type=FilePath, required=True, help="The license gate's ticket.")
@click.option("--dataset", type=FilePath, required=True, help="The prompt gate's ticket.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one field, dotted; may be repeated.")
@click.option("--resume", type=FilePath, help="Go on from what a broken call left in this folder.")
@click.option("-o", "--out", type=FilePath, help="Folder for the student, the answers and training.json.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the result.",
)
@click.pass_obj
def distill(
    settings: dict[str, bool],
    config: Path,
    teacher: Path,
    dataset: Path,
    overrides: tuple[str, ...],
    resume: Path | None,
    out: Path | None,
    form: str,
) -> None:
    """Teach a student, given the tickets of both gates.

    CONFIG is a YAML file; every field is told in docs/distillation.md. Paths in it are relative to it.

    \b
    Example:
      curate distill distill.yaml --teacher teacher.json --dataset dataset.json -o out --set losses.kd.weight=2
    """  # noqa: D301 – click reads the escape
    folder = resume or out
    if folder is None:
        raise click.UsageError("give -o/--out DIR, or --resume DIR")
    if resume and out and resume != out:
        raise click.UsageError("--resume goes on in its own folder; leave -o/--out away")
    from curate.distillation.config import load_config
    from curate.gate import ApprovedDataset, ApprovedTeacher

    loaded = load_config(config, overrides)
    teacher_ticket = ApprovedTeacher.read_ticket(teacher)
    dataset_ticket = ApprovedDataset.read_ticket(dataset)
    from curate.errors import MissingExtra

    try:
        from curate.distillation.distill import distill as teach
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "distill") from error
    with Reporter(quiet=bool((settings or {}).get("quiet"))) as progress:
        report = teach(
            teacher_ticket,
            dataset_ticket,
            loaded,
            root=teacher.parent,
            dataset_root=dataset.parent,
            out=folder,
            anchor=config.parent,
            resume=resume is not None,
            progress=progress,
        )
    click.echo(report.to_json() if form == "json" else show_training(report, folder), nl=form != "json")


def show_training(report: "TrainingReport", folder: Path) -> str:
    """A training on one screen."""
    lines = [
        f"{report.config.student.name}: {report.steps} steps on {report.prompts_trained} prompts, "
        f"{report.tokens:,} answer tokens, {report.wall_s or 0:.0f} s",
        f"{'':16}{'teacher':>12}{'before':>12}{'after':>12}",
    ]
    columns = (report.teacher, report.before, report.after)
    for name, label in MEASURES.items():
        values = [getattr(column, name) for column in columns]
        if any(value is not None for value in values):
            lines.append(f"{label:16}" + "".join(f"{_number(value):>12}" for value in values))
    lines += _footprint_lines(report)
    lines.append(f"student: {folder / 'student'}")
    return "\n".join(lines)


MEASURES: dict[str, str] = {
    "perplexity": "perplexity",
    "kl_to_teacher": "KL to teacher",
    "top1_agreement": "top-1 agreement",
    "accuracy": "accuracy",
}
"""Fields of ``Quality`` and what they are called on screen."""


def _footprint_lines(report: "TrainingReport") -> list[str]:
    ours, theirs = report.footprints["student"], report.footprints["teacher"]
    rows = {
        "parameters": (f"{theirs.parameters:,}", f"{ours.parameters:,}"),
        "bytes": (f"{theirs.bytes:,}", f"{ours.bytes:,}"),
        "ms a token": (_number(theirs.ms_per_token), _number(ours.ms_per_token)),
        "peak bytes": (f"{theirs.peak_memory_bytes or 0:,}", f"{ours.peak_memory_bytes or 0:,}"),
    }
    return [f"{name:16}{left:>12}{'':12}{right:>12}" for name, (left, right) in rows.items()]


def _number(value: float | None) -> str:
    """Four figures, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.4g}"
