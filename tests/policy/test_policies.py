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
