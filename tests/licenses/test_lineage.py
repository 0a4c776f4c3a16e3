"""Walking what a model was made from."""

# ruff: noqa: E501 – rows of a table and quoted sentences stand whole

from datetime import date

import pytest

from curate.errors import CardError, Denied, ModelNotFound, NeedsReview, PolicyError
from curate.gate import Verdict
from curate.licenses.check import parse_ref
from curate.licenses.facts import TERMS, load_catalogue
from curate.licenses.rows import row_judge
from curate.licenses.rules import RULES
from curate.policy import Waiver, load_policy, policy_names, read_policy


def chain(length, end):
    """A row of permissive cards that ends at some parent."""
    cards = {f"a/m{step}": {"license": "mit", "base_model": f"a/m{step + 1}"} for step in range(length)}
    cards[f"a/m{length}"] = {"license": "mit", "base_model": end}
    return cards


def test_a_bad_ancestor_far_up_denies(judge):
    decision = judge("a/m0", chain(20, "meta-llama/Llama-2-7b-hf"))
    assert decision.verdict is Verdict.DENY
    assert decision.lineage.nodes[-1].ref == "meta-llama/Llama-2-7b-hf"
    assert not decision.lineage.truncated


def test_a_chain_beyond_the_limit_is_never_allowed(judge):
    decision = judge("a/m0", chain(200, "mistralai/Mistral-7B-v0.1"))
    assert decision.verdict is Verdict.REVIEW
    assert decision.lineage.truncated


def test_a_cycle_and_a_self_reference_are_reviewed(judge):
    cards = {"a/x": {"license": "mit", "base_model": "a/y"}, "a/y": {"license": "mit", "base_model": "A/X"}}
    assert judge("a/x", cards).verdict is Verdict.REVIEW
    assert judge("a/x", {"a/x": {"license": "mit", "base_model": "a/x"}}).verdict is Verdict.REVIEW


def test_a_silent_or_share_alike_data_set_does_not_change_a_model(judge):
    cards = {"a/x": {"license": "mit", "datasets": ["a/d"]}, "dataset:a/d": {"license": "cc-by-sa-4.0"}}
    assert judge("a/x", cards).verdict is Verdict.ALLOW
    assert judge("a/x", {**cards, "dataset:a/d": "# nothing"}).verdict is Verdict.ALLOW
    assert judge("a/x", {**cards, "dataset:a/d": {"license": "cc-by-nc-4.0"}}).verdict is Verdict.DENY


def test_duties_name_their_license_and_pass_on(judge):
    decision = judge("a/x", {"a/x": {"license": "apache-2.0"}})
    assert "Apache License 2.0: ship the license text" in decision.obligations
    ticket = decision.approve()
    assert ticket.obligations == decision.obligations


def test_only_an_allowed_teacher_gets_a_ticket(judge):
    with pytest.raises(Denied, match="llama"):
        judge("meta-llama/Llama-2-7b-hf").approve()
    with pytest.raises(NeedsReview):
        judge("a/x", {"a/x": {"license": "gpl-3.0"}}).approve()


def test_an_unknown_model_is_not_found_and_nonsense_is_refused(judge):
    with pytest.raises(ModelNotFound):
        judge("nobody/nothing")
    with pytest.raises(CardError):
        parse_ref("three/part/name")
    with pytest.raises(ModelNotFound):
        judge("./no/such/folder")


def test_the_students_base_is_judged_as_well(judge):
    cards = {"a/t": {"license": "mit"}, "a/b": {"license": "cc-by-nc-4.0"}}
    decision = judge("a/t", cards, student_base="a/b")
    assert decision.verdict is Verdict.DENY
    assert "the student's base" in next(found for found in decision.findings if found.subject == "a/b").message
    assert judge("a/t", cards, student_base="google/flan-t5-base").verdict is Verdict.ALLOW
    assert judge("a/t", cards, student_base="nobody/nothing").verdict is Verdict.REVIEW


def waived(policy, **changes):
    """The default policy with one waiver for a GPL model."""
    told = {"rule": "license-terms", "subject": "a/x", "reason": "checked by counsel", "signed_by": "Ada",
            "signed_on": date(2026, 1, 1), "until": date(2026, 12, 31)}  # fmt: skip
    return policy.model_copy(update={"waivers": (Waiver(**{**told, **changes}),)})


def test_a_waiver_lifts_a_review_and_is_shown(judge):
    policy = waived(load_policy("default"))
    decision = judge("a/x", {"a/x": {"license": "gpl-3.0"}}, policy=policy)
    assert decision.verdict is Verdict.ALLOW
    assert "Ada" in decision.findings[0].waived_by
    late = judge("a/x", {"a/x": {"license": "gpl-3.0"}}, policy=policy, today=date(2027, 1, 1))
    assert late.verdict is Verdict.REVIEW


def test_a_waiver_lifts_no_denial_that_the_policy_does_not_open(judge):
    policy = waived(load_policy("default"))
    assert judge("a/x", {"a/x": {"license": "cc-by-nc-4.0"}}, policy=policy).verdict is Verdict.DENY
    opened = policy.model_copy(update={"waivable_denials": ("license-terms",)})
    assert judge("a/x", {"a/x": {"license": "cc-by-nc-4.0"}}, policy=opened).verdict is Verdict.ALLOW


