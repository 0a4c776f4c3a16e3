"""Work off a review: find what a person looked at, and sign a dated waiver of just that into a policy file."""

from datetime import date
from pathlib import Path

from curate.artifact import Value
from curate.errors import Denied, InputError
from curate.gate import Finding, Verdict
from curate.licenses.check import OF_THE_BASE, check_license
from curate.licenses.decision import Case, Decision
from curate.licenses.sources import CardSource
from curate.policy import Policy, Waiver, is_waivable
from curate.policy.signing import add_waiver, policy_to_sign


class Signature(Value):
    """Who accepts what, why, and until when."""

    rule: str
    reason: str
    signed_by: str
    signed_on: date
    until: date


class Waived(Value):
    """What was signed, and what the decision comes to with it."""

    waivers: tuple[Waiver, ...]
    findings: tuple[Finding, ...]
    """What the waivers cover, one each."""
    decision: Decision
    policy_sha256: str


def waive_findings(ref: str, signature: Signature, path: Path, *, source: CardSource, case: Case) -> Waived:
    """Sign a waiver of every open finding of a rule about a reference, each bound to the finding by digest.

    With ``case.student_base``, what was found about that base counts as well.

    Raises:
        PolicyError: the policy file is a shipped one, or not valid.
        InputError: the rule has no open finding about this reference today.
        Denied: the rule denies, and the policy does not list it as waivable.
    """
    policy = policy_to_sign(path)
    decision = check_license(ref, policy=policy, source=source, case=case, today=signature.signed_on)
    findings = open_findings(decision, signature.rule, policy)
    waivers = tuple(
        Waiver(
            rule=finding.rule,
            subject=finding.subject,
            reason=signature.reason,
            signed_by=signature.signed_by,
            signed_on=signature.signed_on,
            until=signature.until,
            finding_sha256=finding.sha256(),
        )
        for finding in findings
    )
    for waiver in waivers:
        policy = add_waiver(path, waiver)
    after = check_license(ref, policy=policy, source=source, case=case, today=signature.signed_on)
    return Waived(waivers=waivers, findings=findings, decision=after, policy_sha256=policy.digest())


def open_findings(decision: Decision, rule: str, policy: Policy) -> tuple[Finding, ...]:
    """The findings of a rule that a waiver can lift and none has lifted yet; the same finding counts once."""
    ours = [_by_itself(finding) for finding in decision.findings if finding.rule == rule]
    strict = [finding for finding in ours if finding.verdict is not Verdict.ALLOW]
    if not strict:
        rules = dict.fromkeys(one.rule for one in decision.findings if one.effective is not Verdict.ALLOW)
        raise InputError(
            f"{decision.ref}: {rule} has nothing to waive today" + (" (it allows)" if ours else ""),
            hint=f"open: {', '.join(rules) or 'nothing'}",
        )
    unwaived = [finding for finding in strict if not finding.waived_by]
    if not unwaived:
        raise InputError(
            f"{decision.ref}: {rule} is already waived: {strict[0].waived_by}",
            hint="there is nothing to do; to sign anew, take that waiver out of the policy first",
        )
    barred = [finding for finding in unwaived if not is_waivable(finding, policy.waivable_denials)]
    if barred:
        raise Denied(
            f"{barred[0].subject}: {rule} denies, and a waiver does not lift that: {barred[0].message}",
            hint="only rules that the policy lists under waivable_denials can be waived",
        )
    return tuple({finding.sha256(): finding for finding in unwaived}.values())


def _by_itself(finding: Finding) -> Finding:
    """A finding about the student's base as the decision about that base has it: this is what waivers are bound to."""
    return finding.model_copy(update={"message": finding.message.removeprefix(OF_THE_BASE)})
