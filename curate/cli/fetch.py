"""``curate fetch``: cards, license files and lineage, pinned, for a site without a network."""

from pathlib import Path

import click

from curate.cli.options import listed_option, refs_in, today
from curate.cli.progress import Reporter
from curate.errors import ModelNotFound


@click.command()
@click.argument("refs", nargs=-1, metavar="REF...")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="The folder to write to.")
@listed_option
@click.option("--revision", default="", help="Commit, branch or tag on the hub, for every REF that names none.")
@click.pass_obj
def fetch(
    settings: dict[str, bool] | None, refs: tuple[str, ...], folder: Path, listed: Path | None, revision: str
) -> None:
    """Gather cards, license files and lineage at pinned revisions, for a site without a network.

    The folder is one that --cards takes. Its index.json names commits, digests, gates and what the hub did not know.

    \b
    curate fetch google/flan-t5-base dataset:databricks/databricks-dolly-15k --to cards
    curate check-license google/flan-t5-base --cards cards
    """  # noqa: D301 – click reads the escape
    wanted = [*refs, *(line.ref for line in (refs_in(listed) if listed else ()))]
    if not wanted:
        raise click.UsageError("give at least one REF, or --from FILE")
    from curate.licenses.check import parse_ref
    from curate.licenses.fetch import fetch_cards
    from curate.licenses.hub import Hub

    parsed = [parse_ref(ref, revision=revision) for ref in wanted]
    with Reporter(quiet=bool((settings or {}).get("quiet"))) as progress:
        index = fetch_cards(parsed, folder, source=Hub(), today=today(), progress=progress)
    for card in index.cards:
        gate = " (gated: not handed out)" if card.withheld else f" (gated: {card.gated})" if card.gated else ""
        click.echo(f"{card.ref} @ {card.revision}: {len(card.files)} files{gate}")
    for ref in index.absent:
        click.echo(f"curate: {ref}: the hub knows none of that name", err=True)
    click.echo(f"curate: {len(index.cards)} cards in {folder}", err=True)
    unknown = [str(ref) for ref in parsed if index.find(ref) is None]
    if unknown:
        raise ModelNotFound(
            f"{', '.join(unknown)}: not on the hub", hint="check the name, or HF_TOKEN if it is private"
        )
