"""The case decides: conditions, thresholds, names, records, and duties of several teachers."""

from datetime import date

import pytest

from curate.gate import Verdict
from curate.licenses.bench import Bench
from curate.licenses.card import RawCard
from curate.licenses.check import check_license
from curate.licenses.conditions import (
    ALWAYS_DUTIES,
    CONDITIONS,
    DUTIES_ON_PUBLICATION,
    SILENT,
    begins_with,
    outcome_of,
)
from curate.licenses.decision import Case, Decision, in_organisation
from curate.licenses.duties import combine_decisions
from curate.licenses.facts import load_catalogue
from curate.licenses.lineage import Chain
from curate.licenses.thresholds import AMOUNT, is_within
from curate.policy import LicensePolicy, Organisation, Waiver, load_policy

CATALOGUE = load_catalogue()
CONDITIONAL = load_policy("conditional")
TODAY = date(2026, 11, 26)


def bench(organisation=None, policy=None, **case):
    """A bench under the conditional policy, or another one."""
    asker = Organisation(**organisation) if organisation is not None else CONDITIONAL.organisation
    given = in_organisation(Case(**case), asker)
    return Bench(policy or CONDITIONAL.licenses, CATALOGUE, given, Chain(), organisation=asker, today=TODAY)


def judged(license_id, organisation=None, policy=None, **case):
    """Verdict and line on one license."""
    return bench(organisation, policy, **case).judge(CATALOGUE.licenses[license_id])


def stated(**change):
    """The organisation of the conditional policy with a change."""
    return {**CONDITIONAL.organisation.model_dump(), **change}


def test_every_condition_of_the_vocabulary_is_known_in_exactly_one_way():
    vocabulary = {name.split(":")[0] for name in CATALOGUE.conditions}
    groups = [SILENT, ALWAYS_DUTIES, DUTIES_ON_PUBLICATION, set(CONDITIONS)]
    assert set().union(*groups) == vocabulary
    assert sum(len(group) for group in groups) == len(vocabulary)


def test_every_condition_that_the_catalogue_uses_stands_in_the_vocabulary_and_its_amounts_are_read():
    vocabulary = {name.split(":")[0] for name in CATALOGUE.conditions}
    for facts in CATALOGUE.licenses.values():
        for name, _, parameter in (condition.partition(":") for condition in facts.conditions):
            assert name in vocabulary
            assert name not in ("mau-limit", "revenue-limit") or AMOUNT.match(parameter), parameter


def test_a_condition_that_nobody_has_written_a_check_for_is_left_to_a_person():
    question = bench().ask(CATALOGUE.licenses["mit"])
    assert outcome_of("dance-on-fridays", question).verdict is Verdict.REVIEW


@pytest.mark.parametrize("license_id", sorted(CATALOGUE.licenses))
def test_with_nothing_stated_no_license_is_more_lenient_than_with_a_small_company_stated(license_id):
    nobody, somebody = judged(license_id, {}), judged(license_id)
    assert nobody[0].severity >= somebody[0].severity


@pytest.mark.parametrize(
    "license_id", sorted(f.id for f in CATALOGUE.licenses.values() if f.kind in ("noncommercial", "research"))
)
def test_no_license_against_commercial_use_allows_a_commercial_student(license_id):
    assert judged(license_id)[0] is Verdict.DENY


@pytest.mark.parametrize("license_id", sorted(f.id for f in CATALOGUE.licenses.values() if f.kind == "undetermined"))
def test_what_nobody_knows_is_never_allowed(license_id):
    for case in ({}, {"commercial": False}, {"commercial": False, "published": False}):
        assert judged(license_id, **case)[0] is not Verdict.ALLOW


def test_a_condition_that_the_policy_does_not_accept_is_a_review_and_one_that_it_names_keeps_its_verdict():
    partly = LicensePolicy(by_kind={"rail": Verdict.ALLOW}, accept_conditions=("copy-of-license", "state-changes"))
    verdict, line = judged("openrail", policy=partly)
    assert verdict is Verdict.REVIEW
    assert "pass-through-use-restrictions: the policy does not accept this condition" in line
    named = partly.model_copy(
        update={"accept_conditions": ("*",), "by_condition": {"pass-through-use-restrictions": Verdict.DENY}}
    )
    assert judged("openrail", policy=named) == (Verdict.DENY, "by_condition: pass-through-use-restrictions")


def test_by_id_is_stronger_than_any_condition():
    named = CONDITIONAL.licenses.model_copy(update={"by_id": {"openai-api": Verdict.ALLOW}})
    assert judged("openai-api", policy=named) == (Verdict.ALLOW, "by_id: openai-api")


