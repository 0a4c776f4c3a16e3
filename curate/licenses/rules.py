"""One function a rule: what a member of the chain brings with it; ``RULES`` at the foot names them all.

Rules never raise and never stop at the first finding: a report needs every one.
"""

from collections.abc import Callable, Iterator

from curate.gate import Evidence, Finding, Verdict, worst
from curate.licenses.bench import (
    Bench,
    claim_evidence,
    finding,
    license_evidence,
    told,
    via_evidence,
)
from curate.licenses.expression import read_expression
from curate.licenses.facts import LicenseFacts
from curate.licenses.gates import gated_repository
from curate.licenses.lazy import Pattern
from curate.licenses.lineage import Member
from curate.licenses.prose_rules import PROSE_RULES
from curate.licenses.text_rules import license_file

RESTRICTED_NAME = Pattern(
    r"(?:^|[^a-z])(?:nc|non-?commercial|noncommercial|research|non-?production|academic|evaluation)(?:$|[^a-z])"
)


def license_terms(member: Member, bench: Bench) -> Iterator[Finding]:
    """What the licenses under the card's ``license`` key come to."""
    card = member.card
    if card is None or not bench.license_claims(card):
        return
    claims = bench.license_claims(card)
    for named in bench.best_of(bench.claimed(card)):
        verdict, line, facts = bench.judge_named(named)
        source = next((claim for claim in claims if named.text in claim.text), claims[0])
        evidence = [claim_evidence(card, source)]
        if facts is not None:
            evidence.append(license_evidence(facts))
            yield finding("license-terms", member, verdict, f"{told(facts, line)}{_recalled(facts)}", evidence)
        elif RESTRICTED_NAME.search(named.text.lower()):
            message = f"the license is called {named.text!r}: by its name for non-commercial use or research only"
            yield finding("license-terms", member, Verdict.DENY, message, evidence)
        else:
            yield finding("unknown-license", member, verdict, f"nobody knows a license called {named.text!r}", evidence)


def _recalled(facts: LicenseFacts) -> str:
    """A word of caution where the entry was not read."""
    return (
        "" if facts.confidence == "text" else f"; this entry rests on {facts.confidence}, verify before relying on it"
    )


def missing_license(member: Member, bench: Bench) -> Iterator[Finding]:
    """No license, or a value that is none: silence is no grant. A ``license_name`` alone counts only if it forbids."""
    card = member.card
    if card is None or (bench.license_claims(card) and any(claim.text for claim in card.licenses)):
        return
    written = [claim for claim in card.licenses if claim.raw not in ("", "null", "~")]
    evidence = [claim_evidence(card, claim) for claim in written[:3]] or [
        Evidence(source=card.where, sha256=card.sha256)
    ]
    said = (
        f"license is given as {written[0].kind} {written[0].raw!r}, not as a name"
        if written
        else "the card names no license"
    )
    yield finding("missing-license", member, bench.policy.missing, said, evidence)


def mixed_license_values(member: Member, bench: Bench) -> Iterator[Finding]:
    """A license list that holds something other than names."""
    card = member.card
    if card is None or not bench.license_claims(card):
        return
    odd = [claim for claim in card.licenses if claim.kind not in ("str", "null")]
    if odd:
        message = f"the license list also holds a {odd[0].kind}: {odd[0].raw!r}"
        yield finding("unknown-license", member, bench.policy.unknown, message, [claim_evidence(card, odd[0])])


def misspelt_license_key(member: Member, bench: Bench) -> Iterator[Finding]:
    """A license under a key the hub does not read (``licence``, ``licenses``): it counts only if it forbids."""
    if member.card is None:
        return
    for claim in member.card.wrong_keys:
        for named in bench.best_of(read_expression(claim.text, bench.catalogue)) if claim.text else ():
            verdict, line, facts = bench.judge_named(named)
            if verdict is Verdict.DENY and facts is not None:
                message = f"under the key {claim.field!r}: {told(facts, line)}"
                evidence = [claim_evidence(member.card, claim), license_evidence(facts)]
                yield finding("misspelt-license-key", member, verdict, message, evidence)


def commercial_flag(member: Member, bench: Bench) -> Iterator[Finding]:
    """A key of its own that says ``commercial: false``."""
    if member.card is not None and member.card.commercial_no is not None:
        evidence = [claim_evidence(member.card, member.card.commercial_no)]
        yield finding("restricted-use", member, bench.restricted, "the card says commercial: false", evidence)


def unreadable_card(member: Member, bench: Bench) -> Iterator[Finding]:
    """Front matter, bytes or files that cannot be trusted."""
    if member.card is None:
        return
    for problem, line in member.card.problems:
        evidence = [Evidence(source=member.card.where, line=line or None, sha256=member.card.sha256)]
        yield finding("unreadable-card", member, bench.policy.unreadable_card, problem, evidence)


