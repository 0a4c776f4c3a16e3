"""What a license comes to in a case, under a policy that takes conditions on: kind, conditions and terms together."""

from collections.abc import Iterator

from curate.gate import Verdict, worst
from curate.licenses.conditions import outcome_of
from curate.licenses.question import Outcome, Question, fails, unclear
from curate.policy import LicensePolicy

CASE_LINE = "in this case "
"""How the line begins that tells which conditions are not met."""
EXPLAINING = {"student-must-be-same-family", "noncommercial-only", "research-only", "no-competing-model",
              "no-output-training"}  # fmt: skip
"""Conditions that tell why a term is summed up as forbidden; without one of them it is forbidden as such."""
BARS = {"no-competing-model", "no-competing-product", "no-output-training", "non-production-only", "internal-use-only",
        "no-automated-extraction"}  # fmt: skip
"""Conditions that tell why a service allows training on outputs only conditionally."""
OF_KIND = {"noncommercial": "noncommercial-only", "research": "research-only"}
"""What a kind of license means even where its conditions do not repeat it."""


def judge_in_case(policy: LicensePolicy, question: Question, base: Verdict, base_line: str) -> tuple[Verdict, str]:
    """The verdict, and the line of the policy or the conditions that gave it.

    Args:
        policy: with conditions that it accepts.
        question: the license in its case.
        base: what the policy says of the kind of license and of conditions it names itself.
        base_line: the line of the policy behind that.
    """
    found = [(name, one) for name, one in outcomes(policy, question) if one.verdict is not Verdict.ALLOW]
    verdict = worst([base, *(one.verdict for _, one in found)])
    if base is verdict and not any(one.verdict is verdict for _, one in found):
        return verdict, base_line
    found.sort(key=lambda pair: -pair[1].verdict.severity)
    return verdict, CASE_LINE + "; ".join(f"{name}: {one.said}" for name, one in found)


def outcomes(policy: LicensePolicy, question: Question) -> Iterator[tuple[str, Outcome]]:
    """Every condition and needed term of the license that the policy does not settle by name."""
    facts = question.facts
    implied = OF_KIND.get(facts.kind)
    conditions = (*facts.conditions, *([implied] if implied and implied not in facts.conditions else []))
    for condition in conditions:
        name, _, parameter = condition.partition(":")
        if name in policy.by_condition:
            continue
        if not policy.accepts(condition):
            yield condition, unclear("the policy does not accept this condition")
            continue
        outcome = outcome_of(condition, question.about(parameter))
        if name == "student-must-be-same-family" and outcome.verdict is Verdict.ALLOW:
            outcome = Outcome(policy.same_family, "the student is of the family")
        yield condition, outcome
    yield from unmet_terms(question)


def unmet_terms(question: Question) -> Iterator[tuple[str, Outcome]]:
    """Of the terms that the case needs, those that are forbidden as such or on which the text is silent."""
    facts, case = question.facts, question.case
    wanted = {
        "train_on_outputs": "responses" in case.signals and not case.as_base,
        "distill_from_weights": not question.takes_only_responses and not question.is_hosted and not case.as_base,
        "commercial_use": case.commercial,
    }
    explained = not question.is_hosted and any(condition in EXPLAINING for condition in facts.conditions)
    has_bar = bool(BARS.intersection(facts.conditions))
    for term in (name for name, needed in wanted.items() if needed):
        answer, said = facts.terms.get(term, "unknown"), term.replace("_", " ")
        if answer == "forbidden" and not (explained and term != "commercial_use"):
            yield term, fails(f"it does not allow to {said}" if term != "commercial_use" else "it bars commercial use")
        elif answer == "unknown":
            yield term, unclear(f"nothing is known of what it says about: {said}")
        elif answer == "conditional" and term == "train_on_outputs" and question.is_hosted and not has_bar:
            yield term, unclear("it allows training on outputs under conditions that are not on record")
