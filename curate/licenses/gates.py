"""A repository that the hub gates: its files go to those who accepted its terms, and who accepted must be on record."""

from collections.abc import Iterator

from curate.gate import Evidence, Finding, Verdict
from curate.licenses.bench import Bench, finding
from curate.licenses.lineage import Member

HOW = {"auto": "whoever accepts its terms", "manual": "those whom its owner approves"}


def gated_repository(member: Member, bench: Bench) -> Iterator[Finding]:
    """A gate on the model itself, or one that kept a card of the chain from being read.

    A gate on a parent whose card was read is no finding: whoever takes the child from elsewhere does not pass it. One
    that the card alone speaks of counts where the policy takes conditions on. A record of acceptance opens it.
    """
    card = member.card
    if card is None:
        return
    told = card.gated and bool(bench.policy.accept_conditions)
    if not (card.withheld or (member.is_root and (card.gate_kind or told))):
        return
    verdict, said = Verdict.REVIEW, "organisation.accepted_terms holds no acceptance of its terms"
    for question in (bench.ask(facts) for facts in bench.licenses_of(member)):
        record, other = question.record, question.accepted_other_text
        if record is None or verdict is Verdict.ALLOW:
            continue
        said = f"its terms ({record.license}) were accepted by {record.accepted_by} on {record.accepted_on}"
        said += f"; the text accepted then is not the one beside the card ({other})" if other else ""
        verdict = Verdict.REVIEW if other or card.withheld else Verdict.ALLOW
    message = f"the hub gives it only to {HOW.get(card.gate_kind, 'those who were let in')}; {said}"
    if card.withheld:
        message += "; its files were not handed out, so what is known of it is what the hub tells in the open"
    yield finding("gated-repository", member, verdict, message, [Evidence(source=card.where, sha256=card.sha256)])
    if card.withheld and not bench.license_claims(card):
        silent = "its card was not handed out, and what the hub tells in the open names no license"
        yield finding("unknown-license", member, bench.policy.unknown, silent, [Evidence(source=card.where)])
