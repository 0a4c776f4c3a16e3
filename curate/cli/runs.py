"""``curate run`` and ``curate verify-run``."""

import json
from pathlib import Path
from typing import Any

import click

from curate.cli.options import cards_option, emit, format_option, known_policy, offline_option, output_option, today
from curate.cli.progress import Reporter

UNSIGNED = "unsigned: whoever can rewrite the folder can rewrite the chain; keep this digest elsewhere"


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a key of the run file, dotted."
)
@cards_option
@click.option(
    "-p",
    "--policy",
    "policy_name",
    envvar="CURATE_POLICY",
    callback=known_policy,
    help="Instead of the run file's policy.",
)
@offline_option
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder in which the run's own folder is made.",
)
@click.option("--only-gates", is_flag=True, help="Stop after both gates; train nothing.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on in this run folder.")
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the run, however it ends, with this Ed25519 private key (PEM).",
)
@click.pass_obj
def run(obj: dict[str, Any], /, config: Path, **options: Any) -> int:  # noqa: ANN401 – click's options
    """All of it, gated: license, prompts, distillation, report, into a run folder that proves it.

    Exit 3 if a gate denies, 4 if a person must look; either way the folder holds the whole trail and nothing was
    trained.

    \b
    curate run examples/run.yaml
    curate run examples/run.yaml --only-gates --set distill.epochs=2
    """  # noqa: D301 – click reads the escape
    from curate.policy import policy_names
    from curate.runs.config import read_run_config
    from curate.runs.pipeline import run_pipeline

    assignments = list(options["assignments"])
    if options["policy_name"]:
        named = options["policy_name"]
        place = named if named in policy_names() else str(Path(named).resolve())
        assignments.append(f"policy={json.dumps(place)}")
    if options["cards"]:
        assignments.append(f"cards={json.dumps([str(folder.resolve()) for folder in options['cards']])}")
    if options["offline"]:
        assignments.append("offline=true")
    resolved = read_run_config(config, assignments=tuple(assignments))
    with Reporter(quiet=obj["quiet"]) as progress:
        outcome = run_pipeline(
            resolved,
            where=config.resolve().parent,
            reports=options["root"],
            resume=options["resume"],
            only_gates=options["only_gates"],
            sign=options["sign"],
            today=today(),
            progress=progress,
            say=lambda text: None if obj["quiet"] else click.echo(text, err=True),
        )
    click.echo(outcome.text())
    return 0


@click.command("verify-run")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PUBLIC_KEY",
    help="The run must be signed with this Ed25519 key (PEM).",
)
@format_option()
@output_option
def verify_run(folder: Path, key: Path | None, form: str, output: Path | None) -> int:
    """Re-hash everything in a run folder; exit 7 and the first thing that differs if anything changed.

    Follows the chain, opens the tickets, settles every decision again, and checks the signature.

    \b
    curate verify-run reports/20261126T101500Z-1a2b3c4d
    curate verify-run reports/20261126T101500Z-1a2b3c4d --key curate.pub
    """  # noqa: D301 – click reads the escape
    from curate.runs.verify import verify_run as verify

    verification = verify(folder, key=key)
    if form == "json":
        emit(verification.model_dump_json(indent=2), output)
        return 0
    state = verification.status if verification.finished else "unfinished: killed, but what is there is whole"
    lines = [f"whole: {verification.files} files, {verification.steps} steps, {state}"]
    lines += [f"  not recorded yet: {name}" for name in verification.unrecorded]
    if verification.record_sha256:
        lines.append(f"  run.json sha256 {verification.record_sha256}")
        lines.append(f"  {verification.signature or UNSIGNED}")
    lines += [f"  note: {note}" for note in verification.notes]
    emit("\n".join(lines), output)
    return 0
