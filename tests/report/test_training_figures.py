"""Everything a training report measured is shown: terminal, page, student's card."""

from markdown_it import MarkdownIt

from curate.report.html import run_page
from curate.report.text_training import training_text
from curate.runs.student_card import measures_table

from .pages import assert_self_contained
from .values import HOSTILE, training_report

MEASURED = ("reverse KL (nats)", "0.117", "banking", "travel", "77.0 %", "40.6", "0.324", "180")
"""Reverse KL after, two domains, both factors of the balance, a step with an exam."""


def test_the_terminal_shows_domains_exams_reverse_kl_and_balance():
    text = training_text(training_report(), training_report(with_kd=False))
    assert [told for told in MEASURED if told not in text] == []


def test_the_page_shows_domains_exams_reverse_kl_and_balance():
    page = assert_self_contained(run_page(title="r", steps=(), training=training_report()))
    assert [told for told in (*MEASURED, "Examined while training", "By domain") if told not in page.text] == []


def test_one_domain_or_no_exam_is_no_empty_table():
    report = training_report()
    bare = report.model_copy(
        update={"exams": (), "balance": {}, "after": report.after.model_copy(update={"domains": {}})}
    )
    page = assert_self_contained(run_page(title="r", steps=(), training=bare))
    assert "By domain" not in page.text
    assert "Examined" not in page.text
    assert "balanced by gradient" not in training_text(bare)


def test_a_hostile_domain_is_text():
    report = training_report(hostile=HOSTILE)
    page = assert_self_contained(run_page(title="r", steps=(), training=report))
    assert "<script>alert('x')</script>" in page.text
    assert "\x1b" not in page.text + training_text(report)
    assert "\u202e" not in page.text + training_text(report)


def test_the_students_card_shows_domains_exams_reverse_kl_and_balance():
    lines = "\n".join(measures_table(training_report(hostile="a | b <i>")))
    assert [told for told in MEASURED if told not in lines and told != "banking"] == []
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(lines)
    assert html.count("<table>") == 3
    assert "<i>" not in html
    assert "<td>a | b &lt;i&gt;</td>" in html
