"""The license gate's result: the case that was put, the lineage that was read, the decision and its ticket."""

from datetime import date
from typing import ClassVar, Literal

from curate.artifact import Artifact, Value
from curate.gate import ApprovedTeacher, Finding, Verdict, refuse
from curate.policy import Organisation

Signal = Literal["responses", "logits", "hidden-states", "attentions"]
ORGANISATION_FACTS = ("territory", "monthly_active_users", "annual_revenue_usd", "commercial", "published")


class Case(Value):
    """What is about to be done with the teacher; licenses answer differently to different cases."""

    signals: tuple[Signal, ...] = ("responses", "logits", "hidden-states", "attentions")
    student_name: str = ""
    student_base: str = ""
    """The model the student starts from; empty if it starts from nothing or from the teacher."""
    student_license: str = ""
    """The license the student is to be published under, as an id or an SPDX expression."""
    student_kind: Literal["generative", "classifier", "embedding"] = "generative"
    commercial: bool = True
    published: bool = True
    territory: str = ""
    """Where the organisation is established; here and below, empty or null means that nobody stated it."""
    monthly_active_users: int | None = None
    annual_revenue_usd: int | None = None
    as_base: bool = False
    """The subject is the model a student starts from, not its teacher."""


def in_organisation(case: Case, organisation: Organisation) -> Case:
    """The case with the facts that the policy states of the organisation; what the case says itself stays."""
    stated = {name: getattr(organisation, name) for name in ORGANISATION_FACTS}
    return case.model_copy(
        update={
            name: value
            for name, value in stated.items()
            if value not in (None, "") and name not in case.model_fields_set
        }
    )


class Duty(Value):
    """One thing to be done or left so that the license goes on granting."""

    license: str
    """Catalogue id."""
    condition: str
    """In the catalogue's vocabulary, with its parameter: ``name-prefix:Llama``."""
    text: str
    """For people; names the license."""
    section: str = ""
    """Where the license says so."""
    subject: str = ""
    """The model or data set that brings it."""


class LineageNode(Value):
    """One model or data set that was looked at."""

    ref: str
    kind: Literal["model", "dataset", "api"]
    revision: str = ""
    license: str = ""
    """The license as claimed, for people to read."""
    status: Literal["read", "known", "missing"] = "read"
    """Card read, only known to the catalogue, or neither."""
    verdict: Verdict = Verdict.REVIEW
    sha256: str = ""
    """Digest of the card."""

    @property
    def is_unread_data(self) -> bool:
        """Nobody read this data set and nothing is known against it: it decided nothing, which is not an allow."""
        return self.kind == "dataset" and self.status == "missing" and self.verdict is Verdict.ALLOW


class LineageLink(Value):
    """A child and what it was made from."""

    child: str
    parent: str
    relation: str
    """finetune, merge, adapter, quantized, base, dataset, name."""


class Lineage(Value):
    """Everything a model was made from, as far as it could be read; the root comes first."""

    nodes: tuple[LineageNode, ...]
    links: tuple[LineageLink, ...] = ()
    truncated: bool = False
    """A limit on depth or size was hit, or a cycle was found; never a reason to allow."""


class PolicyRef(Value):
    """Which policy a decision was made under."""

    name: str
    sha256: str


class Decision(Artifact):
    """May this model teach? With every finding, its evidence and the duties that pass to the student."""

    DATED: ClassVar[tuple[str, ...]] = ("decided_on",)

    kind: Literal["curate/decision@1"] = "curate/decision@1"
    ref: str
    revision: str = ""
    """The commit of the card that was read; empty for a folder."""
    case: Case
    verdict: Verdict
    """After waivers."""
    findings: tuple[Finding, ...]
    obligations: tuple[str, ...] = ()
    """Duties that pass to the student, each as a sentence that names its license."""
    duties: tuple[Duty, ...] = ()
    """The same, in parts, for programs."""
    lineage: Lineage
    policy: PolicyRef
    catalogue_sha256: str
    decided_on: date
    curate_version: str

    def approve(
        self, *, decision_path: str = "decision.json", location: str = "", content_sha256: str = ""
    ) -> ApprovedTeacher:
        """The ticket a trainer asks for.

        Raises:
            Denied: the verdict is deny.
            NeedsReview: the verdict is review.
        """
        refuse(self.ref, self.verdict, self.findings)
        return ApprovedTeacher(
            ref=self.ref,
            revision=self.revision,
            location=location,
            content_sha256=content_sha256,
            decision_path=decision_path,
            decision_sha256=self.digest(),
            policy_sha256=self.policy.sha256,
            obligations=self.obligations,
        )
