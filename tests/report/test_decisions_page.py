"""Several decisions on one page."""

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.gate import Finding, Verdict
from curate.licenses.decision import Lineage, LineageNode
from curate.report.html import decisions_page
from curate.report.markdown import problems_markdown

from .pages import Page, assert_self_contained
from .values import HOSTILE, allowed_decision, denied_decision


def test_the_page_leads_with_the_gravest_verdict_and_counts_the_rest():
    page = assert_self_contained(
        decisions_page([allowed_decision(), denied_decision()], [("a/b", "a/b: not to be had")])
    )
    assert "Denied: 1. Allowed: 1. Not judged: 1." in page.text
    assert page.text.index("Denied") < page.text.index("acme/embedded-teacher")
    assert "a/b: not to be had" in page.text
    assert "a/b: a/b" not in page.text


def test_the_page_takes_what_there_is():
    assert "Allowed" in assert_self_contained(decisions_page([allowed_decision()])).text
    assert "No verdict" in assert_self_contained(decisions_page([], [("a/b", "gone")])).text


def test_a_denied_model_would_pass_duties_on_but_does_not():
    assert "What would pass to the student" in Page(decisions_page([denied_decision()])).text
    assert "What passes to the student" in Page(decisions_page([allowed_decision()])).text


def test_what_could_not_be_judged_is_told_in_markdown_as_text():
    assert problems_markdown([]) == ""
    told = problems_markdown([(HOSTILE, "[a](http://x.y)")])
    assert "<script" not in told
    assert "](" not in told.replace("\\]", "")


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_no_card_changes_the_structure_of_the_page(text: str, ref: str):
    def page(text: str, ref: str) -> Page:
        finding = Finding(rule=text, subject=ref, verdict=Verdict.DENY, message=text)
        lineage = Lineage(nodes=(LineageNode(ref=ref, kind="model", license=text, verdict=Verdict.DENY),))
        decision = denied_decision().model_copy(update={"ref": ref, "findings": (finding,), "lineage": lineage})
        return assert_self_contained(decisions_page([decision, allowed_decision()], [(ref, text)]))

    assert page(text, ref).tags == page("x", "x").tags
