"""Rules over what the prose of a card says; each finding carries the sentence and its line."""

from collections.abc import Iterator

from curate.gate import Finding, Verdict, worst
from curate.licenses.bench import Bench, claim_evidence, finding, license_evidence, prose_evidence
from curate.licenses.lineage import Member
from curate.licenses.names import repo_id_in
from curate.licenses.prose_outputs import OTHERS


def outputs_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card tells that a hosted model wrote training text, or rated it."""
    for statement in bench.statements(member):
        if statement.topic not in ("outputs", "ratings") or member.card is None:
            continue
        if statement.topic == "ratings":
            source = "openai-ratings"
        else:
            source = "restricted-outputs" if statement.detail in OTHERS else "openai-outputs"
        verdict, line = bench.policy.judge_source(source)
        message = f"the card tells of {statement.detail}: {bench.catalogue.sources[source]} (policy {line})"
        yield finding(source, member, verdict, message, [prose_evidence(member.card, statement)])


def data_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card names data whose sources or terms are known to forbid."""
    for statement in bench.statements(member):
        known = statement.known
        if statement.topic != "data" or known is None or member.card is None:
            continue
        evidence = [prose_evidence(member.card, statement)]
        judged = [bench.policy.judge_source(known.made_with)] if known.made_with else []
        judged += [bench.judge(bench.catalogue.licenses[one]) for one in known.licenses]
        verdict = worst(one for one, _ in judged)
        line = next(text for one, text in judged if one is verdict)
        if verdict is Verdict.DENY or (known.made_with and verdict is Verdict.REVIEW):
            message = f"the card names {statement.detail} among its data: {known.basis}{known.caution} (policy {line})"
            yield finding(known.made_with or "data-license", member, verdict, message, evidence)


def parent_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card tells that the model was made from one whose terms come with it."""
    for statement in bench.statements(member):
        known = statement.known
        if statement.topic != "parent" or known is None or member.card is None or member.ref.kind == "dataset":
            continue
        judged = [bench.judge(bench.catalogue.licenses[one]) for one in known.licenses]
        judged += [bench.policy.judge_source(known.made_with)] if known.made_with else []
        verdict = worst(one for one, _ in judged)
        if verdict is Verdict.ALLOW:
            continue
        line = next(text for one, text in judged if one is verdict)
        evidence = [prose_evidence(member.card, statement)]
        evidence += [license_evidence(bench.catalogue.licenses[one]) for one in known.licenses]
        message = f"the card says it was made from {statement.detail}: {known.basis}{known.caution} (policy {line})"
        yield finding("parent-in-prose", member, verdict, message, evidence)


def restriction_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card bars commercial use or allows research alone."""
    worst_seen = Verdict.ALLOW
    for statement in bench.statements(member):
        if statement.topic not in ("restriction", "advice") or member.card is None:
            continue
        verdict = bench.restricted if statement.topic == "restriction" else Verdict.REVIEW
        if verdict is Verdict.REVIEW and _is_rail(member, bench):
            continue
        if verdict.severity > worst_seen.severity:
            worst_seen = verdict
            told = "restricts use" if verdict is Verdict.DENY else "advises against other use"
            message = f"the card {told}: {statement.detail}"
            yield finding("restricted-use", member, verdict, message, [prose_evidence(member.card, statement)])


def _is_rail(member: Member, bench: Bench) -> bool:
    """Whether the card's own license is a RAIL, whose cards carry advice on use as stock text."""
    if member.card is None or not bench.license_claims(member.card):
        return False
    return any(facts.kind == "rail" for named in bench.best_of(bench.claimed(member.card)) for facts in named.facts)


def license_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card's prose names a license that is stricter than its tag."""
    own = bench.own_verdict(member)
    seen: set[str] = set()
    for statement in bench.statements(member):
        if statement.topic != "license" or member.card is None or statement.detail in seen:
            continue
        seen.add(statement.detail)
        facts = bench.catalogue.licenses.get(statement.detail)
        if facts is None:
            continue
        verdict, line = bench.judge(facts)
        if verdict.severity > own.severity:
            message = f"the prose names {facts.name}, stricter than the tag (policy {line})"
            evidence = [prose_evidence(member.card, statement), license_evidence(facts)]
            yield finding("license-in-prose", member, verdict, message, evidence)


def leak_in_prose(member: Member, bench: Bench) -> Iterator[Finding]:
    """The card says that weights leaked."""
    for statement in bench.statements(member):
        if statement.topic == "leak" and member.card is not None:
            verdict, line = bench.policy.judge_source("leaked-weights")
            message = f"the card tells of leaked weights: {bench.catalogue.sources['leaked-weights']} (policy {line})"
            yield finding("leaked-weights", member, verdict, message, [prose_evidence(member.card, statement)])


def telling_tags(member: Member, bench: Bench) -> Iterator[Finding]:
    """Tags that speak of a restricted parent or of data written by a hosted model: a hint that a person must follow."""
    if member.card is None or member.ref.kind == "dataset":
        return
    for claim in member.card.hints[:3]:
        message = f"the tag {claim.text!r} speaks of a parent or of data with terms of its own"
        yield finding("telling-tag", member, bench.policy.unknown, message, [claim_evidence(member.card, claim)])


def license_link(member: Member, bench: Bench) -> Iterator[Finding]:
    """A license link that leads to the license of a model known to be denied; it is never opened."""
    if member.card is None:
        return
    for claim in member.card.license_links:
        name = repo_id_in(claim.text)
        for known in bench.catalogue.lookup("models", name) if "/" in name else ():
            for facts in (bench.catalogue.licenses[one] for one in known.licenses):
                verdict, line = bench.judge(facts)
                if verdict is Verdict.DENY:
                    message = f"the license link leads to {name}: {facts.name}: {facts.note} (policy {line})"
                    evidence = [claim_evidence(member.card, claim), license_evidence(facts)]
                    yield finding("license-link", member, verdict, message, evidence)


PROSE_RULES = (
    outputs_in_prose,
    data_in_prose,
    parent_in_prose,
    restriction_in_prose,
    license_in_prose,
    leak_in_prose,
    telling_tags,
    license_link,
)
