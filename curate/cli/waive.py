"""``curate waive``."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.case import case_options
from curate.cli.options import cards_option, offline_option, today

if TYPE_CHECKING:
    from curate.licenses.decision import Case

LEAST_REASON_CHARS = 10


@click.command()
@click.argument("ref")
@click.option("--rule", required=True, help="The rule that asks for review, as check-license names it.")
@click.option("--reason", required=True, help="Why it is acceptable; read by people months later.")
@click.option("--signed-by", required=True, metavar="NAME", help="The person who answers for it.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day on which it holds.")
@click.option(
    "-p",
    "--policy",
    "policy",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Your policy file, into which it is written; `curate check-policy default --print` starts one.",
)
@cards_option
@offline_option
@case_options
def waive(
    ref: str,
    rule: str,
    reason: str,
    signed_by: str,
    until: datetime,
    policy: Path,
    cards: tuple[Path, ...],
    offline: bool,
    case: "Case",
) -> int:
    """Sign a dated waiver of what a rule found about REF into a policy file.

    The waiver carries the digest of the finding and holds for that very finding, so give the case as in check-license;
    with --student-base, findings about that base can be waived too. Exit 5 if there is nothing to waive
    today, 3 if the rule denies and the policy does not list it under waivable_denials.

    \b
    curate waive example/no-license --rule missing-license --reason "asked the owner: MIT, mail of 2 May" \\
        --signed-by "Ada Example" --until 2027-04-30 -p my-policy.yaml
    """  # noqa: D301 – click reads the escape
    from curate.licenses.check import embedded_folder
    from curate.licenses.sources import make_source
    from curate.report.text_license import render_decision
    from curate.runs.waive import Signature, waive_findings

    day, last = today(), date(until.year, until.month, until.day)
    if last < day:
        raise click.UsageError(f"--until {last} is past: a waiver that has ended waives nothing")
    reason, signed_by = " ".join(reason.split()), " ".join(signed_by.split())
    if len(reason) < LEAST_REASON_CHARS or not signed_by:
        raise click.UsageError(
            f"--reason takes at least {LEAST_REASON_CHARS} characters, and --signed-by a name: people read both"
        )
    waived = waive_findings(
        ref,
        Signature(rule=rule, reason=reason, signed_by=signed_by, signed_on=day, until=last),
        policy,
        source=make_source(cards=cards, offline=offline, embedded=embedded_folder()),
        case=case,
    )
    for waiver, finding in zip(waived.waivers, waived.findings, strict=True):
        click.echo(
            f"waived until {waiver.until}: {waiver.rule} about {waiver.subject}, finding {finding.sha256()[:16]}"
        )
    click.echo(f"{policy}: sha256 {waived.policy_sha256}\n")
    click.echo(render_decision(waived.decision))
    return 0
