"""A repository that the hub gates: its files go to those who accepted its terms, and who accepted must be on record."""

from collections.abc import Iterator

from curate.gate import Evidence, Finding, Verdict
from curate.licenses.bench import Bench, finding
from curate.licenses.lineage import Member

HOW = {"auto": "whoever accepts its terms", "manual": "those whom its owner approves"}


def gated_repository(member: Member, bench: Bench) -> Iterator[Finding]:  # noqa: ARG001 – rules are called alike
    """A gate on the model itself, or one that kept a card of the chain from being read.

    A gate on a parent whose card was read is no finding: whoever takes the child from elsewhere does not pass it.
    """
    card = member.card
    if card is None or not (card.withheld or (card.gate_kind and member.is_root)):
        return
    who = HOW.get(card.gate_kind, "those who were let in")
    message = f"the hub gives it only to {who}; no acceptance of its terms is recorded"
    if card.withheld:
        message += "; its files were not handed out, so what is known of it is what the hub tells in the open"
    yield finding(
        "gated-repository", member, Verdict.REVIEW, message, [Evidence(source=card.where, sha256=card.sha256)]
    )
