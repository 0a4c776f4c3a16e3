"""``curate distill``: teach a student, given the tickets of both gates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.options import format_option, harmless, known_policy
from curate.cli.progress import Reporter

if TYPE_CHECKING:
    from curate.gate import ApprovedTeacher

FilePath = click.Path(path_type=Path)


@click.command()
@click.argument("config", type=FilePath)
@click.option(
    "--teacher",
    "teachers",
    type=FilePath,
    required=True,
    multiple=True,
    help="The license gate's ticket; once for each of several teachers.",
)
@click.option("--dataset", type=FilePath, required=True, help="The prompt gate's ticket.")
@click.option(
    "-p",
    "--policy",
    "policy_name",
    callback=known_policy,
    help="The policy that the tickets of several teachers were made under: its waivers hold for duties that clash.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one field, dotted; may be repeated.")
@click.option("--resume", type=FilePath, help="Go on from what a broken call left in this folder.")
@click.option("-o", "--out", type=FilePath, help="Folder for the student, the answers and training.json.")
@format_option()
@click.pass_obj
def distill(
    settings: dict[str, bool],
    config: Path,
    teachers: tuple[Path, ...],
    dataset: Path,
    policy_name: str | None,
    overrides: tuple[str, ...],
    resume: Path | None,
    out: Path | None,
    form: str,
) -> None:
    """Teach a student, given the tickets of both gates.

    CONFIG is a YAML file; every field is told in docs/distillation.md. Paths in it are relative to it.

    \b
    curate distill distill.yaml --teacher teacher.json --dataset dataset.json -o out
    """  # noqa: D301 – click reads the escape
    folder = resume or out
    if folder is None:
        raise click.UsageError("give -o/--out DIR, or --resume DIR")
    if resume and out and resume != out:
        raise click.UsageError("--resume goes on in its own folder; leave -o/--out away")
    from curate.distillation.config import load_config
    from curate.gate import ApprovedDataset, ApprovedTeacher

    loaded = load_config(config, overrides)
    tickets = [(ApprovedTeacher.read_ticket(path), path.parent) for path in teachers]
    dataset_ticket = ApprovedDataset.read_ticket(dataset)
    if len(tickets) > 1:
        _hold_together(tickets, policy_name, folder)
    elif policy_name is not None:
        raise click.UsageError("--policy is for several --teacher; the ticket of one was made under its own")
    from curate.errors import MissingExtra

    try:
        from curate.distillation.distill import distill as teach
        from curate.runs.answer_check import answer_check
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "distill") from error
    with Reporter(quiet=bool((settings or {}).get("quiet"))) as progress:
        report = teach(
            tickets[0][0],
            dataset_ticket,
            loaded,
            root=tickets[0][1],
            dataset_root=dataset.parent,
            out=folder,
            anchor=config.parent,
            resume=resume is not None,
            progress=progress,
            more_teachers=tickets[1:],
            check=answer_check(loaded),
        )
    if form == "json":
        click.echo(report.to_json(), nl=False)
        return
    from curate.report.text_training import training_text

    click.echo(f"{training_text(report)}\n\nstudent: {folder / 'student'}")


def _hold_together(tickets: list[tuple[ApprovedTeacher, Path]], policy_name: str | None, folder: Path) -> None:
    """What several teachers come to together, recorded beside the student; what was waived is said aloud."""
    from curate.policy import load_policy
    from curate.runs.teachers import TOGETHER, judge_together

    united = judge_together(tickets, load_policy(policy_name) if policy_name else None)
    united.write(folder / TOGETHER)
    for one in united.findings:
        if one.waived_by:
            click.echo(f"curate: {harmless(f'waived: {one.rule}: {one.message} ({one.waived_by})')}", err=True)
