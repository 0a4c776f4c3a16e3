import json
import os
import subprocess
import sys

import pytest

from curate.errors import PolicyError
from curate.policy import load_policy, policies_folder, policy_names, read_policy


@pytest.mark.parametrize("name", policy_names())
def test_every_shipped_policy_loads_under_its_own_name(name):
    assert load_policy(name).name == name


def test_an_unknown_policy_is_refused_and_the_shipped_ones_are_named():
    with pytest.raises(PolicyError, match="default"):
        load_policy("no-such-policy")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("unknown: review", "unknown: allow", "licenses.unknown"),
        ("unknown: review", "unknwon: review", "licenses.unknwon"),
        ("unknown: review", "unknown: review\n  unknown: deny", "already given"),
        ("research: deny", "research: maybe", "licenses.by_kind.research"),
    ],
)
def test_a_policy_that_is_misspelt_repeated_or_lets_the_unknown_pass_is_refused(tmp_path, old, new, why):
    text = (policies_folder() / "default.yaml").read_text()
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(PolicyError, match=why):
        read_policy(tmp_path / "mine.yaml")


def test_a_policy_has_the_same_digest_whatever_the_hash_seed():
    code = "from curate.policy import load_policy; print(load_policy('default').digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(digests) == 1
    assert json.dumps(digests.pop().strip()) != '""'


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("organisation: {territroy: FR}", "organisation.territroy"),
        ("organisation: {territory: France}", "organisation.territory"),
        ("organisation: {monthly_active_users: -1}", "organisation.monthly_active_users"),
        ("organisation: {monthly_active_users: many}", "organisation.monthly_active_users"),
        (
            "organisation: {accepted_terms: [{license: x, text_sha256: abc, accepted_by: A, accepted_on: 2026-11-01}]}",
            "text_sha256",
        ),
        ("organisation: {accepted_terms: [{license: gemma, accepted_by: A, accepted_on: 2026-11-01}]}", "text_sha256"),
    ],
)
def test_facts_about_the_organisation_that_are_misspelt_or_make_no_sense_are_refused(tmp_path, section, why):
    (tmp_path / "mine.yaml").write_text(f"{section}\n{(policies_folder() / 'default.yaml').read_text()}")
    with pytest.raises(PolicyError, match=why):
        read_policy(tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", [name for name in policy_names() if name != "conditional"])
def test_only_the_conditional_policy_takes_conditions_on(name):
    assert load_policy(name).licenses.accept_conditions == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("licenses:\n  by_kind: {rail: allow}\n  unknwon: review\n", 3),
        ("description: x\nlicenses:\n  by_kind:\n    rail: maybe\n", 4),
        ("licenses:\n  unknown: allow\n", 2),
        ("licenses: {}\norganisation:\n  accepted_terms:\n  - license: gemma\n    text_sha256: abc\n", 5),
        ("organisation: {}\n", 1),
    ],
)
def test_a_refusal_names_the_line(tmp_path, text, line):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(PolicyError, match=rf"mine\.yaml:{line}: "):
        read_policy(tmp_path / "mine.yaml")
