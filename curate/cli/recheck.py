"""``curate recheck``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.options import cards_option, emit, format_option, known_policy, offline_option, output_option, today

if TYPE_CHECKING:
    from curate.runs.recheck import Recheck

DIGEST_CHARS = 64


@click.command()
@click.argument("place", metavar="DIR|TICKET", type=click.Path(path_type=Path))
@click.option(
    "-p",
    "--policy",
    "policy_name",
    callback=known_policy,
    help="Today's policy, a name or a file; by default the one the decision names, if it ships with curate.",
)
@cards_option
@offline_option
@format_option()
@output_option
def recheck(
    place: Path, policy_name: str | None, cards: tuple[Path, ...], offline: bool, form: str, output: Path | None
) -> int:
    """Judge a run's or a ticket's teacher again, with today's cards, policy and catalogue, and say what changed.

    Exit 0 if the verdict is what it was or more lenient; 3 or 4 if it became a denial or a review; 7 if the folder or
    the ticket is not what was recorded.

    \b
    curate recheck reports/20261126T101500Z-1f2e3d4c
    curate recheck teacher.json --cards cards -p my-policy.yaml
    """  # noqa: D301 – click reads the escape
    from curate.licenses.check import embedded_folder
    from curate.licenses.sources import make_source
    from curate.policy import load_policy
    from curate.runs.recheck import recheck as judge_again

    found = judge_again(
        place,
        policy=load_policy(policy_name) if policy_name else None,
        source=make_source(cards=cards, offline=offline, embedded=embedded_folder()),
        today=today(),
    )
    emit(found.to_json() if form == "json" else _text(found), output)
    return found.exit_code


def _text(found: "Recheck") -> str:
    """What changed, for people."""
    from curate.report.text import bound_text

    lines = [f"{bound_text(found.place, 200)}: decided on {found.decided_on}, looked at again on {found.checked_on}"]
    for one in found.decisions:
        same = one.before is one.now
        verdict = f"still {one.now}" if same else f"{one.before} then, {one.now} now"
        lines.append(f"{bound_text(one.ref, 200)} ({one.name}): {verdict}")
        lines += [
            f"  {change.what:<12} {bound_text(change.subject, 120)}: {_short(change.before)} → {_short(change.now)}"
            for change in one.changes
        ]
        if not one.changes:
            lines.append("  nothing changed: cards, revision, policy, catalogue and waivers are what they were")
    return "\n".join([*lines, *(f"note: {bound_text(note, 300)}" for note in found.notes)])


def _short(value: str) -> str:
    """A digest by its first letters, anything else bounded."""
    from curate.report.text import bound_text

    is_digest = len(value) == DIGEST_CHARS and all(letter in "0123456789abcdef" for letter in value)
    return value[:12] if is_digest else bound_text(value, 160)
