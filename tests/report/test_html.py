import subprocess
import sys
import time
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from curate.errors import MissingExtra
from curate.gate import Evidence, Finding, Verdict
from curate.licenses.decision import Lineage, LineageLink, LineageNode
from curate.prompts.results import Metric
from curate.report.html import StepLine, comparison_page, decision_page, prompts_page, run_page
from curate.report.text_prompts import summary
from curate.report.views import view_findings, view_tree

from .gallery import comparison
from .pages import Page, assert_self_contained
from .values import (
    HOSTILE,
    allowed_decision,
    denied_decision,
    diversity_report,
    filter_report,
    prompt_analysis,
    prompt_decision,
    shift_report,
    training_report,
)

STEPS = (
    StepLine(name="license", status="done", wall_s=0.1),
    StepLine(name="distil", status="done", wall_s=94.2, note="240 steps"),
    StepLine(name="report", status="skipped"),
)


def whole_run(hostile: str = "") -> str:
    return run_page(
        title=hostile or "reports/20261120-1a2b3c",
        steps=[*STEPS, StepLine(name="extra", status="done", note=hostile or "x")],
        teacher=allowed_decision(),
        base=denied_decision(),
        filters=filter_report(hostile),
        diversity=diversity_report(hostile=hostile),
        shift=shift_report(),
        prompt_decision=prompt_decision(),
        training=training_report(),
        baseline=training_report(with_kd=False),
        notes=[hostile or "Unsigned: no key was given."],
    )


def shown_characters(page: Page) -> set[str]:
    return {char for char in page.text if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char not in "\n\t"}


def test_a_decision_page_is_self_contained_and_leads_with_the_verdict():
    page = assert_self_contained(decision_page(denied_decision()))
    assert page.text.index("Denied") < page.text.index("What decided it")
    for told in (
        "license: llama3.1",
        "line 12",
        "section 1.b.i",
        "the text itself was read",
        "R. Muster on 2026-11-01",
    ):
        assert told in page.text
    assert "svg" not in page.tags


def test_a_decision_page_shows_digests_and_the_case():
    decision = denied_decision()
    text = Page(decision_page(decision)).text
    assert decision.digest() in text
    assert decision.policy.sha256 in text
    assert decision.catalogue_sha256 in text
    assert "acme/tiny-helper; commercial, published" in text


def test_a_recalled_fact_is_marked_as_such():
    evidence = Evidence(source="catalogue: x", confidence="memory")
    finding = Finding(rule="r", subject="s", verdict=Verdict.REVIEW, message="m", evidence=(evidence,))
    decision = denied_decision().model_copy(update={"findings": (finding,), "verdict": Verdict.REVIEW})
    assert "recalled, not read: check it" in Page(decision_page(decision)).text


def test_a_decision_without_findings_says_that_silence_is_not_consent():
    decision = denied_decision().model_copy(update={"findings": (), "verdict": Verdict.REVIEW, "obligations": ()})
    assert "silence is not consent" in assert_self_contained(decision_page(decision)).text


def test_the_decisive_findings_come_first_and_waived_ones_never_decide():
    view = view_findings(denied_decision().findings, Verdict.DENY)
    assert [item.finding.rule for item in view.decisive] == ["license-denied"]
    assert [item.finding.rule for item in view.waived] == ["generated-data"]
    assert view.others[0].finding.rule == "license-mismatch"


def test_a_lineage_that_goes_in_a_circle_is_drawn_once():
    nodes = tuple(LineageNode(ref=ref, kind="model") for ref in "abc")
    links = tuple(LineageLink(child=c, parent=p, relation="merge") for c, p in ("ab", "bc", "ca"))
    root, *rest = view_tree(Lineage(nodes=nodes, links=links, truncated=True), ())
    assert rest == []
    assert root.parents[0].parents[0].parents[0].is_repeat
    decision = denied_decision().model_copy(update={"lineage": Lineage(nodes=nodes, links=links, truncated=True)})
    assert "cut short" in Page(decision_page(decision)).text


def test_a_deep_lineage_is_drawn_to_a_bound():
    refs = [f"m{i}" for i in range(500)]
    nodes = tuple(LineageNode(ref=ref, kind="model") for ref in refs)
    links = tuple(LineageLink(child=c, parent=p, relation="base") for c, p in pairwise(refs))
    decision = denied_decision().model_copy(update={"lineage": Lineage(nodes=nodes, links=links)})
    page = assert_self_contained(decision_page(decision))
    assert "500 models and data sets" in page.text


def test_a_prompts_page_is_self_contained_and_counts_all():
    page = assert_self_contained(prompts_page(diversity_report(), shift_report(), filter_report(), prompt_decision()))
    assert page.tags.count("svg") >= 4
    assert "Of 212 rows, 180 were kept" in page.text
    assert "17 of 30" in page.text
    assert page.text.count("I lost my card") > 20


