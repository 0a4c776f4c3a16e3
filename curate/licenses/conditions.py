"""Whether a condition of a license is met in a case; ``CONDITIONS`` at the foot names them all.

A condition holds, holds as a duty, fails, or hangs on something that nobody stated and is then left to a person. One
that has no function here, and is not known to be harmless, is left to a person as well.
"""

import re
from collections.abc import Callable

from curate.licenses.question import DUTY, HOLDS, Outcome, Question, fails, not_stated, unclear
from curate.licenses.thresholds import is_within, judge_limit, limits_over, revenue_over, sees, users_over

SILENT = {
    "outputs-covered", "results-unrestricted", "permitted-exception", "de-minimis-data-in-results", "terms-may-change",
    "hosted-only", "covers-all-hosted-models", "litigation-termination", "patent-retaliation", "no-patent-grant",
    "outputs-owned-by-licensor", "remote-restriction-right", "limits-only-display", "limits-only-maas",
}  # fmt: skip
"""They say something of the license and ask nothing of the case."""
ALWAYS_DUTIES = {
    "acceptable-use-policy", "field-of-use-restricted", "military-use-prohibited", "no-government-use",
    "export-control", "brand-use-limited", "guardrail-preservation", "trustworthy-ai-terms", "content-filter-required",
    "notify-licensor", "no-endorsement", "image-outputs-no-competing", "no-reverse-engineering-with-outputs",
    "no-weights-extraction", "grounding-no-training", "no-bulk-extraction", "no-reselling", "computational-use-only",
    "no-redistribution-of-data",
}  # fmt: skip
DUTIES_ON_PUBLICATION = {
    "attribution", "notice-file", "copy-of-license", "state-changes", "derivative-impact-report",
}  # fmt: skip
ENDS_IN_DIGIT = re.compile(r"\d\Z")


def student_must_be_same_family(question: Question) -> Outcome:
    """Outputs may improve only the licensor's family."""
    if question.kinship == "same":
        return HOLDS
    if question.kinship == "name-only":
        return not_stated("what the student starts from; its name alone does not put it into the family")
    base = question.case.student_base
    student = f"a student from {base} is" if base else "a student that starts from no model of it is"
    return fails(f"{student} outside the family, which alone may be improved with the outputs")


def no_output_training(question: Question) -> Outcome:
    """No model may be trained on outputs."""
    return HOLDS if question.case.as_base else fails("no model may be trained on its outputs")


def no_output_training_except_noncommercial(question: Question) -> Outcome:
    """Only non-commercial models may be trained on outputs."""
    return fails("its outputs may train non-commercial models alone") if question.case.commercial else DUTY


def no_competing_model(question: Question) -> Outcome:
    """No model that competes with the licensor's."""
    case = question.case
    if question.has("permitted-exception:non-distributed-classifier") and case.student_kind != "generative":
        return fails("the exception for classifiers ends with publication") if case.published else DUTY
    if question.is_hosted or case.commercial:
        return fails("the student is a model of the kind that the licensor sells")
    return DUTY


def no_competing_product(question: Question) -> Outcome:
    """No product or service that competes with the licensor."""
    rivals = question.organisation.competes_with
    if question.record is not None:
        return HOLDS
    if rivals is not None:
        rival = question.facts.id in rivals
        return fails("the organisation says that it competes with the licensor") if rival else DUTY
    if question.is_hosted:
        return fails("a model taught by the service may compete with it, and nothing is stated to the contrary")
    return not_stated("organisation.competes_with: whether it competes with the licensor")


def no_foundation_model_training(question: Question) -> Outcome:
    """No generative foundation model may be made."""
    made = question.case.student_kind == "generative" and question.kinship != "same"
    return fails("no generative model but the licensor's own may be made with it") if made else DUTY


def no_commercial_synthetic_data(question: Question) -> Outcome:
    """No synthetic data for commercial ends."""
    return fails("it may not write training data for commercial ends") if question.case.commercial else DUTY