def test_the_same_question_gives_the_same_digest(judge):
    first, second = (judge("a/x", {"a/x": {"license": "mit"}}, today=date(2026, 1, day)) for day in (1, 2))
    assert first.digest() != second.digest()
    assert first.resume_digest() == second.resume_digest()


def test_every_catalogue_entry_has_its_evidence():
    catalogue = load_catalogue()
    assert len(catalogue.licenses) >= 207
    conditions = {name.split(":")[0] for name in catalogue.conditions}
    for facts in catalogue.licenses.values():
        assert set(facts.terms) == set(TERMS), facts.id
        assert facts.section, facts.id
        assert facts.note, facts.id
        assert {condition.split(":")[0] for condition in facts.conditions} <= conditions, facts.id


def test_every_known_source_names_licenses_and_sources_that_exist():
    catalogue = load_catalogue()
    for entries in catalogue.known.values():
        for known in entries:
            assert set(known.licenses) <= set(catalogue.licenses), known
            assert not known.made_with or known.made_with in catalogue.sources, known
            assert all(pattern == pattern.lower() for pattern in (*known.ids, *known.words)), known
    assert set(catalogue.hosted["providers"].values()) <= set(catalogue.licenses)
    assert set(catalogue.hosted["names"].values()) <= set(catalogue.hosted["providers"])


def test_every_hub_tag_is_known():
    tags = "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m afl-3.0 cc0-1.0 \
cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 wtfpl eupl-1.2 agpl-3.0 gpl-3.0 lgpl-lr \
openrail++ llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma unknown other odc-by pddl c-uda apple-amlr"
    for tag in tags.split():
        assert load_catalogue().find(tag), tag


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("apache-2-0", "apache-2.0"), ("Apache License, Version 2.0", "apache-2.0"), ("The MIT License", "mit"),
        ("BSD-3", "bsd-3-clause"), ("GPLv3", "gpl-3.0"), ("CC BY-NC 4.0", "cc-by-nc-4.0"), ("cc-by-4-0", "cc-by-4.0"),
        ("OpenRAIL-M", "openrail"), ("llama-3-community-license", "llama3"), ("llama3.1-community", "llama3.1"),
        ("qwen-plus-license", "qwen"), ("Academic Free License v3.0", "afl-3.0"), ("ODC-By v1.0", "odc-by"),
    ],
)  # fmt: skip
def test_licenses_are_found_as_people_write_them(written, meant):
    assert [facts.id for facts in load_catalogue().find(written)] == [meant]


@pytest.mark.parametrize("written", ["mit-like", "apache-2.0-modified", "almost-mit", "", "???", "my-license"])
def test_names_that_only_resemble_one_are_not_taken_for_it(written):
    assert load_catalogue().find(written) == ()


def test_every_rule_is_named_by_its_function():
    assert all(name == rule.__name__ and rule.__doc__ for name, rule in RULES.items())


@pytest.mark.parametrize("name", policy_names())
def test_every_shipped_policy_names_only_what_exists(name):
    policy = load_policy(name).licenses
    catalogue = load_catalogue()
    assert set(policy.by_source) == set(catalogue.sources)
    assert set(policy.by_kind) == {facts.kind for facts in catalogue.licenses.values()}
    assert set(policy.by_condition) <= {condition.split(":")[0] for condition in catalogue.conditions}


@pytest.mark.parametrize(
    "text",
    ["licenses: {unknown: allow}", "licenses: {by_kind: {undetermined: allow}}", "licenses: {by_idd: {mit: allow}}",
     "licenses: {}\nlicenses: {}", "licenses: {by_id: {mit: perhaps}}", "licenses: [", "- a", ""],
)  # fmt: skip
def test_a_policy_that_says_what_none_may_is_refused(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError):
        read_policy(path)


@pytest.mark.parametrize(
    ("license_text", "source", "verdict"),
    [
        ("apache-2.0", "x", "allow"), ("CC0", "", "allow"), ("Public Domain", "gutenberg", "allow"),
        ("CC BY 4.0", "dolly-15k", "allow"), ("cc-by-nc-4.0", "x", "deny"), ("cc-by-nd-4.0", "x", "deny"),
        ("", "x", "review"), ("unknown", "x", "review"), ("LicenseRef-mine", "x", "review"), ("cc-by-sa-4.0", "x", "review"),
        ("mit", "tatsu-lab/alpaca", "deny"), ("mit", "GPT-4 (OpenAI)", "deny"), ("mit", "some/ShareGPT-mix", "deny"),
        ("Apache-2.0 OR CC-BY-NC-4.0", "x", "allow"), ("mіt", "x", "review"), ("odc-by", "x", "allow"),
    ],
)  # fmt: skip
def test_rows_are_judged_by_license_and_source(license_text, source, verdict):
    found = row_judge(load_policy("default"))(license_text, source)
    assert found.verdict.value == verdict, found
    assert found.message