def odd_characters(member: Member, bench: Bench) -> Iterator[Finding]:
    """Look-alike letters and invisible characters in a license or an id."""
    if member.card is None:
        return
    card = member.card
    claims = [*card.licenses, *card.license_names, *(parent.claim for parent in card.parents[:256])]
    for claim in claims:
        if claim.oddity:
            message = f"{claim.field} holds {claim.oddity}; it was read as {claim.text!r}"
            yield finding(
                "odd-characters", member, bench.policy.unreadable_card, message, [claim_evidence(card, claim)]
            )


def known_source(member: Member, bench: Bench) -> Iterator[Finding]:
    """What the catalogue knows of the member by its id."""
    for known in member.known:
        if known.only_unread and member.card is not None:
            continue
        how = known.caution
        evidence = [
            Evidence(source="catalogue: known sources", section=known.basis, confidence=known.confidence),
            *via_evidence(bench, member),
        ]
        if known.made_with:
            verdict, line = bench.policy.judge_source(known.made_with)
            said = bench.catalogue.sources[known.made_with]
            message = f"{known.basis}: {said}{how} (policy {line})"
            yield finding(known.made_with, member, verdict, message, evidence)
        yield from _known_licenses(member, bench, known.licenses, f"{known.basis}{how}", evidence)


def _known_licenses(
    member: Member, bench: Bench, licenses: tuple[str, ...], basis: str, evidence: list[Evidence]
) -> Iterator[Finding]:
    """The licenses the catalogue knows for an id; those that allow matter only where no card was read."""
    judged = [(*bench.judge(bench.catalogue.licenses[one]), bench.catalogue.licenses[one]) for one in licenses]
    strictest = worst(verdict for verdict, _, _ in judged) if judged else Verdict.ALLOW
    if not judged or (member.card is not None and strictest is Verdict.ALLOW):
        return
    verdict, line, facts = next(one for one in judged if one[0] is strictest)
    message = f"known as {basis}: {told(facts, line)}{_recalled(facts)}"
    yield finding("known-source", member, verdict, message, [*evidence, license_evidence(facts)])


def hosted_terms(member: Member, bench: Bench) -> Iterator[Finding]:
    """The terms of the service behind a hosted route, and the license of open weights behind it."""
    if member.ref.kind != "api":
        return
    for facts in member.hosted:
        verdict, line = bench.judge(facts)
        message = f"{told(facts, line)}{_recalled(facts)}"
        yield finding("hosted-terms", member, verdict, message, [license_evidence(facts)])
    if not member.hosted:
        provider = member.ref.name.partition("/")[0]
        yield finding(
            "unknown-license", member, bench.policy.unknown, f"nobody knows the terms of the host {provider!r}"
        )


def unread_parent(member: Member, bench: Bench) -> Iterator[Finding]:
    """A base model that no source has and the catalogue does not know, or that is no id at all."""
    if member.ref.kind == "model" and not member.is_root and member.status == "missing":
        message = f"base of {member.child}: neither its card nor the catalogue tells its license"
        yield finding("unread-parent", member, bench.policy.unread_parent, message, via_evidence(bench, member))
    for claim in member.unnamed[:3]:
        evidence = [claim_evidence(member.card, claim)] if member.card is not None else []
        message = f"its base is given as {claim.raw[:80]!r}, which is no model id"
        yield finding("unread-parent", member, bench.policy.unread_parent, message, evidence)


def lineage_cut(member: Member, bench: Bench) -> Iterator[Finding]:
    """Cycles and limits: where the walk stopped, nothing was proven."""
    for name, why in bench.chain.cuts:
        if name == str(member.ref):
            yield finding("lineage-cut", member, bench.policy.unread_parent, f"the lineage {why}")


def starting_terms(member: Member, bench: Bench) -> Iterator[Finding]:
    """For the model a student starts from: may it be changed, and the result passed on?"""
    if not bench.case.as_base or member.ref.kind == "dataset" or member.card is None:
        return
    for named in bench.best_of(bench.claimed(member.card)) if bench.license_claims(member.card) else ():
        for facts in named.facts:
            needed = ("derivatives", "redistribute") if bench.case.published else ("derivatives",)
            forbidden = [term for term in needed if facts.terms.get(term) == "forbidden"]
            if forbidden:
                message = f"{facts.name} forbids {' and '.join(forbidden)}, which a student that starts from it needs"
                yield finding("starting-terms", member, Verdict.DENY, message, [license_evidence(facts)])


RULES: dict[str, Callable[[Member, Bench], Iterator[Finding]]] = {
    rule.__name__: rule
    for rule in (
        license_terms,
        missing_license,
        mixed_license_values,
        misspelt_license_key,
        license_file,
        commercial_flag,
        unreadable_card,
        odd_characters,
        known_source,
        hosted_terms,
        unread_parent,
        lineage_cut,
        starting_terms,
        gated_repository,
        *PROSE_RULES,
    )
}