def noncommercial_only(question: Question) -> Outcome:
    """No commercial use."""
    return fails("the student is put to commercial use") if question.case.commercial else DUTY


def research_only(question: Question) -> Outcome:
    """Research alone."""
    return fails("the student is put to commercial use, which is no research") if question.case.commercial else DUTY


def non_production_only(question: Question) -> Outcome:
    """Testing and development alone."""
    return fails("the student goes into production") if question.case.commercial else DUTY


def internal_use_only(question: Question) -> Outcome:
    """The licensee's own use alone."""
    return fails("the student is published") if question.case.published else DUTY


def no_derivatives_sharing(question: Question) -> Outcome:
    """Changed material may not be shared."""
    return fails("what was made from it may not be shared") if question.case.published else DUTY


def no_automated_extraction(question: Question) -> Outcome:  # noqa: ARG001 – conditions are called alike
    """No programs that read answers."""
    return fails("distillation reads its answers by program, which the terms bar")


def on_record(question: Question, what: str) -> Outcome:
    """Something that the organisation must have from the licensor, kept under ``accepted_terms``."""
    if question.record is not None:
        return HOLDS
    return not_stated(f"{what}; once it is there, record it under organisation.accepted_terms")


def authorization_required(question: Question) -> Outcome:
    """Written permission."""
    return on_record(question, "the licensor's written permission")


def registration_required_commercial(question: Question) -> Outcome:
    """Registration before commercial use."""
    return on_record(question, "the registration for commercial use") if question.case.commercial else DUTY


def royalty_commercial(question: Question) -> Outcome:
    """Royalties on commercial use."""
    return on_record(question, "an agreement on royalties") if question.case.commercial else DUTY


def acceptance_required(question: Question) -> Outcome:
    """The text has to be accepted; that it was must be on record where a gate stands (``gated_repository``)."""
    record, other = question.record, question.accepted_other_text
    if record is not None and other:
        return unclear(f"the text accepted on {record.accepted_on} is not the one beside the card ({other})")
    return HOLDS if record is not None else DUTY


def mau_limit(question: Question) -> Outcome:
    """A number of users."""
    if question.has("limits-only-display"):
        return HOLDS
    users = question.case.monthly_active_users
    return judge_limit(
        users_over(question.parameter, question), question, fact="monthly_active_users", stated=users, what="users"
    )


def revenue_limit(question: Question) -> Outcome:
    """A sum of revenue."""
    if question.has("limits-only-display") or question.has("limits-only-maas"):
        return HOLDS
    revenue = question.case.annual_revenue_usd
    over = revenue_over(question.parameter, question)
    return judge_limit(over, question, fact="annual_revenue_usd", stated=revenue, what="USD a year")


def territory_excluded(question: Question) -> Outcome:
    """No grant in a territory, perhaps for models alone that see pictures."""
    excluded, _, only = question.parameter.partition("(")
    if only and not sees(question):
        return HOLDS
    here = question.case.territory
    if not here:
        return not_stated(f"organisation.territory; nothing is granted in {excluded}")
    if not is_within(here, excluded):
        return HOLDS
    return fails(
        f"nothing is granted in {excluded}{' for multimodal models' if only else ''}; the asker sits in {here}"
    )


def maas_separate_license(question: Question) -> Outcome:
    """Those who offer models as a service need another license."""
    hosts = question.organisation.hosts_models
    if not question.case.published or hosts is False or question.record is not None:
        return HOLDS
    if question.has("limits-only-maas") and limits_over(question, ("revenue-limit",)) is False:
        return HOLDS
    if hosts:
        return fails("who offers models as a service needs a separate license, and none is on record")
    return not_stated("organisation.hosts_models: whether it offers models as a service")


def name_prefix(question: Question) -> Outcome:
    """The student's name begins with the licensor's words."""
    if not question.case.published:
        return HOLDS
    name, prefix = question.case.student_name.rpartition("/")[2], question.parameter
    if not name or begins_with(name, prefix):
        return DUTY
    return fails(f"the published name {name!r} does not begin with {prefix!r}")


