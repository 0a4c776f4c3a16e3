import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from curate.gate import Verdict
from curate.report.markdown import decision_markdown, plain

from .values import HOSTILE, allowed_decision, denied_decision


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_a_denied_decision_says_so_first_and_why():
    lines = decision_markdown(denied_decision()).splitlines()
    assert lines[0].startswith("# ✕ Denied")
    text = "\n".join(lines)
    assert "license: llama3.1" in text
    assert "section 1.b.i" in text
    assert "line 12" in text
    assert "Without waivers the verdict would be: Denied" in text


def test_an_allowed_decision_has_no_empty_sections():
    text = decision_markdown(allowed_decision())
    assert "What decided it" not in text
    assert "Waived" not in text
    assert text.startswith("# ✓ Allowed")


def test_hostile_text_neither_formats_nor_links():
    finding = denied_decision().findings[0].model_copy(update={"message": HOSTILE, "subject": "[a](http://x.y) @you"})
    decision = denied_decision().model_copy(update={"findings": (finding,), "ref": "# <b>x</b>"})
    html = rendered(decision_markdown(decision))
    assert "<script" not in html
    assert "<a " not in html
    assert "<b>" not in html
    assert "\x1b" not in html


@given(st.text())
def test_any_text_stays_one_paragraph_of_itself(text: str):
    html = rendered(plain(text))
    assert re.fullmatch(r"(<p>[^<>]*</p>\n)?", html)


@given(st.text())
def test_any_text_stays_one_list_item(text: str):
    html = rendered(f"- {plain(text)}\n- next")
    assert re.fullmatch(r"<ul>\n<li>[^<>]*</li>\n<li>next</li>\n</ul>\n", html)


def test_every_verdict_has_a_heading():
    for verdict in Verdict:
        assert decision_markdown(denied_decision().model_copy(update={"verdict": verdict}))
