import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from curate.report.numbers import format_bytes, format_count, format_number, format_ratio
from curate.report.text import bound_text, display_width, escape_controls, shorten, table


def test_controls_and_direction_marks_show_as_escapes():
    assert escape_controls("red \x1b[31m, left \u202e, zero \u200b, tag \U000e0041") == (
        r"red \x1b[31m, left \u202e, zero \u200b, tag \U000e0041"
    )


def test_newlines_show_on_one_line_and_stay_on_many():
    assert escape_controls("a\nb\tc\r") == r"a\nb\tc\r"
    assert escape_controls("a\nb\tc\r", multiline=True) == "a\nb\tc\\r"


@given(st.text())
def test_no_text_keeps_a_character_a_reader_cannot_see(text: str):
    shown = escape_controls(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)
    assert "\n" not in shown


@given(st.text(), st.integers(1, 40))
def test_a_cut_text_is_never_wider_than_asked(text: str, width: int):
    assert display_width(shorten(escape_controls(text), width)) <= width


def test_a_bounded_text_never_splits_an_escape():
    assert bound_text("ab\x1bcd", 3) == r"ab\x1b…"


def test_numbers_stand_right_and_text_left():
    shown = table([["kept", 1200, 0.5], ["dropped", 7, None]], ["what", "rows", "share"]).splitlines()
    assert shown == [
        "what      rows  share",
        "───────  ─────  ─────",
        "kept     1,200  0.500",
        "dropped      7      –",
    ]


def test_wide_characters_take_two_cells():
    lines = table([["日本", "x"], ["ab", "y"]], ["a", "b"]).splitlines()
    assert {display_width(line) for line in lines} == {7}


@given(st.lists(st.lists(st.text(max_size=80), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(30, 120))
def test_a_table_fits_its_width_whatever_the_cells(rows: list[list[str]], width: int):
    lines = table(rows, ["one", "two", "three"], width=width).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(display_width(line) <= width for line in lines)


def test_an_empty_table_shows_its_headers():
    assert table([], ["a", "b"]) == "a  b\n─  ─"


def test_numbers_read_as_people_write_them():
    assert [format_bytes(n) for n in (0, 512, 1000, 16_123_456, 5 * 10**15)] == [
        "0 B", "512 B", "1.00 kB", "16.1 MB", "5,000.0 TB",
    ]  # fmt: skip
    assert [format_count(n) for n in (12, 999_999, 5_600_000)] == ["12", "1.00 M", "5.60 M"]
    assert [format_number(x) for x in (None, float("nan"), 12.3456, 1234.5, 1.2e-5, 3.0)] == [
        "–", "–", "12.3", "1,234", "1.20e-05", "3",
    ]  # fmt: skip
    assert format_ratio(2, 7) == "3.50×"
    assert format_ratio(0, 7) == format_ratio(None, 1) == "–"


def test_a_table_of_huge_cells_is_quick_to_fit():
    lines = table([["x" * 1_000_000, "y" * 1_000_000]], ["a", "b"], width=80).splitlines()
    assert len(lines[2]) <= 80