@pytest.mark.parametrize(
    ("name", "prefix", "begins"),
    [
        ("Llama-Foo", "Llama", True), ("llama3-foo", "Llama", True), ("Foo-Llama", "Llama", False),
        ("Llama 3 Foo", "Llama 3", True), ("Llama-3-Foo", "Llama 3", True), ("Llama-3.1-Foo", "Llama 3", False),
        ("Llama-31", "Llama 3", False), ("HyperCLOVA_X_Foo", "HyperCLOVA X", True), ("", "Llama", False),
        ("K-EXAONE-Foo", "EXAONE", False),
    ],
)  # fmt: skip
def test_a_name_begins_with_the_words_whatever_its_separators(name, prefix, begins):
    assert begins_with(name, prefix) is begins


@pytest.mark.parametrize(
    ("territory", "excluded", "within"),
    [
        ("FR", "EU", True), ("EU", "EU", True), ("US", "EU", False), ("GB", "EU", False), ("GB", "EU,UK,KR", True),
        ("UK", "EU,UK,KR", True), ("KR", "EU,UK,KR", True), ("CH", "EU,UK,KR", False),
    ],
)  # fmt: skip
def test_a_territory_lies_within_the_excluded_ones(territory, excluded, within):
    assert is_within(territory, excluded) is within


@pytest.mark.parametrize(
    ("license_id", "fact", "value", "verdict"),
    [
        ("llama3.1", "monthly_active_users", 699_999_999, "allow"),
        ("llama3.1", "monthly_active_users", 700_000_000, "deny"),
        ("llama3.1", "monthly_active_users", None, "review"),
        ("lfm-open-1.0", "annual_revenue_usd", 9_999_999, "allow"),
        ("lfm-open-1.0", "annual_revenue_usd", 10_000_000, "deny"),
        ("mistral-modified-mit", "annual_revenue_usd", 19_999_999, "allow"),
        ("mistral-modified-mit", "annual_revenue_usd", 20_000_000, "review"),
        ("mistral-modified-mit", "annual_revenue_usd", 240_000_000, "deny"),
        ("glm-5.3", "hosts_models", True, "allow"),
        ("qwen-community-1.0", "hosts_models", True, "deny"),
        ("qwen-community-1.0", "hosts_models", None, "review"),
        ("hyperclova-x-seed", "competes_with", (), "allow"),
        ("hyperclova-x-seed", "competes_with", ("hyperclova-x-seed",), "deny"),
        ("hyperclova-x-seed", "competes_with", None, "review"),
    ],
)
def test_facts_about_the_organisation_decide_and_what_is_not_stated_is_a_review_that_names_it(
    license_id, fact, value, verdict
):
    told, line = judged(license_id, stated(**{fact: value}))
    assert told.value == verdict, line
    assert value is not None or f"not stated: organisation.{fact}" in line


def test_a_permission_on_record_meets_the_condition_from_its_day_on():
    record = {"license": "k-exaone", "text_sha256": "ab" * 32, "accepted_by": "Ada Example"}
    for day, verdict in (("2026-11-26", Verdict.ALLOW), ("2026-11-27", Verdict.REVIEW)):
        asker = stated(accepted_terms=[{**record, "accepted_on": day}])
        assert judged("k-exaone", asker, student_name="K-EXAONE-Foo")[0] is verdict


def test_what_the_case_says_itself_is_stronger_than_the_policy():
    assert in_organisation(Case(published=True), Organisation(published=False)).published
    assert not in_organisation(Case(), Organisation(published=False)).published
    assert in_organisation(Case(), Organisation(territory="FR")).territory == "FR"


def test_the_case_that_was_judged_stands_in_the_decision_and_the_decision_reads_back(judge, tmp_path):
    decision = judge("google/gemma-2-9b-it", policy="conditional", student_name="Foo")
    assert (decision.case.territory, decision.case.monthly_active_users) == ("US", 100_000)
    assert {duty.license for duty in decision.duties} == {"gemma"}
    decision.write(tmp_path / "decision.json")
    assert Decision.read(tmp_path / "decision.json") == decision


def test_a_decision_of_before_without_the_new_fields_is_still_read(judge, tmp_path):
    decision = judge("google/flan-t5-base")
    old = decision.model_dump(mode="json", exclude={"duties": True, "case": {"territory", "student_license"}})
    assert Decision.model_validate(old).verdict is Verdict.ALLOW


def test_an_unpublished_student_owes_no_notice_and_a_published_one_does(judge):
    published = judge("google/flan-t5-base")
    inside = judge("google/flan-t5-base", published=False)
    assert "Apache License 2.0: ship the license text" in published.obligations
    assert not inside.obligations


