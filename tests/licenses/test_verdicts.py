"""The verdict table."""

from pathlib import Path

import pytest
import yaml

TABLE = yaml.safe_load(Path(__file__).with_name("verdicts.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "row", TABLE, ids=lambda row: f"{row['ref']}-{row.get('card', '')}-{row.get('policy', '')}"[:90]
)
def test_the_verdict_table_holds(judge, row):
    cards = {row["ref"]: row["card"]} if "card" in row else {}
    case = {"student_base": row["student_base"]} if "student_base" in row else {}
    decision = judge(row["ref"], cards, policy=row.get("policy", "default"), **case)
    told = [f"{found.rule} {found.subject} {found.verdict.value}: {found.message}" for found in decision.findings]
    assert decision.verdict.value == row["verdict"], told
    if "rule" in row:
        assert row["rule"] in {found.rule for found in decision.findings}, told
    assert all(found.evidence or found.rule in ("lineage-cut", "unknown-license") for found in decision.findings), told
