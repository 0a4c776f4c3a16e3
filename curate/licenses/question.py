"""What a condition is asked about: one license in one case, with everything that an answer may hang on."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, NamedTuple

from curate.gate import Verdict
from curate.licenses.decision import Case
from curate.licenses.expression import Alternatives
from curate.licenses.facts import LicenseFacts
from curate.licenses.lineage import Member
from curate.policy import AcceptedTerms, Organisation


class Outcome(NamedTuple):
    """What a condition comes to in a case."""

    verdict: Verdict
    said: str = ""
    duty: bool = False
    """It holds if something is done or left; that passes to the student as an obligation."""


HOLDS = Outcome(Verdict.ALLOW)
DUTY = Outcome(Verdict.ALLOW, duty=True)


def fails(said: str) -> Outcome:
    """A condition that the case does not meet."""
    return Outcome(Verdict.DENY, said)


def unclear(said: str) -> Outcome:
    """A condition that a person must look at."""
    return Outcome(Verdict.REVIEW, said)


def not_stated(fact: str) -> Outcome:
    """A condition that hangs on a fact which nobody stated."""
    return Outcome(Verdict.REVIEW, f"not stated: {fact}")


@dataclass(frozen=True)
class Question:
    """One license in one case."""

    facts: LicenseFacts
    case: Case
    organisation: Organisation
    student_license: Alternatives = ()
    """What the student is to be published under; empty if that is not said."""
    kinship: Literal["same", "name-only", "other"] = "other"
    """Whether the student starts within the family of the license, only carries its name, or neither."""
    member: Member | None = None
    has_known_origin: bool = False
    """A model behind this one, or other terms of it, are judged as well."""
    today: date | None = None
    parameter: str = ""

    def about(self, parameter: str) -> "Question":
        """The same, asked about a condition with a parameter."""
        return replace(self, parameter=parameter) if parameter else self

    def has(self, condition: str) -> bool:
        """Whether the license also carries another condition."""
        return condition in self.facts.conditions

    @property
    def is_hosted(self) -> bool:
        """Whether these are the terms of a service."""
        return self.facts.kind == "proprietary-api"

    @property
    def is_through_host(self) -> bool:
        """Whether the teacher is called through a service, which gives out answers and nothing else."""
        return self.member is not None and self.member.ref.kind == "api"

    @property
    def takes_only_responses(self) -> bool:
        """Whether nothing but answers reaches the student."""
        return self.is_through_host or all(signal == "responses" for signal in self.case.signals)

    @property
    def reaches_student(self) -> bool:
        """Whether the student counts as derived: by start, by intermediate data, or because the text says so."""
        if self.case.as_base or not self.takes_only_responses:
            return True
        return self.has("distilled-model-is-derivative") and not self.has("results-unrestricted")

    @property
    def record(self) -> AcceptedTerms | None:
        """Who accepted, registered for or signed these terms; an acceptance of tomorrow does not count yet."""
        mine = [one for one in self.organisation.accepted_terms if one.license == self.facts.id]
        return next((one for one in mine if self.today is None or one.accepted_on <= self.today), None)

    @property
    def accepted_other_text(self) -> str:
        """The license file beside the card that is not the text on record; empty if none contradicts the record."""
        card = self.member.card if self.member is not None else None
        if self.record is None or card is None:
            return ""
        texts = {name: text for name, text in card.files.items() if name.lower().startswith(("licen", "copying"))}
        digests = {hashlib.sha256(text.encode()).hexdigest() for text in texts.values()}
        return "" if not texts or self.record.text_sha256 in digests else ", ".join(sorted(texts))

    def publishes_under(self, fits: Callable[[LicenseFacts], bool], must: str) -> Outcome:
        """Whether every choice that the student's license leaves holds one that fits; a duty while none is named."""
        if not self.case.published:
            return HOLDS
        outcome = DUTY
        for choice in self.student_license:
            named = [facts for one in choice for facts in one.facts[:1]]
            if any(facts.id == self.facts.id or fits(facts) for facts in named):
                continue
            shown = " AND ".join(one.text for one in choice)
            if len(named) == len(choice) and all(facts.kind != "undetermined" for facts in named):
                return fails(f"the student's license {shown} does not {must}")
            outcome = unclear(f"nobody here knows whether the student's license {shown} would {must}")
        return outcome