def begins_with(name: str, prefix: str) -> bool:
    """Whether a name begins with the words; separators and case do not matter, ``Llama 3.1`` is not ``Llama 3``."""
    name, prefix = (re.sub(r"[\s_-]+", "-", text.strip().lower()) for text in (name, prefix))
    rest = name[len(prefix) :]
    return name.startswith(prefix) and not (ENDS_IN_DIGIT.search(prefix) and re.match(r"\d|\.\d", rest))


def display(question: Question) -> Outcome:
    """A badge or credit to be shown."""
    below = question.has("limits-only-display") and limits_over(question) is False
    return DUTY if question.case.published and not below else HOLDS


def share_alike(question: Question) -> Outcome:
    """What is derived and published stays under the same terms."""
    if not question.reaches_student:
        return HOLDS
    mine = stem(question.facts.id)
    return question.publishes_under(lambda facts: stem(facts.id) == mine, "keep the share-alike terms")


def stem(license_id: str) -> str:
    """A license whatever its version."""
    return re.split(r"-\d", license_id)[0]


def same_license_for_derivatives(question: Question) -> Outcome:
    """What is derived stays under exactly this license."""
    return question.publishes_under(lambda _: False, "stay exactly this one") if question.reaches_student else HOLDS


def source_disclosure(question: Question) -> Outcome:
    """The source is offered with what is derived and published."""
    return DUTY if question.reaches_student and question.case.published else HOLDS


def pass_through_use_restrictions(question: Question) -> Outcome:
    """Use limits go on to whoever gets the student."""
    if not question.reaches_student:
        return HOLDS
    name = "pass-through-use-restrictions"
    return question.publishes_under(lambda facts: name in facts.conditions, "carry the use limits that must flow down")


def distilled_model_is_derivative(question: Question) -> Outcome:
    """The text counts the student as derived."""
    return DUTY if question.reaches_student else HOLDS


def no_redistribution_of_weights(question: Question) -> Outcome:
    """Weights, and what comes from them, stay in-house."""
    return fails("nothing made from the weights may be passed on") if question.case.published else DUTY


def upstream_terms_apply(question: Question) -> Outcome:
    """Terms of what stands behind it apply as well."""
    if question.has_known_origin:
        return DUTY
    return unclear("the terms of the model behind it apply too, and that model is not known")


def exact_text_required(question: Question) -> Outcome:  # noqa: ARG001 – conditions are called alike
    """No answer without the exact text."""
    return unclear("the exact text must be read first")


def outcome_of(condition: str, question: Question) -> Outcome:
    """What one condition comes to."""
    name = condition.split(":")[0]
    if name in SILENT:
        return HOLDS
    if name in ALWAYS_DUTIES or (name in DUTIES_ON_PUBLICATION and question.case.published):
        return DUTY
    if name in DUTIES_ON_PUBLICATION:
        return HOLDS
    if name not in CONDITIONS:
        return unclear("nobody here knows how to look at this condition")
    return CONDITIONS[name](question)


CONDITIONS: dict[str, Callable[[Question], Outcome]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        student_must_be_same_family, no_output_training, no_output_training_except_noncommercial, no_competing_model,
        no_competing_product, no_foundation_model_training, no_commercial_synthetic_data, noncommercial_only,
        research_only, non_production_only, internal_use_only, no_derivatives_sharing, no_automated_extraction,
        authorization_required, registration_required_commercial, royalty_commercial, acceptance_required, mau_limit,
        revenue_limit, territory_excluded, maas_separate_license, name_prefix, display, share_alike,
        same_license_for_derivatives, source_disclosure, pass_through_use_restrictions, distilled_model_is_derivative,
        no_redistribution_of_weights, upstream_terms_apply, exact_text_required,
    )
}  # fmt: skip
CONDITIONS |= {
    "network-source-disclosure": source_disclosure,
    "internal-training-only": internal_use_only,
    "hosting-use-authorization": maas_separate_license,
}
