"""What a student owes: the duties of every license behind it, and those that no student can keep together."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from curate.gate import Evidence, Finding, Verdict, settle
from curate.licenses.bench import Bench
from curate.licenses.conditions import begins_with, outcome_of, stem
from curate.licenses.decision import Decision, Duty, Lineage
from curate.licenses.facts import LicenseFacts
from curate.policy import Policy, apply_waivers

FLOWS_FROM_DATA = {"share-alike", "attribution", "copy-of-license"}
"""Of the duties of a data set behind a model, what may reach the model's student."""
OWED_UNMET = {
    "name-prefix", "share-alike", "same-license-for-derivatives", "pass-through-use-restrictions",
    "registration-required-commercial", "upstream-terms-apply",
}  # fmt: skip
"""Duties that are named even where the case as planned does not keep them."""
COPYLEFT = ("share-alike", "same-license-for-derivatives")


def duties_of(bench: Bench) -> tuple[Duty, ...]:
    """The duties that pass to the student in this case, in the order in which their licenses were found."""
    found: dict[tuple[str, str], Duty] = {}
    for member in bench.chain.members.values():
        for facts in bench.licenses_of(member):
            question = bench.at(member).ask(facts)
            for condition in facts.conditions:
                name, _, parameter = condition.partition(":")
                if member.ref.kind == "dataset" and name not in FLOWS_FROM_DATA:
                    continue
                outcome = outcome_of(condition, question.about(parameter))
                if outcome.duty or (name in OWED_UNMET and outcome.verdict is not Verdict.ALLOW):
                    found.setdefault((facts.id, condition), duty(bench, facts, condition, str(member.ref)))
    return tuple(found.values())


def duty(bench: Bench, facts: LicenseFacts, condition: str, subject: str) -> Duty:
    """One duty, as a sentence that names its license."""
    name, _, parameter = condition.partition(":")
    meanings = bench.catalogue.conditions
    meaning = meanings.get(name) or meanings.get(f"{name}:*") or name.replace("-", " ")
    text = f"{facts.name}: {meaning}" + (f" ({parameter})" if parameter else "")
    return Duty(license=facts.id, condition=condition, text=text, section=facts.section, subject=subject)


def conflicts(duties: Iterable[Duty], subject: str) -> list[Finding]:
    """Duties that cannot be kept together, each pair once; the data behind a model claims no student for itself."""
    claims = [one for one in duties if not one.subject.startswith("dataset:")]
    found = (clash for one, other in combinations(claims, 2) for clash in _clash(one, other))
    return [_conflict(subject, one, other, verdict, why) for one, other, verdict, why in dict.fromkeys(found)]


def _clash(one: Duty, other: Duty) -> Iterator[tuple[Duty, Duty, Verdict, str]]:
    """Whether two duties exclude each other, or may."""
    (name, _, words), (second, _, others) = one.condition.partition(":"), other.condition.partition(":")
    if name == second == "name-prefix" and not (begins_with(words, others) or begins_with(others, words)):
        why = f"no name begins with both {words!r} and {others!r}"
        yield one, other, Verdict.DENY, why
    if one.license == other.license or name not in COPYLEFT or second not in COPYLEFT:
        return
    if name == second == "same-license-for-derivatives":
        yield one, other, Verdict.DENY, "no student is published under exactly one license and exactly another"
    elif stem(one.license) != stem(other.license):
        yield one, other, Verdict.REVIEW, "whether one license for the student satisfies both must be looked at"


def _conflict(subject: str, one: Duty, other: Duty, verdict: Verdict, why: str) -> Finding:
    """The finding about a pair of duties."""
    message = f"{why}: {one.text}; {other.text}"
    evidence = tuple(Evidence(source=f"catalogue: {duty.license}", section=duty.section) for duty in (one, other))
    return Finding(rule="duties-conflict", subject=subject, verdict=verdict, message=message, evidence=evidence)


def combine_decisions(decisions: Sequence[Decision], policy: Policy | None = None) -> Decision:
    """One decision on several teachers of one student: every finding and every duty, and the duties that clash.

    The first decision gives case, policy and date; all must have been made for the same case under the same policy.
    With that policy at hand, its waivers hold for the clashes as well: their subject is the references joined by " + ".

    Raises:
        ValueError: there is none, or they were made for different cases or policies.
    """
    if not decisions:
        raise ValueError("no decision to combine")
    first = decisions[0]
    if any((one.case, one.policy) != (first.case, first.policy) for one in decisions):
        raise ValueError("decisions of different cases or policies do not add up")
    if len(decisions) == 1:
        return first
    ref = " + ".join(one.ref for one in decisions)
    duties = tuple(dict.fromkeys(duty for one in decisions for duty in one.duties))
    told = dict.fromkeys(finding for one in decisions for finding in one.findings)
    heard = {finding.message for finding in told}
    clashes = [one for one in conflicts(duties, ref) if one.message not in heard]
    if policy is not None:
        clashes = list(
            apply_waivers(clashes, policy.waivers, waivable_denials=policy.waivable_denials, today=first.decided_on)
        )
    findings = (*clashes, *told)
    nodes = {node.ref: node for one in reversed(decisions) for node in one.lineage.nodes}
    order = dict.fromkeys(node.ref for one in decisions for node in one.lineage.nodes)
    return first.model_copy(
        update={
            "ref": ref,
            "revision": "",
            "verdict": settle(findings),
            "findings": findings,
            "duties": duties,
            "obligations": tuple(dict.fromkeys(duty.text for duty in duties)),
            "lineage": Lineage(
                nodes=tuple(nodes[ref] for ref in order),
                links=tuple(dict.fromkeys(link for one in decisions for link in one.lineage.links)),
                truncated=any(one.lineage.truncated for one in decisions),
            ),
        }
    )
