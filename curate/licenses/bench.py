"""What every rule is given: the policy, the facts, the case and the chain, with the questions rules share."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from curate.gate import Evidence, Finding, Verdict, worst
from curate.licenses.beside import resolved_claim
from curate.licenses.card import Claim, ModelCard
from curate.licenses.case_verdict import CASE_LINE, judge_in_case
from curate.licenses.decision import Case
from curate.licenses.expression import Alternatives, Named, combine, read_expression
from curate.licenses.facts import Catalogue, LicenseFacts
from curate.licenses.lineage import Chain, Member
from curate.licenses.prose_terms import named_licenses, restricted_use
from curate.licenses.question import Question
from curate.licenses.statements import Reading, Statement
from curate.licenses.text import DETECTORS
from curate.policy import LicensePolicy, Organisation


@dataclass
class Bench:
    """Everything a rule may look at; nothing here changes while rules run, but for what is remembered."""

    policy: LicensePolicy
    catalogue: Catalogue
    case: Case
    chain: Chain
    read: dict[str, tuple[Statement, ...]] = field(default_factory=dict)
    organisation: Organisation = field(default_factory=Organisation)
    families: frozenset[str] = frozenset()
    """Families found in the lineage of the model that the student starts from."""
    today: date | None = None
    member: Member | None = None
    """Whom the rules are looking at."""

    def at(self, member: Member) -> "Bench":
        """The bench before one member, for what a license asks of the very model."""
        return replace(self, member=member)

    def judge(self, facts: LicenseFacts) -> tuple[Verdict, str]:
        """The verdict on one license in this case, and the line of the policy behind it."""
        verdict, line = self.policy.judge_license(facts.id, facts.kind, facts.conditions)
        if verdict is Verdict.DENY and facts.family and self.is_same_family(facts):
            return self.policy.same_family, "same_family"
        if self.policy.accept_conditions and not line.startswith("by_id"):
            return judge_in_case(self.policy, self.ask(facts), verdict, line)
        return verdict, line

    @property
    def restricted(self) -> Verdict:
        """What a card's own word against commercial use comes to: it binds nobody who takes it on and keeps it."""
        kept = self.policy.accepts("noncommercial-only") and not self.case.commercial
        return Verdict.ALLOW if kept else Verdict.DENY

    def ask(self, facts: LicenseFacts) -> Question:
        """One license in this case."""
        return Question(
            facts=facts,
            case=self.case,
            organisation=self.organisation,
            student_license=read_expression(self.case.student_license, self.catalogue)
            if self.case.student_license
            else (),
            kinship=self.kinship(facts),
            member=self.member,
            has_known_origin=self.has_known_origin(facts),
            today=self.today,
        )

    def has_known_origin(self, facts: LicenseFacts) -> bool:
        """Whether what stands behind a member is judged as well: known licenses of its own, or parents with them."""
        if self.member is None or "upstream-terms-apply" not in facts.conditions:
            return False
        own = {one for known in self.member.known for one in known.licenses} - {facts.id}
        return bool(own) or any(parent.status != "missing" for parent in self.chain.parents(self.member))

    def kinship(self, facts: LicenseFacts) -> Literal["same", "name-only", "other"]:
        """Whether the student starts within the family of a license or only carries its name."""
        if not facts.family or not self.is_same_family(facts):
            return "other"
        return "same" if self.case.as_base or self.case.student_base else "name-only"

    def judge_named(self, named: Named) -> tuple[Verdict, str, LicenseFacts | None]:
        """The verdict on a license as named; of several it may mean, the licensor's own, else the strictest."""
        if not named.facts:
            return Verdict(self.policy.unknown), "unknown", None
        judged = [(*self.judge(facts), facts) for facts in self.meant(named)]
        return max(judged, key=lambda one: one[0].severity)

    def meant(self, named: Named) -> tuple[LicenseFacts, ...]:
        """What a name may mean at this member: several licensors call texts of their own the same."""
        owner = self.member.ref.name.lower().partition("/")[0] if self.member is not None else ""
        own = [facts for facts in named.facts if owner in self.catalogue.licensors.get(facts.id, ())]
        return tuple(own) or named.facts

    def best_of(self, alternatives: Alternatives) -> tuple[Named, ...]:
        """Of several choices, the one whose strictest license is the most lenient."""

        def severity(choice: tuple[Named, ...]) -> int:
            return worst(self.judge_named(named)[0] for named in choice).severity

        return min(alternatives, key=severity)

    def is_same_family(self, facts: LicenseFacts) -> bool:
        """Whether the student is declared to be of the family that a license is bound to."""
        if self.case.as_base:
            return True
        declared = self.case.student_base or self.case.student_name
        if not declared:
            return False
        if facts.family in self.families:
            return True
        licenses = [one for known in self.catalogue.lookup("models", declared) for one in known.licenses]
        return any(self.catalogue.licenses[one].family == facts.family for one in licenses)

    def claimed(self, card: ModelCard) -> Alternatives:
        """What a card's license claims come to; ``other`` is resolved by its name."""
        return combine(read_expression(claim.text, self.catalogue) for claim in self.license_claims(card))

    def license_claims(self, card: ModelCard) -> list[Claim]:
        """The claims that count as the license: the tag, and the name where the tag says ``other`` or adds to it."""
        tags = [claim for claim in card.licenses if claim.kind == "str" and claim.text]
        names = [claim for claim in card.license_names if claim.kind == "str" and claim.text]
        if any(claim.text.lower() == "other" for claim in tags) or any(self.is_ambiguous(one) for one in names):
            return self._resolve_other(card, tags, names)
        known_names = [claim for claim in names if self.catalogue.find(claim.text)]
        return tags + known_names

    def licenses_of(self, member: Member) -> list[LicenseFacts]:
        """The licenses a member stands under, as claimed, as bound by a host, and as known."""
        bench = self.at(member)
        known = [entry for entry in member.known if member.card is None or not entry.only_unread]
        found = [*member.hosted, *(self.catalogue.licenses[one] for entry in known for one in entry.licenses)]
        if member.card is not None and self.license_claims(member.card):
            claimed = bench.best_of(self.claimed(member.card))
            found = [*(facts for named in claimed for facts in bench.meant(named)[:1]), *found]
        return list({facts.id: facts for facts in found}.values())

    def is_ambiguous(self, claim: Claim) -> bool:
        """Whether a name stands for several licenses."""
        return len(self.catalogue.find(claim.text)) > 1

    def _resolve_other(self, card: ModelCard, tags: list[Claim], names: list[Claim]) -> list[Claim]:
        """``other`` by its name, and by the text for the weights where there is no name or it is ambiguous."""
        text = resolved_claim(card, self.catalogue)
        if text is not None and not names:
            names = [text]
        elif text is not None:
            meant = {facts.id for facts in self.catalogue.find(text.text)}
            names = [
                text
                if self.is_ambiguous(one) and meant & {facts.id for facts in self.catalogue.find(one.text)}
                else one
                for one in names
            ]
        return [claim for claim in tags if claim.text.lower() != "other" or not names] + names

    def own_verdict(self, member: Member) -> Verdict:
        """The verdict on a member's own license claims alone."""
        if member.card is None or not self.license_claims(member.card):
            return Verdict.REVIEW
        return worst(self.judge_named(named)[0] for named in self.best_of(self.claimed(member.card)))

    def statements(self, member: Member) -> tuple[Statement, ...]:
        """What the prose of a member's card says, read once."""
        if member.card is None:
            return ()
        if member.ref.key not in self.read:
            reading = Reading(
                member.card.body, self.catalogue, member.ref.name.lower(), is_dataset=member.ref.kind == "dataset"
            )
            found = [statement for detect in DETECTORS.values() for statement in detect(reading)]
            if member.card.gate.raw:
                gate = Reading(member.card.gate, self.catalogue, reading.name, reading.is_dataset)
                found.extend([*restricted_use(gate), *named_licenses(gate)])
            self.read[member.ref.key] = tuple(found)
        return self.read[member.ref.key]


