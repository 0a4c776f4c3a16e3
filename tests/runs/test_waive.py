from datetime import date, timedelta
from pathlib import Path

import pytest

from curate.errors import Denied, InputError, NeedsReview
from curate.gate import Verdict
from curate.licenses.check import check_license
from curate.licenses.decision import Case
from curate.licenses.sources import make_source
from curate.policy import policies_folder, read_policy
from curate.runs.verify import verify_run
from curate.runs.waive import Signature, waive_findings
from tests.runs.conftest import EXAMPLES, TODAY, run_example

SIGNATURE = Signature(
    rule="missing-license", reason="asked the owner", signed_by="Ada Example", signed_on=TODAY, until=date(2027, 4, 30)
)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_bytes((policies_folder() / "default.yaml").read_bytes())
    return path


@pytest.fixture
def source():
    return make_source(cards=[EXAMPLES / "cards"], offline=True)


def sign(ref, policy, source, **change):
    return waive_findings(ref, SIGNATURE.model_copy(update=change), policy, source=source, case=Case())


def test_a_review_is_waived_and_the_next_decision_shows_it_until_it_ends(policy, source):
    waived = sign("example/no-license", policy, source)
    assert waived.decision.verdict is Verdict.ALLOW
    for day, verdict in ((TODAY, Verdict.ALLOW), (SIGNATURE.until, Verdict.ALLOW), (date(2027, 5, 1), Verdict.REVIEW)):
        decision = check_license("example/no-license", policy=read_policy(policy), source=source, today=day)
        assert decision.verdict is verdict
        assert any("Ada Example" in one.waived_by for one in decision.findings) == (verdict is Verdict.ALLOW)


def test_a_waiver_lapses_when_the_finding_is_another(policy, source, tmp_path):
    cards = tmp_path / "cards" / "models" / "example__no-license"
    cards.mkdir(parents=True)
    (cards / "README.md").write_text("---\nlicense: 3\n---\n")
    changed = make_source(cards=[tmp_path / "cards"], offline=True)
    sign("example/no-license", policy, source)
    decision = check_license("example/no-license", policy=read_policy(policy), source=changed, today=TODAY)
    assert decision.verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    ("ref", "rule", "why"),
    [
        ("example/no-license", "unknown-license", "open: missing-license"),
        ("google/flan-t5-base", "license-terms", "it allows"),
        ("example/no-license", "nonsense", "nothing to waive"),
    ],
)
def test_what_has_no_open_finding_today_is_not_waived(policy, source, ref, rule, why):
    before = policy.read_bytes()
    with pytest.raises(InputError, match=why):
        sign(ref, policy, source, rule=rule)
    assert policy.read_bytes() == before


def test_what_is_waived_already_is_not_waived_again(policy, source):
    sign("example/no-license", policy, source)
    with pytest.raises(InputError, match="already waived: Ada Example"):
        sign("example/no-license", policy, source)


def test_an_ended_waiver_may_be_renewed(policy, source):
    sign("example/no-license", policy, source)
    later = SIGNATURE.until + timedelta(days=1)
    waived = sign("example/no-license", policy, source, signed_on=later, until=later)
    assert waived.decision.verdict is Verdict.ALLOW


def test_a_denial_is_waived_only_where_the_policy_lists_its_rule(policy, source):
    with pytest.raises(Denied, match="does not lift"):
        sign("example/mit-over-llama", policy, source, rule="license-laundering")
    policy.write_text(policy.read_text().replace("waivable_denials: []", "waivable_denials: [license-laundering]"))
    waived = sign("example/mit-over-llama", policy, source, rule="license-laundering")
    assert waived.findings[0].verdict is Verdict.DENY
    assert waived.decision.verdict is Verdict.DENY, "the base is denied on its own account"


def test_what_is_found_of_the_students_base_is_waived_for_checks_and_for_runs(policy, source, tmp_path):
    assignments = ("teacher=google/flan-t5-base", "student.base=example/no-license", "student.keep_layers=[]")
    asked = (f"policy={policy}", *assignments)
    with pytest.raises(NeedsReview, match="missing-license"):
        run_example("run-denied.yaml", tmp_path / "before", *asked, only_gates=True)
    case = Case(student_base="example/no-license")
    waived = waive_findings("google/flan-t5-base", SIGNATURE, policy, source=source, case=case)
    assert [finding.subject for finding in waived.findings] == ["example/no-license"]
    assert waived.decision.verdict is Verdict.ALLOW
    outcome = run_example("run-denied.yaml", tmp_path / "after", *asked, only_gates=True)
    folder = Path(outcome.folder)
    for name in ("decision.json", "base_decision.json"):
        assert "Ada Example" in (folder / name).read_text(), name
    assert "Ada Example" in (folder / "report.html").read_text()
    assert verify_run(folder).finished
