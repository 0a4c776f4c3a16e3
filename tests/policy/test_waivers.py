from datetime import date

import pytest

from curate.gate import Finding, Verdict, settle
from curate.policy import Waiver, apply_waivers

TODAY = date(2026, 11, 26)


def finding(verdict=Verdict.REVIEW, rule="rating-data", subject="owner/model"):
    return Finding(rule=rule, subject=subject, verdict=verdict, message="because")


def waiver(**change):
    fields = {
        "rule": "rating-data",
        "subject": "owner/model",
        "reason": "looked at by the board",
        "signed_by": "A. Person",
        "signed_on": date(2026, 11, 1),
        "until": date(2026, 12, 31),
    }
    return Waiver(**{**fields, **change})


def settled(findings, waivers, waivable=()):
    return settle(apply_waivers(findings, waivers, waivable_denials=waivable, today=TODAY))


def test_a_waiver_lifts_a_review_and_says_who_signed():
    marked = apply_waivers([finding()], [waiver()], waivable_denials=(), today=TODAY)
    assert settle(marked) is Verdict.ALLOW
    assert "A. Person" in marked[0].waived_by
    assert marked[0].verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    "change",
    [{"until": date(2026, 11, 25)}, {"signed_on": date(2026, 11, 27)}, {"rule": "other"}, {"subject": "owner/other"}],
)
def test_a_waiver_that_is_expired_early_or_about_something_else_waives_nothing(change):
    assert settled([finding()], [waiver(**change)]) is Verdict.REVIEW


def test_a_denial_is_lifted_only_where_the_policy_marks_its_rule_waivable():
    denial = finding(Verdict.DENY)
    assert settled([denial], [waiver()]) is Verdict.DENY
    assert settled([denial], [waiver()], waivable=["rating-data"]) is Verdict.ALLOW


def test_no_finding_at_all_is_review():
    assert settle([]) is Verdict.REVIEW


def test_one_waiver_does_not_hide_another_finding():
    assert settled([finding(), finding(rule="missing-license")], [waiver()]) is Verdict.REVIEW
