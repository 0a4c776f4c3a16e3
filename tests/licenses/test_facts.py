"""Every fact says how well it is known, and a finding that rests on it repeats it."""

import pytest

from curate.licenses.facts import load_catalogue


def test_every_license_says_where_it_stands_and_how_it_is_known():
    for facts in load_catalogue().licenses.values():
        assert facts.section, facts.id
        assert facts.confidence in ("text", "excerpt", "memory"), facts.id


def test_every_known_source_has_a_basis_and_says_how_it_is_known():
    for entries in load_catalogue().known.values():
        for known in entries:
            assert known.basis, known.ids
            assert known.confidence in ("high", "medium", "low", "memory"), known.ids
            assert set(known.given) <= set(known.ids), known.ids


def test_patterns_that_betray_a_name_are_never_called_certain():
    certain = [
        pattern
        for entries in load_catalogue().known.values()
        for known in entries
        for pattern in known.ids
        if known.confidence == "high" and pattern.startswith("*") and pattern.count("*") > 1
    ]
    assert set(certain) <= {"*sharegpt*", "*sharegpt*command*", "*ultrafeedback*"}, certain


def test_a_finding_that_rests_on_a_recalled_fact_says_so(judge):
    card = "---\nlicense: apache-2.0\n---\nFine-tuned from Koala-13B.\n"
    found = next(one for one in judge("a/b", {"a/b": card}).findings if one.rule == "parent-in-prose")
    assert "recalled, not read" in found.message


def test_a_finding_that_rests_on_a_read_fact_does_not(judge):
    decision = judge("a/b", {"a/b": {"license": "mit", "base_model": "openchat/openchat_3.5"}})
    found = next(one for one in decision.findings if one.subject == "openchat/openchat_3.5")
    assert "recalled" not in found.message


@pytest.mark.parametrize(
    ("name", "license_id"),
    [
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", "llama3.1"),
        ("nvidia/Nemotron-4-340B-Instruct", "nvidia-open-model"),
        ("google/gemma-2-9b", "gemma"),
        ("google/gemma-4-9b", "gemma-4"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama3.1"),
        ("Qwen/Qwen2.5-3B-Instruct", "qwen-research"),
        ("Qwen/Qwen2.5-7B-Instruct", "apache-2.0"),
    ],
)
def test_patterns_over_ids_are_hints_with_exceptions(name, license_id):
    known = load_catalogue().lookup("models", name)
    assert license_id in {one for entry in known for one in entry.licenses}


@pytest.mark.parametrize("group", ["models", "datasets"])
def test_what_was_read_of_a_name_and_recalled_of_its_like_is_told_once_as_read(group):
    catalogue = load_catalogue()
    read = [(known, pattern) for known in catalogue.known[group] if known.confidence == "high" for pattern in known.ids]
    assert len(read) > 10
    for _known, pattern in read:
        found = catalogue.lookup(group, pattern.replace("*", "x") if "/" in pattern else pattern.replace("*", ""))
        told = [(one.licenses, one.made_with, one.basis) for one in found]
        assert len(told) == len(set(told)), pattern


def test_llama_2_is_denied_by_one_known_source_that_was_read(judge):
    decision = judge("meta-llama/Llama-2-7b-hf", {"meta-llama/Llama-2-7b-hf": {"license": "llama2"}})
    (known,) = [one for one in decision.findings if one.rule == "known-source"]
    assert "recalled" not in known.message
    assert decision.verdict.value == "deny"


def test_a_name_that_only_betrays_llama_2_is_still_told_as_recalled(judge):
    decision = judge("me/my-llama-2-tune", {"me/my-llama-2-tune": {"license": "mit"}})
    assert any(one.rule == "known-source" and "recalled" in one.message for one in decision.findings)
    assert decision.verdict.value == "deny"
