"""The quality score, unfilled templates, street addresses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.prompts.addresses import holds_address
from curate.prompts.privacy import find_personal_data
from curate.prompts.quality import garbage
from curate.prompts.reading import read_prompts
from curate.prompts.scores import quality_parts, quality_score, score_histogram
from curate.prompts.templates import is_template_code, unfilled_slot
from curate.prompts.work import Work
from tests.prompts.made import varied, write_texts


@given(st.text(max_size=300))
def test_a_score_lies_between_none_and_one(text: str) -> None:
    assert 0 <= quality_score(text) <= 1


def test_plain_requests_score_high_and_noise_low() -> None:
    assert min(map(quality_score, varied())) > 0.85
    for text in ("x8f3k2;wl3f9", "?!?!", "", "card \x00\x07\x16", "zzkqptv wrtxzzp", "go " * 40):
        assert quality_score(text) < 0.35, text


def test_each_part_falls_with_its_own_fault() -> None:
    fine = "How do I make a good piece of bread at home?"
    assert quality_parts(fine) == {"words": 1.0, "clean": 1.0, "variety": 1.0, "whole": 1.0}
    assert quality_parts(fine.replace("bread", "brxq7d2"))["words"] < 0.9
    assert quality_parts(fine + "\ufffd\ufffd")["clean"] < 0.4
    assert quality_parts("bread " * 20)["variety"] == pytest.approx(0.1)
    assert quality_parts("Explain to me why the following")["whole"] == 0.5


@given(st.lists(st.floats(0, 1), max_size=50), st.lists(st.floats(0, 1), max_size=50))
def test_histograms_of_two_parts_add_up(first: list[float], second: list[float]) -> None:
    summed = [one + two for one, two in zip(score_histogram(first), score_histogram(second), strict=True)]
    assert list(score_histogram([*first, *second])) == summed


def test_a_score_drops_rows_only_where_a_threshold_is_set(tmp_path: Path) -> None:
    work = Work(read_prompts(write_texts(tmp_path / "p.jsonl", ["How do I bake bread?", "brxqt zwkk pfft hgrt"])))
    assert garbage(work) == []
    found = garbage(work, min_quality=0.5)
    assert [(one.row, one.reason) for one in found] == [(1, "quality under 0.5")]
    assert found[0].score is not None
    assert found[0].score < 0.5


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("Write a poem about {topic} in four lines.", "{topic}"),
        ("Translate this: {{ sentence }}", "{{ sentence }}"),
        ("Write a letter to [INSERT NAME HERE] about rent.", "[INSERT NAME HERE]"),
        ("Dear [Your Name], thank you", "[Your Name]"),
        ("Summarise the history of [COUNTRY NAME].", "[COUNTRY NAME]"),
        ("Explain <topic> to a child", "<topic>"),
        ("Act as a teacher of ${subject}.", "${subject}"),
        ("Write a birthday card for ____ from all of us", "____"),
    ],
)
def test_an_unfilled_slot_is_found(text: str, slot: str) -> None:
    assert unfilled_slot(text) == slot


@pytest.mark.parametrize(
    "text",
    [
        *varied(),
        "def f(x):\n    return {x: f'{x}'}",
        "What does `{name}` mean in a Python f-string?",
        "Fix this: <div><span>Hello</span></div>",
        "See [the manual](https://example.org) and [1].",
        "Use at least three placeholders in square brackets, such as [address].",
        "Evaluate \\frac{a}{b} for a = 1",
        "The capital of France is ____.\nA) Paris B) Rome",
        "Fill in the blank: the sky is ____",
        "```\n{placeholder}\n```\nWhat is this?",
        'Parse {"name": "Ann"} as JSON',
        "Replace <mask> with a word",
        "List<string> names = new List<string>();",
    ],
)
def test_code_mark_up_and_exercises_are_no_templates(text: str) -> None:
    assert unfilled_slot(text) == ""


def test_a_program_of_a_template_engine_is_noted_and_dropped_on_demand(tmp_path: Path) -> None:
    program = "{% if question %}{{ question | trim }}{% endif %} Is that so?"
    assert is_template_code(program)
    work = Work(read_prompts(write_texts(tmp_path / "p.jsonl", [program, "Is that so, {name}?"])))
    assert [one.row for one in garbage(work)] == [1]
    [(note, count)] = work.counts.items()
    assert "code of a template engine" in note.format(count)
    assert count == 1
    assert [one.row for one in garbage(work, template_code=True, unfilled_slots=False)] == [0]


@pytest.mark.parametrize(
    "text",
    [
        "I live at 12 example street",
        "please deliver it to Flat 3, 18 Example Mews",
        "My address is 25 Nicholson Street Edinburgh",
        "ship it to 4521 Sample Ridge Apt. 12",
        "Ich wohne in der Beispielstraße 12",
        "Meet at Sample Allee 3a",
        "12, rue de Exemple, Lyon",
        "Via Esempio 14, Roma",
        "221B Sample Street",
        "I live at H.No. 52, Sample Nagar",
    ],
)
def test_a_street_with_a_house_number_is_an_address(text: str) -> None:
    assert holds_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *varied(),
        "how long is the 20 minute drive",
        "send 25 dollars to my savings",
        "i moved to 3 new jobs",
        "Is there a way to make 5 new friends?",
        "walk 3 blocks down the street",
    ],
)
def test_numbers_near_other_words_are_no_address(text: str) -> None:
    assert not holds_address(text)


@pytest.mark.parametrize(
    "text",
    ["Hi, I'm Ann Example and I lost my card", "this is Ann van Example speaking", "Regards,\nAnn Example"],
)
def test_a_name_that_introduces_itself_is_personal(text: str) -> None:
    assert "name" in list(find_personal_data(text))


@pytest.mark.parametrize(
    "text", ["I'm Happy Today!", "This is New York", "i am in New York and lost", "regards to you"]
)
def test_other_capitals_are_no_name(text: str) -> None:
    assert "name" not in list(find_personal_data(text))
