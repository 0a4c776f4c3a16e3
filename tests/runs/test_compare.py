import pytest

pytest.importorskip("sklearn")

from curate.distillation.results import Quality
from curate.errors import TamperedError
from curate.gate import Verdict
from curate.licenses.rows import row_judge
from curate.policy import load_policy
from curate.prompts.embed import load_embedder
from curate.prompts.reading import read_prompts
from curate.prompts.report_card import examine_prompts
from curate.prompts.results import Metric
from curate.prompts.store import VectorStore
from curate.runs.compare import _measures, compare_analyses, compare_measured, compare_runs, is_run, read_analysis
from tests.runs.conftest import EXAMPLES, QUICK, run_example


@pytest.fixture(scope="module")
def analyses():
    policy, store = load_policy("default"), VectorStore(load_embedder("default"))
    reference = read_prompts(str(EXAMPLES / "reference.jsonl"))
    return [
        examine_prompts(
            read_prompts(str(EXAMPLES / name)), policy=policy, reference=reference, store=store, judge=row_judge(policy)
        )[0]
        for name in ("prompts.jsonl", "narrow.jsonl")
    ]


def test_two_prompt_sets_are_compared_number_by_number(analyses):
    comparison = compare_analyses(*analyses, names=("a", "b"))
    vendi = next(pair for pair in comparison.metrics if pair.name == "vendi")
    assert vendi.difference == pytest.approx(vendi.b.value - vendi.a.value)
    twins = next(pair for pair in comparison.metrics if pair.name == "mean_nn_similarity")
    assert twins.intervals_overlap is False
    assert any(pair.group == "finding" and "too-narrow" in pair.name for pair in comparison.differences)


def test_every_finding_that_differs_is_shown_also_where_one_rule_found_several(analyses):
    comparison = compare_analyses(*analyses, names=("a", "b"))
    shown = [pair.b for pair in comparison.differences if pair.group == "finding"]
    wanted = [f"{f.verdict}: {f.message}" for f in analyses[1].findings if f.effective is not Verdict.ALLOW]
    assert len(wanted) > len({f.rule for f in analyses[1].findings if f.effective is not Verdict.ALLOW})
    assert sorted(shown) == sorted(wanted)
    assert {pair.a for pair in comparison.differences} == {"nothing"}


def test_a_set_compared_with_itself_shows_no_difference(analyses):
    comparison = compare_analyses(analyses[0], analyses[0], names=("a", "a"))
    assert {pair.difference for pair in comparison.metrics} == {0.0}
    assert False not in {pair.intervals_overlap for pair in comparison.metrics}
    assert comparison.differences == comparison.notes == ()


def test_numbers_of_two_embedders_are_not_compared(analyses):
    a, b = analyses
    other = b.diversity.model_copy(
        update={"embedder": b.diversity.embedder.model_copy(update={"name": "other", "sha256": "0"})}
    )
    comparison = compare_analyses(a, b.model_copy(update={"diversity": other}), names=("a", "b"))
    assert comparison.metrics == ()
    assert "two embedders" in comparison.notes[0]
    assert comparison.counts


def test_shift_against_two_references_is_not_compared(analyses):
    a, b = analyses
    shift = b.shift.model_copy(update={"reference_sha256": "0"})
    pairs, notes = compare_measured((a.diversity, a.shift), (b.diversity, shift))
    assert {pair.group for pair in pairs} == {"diversity"}
    assert "different references" in notes[-1]
    assert "only one" in compare_measured((a.diversity, a.shift), (b.diversity, None))[1][-1]


@pytest.mark.parametrize(
    ("a", "b", "overlap"),
    [((0, 1), (1, 2), True), ((0, 1), (1.1, 2), False), ((0, 3), (1, 2), True), ((None, None), (0, 1), None)],
)
def test_intervals_overlap_where_they_share_a_number(analyses, a, b, overlap):
    one, other = analyses[0].diversity, analyses[0].diversity
    left = one.model_copy(update={"metrics": {"m": Metric(value=0.5, low=a[0], high=a[1])}})
    right = other.model_copy(update={"metrics": {"m": Metric(value=1.5, low=b[0], high=b[1])}})
    pairs, _ = compare_measured((left, None), (right, None))
    assert (pairs[0].intervals_overlap, pairs[0].difference) == (overlap, 1.0)


def test_an_analysis_that_was_written_is_read_and_other_files_are_not(analyses, tmp_path):
    analyses[0].write(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"prompt": "hello"}')
    assert read_analysis(tmp_path / "a.json") == analyses[0]
    assert read_analysis(tmp_path / "b.json") is None


def test_two_runs_are_compared_in_verdicts_counts_students_and_configuration(made_once, denied_once, tmp_path):
    other = run_example("run.yaml", tmp_path, *QUICK, "budget=120", only_gates=True)
    comparison = compare_runs(made_once, tmp_path / other.record.run_id)
    assert {"teacher", "student's license", "prompts"} <= {one.name for one in comparison.differences}
    assert ("budget", "0", "120") in {(one.name, one.a, one.b) for one in comparison.differences}
    kept = next(pair for pair in comparison.counts if pair.name == "rows kept")
    assert kept.a > kept.b == 120
    comparison = compare_runs(made_once, denied_once)
    verdicts = {one.name: (one.a, one.b) for one in comparison.differences if one.group == "verdict"}
    assert verdicts["teacher"] == (Verdict.ALLOW, Verdict.DENY)
    assert verdicts["prompts"] == ("allow", "not reached")


def test_a_run_compared_with_itself_shows_its_student_and_no_difference(made_once):
    comparison = compare_runs(made_once, made_once)
    assert {"student before", "student after", "teacher", "without KD"} <= {pair.group for pair in comparison.metrics}
    assert {pair.difference for pair in comparison.metrics if pair.a.value is not None} == {0.0}
    assert comparison.notes == ()


def test_numbers_by_domain_are_compared_each_for_itself():
    quality = Quality(perplexity=2.0, domains={"cards": Quality(accuracy=0.5), "loans": Quality(accuracy=0.25)})
    assert {name: metric.value for name, metric in _measures(quality).items()} == {
        "perplexity": 2.0, "cards: accuracy": 0.5, "loans: accuracy": 0.25,
    }  # fmt: skip


def test_students_that_were_asked_other_questions_are_said_to_be(made_once, finished):
    run_example("run.yaml", finished.parent, *QUICK, "distill.seed=5", resume=finished)
    assert any("different held-out questions" in note for note in compare_runs(made_once, finished).notes)


def test_a_run_that_was_changed_is_not_compared(made_once, denied):
    assert is_run(denied)
    (denied / "report.html").write_text("")
    with pytest.raises(TamperedError):
        compare_runs(made_once, denied)