def test_a_tag_restricting_use_in_prose_binds_a_commercial_student_alone(judge):
    card = "---\nlicense: cc-by-nc-4.0\n---\nThis model is for non-commercial use only.\n"
    assert judge("a/one", {"a/one": card}, policy="conditional", commercial=False).verdict is Verdict.ALLOW
    assert judge("a/one", {"a/one": card}, policy="conditional").verdict is Verdict.DENY


def test_decisions_of_different_cases_or_policies_do_not_add_up(judge):
    one, other = judge("google/flan-t5-base"), judge("google/flan-t5-base", student_name="Foo")
    with pytest.raises(ValueError, match="different cases"):
        combine_decisions([one, other])
    with pytest.raises(ValueError, match="no decision"):
        combine_decisions([])
    assert combine_decisions([one]) is one


def test_the_duties_of_several_teachers_add_up_once_each(judge):
    one, other = judge("google/flan-t5-base"), judge("bigscience/bloom")
    both = combine_decisions([one, other])
    assert both.verdict is Verdict.REVIEW
    assert set(both.obligations) == {*one.obligations, *other.obligations}
    assert [node.ref for node in both.lineage.nodes] == ["google/flan-t5-base", "bigscience/bloom"]


@pytest.mark.parametrize(
    ("licenses", "verdict"),
    [
        (("gpl-3.0", "cc-by-sa-4.0"), "review"), (("cc-by-sa-3.0", "cc-by-sa-4.0"), "allow"),
        (("dinov3-license", "sam-license"), "deny"), (("gpl-3.0", "apache-2.0"), "allow"),
    ],
)  # fmt: skip
def test_two_licenses_that_want_the_student_for_themselves_clash(judge, licenses, verdict):
    cards = {f"a/m{number}": {"license": "other", "license_name": one} for number, one in enumerate(licenses)}
    both = combine_decisions([judge(ref, cards, policy="conditional") for ref in cards])
    assert both.verdict.value == verdict, both.findings


def test_a_waiver_holds_for_a_clash_of_teachers_too(judge):
    cards = {"a/one": {"license": "gpl-3.0"}, "a/two": {"license": "cc-by-sa-4.0"}}
    policy = load_policy("conditional")
    parts = [judge(ref, cards, policy=policy) for ref in cards]
    (clash,) = [one for one in combine_decisions(parts, policy).findings if one.effective is Verdict.REVIEW]
    waiver = Waiver(
        rule=clash.rule, subject="a/one + a/two", reason="the student is published under both", signed_by="Ada Example",
        signed_on=TODAY, until=TODAY, finding_sha256=clash.sha256(),
    )  # fmt: skip
    signed = policy.model_copy(update={"waivers": (waiver,)})
    assert combine_decisions(parts, signed).verdict is Verdict.ALLOW
    assert combine_decisions(parts).verdict is Verdict.REVIEW
    ended = signed.model_copy(
        update={"waivers": (waiver.model_copy(update={"signed_on": date(2020, 1, 1), "until": date(2020, 1, 2)}),)}
    )
    assert combine_decisions(parts, ended).verdict is Verdict.REVIEW


def test_a_teacher_and_a_base_that_want_different_names_clash_once(judge):
    decision = judge(
        "meta-llama/Llama-3.1-405B",
        policy="conditional",
        student_base="naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B",
    )
    clashes = [finding for finding in decision.findings if finding.rule == "duties-conflict"]
    assert [finding.verdict for finding in clashes] == [Verdict.DENY]
    assert decision.verdict is Verdict.DENY


def test_share_alike_data_behind_a_permissive_model_do_not_clash(judge):
    cards = {
        "a/one": {"license": "mit", "datasets": ["a/first", "a/second"]},
        "dataset:a/first": {"license": "cc-by-sa-3.0"},
        "dataset:a/second": {"license": "gpl-3.0"},
    }
    decision = judge("a/one", cards, policy="conditional")
    assert decision.verdict is Verdict.ALLOW, decision.findings


def test_an_acceptance_on_record_opens_a_gate_of_the_hub_under_every_policy(judge):
    policy = load_policy("default")
    asker = Organisation.model_validate(
        {
            "accepted_terms": [
                {"license": "mit", "text_sha256": "ab" * 32, "accepted_by": "Ada Example", "accepted_on": "2026-11-01"}
            ]
        }
    )
    gated = RawCard("models/README.md", b"---\nlicense: mit\n---\n", gated="auto")
    source = type("Hub", (), {"fetch": lambda _, ref: gated if str(ref) == "a/one" else None})()
    for organisation, verdict in ((Organisation(), Verdict.REVIEW), (asker, Verdict.ALLOW)):
        told = policy.model_copy(update={"organisation": organisation})
        assert check_license("a/one", policy=told, source=source, today=TODAY).verdict is verdict
