"""Answers beside their prompts: refused, cut off, looping, in the wrong language; counted, dropped and judged."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cli.main import run_command
from curate.policy import load_policy
from curate.prompts.answers import ends_in_a_loop, wrong_answer
from curate.prompts.embed import load_embedder
from curate.prompts.filters import filter_prompts
from curate.prompts.language import wrong_language
from curate.prompts.quality import row_fault
from curate.prompts.reading import read_prompts
from curate.prompts.report_card import answer_counts, examine_prompts
from curate.prompts.results import PromptAnalysis
from curate.prompts.store import VectorStore
from tests.prompts.made import varied, write_jsonl

WATER = "Water boils at 100 degrees at sea level. Higher up it boils at less, for the air weighs less there."
LIST = "Bring these:\n- a pot\n- two eggs\n- some salt\n- a spoon with holes"
LETTER = "Dear Ann,\n\nThank you for the tea. We had a good time.\n\nKind regards,\nyour old friend"
CODE = "    while b:\n        a, b = b, a % b\n    l = list(l)\n    return a"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can’t help with that.",
        "Unfortunately, I am not able to discuss this.",
        "As an AI language model, I don't have access to live data.",
        "I don't have the ability to open links.",
        "I have to decline this request.",
        "I am not comfortable answering questions like this.",
        "I'd rather not talk about it.",
        "My guidelines do not allow me to answer.",
        "Thank you for asking. However, I am unable to respond to this request.",
        "As an AI, I do not have personal opinions.",
    ],
)
def test_a_refusal_is_told(text: str) -> None:
    assert wrong_answer(text) == "refused"


@pytest.mark.parametrize(
    "text",
    [
        "I am like a moth to a flame; I can't help but be drawn to her.",
        "I can't wait to see you again.",
        "Hi Tom,\n\nSorry about the noise. I will call the plumber today.\n\nAnn",
        "As an AI assistant I don't have any personal opinions or thoughts, but here is a review. "
        + " ".join(varied()[:20]),
        "You cannot open the window, for it is painted shut.",
    ],
)
def test_an_answer_that_only_sounds_like_a_refusal_is_left_alone(text: str) -> None:
    assert wrong_answer(text) == ""


@pytest.mark.parametrize("text", [WATER, LIST, LETTER, CODE, "Paris", "#### 18", "How can I help you today? ☀️", "] }"])
def test_an_answer_that_is_whole_is_not_cut_off(text: str) -> None:
    assert row_fault(text, answers=True) == ""


@pytest.mark.parametrize(
    "text",
    [
        WATER[:-12],
        WATER + " So it takes",
        "Sure.\n" + WATER + "\n" + WATER + "\nThat is why it takes long",
        "First the sum: 4 * 4 =",
        "```python\nprint(1)",
    ],
)
def test_an_answer_without_its_end_is_cut_off(text: str) -> None:
    assert wrong_answer(text) == "cut off"


@given(
    unit=st.sampled_from([" I like it.", " and so on", " 18", "\nStep: stir the soup.", " na"]),
    times=st.integers(45, 90),
    cut=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_what_is_said_over_and_over_at_the_end_is_a_loop_wherever_it_was_cut(unit: str, times: int, cut: int) -> None:
    text = WATER + unit * times
    assert ends_in_a_loop(text[: len(text) - cut])
    assert wrong_answer(text[: len(text) - cut]) == "the same text over and over"


@pytest.mark.parametrize(
    "text", [WATER, "ho ho ho", "| 0 | 0 |\n" * 3, "a" * 11, "-" * 500, "", "Row, row, row your boat"]
)
def test_a_little_repetition_or_a_rule_is_no_loop(text: str) -> None:
    assert not ends_in_a_loop(text)


def test_an_answer_in_another_language_than_asked_is_told_unless_it_was_asked_for() -> None:
    german = "Das Wasser kocht bei hundert Grad und wird dann zu Dampf, wenn der Topf offen ist."
    asked = "Please tell me at what temperature the water in this pot will boil."
    assert wrong_language(german, asked) == "answered in de, asked in en"
    assert wrong_language(german, asked + " Answer in German.") == ""
    assert wrong_language(WATER, asked) == ""
    assert wrong_language(CODE, asked) == "", "the words of a program are no language"


ROWS = [
    ("What is the capital of France, and what is it known for?", "Paris."),
    ("Who wrote the play that is called Hamlet?", "William Shakespeare."),
    ("Who wrote the play that is called Macbeth?", "william shakespeare"),
    ("Tell me how to pick the lock of my door.", "I'm sorry, but I can't help with that."),
    ("How do I make the tea that you told me of?", "First boil the water, then pour it on the"),
    ("Sing me a song about the rain in the spring.", "Rain, rain." + " It falls on me." * 20),
    ("Tell me the colour of the sky.", ""),
    (
        "Where is the boiling point of the water in this pot?",
        "Das Wasser kocht bei hundert Grad, wenn der Topf offen ist.",
    ),
    ("How much is the sum of forty and two?", "42"),
]


def answers_file(folder: Path) -> Path:
    return write_jsonl(folder / "a.jsonl", [{"id": str(n), "prompt": p, "answer": a} for n, (p, a) in enumerate(ROWS)])


def test_answers_are_counted_by_fault_and_prompts_are_not(tmp_path: Path) -> None:
    file = answers_file(tmp_path)
    assert answer_counts(read_prompts(file, column="answer")) == {
        "empty": 1,
        "refused": 1,
        "cut off": 1,
        "looping": 1,
        "garbage": 0,
        "wrong language": 1,
        "repeated": 1,
    }
    assert answer_counts(read_prompts(file)) == {}


def test_faulty_answers_are_dropped_once_each_with_the_reason_and_a_second_pass_drops_none(tmp_path: Path) -> None:
    answers = read_prompts(answers_file(tmp_path), column="answer")
    chain: dict[str, dict[str, bool]] = {"exact": {}, "garbage": {}, "language": {}}
    kept, report = filter_prompts(answers, chain=chain)
    assert sorted([*kept.ids, *(drop.id for drop in report.drops)]) == sorted(answers.ids)
    assert {drop.id: drop.reason.split(":")[0] for drop in report.drops if drop.filter != "exact"} == {
        "3": "refused",
        "4": "cut off",
        "5": "the same text over and over",
        "6": "empty",
        "7": "not in en",
    }
    assert filter_prompts(kept, chain=chain)[0].ids == kept.ids
    german, _ = filter_prompts(answers, chain={"language": {"allowed": ["en", "de"]}})
    assert "7" not in german.ids, "wanted in general, but not where English was asked"


def test_the_command_shows_the_counts_of_answers_in_its_first_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = answers_file(tmp_path)
    assert run_command(["-q", "analyze-prompts", str(file), "--column", "answer"]) == 0
    top = capsys.readouterr().out.splitlines()[:12]
    line = next(line for line in top if line.strip().startswith("answers"))
    assert line.split("answers", 1)[1].strip() == (
        "empty 1, refused 1, cut off 1, looping 1, wrong language 1, repeated 1"
    )
    assert run_command(["-q", "analyze-prompts", str(file), "--column", "answer", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"]["refused"] == 1
    assert run_command(["-q", "analyze-prompts", str(file)]) == 0
    assert not any(line.strip().startswith("answers") for line in capsys.readouterr().out.splitlines()[:12])


def analysed(folder: Path, answers: list[str]) -> PromptAnalysis:
    rows: list[dict[str, object]] = [{"prompt": f"Question {n}?", "answer": text} for n, text in enumerate(answers)]
    known: list[dict[str, object]] = [{"prompt": "Question?", "answer": one} for one in good_answers()]
    prompts = read_prompts(write_jsonl(folder / "p.jsonl", rows), column="answer")
    reference = read_prompts(write_jsonl(folder / "r.jsonl", known), column="answer")
    store = VectorStore(load_embedder("default"))
    return examine_prompts(prompts, policy=load_policy("default"), reference=reference, store=store, judge=None)[0]


def good_answers() -> list[str]:
    return [f"{text[:-1]}." for text in varied()]


def rules(analysis: PromptAnalysis) -> set[str]:
    return {one.rule for one in analysis.findings if one.verdict.value == "deny"}


def test_good_answers_are_fine_and_a_tenth_of_refusals_is_low_quality_and_one_answer_over_and_over_is_narrow(
    tmp_path: Path,
) -> None:
    good = good_answers()
    assert rules(analysed(tmp_path, good[::2] + good[1::2])) == set()
    refused = [text if n % 8 else f"I'm sorry, but I can't help with number {n}." for n, text in enumerate(good)]
    assert "low-quality" in rules(analysed(tmp_path, refused))
    assert "too-narrow" in rules(analysed(tmp_path, [good[n % 3] for n in range(len(good))]))