def finding(
    rule: str, member: Member, verdict: Verdict | str, message: str, evidence: Iterable[Evidence] = ()
) -> Finding:
    """A finding about one member."""
    return Finding(
        rule=rule, subject=str(member.ref), verdict=Verdict(verdict), message=message, evidence=tuple(evidence)
    )


def told(facts: LicenseFacts, line: str) -> str:
    """What a license says, and the line of the policy behind the verdict; what the case itself decides comes first."""
    by_case = line.removeprefix(CASE_LINE)
    return (
        f"{facts.name}: {facts.note} (policy {line})" if by_case == line else f"{facts.name}: {by_case}. {facts.note}"
    )


def claim_evidence(card: ModelCard, claim: Claim) -> Evidence:
    """Where a card claims something."""
    return Evidence(source=f"{card.where}: {claim.field}", quote=claim.raw, line=claim.line or None, sha256=card.sha256)


def prose_evidence(card: ModelCard, statement: Statement) -> Evidence:
    """The sentence that says so."""
    return Evidence(source=card.where, quote=statement.place.quote, line=statement.place.line, sha256=card.sha256)


def license_evidence(facts: LicenseFacts) -> Evidence:
    """Where a license says so, and how well that is known."""
    return Evidence(
        source=facts.url or f"catalogue: {facts.id}", section=facts.section, read_on=facts.read_on,
        confidence=facts.confidence,
    )  # fmt: skip


def via_evidence(bench: Bench, member: Member) -> list[Evidence]:
    """How a member came into the chain: the claim of its child."""
    child = next((one for one in bench.chain.members.values() if str(one.ref) == member.child), None)
    if member.via is None or child is None or child.card is None:
        return []
    return [claim_evidence(child.card, member.via)]
