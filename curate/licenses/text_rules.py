"""Rules over license files beside a card: what each text is, whether the tag agrees, and what its clauses add."""

from collections.abc import Iterator

from curate.gate import Evidence, Finding, Verdict, worst
from curate.licenses.bench import Bench, finding, license_evidence
from curate.licenses.beside import LicenseFile, license_files
from curate.licenses.clauses import Clause
from curate.licenses.facts import LicenseFacts
from curate.licenses.lineage import Member

POINTER_CHARS = 300
"""A shorter license file only points to a license."""


def license_file(member: Member, bench: Bench) -> Iterator[Finding]:
    """License texts beside the card: they can contradict the tag or add to it, and never make it more lenient."""
    if member.card is None:
        return
    own = bench.own_verdict(member)
    for file in license_files(member.card, bench.catalogue):
        if file.role == "weights":
            yield from _text_of_weights(member, bench, file, own)
        elif file.role == "code" and file.is_plain_name:
            message = f"the file {file.name} names the code alone; it says nothing of the weights"
            yield finding("license-file", member, Verdict.ALLOW, message, [file.evidence])


def _text_of_weights(member: Member, bench: Bench, file: LicenseFile, own: Verdict) -> Iterator[Finding]:
    """What the text of the weights' license comes to beside the tag."""
    identity = file.identity
    facts = bench.catalogue.licenses.get(identity.license)
    yield from _clauses(member, bench, file, identity.surplus)
    if facts is None:
        if own is Verdict.ALLOW and len(file.text) > POINTER_CHARS:
            message = f"the file {file.name} is a text that nobody here knows; the tag alone does not allow"
            yield finding("license-file", member, bench.policy.unknown, message, [file.evidence])
        return
    verdict, line = bench.judge(facts)
    evidence = [file.evidence, license_evidence(facts)]
    agrees = _is_claimed(member, bench, facts)
    if not identity.is_certain:
        is_pointer = len(file.text) <= POINTER_CHARS
        if is_pointer and verdict is Verdict.ALLOW and not identity.clauses:
            return
        verdict = worst([verdict, Verdict(bench.policy.unknown)])
        why = "its clauses are not those of that license" if identity.surplus else "not word for word"
        if verdict.severity > own.severity or not agrees:
            message = f"the file {file.name} calls itself {facts.name}, {why}: {facts.note} (policy {line})"
            yield finding("license-file", member, verdict, message, evidence)
    elif not agrees:
        verdict = verdict if verdict is own is Verdict.ALLOW else worst([verdict, Verdict(bench.policy.unknown)])
        message = f"the file {file.name} is {facts.name}, which the tag does not say: {facts.note} (policy {line})"
        yield finding("license-file", member, verdict, message, evidence)
    elif verdict.severity > own.severity or verdict is own is Verdict.DENY:
        message = f"the file {file.name} is {facts.name}: {facts.note} (policy {line})"
        yield finding("license-file", member, verdict, message, evidence)


def _is_claimed(member: Member, bench: Bench, facts: LicenseFacts) -> bool:
    """Whether the tag names this license, or one whose text it is."""
    if member.card is None:
        return False
    claimed = {
        name
        for choice in bench.claimed(member.card)
        for named in choice
        for one in named.facts
        for name in (one.id, one.spdx)
        if name
    }
    return not claimed or bool(claimed & {facts.id, facts.spdx})


def _clauses(member: Member, bench: Bench, file: LicenseFile, clauses: tuple[Clause, ...]) -> Iterator[Finding]:
    """Clauses that the entry of the text does not tell of, by what the policy says of such conditions."""
    for clause in clauses:
        verdict = bench.policy.by_condition.get(clause.condition, Verdict.REVIEW)
        if verdict is Verdict.ALLOW:
            continue
        meaning = bench.catalogue.conditions.get(clause.condition) or bench.catalogue.conditions.get(
            f"{clause.condition}:*", clause.condition
        )
        message = f"the file {file.name} has a clause of its own: {meaning}"
        evidence = Evidence(source=file.evidence.source, quote=clause.quote, line=clause.line)
        yield finding("license-clause", member, verdict, message, [evidence])