def test_an_analysis_page_says_the_same_as_the_text_in_its_first_lines():
    analysis = prompt_analysis()
    shown = prompts_page(analysis.diversity, None, filter_report(), None, analysis)
    page = assert_self_contained(shown)
    for name, what in summary(analysis):
        assert name in page.text
        assert all(line in page.text for line in what)
    assert page.text.index("In short") < page.text.index("Map of prompts")
    assert "usable_share is 0.84; the policy wants at least 0.9" in page.text
    assert "against the rows as they are" in page.text
    assert page.text.index("Denied") < page.text.index("before any filter") < page.text.index("In short")


def test_a_metric_on_a_page_says_what_it_means_once_and_a_share_is_per_cent():
    metrics = {
        "vendi": Metric(value=61.1), "mean_pairwise_distance": Metric(value=0.76, note="blind to duplicates"),
        "usable_share": Metric(value=0.994, low=0.98, high=1.0),
    }  # fmt: skip
    text = Page(prompts_page(diversity_report().model_copy(update={"metrics": metrics}))).text
    assert "about so many unlike prompts" in text
    assert text.count("blind to duplicates") == 1
    assert "99.4 %" in text
    assert "98.0 to 100.0 %" in text


def test_a_base_that_is_the_teacher_is_not_told_twice():
    teacher = allowed_decision()
    base = teacher.model_copy(update={"case": teacher.case.model_copy(update={"as_base": True})})
    page = assert_self_contained(run_page(title="r", steps=(), teacher=teacher, base=base))
    assert "The same model as the teacher" in page.text
    assert page.text.count("What was found") == 1
    assert base.digest() in page.text
    other = run_page(title="r", steps=(), teacher=teacher, base=denied_decision())
    assert "The same model as the teacher" not in other


def test_a_prompts_page_shows_the_faults_of_answers_and_draws_the_quality_of_the_rows():
    analysis = prompt_analysis()
    page = assert_self_contained(prompts_page(analysis.diversity, None, filter_report(), None, analysis))
    assert "Faults of the answers" in page.text
    assert "refused27" in page.text.replace("\n", "")
    assert "Of 200 rows, 5 (2.5 %) have a quality score under 0.4" in page.text
    plain = assert_self_contained(prompts_page(diversity_report()))
    assert "Faults of the answers" not in plain.text


def test_a_prompts_page_shows_each_note_once_and_the_lines_that_could_not_be_read():
    report = filter_report().model_copy(update={"notes": ("said twice",), "unreadable": ("line 7: not JSON",)})
    shift = shift_report().model_copy(update={"notes": ("the reference has 60 rows", "said twice")})
    page = assert_self_contained(prompts_page(diversity_report(), shift, report))
    assert "31% of the rows have a twin" in page.text
    assert "the reference has 60 rows" in page.text
    assert page.text.count("said twice") == 1
    assert "unreadable: line 7: not JSON" in page.text
    without = diversity_report().model_copy(update={"notes": ()})
    assert 'aria-label="Notes on the prompts"' not in prompts_page(without)


def test_a_prompts_page_takes_what_there_is():
    assert_self_contained(prompts_page(diversity_report()))
    assert_self_contained(prompts_page(None, None, filter_report()))
    bare = diversity_report().model_copy(
        update={"map": (), "similarity_histogram": (), "quality_histogram": (), "clusters": (), "metrics": {}}
    )
    page = assert_self_contained(prompts_page(bare))
    assert "svg" not in page.tags


def test_a_page_of_five_thousand_points_is_light_and_quick():
    prompts_page(diversity_report(50))
    started = time.process_time()
    page = prompts_page(diversity_report(5000), shift_report(), filter_report(), prompt_decision())
    assert time.process_time() - started < 3
    assert len(page.encode()) < 2_000_000
    assert "5,000 prompts" in page
    assert Page(page).tags.count("circle") <= 2000


def test_a_run_page_is_self_contained_and_tells_the_whole_run():
    page = assert_self_contained(whole_run())
    assert page.text.index("Denied") < page.text.index("Steps")
    for told in ("without KD", "81.7 %", "3.09×", "Losses by term", "240 steps", "Unsigned"):
        assert told in page.text


def test_a_run_page_takes_what_there_is():
    page = assert_self_contained(run_page(title="r", steps=()))
    assert "No verdict yet" in page.text
    page = assert_self_contained(run_page(title="r", steps=STEPS[:1], teacher=denied_decision()))
    assert "Denied" in page.text
    failed = [StepLine(name="distil", status="failed", note="the loss is not finite")]
    page = assert_self_contained(run_page(title="r", steps=failed, teacher=allowed_decision()))
    assert page.text.index("the loss is not finite") < page.text.index("Steps")
    assert "Failed" in page.text


