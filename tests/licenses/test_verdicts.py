"""The verdict table."""

from pathlib import Path

import pytest
import yaml

from curate.gate import Verdict
from curate.licenses.duties import combine_decisions
from curate.policy import Organisation, load_policy

TABLE = yaml.safe_load(Path(__file__).with_name("verdicts.yaml").read_text(encoding="utf-8"))
CASE = {"student": "student_name", "student_base": "student_base", "student_license": "student_license",
        "student_kind": "student_kind", "signals": "signals"}  # fmt: skip
KEYS = {"ref", "together", "card", "files", "siblings", "policy", "organisation", "verdict", "rule", "says", "duty",
        "no_duty", "case", "reason", *CASE}  # fmt: skip


def decided(judge, row):
    """The decision on a row of the table."""
    policy = load_policy(row.get("policy", "default"))
    if "organisation" in row:
        stated = {**policy.organisation.model_dump(), **row["organisation"]}
        policy = policy.model_copy(update={"organisation": Organisation.model_validate(stated)})
    refs = row.get("together") or [row["ref"]]
    cards = {**row.get("siblings", {}), **({row["ref"]: row["card"]} if "card" in row else {})}
    files = {row["ref"]: row["files"]} if "files" in row else {}
    case = {field: row[key] for key, field in CASE.items() if key in row}
    return combine_decisions([judge(ref, cards, files=files, policy=policy, **case) for ref in refs])


def named(row):
    """A short name for a row."""
    parts = (row.get("case", ""), row.get("ref") or row["together"], row.get("card", ""), row.get("policy", ""))
    return "-".join(map(str, parts))[:90]


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_the_verdict_table_holds(judge, row):
    assert set(row) <= KEYS
    decision = decided(judge, row)
    told = [f"{found.rule} {found.subject} {found.verdict.value}: {found.message}" for found in decision.findings]
    shown = "\n".join([f"the row: {row}", f"came out as {decision.verdict.value}:", *told, *decision.obligations])
    assert decision.verdict.value == row["verdict"], shown
    if "rule" in row:
        assert row["rule"] in {found.rule for found in decision.findings}, shown
    decisive = [found.message for found in decision.findings if found.effective is decision.verdict]
    assert any(row.get("says", "") in message for message in decisive), shown
    assert any(row.get("duty", "") in duty for duty in (*decision.obligations, "")) or "duty" not in row, shown
    assert "no_duty" not in row or not any(row["no_duty"] in duty for duty in decision.obligations), shown
    assert all(found.evidence or found.rule in ("lineage-cut", "unknown-license") for found in decision.findings), shown


def test_the_table_holds_the_fifteen_distinctions_each_with_its_reason():
    numbered = [row for row in TABLE if "case" in row]
    assert {row["case"] for row in numbered} == set(range(1, 16))
    assert all(row["reason"] for row in numbered)
    assert {row["verdict"] for row in numbered} == {verdict.value for verdict in Verdict}
