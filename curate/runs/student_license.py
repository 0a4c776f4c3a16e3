"""May the student carry the license chosen for it? Duties that come down from the models it is made from decide."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import ClassVar, Literal

from curate import __version__
from curate.artifact import Artifact
from curate.distillation.config import StudentConfig
from curate.gate import Finding, Verdict, refuse, settle
from curate.licenses.bench import license_evidence
from curate.licenses.decision import Decision
from curate.licenses.facts import Catalogue, LicenseFacts, load_catalogue
from curate.policy import Policy, apply_waivers
from curate.runs.workshop import Workshop

STUDENT_DECISION = "student_decision.json"
CARRIED = ("share-alike", "source-disclosure", "network-source-disclosure", "pass-through-use-restrictions")
"""Conditions that the student's license must itself carry, unless it is the very same license."""
SAME = "same-license-for-derivatives"
PREFIX = "name-prefix"


class StudentDecision(Artifact):
    """May a student of this name be given this license?"""

    DATED: ClassVar[tuple[str, ...]] = ("decided_on",)

    kind: Literal["curate/student-decision@1"] = "curate/student-decision@1"
    name: str
    license: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    policy_sha256: str
    catalogue_sha256: str
    decided_on: date
    curate_version: str


def judge_student(
    student: StudentConfig,
    decisions: Iterable[Decision],
    *,
    policy: Policy,
    today: date,
    catalogue: Catalogue | None = None,
) -> StudentDecision:
    """Hold the license chosen for a student against the duties that its teacher's and its base's decisions name."""
    catalogue = catalogue or load_catalogue()
    chosen = catalogue.find(student.license) if student.license else ()
    duties = {(facts.id, condition): facts for one in decisions for facts, condition in binding_duties(one, catalogue)}
    found = [
        refusal
        for (_, condition), facts in sorted(duties.items())
        for refusal in _against(student, chosen, facts, condition, policy)
    ]
    if not found:
        message = f"{student.license or 'no license'}: nothing that comes down from the models forbids it"
        found = [Finding(rule="student-license", subject=student.name, verdict=Verdict.ALLOW, message=message)]
    findings = apply_waivers(found, policy.waivers, waivable_denials=policy.waivable_denials, today=today)
    return StudentDecision(
        name=student.name,
        license=student.license,
        verdict=settle(findings),
        findings=findings,
        policy_sha256=policy.digest(),
        catalogue_sha256=catalogue.sha256,
        decided_on=today,
        curate_version=__version__,
    )


def binding_duties(decision: Decision, catalogue: Catalogue) -> Iterator[tuple[LicenseFacts, str]]:
    """The duties of a decision that say something of the student's license or name, with the license behind each.

    Duties of data sets behind a model stay duties of that model's maker: they are listed, and bind no license here.
    """
    sentences = _sentences(catalogue)
    models = _named_in(decision, catalogue, datasets=False)
    datasets = _named_in(decision, catalogue, datasets=True)
    for sentence in decision.obligations:
        for facts, condition in sentences.get(sentence, ()):
            only_data = facts.id in datasets and facts.id not in models
            if not only_data and _reaches(decision, facts):
                yield facts, condition


def _sentences(catalogue: Catalogue) -> dict[str, list[tuple[LicenseFacts, str]]]:
    """Every sentence in which a decision may state a duty that matters here."""
    stated: dict[str, list[tuple[LicenseFacts, str]]] = {}
    for facts in catalogue.licenses.values():
        for condition in facts.conditions:
            name, _, parameter = condition.partition(":")
            if name in (*CARRIED, SAME, PREFIX):
                meaning = catalogue.conditions.get(name) or catalogue.conditions.get(f"{name}:*") or ""
                shown = f" ({parameter})" if parameter else ""
                sentence = f"{facts.name}: {meaning or name.replace('-', ' ')}{shown}"
                stated.setdefault(sentence, []).append((facts, condition))
    return stated


def _named_in(decision: Decision, catalogue: Catalogue, *, datasets: bool) -> set[str]:
    """Ids of the licenses under which the models, or the data sets, of a lineage stand."""
    names = [
        name
        for node in decision.lineage.nodes
        if (node.kind == "dataset") is datasets
        for name in node.license.split(", ")
    ]
    return {facts.id for name in names if name for facts in catalogue.find(name)}


def _reaches(decision: Decision, facts: LicenseFacts) -> bool:
    """Whether a license reaches a student made this way; answers alone are free where the text leaves them free."""
    only_answers = decision.case.signals == ("responses",) and not decision.case.as_base
    frees = facts.terms.get("train_on_outputs") == "granted" and "distilled-model-is-derivative" not in facts.conditions
    return not (only_answers and frees)


def _against(
    student: StudentConfig, chosen: tuple[LicenseFacts, ...], facts: LicenseFacts, condition: str, policy: Policy
) -> Iterator[Finding]:
    """What one duty says against the license or the name that was chosen."""
    name, _, parameter = condition.partition(":")
    evidence = (license_evidence(facts),)
    if name == PREFIX:
        if not student.name.lower().startswith(parameter.lower()):
            message = f"{facts.name} asks for a student whose name begins with {parameter!r}"
            yield Finding(
                rule="student-name", subject=student.name, verdict=Verdict.DENY, message=message, evidence=evidence
            )
        return
    allowed = [one for one in chosen if one.id == facts.id or (name in CARRIED and name in one.conditions)]
    if chosen and len(allowed) == len(chosen):
        return
    verdict = Verdict.DENY if chosen else Verdict(policy.licenses.unknown)
    wanted = "this very license" if name == SAME else f"this license or another that carries {name!r}"
    message = (
        f"{facts.name} comes down to the student with {name!r}, which {student.license or 'no license'} "
        f"{'does not carry' if chosen else 'is not known to carry'}; choose {wanted}"
    )
    yield Finding(rule="student-license", subject=student.name, verdict=verdict, message=message, evidence=evidence)


def check_student_license(shop: Workshop) -> StudentDecision:
    """The step: judge, record, and stop here rather than after the training.

    Raises:
        Denied, NeedsReview: the decision is written first.
    """
    with shop.trail.step("student-license", {"policy": shop.policy.digest()}) as step:
        paths = [shop.root / name for name in ("decision.json", "base_decision.json")]
        made_from = [Decision.read(path) for path in paths if path.is_file()]
        decision = judge_student(shop.config.student, made_from, policy=shop.policy, today=shop.today)
        path = shop.root / STUDENT_DECISION
        before = StudentDecision.read(path) if path.is_file() else None
        if before is None or before.resume_digest() != decision.resume_digest():
            decision.write(path)
        step.add(path)
        step.message = f"{decision.license or 'none'}: {decision.verdict}"
        refuse(f"student {decision.name}", decision.verdict, decision.findings)
    return decision
