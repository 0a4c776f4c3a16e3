"""What the license key may hold, and whole cards in the forms real ones take."""

import json
from pathlib import Path

import pytest
import yaml

CARDS = yaml.safe_load((Path(__file__).parent / "cards.yaml").read_text(encoding="utf-8"))
CLAIMS = [
    ("MIT OR CC-BY-NC-4.0", "allow"),
    ("MIT AND CC-BY-NC-4.0", "deny"),
    ("(MIT OR Apache-2.0) AND CC-BY-4.0", "allow"),
    ("(MIT OR GPL-3.0) AND CC-BY-NC-4.0", "deny"),
    ("MIT OR LicenseRef-Foo", "allow"),
    ("Apache-2.0 WITH LLVM-exception", "allow"),
    ("GPL-2.0-only WITH Classpath-exception-2.0", "review"),
    ("Apache-2.0 WITH Commons-Clause", "review"),
    ("mit WITH noncommercial", "deny"),
    ("MIT;GPL-3.0", "review"),
    ("apache-2.0, cc-by-nc-4.0", "deny"),
    ("MIT (modified)", "review"),
    ("MIT OR", "review"),
    ("AND", "review"),
    ("AND OR WITH", "review"),
    ("() OR MIT", "review"),
    (") OR (", "review"),
    ("MIT OR OR MIT", "review"),
    ("apache-2.0\n", "allow"),
    ("LGPL-3.0-or-later", "review"),
    ("openmdw-1.1", "allow"),
]


@pytest.mark.parametrize(("claim", "verdict"), CLAIMS)
def test_an_expression_is_judged_by_its_best_branch_and_every_part_of_it(judge, claim, verdict):
    assert judge("a/one", {"a/one": f"---\nlicense: {json.dumps(claim)}\n---\n"}).verdict.value == verdict


@pytest.mark.parametrize("case", CARDS, ids=lambda case: case["name"])
def test_a_card_as_people_write_them(judge, case):
    decision = judge(case["ref"], {case["ref"]: case["card"]})
    said = [(found.rule, found.message) for found in decision.findings]
    assert decision.verdict.value in case["verdict"].split("|"), said
