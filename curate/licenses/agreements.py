"""Signed agreements: while one is in force, its terms stand instead of the license of the model it covers."""

from collections.abc import Iterable
from datetime import date

from curate.gate import Evidence, Finding
from curate.licenses.bench import Bench, finding
from curate.licenses.facts import Agreement
from curate.licenses.lineage import Member

STANDS_INSTEAD_OF = {
    "license-terms", "unknown-license", "missing-license", "misspelt-license-key", "license-link", "license-file",
    "license-clause", "license-in-prose", "restricted-use", "known-source", "hosted-terms", "starting-terms",
}  # fmt: skip
"""Rules about the license alone; what went into a model, or what it was made from, no agreement on it lifts."""


def under_agreement(bench: Bench, member: Member, about: list[Finding], today: date) -> list[Finding]:
    """The findings about a member, those on its license replaced where an agreement in force covers it."""
    name = f"api:{member.ref.name}" if member.ref.kind == "api" else member.ref.name
    if member.ref.kind == "dataset" or member.ref.folder:
        return about
    agreed = [one for one in bench.catalogue.agreements if one.holds_for(name, today)]
    if not agreed:
        return about
    rest = [one for one in about if one.rule not in STANDS_INSTEAD_OF]
    return [*_terms(bench, member, agreed), *rest]


def _terms(bench: Bench, member: Member, agreed: Iterable[Agreement]) -> list[Finding]:
    """What the agreements themselves come to."""
    found = []
    for agreement in agreed:
        facts = bench.catalogue.licenses[agreement.license]
        verdict, line = bench.judge(facts)
        message = (
            f"{facts.name}, signed by {agreement.signed_by} on {agreement.signed_on}, in force until "
            f"{agreement.until}: {facts.note} (policy {line})"
        )
        evidence = Evidence(
            source=f"agreement: {facts.id}", section=facts.section, sha256=agreement.document_sha256,
            read_on=facts.read_on, confidence=facts.confidence,
        )  # fmt: skip
        found.append(finding("signed-agreement", member, verdict, message, [evidence]))
    return found