def test_a_run_that_was_cut_off_says_so():
    steps = [*STEPS[:1], StepLine(name="distil", status="unfinished")]
    text = Page(run_page(title="r", steps=steps, teacher=allowed_decision())).text
    assert text.index("Unfinished") < text.index("Steps")


def test_a_step_that_failed_and_was_done_again_is_no_failure():
    steps = [StepLine(name="distil", status="failed"), StepLine(name="distil", status="ok")]
    assert "Failed" not in Page(run_page(title="r", steps=steps, teacher=allowed_decision())).text


def test_a_decision_page_loads_neither_charts_nor_numbers():
    code = (
        "import sys; from tests.report.values import denied_decision; from curate.report.html import decision_page; "
        "decision_page(denied_decision()); assert not {'altair', 'numpy', 'pandas', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_what_was_not_measured_is_a_dash():
    nan = float("nan")
    points = tuple(point.model_copy(update={"x": nan}) for point in diversity_report().map[:50])
    metrics = {"vendi": Metric(value=None, note="too few rows"), "odd": Metric(value=nan, low=nan, high=nan)}
    diversity = diversity_report().model_copy(update={"metrics": metrics, "map": points})
    training = training_report()
    unmeasured = training.after.model_copy(update={"accuracy": None})
    training = training.model_copy(update={"after": unmeasured, "curve": (), "footprints": {}})
    page = run_page(title="r", steps=(), diversity=diversity, training=training, filters=filter_report())
    text = assert_self_contained(page).text
    assert "too few rows" in text
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_the_same_value_gives_the_same_bytes():
    assert whole_run() == whole_run()
    assert decision_page(denied_decision()) == decision_page(denied_decision())


def test_hostile_text_shows_as_text_in_every_part_of_a_run():
    page = assert_self_contained(whole_run(HOSTILE))
    assert "<script>alert('x')</script>" in page.text
    assert r"\x1b[31mred \u202eevil\u202c" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not shown_characters(page)
    assert page.tags == Page(whole_run("x" * len(HOSTILE))).tags


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_no_card_changes_the_structure_of_its_page(message: str, quote: str, ref: str):
    page = assert_self_contained(decision_page(_told(message, quote, ref)))
    assert page.tags == Page(decision_page(_told("x", "x", "x"))).tags
    assert not shown_characters(page)


def _told(message: str, quote: str, ref: str):
    evidence = Evidence(source=quote, quote=quote, section=quote, read_on=quote, confidence=quote, sha256=quote)
    finding = Finding(rule=ref, subject=ref, verdict=Verdict.DENY, message=message, evidence=(evidence,), waived_by="")
    node = LineageNode(ref=ref, kind="model", license=quote, verdict=Verdict.DENY)
    return denied_decision().model_copy(
        update={"ref": ref, "findings": (finding,), "obligations": (message,), "lineage": Lineage(nodes=(node,))}
    )


@pytest.fixture(scope="module")
def plain_tags() -> list[str]:
    return Page(prompts_page(diversity_report(12, hostile="x"), None, filter_report(hostile="x"))).tags


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(text=st.text(min_size=1))
def test_no_prompt_changes_the_structure_of_its_page(plain_tags: list[str], text: str):
    page = assert_self_contained(prompts_page(diversity_report(12, hostile=text), None, filter_report(hostile=text)))
    assert not shown_characters(page)
    assert page.tags == plain_tags


def test_long_text_is_bounded():
    finding = denied_decision().findings[0].model_copy(update={"message": "long " * 100_000})
    page = decision_page(denied_decision().model_copy(update={"findings": (finding,)}))
    assert len(page) < 30_000


def test_ten_thousand_findings_are_counted_not_shown():
    findings = denied_decision().findings[:1] * 10_000
    page = decision_page(denied_decision().model_copy(update={"findings": findings}))
    assert len(page.encode()) < 2_000_000
    assert "9,700 more findings" in page


def test_without_the_charting_packages_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtra, match="vl_convert is not installed"):
        prompts_page(diversity_report())
    assert decision_page(denied_decision())


def test_a_comparison_says_what_differs_and_what_is_the_same():
    text = Page(comparison_page(comparison())).text
    assert "1 verdict, 1 finding and 1 setting differ. 2 measures were taken on both sides" in text
    assert "the intervals of 1 do not overlap." in text
    same = comparison().model_copy(update={"differences": (), "metrics": ()})
    said = Page(comparison_page(same)).text
    assert "Verdicts, findings and settings are the same. No measure was taken on both sides." in said
    assert "82.0 %" in text
    assert "+0.3 points" in text
