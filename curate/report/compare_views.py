"""A comparison for people: as text for terminals, and worked out for its page."""

from collections.abc import Iterator

from curate.artifact import Value
from curate.report.charts_compare import HEADERS, interval_panels, measure_rows
from curate.report.comparison import Comparison
from curate.report.figures import Figure
from curate.report.numbers import format_number
from curate.report.text import bound_text, table
from curate.report.views import joined

GROUP_TITLES = {
    "verdict": "Verdicts",
    "finding": "Findings that differ",
    "configuration": "Configuration that differs",
    "provenance": "Judged by",
}


class Differences(Value):
    """Things of one kind that are no numbers, on both sides."""

    name: str
    title: str
    rows: tuple[tuple[str, str, str], ...]


class ComparisonView(Value):
    """A comparison as its page shows it."""

    comparison: Comparison
    sentence: str
    differences: tuple[Differences, ...]
    counts: tuple[tuple[str, str, str], ...]
    measured: tuple[Figure, ...]
    digest: str


def view_comparison(comparison: Comparison) -> ComparisonView:
    """A comparison, worked out and drawn.

    Raises:
        MissingExtra: charts need altair and vl-convert.
    """
    groups = dict.fromkeys(pair.group for pair in comparison.metrics)
    drawn = (interval_panels(group, [one for one in comparison.metrics if one.group == group]) for group in groups)
    return ComparisonView(
        comparison=comparison,
        sentence=_sentence(comparison),
        differences=tuple(
            Differences(
                name=group,
                title=GROUP_TITLES[group],
                rows=tuple((one.name, one.a, one.b) for one in comparison.differences if one.group == group),
            )
            for group in dict.fromkeys(one.group for one in comparison.differences)
        ),
        counts=tuple(
            (one.name, format_number(one.a), format_number(one.b)) for one in comparison.counts if one.a or one.b
        ),
        measured=tuple(figure for figure in drawn if figure),
        digest=comparison.digest(),
    )


def _sentence(comparison: Comparison) -> str:
    """How much differs, in a sentence."""
    runs = comparison.of == "runs"
    counted = {
        **(
            {"verdict": sum(one.group == "verdict" and one.a != one.b for one in comparison.differences)}
            if runs
            else {}
        ),
        "finding": sum(one.group == "finding" for one in comparison.differences),
        **({"setting": sum(one.group == "configuration" for one in comparison.differences)} if runs else {}),
    }
    apart = [_counted(count, noun) for noun, count in counted.items() if count]
    alike = [f"{noun}s" for noun, count in counted.items() if not count]
    said = [f"{joined(apart)} {'differs' if sum(counted.values()) == 1 else 'differ'}"] if apart else []
    said += [f"{joined(alike)} are the same"] if alike else []
    measures = sum(one.difference is not None for one in comparison.metrics)
    lone = sum(one.intervals_overlap is False for one in comparison.metrics)
    taken = _counted(measures, "measure") if measures else "No measure"
    numbers = f"{taken} {'was' if measures < 2 else 'were'} taken on both sides"
    if measures:
        numbers += f"; the intervals of {lone} do not overlap" if lone else "; no two intervals lie apart"
    sentence = "; ".join(said)
    return f"{sentence[0].upper()}{sentence[1:]}. {numbers}."


def _counted(count: int, noun: str) -> str:
    """So many of a thing."""
    return f"{count} {noun if count == 1 else noun + 's'}"


def comparison_text(comparison: Comparison) -> str:
    """The comparison for a terminal, table by table."""
    return "\n\n".join(_parts(comparison)) + "\n"


def _parts(comparison: Comparison) -> Iterator[str]:
    """Heading, differences, counts, measures, notes."""
    yield f"A  {bound_text(comparison.a, 200)}\nB  {bound_text(comparison.b, 200)}"
    for group in dict.fromkeys(pair.group for pair in comparison.differences):
        rows = [[pair.name, pair.a, pair.b] for pair in comparison.differences if pair.group == group]
        yield table(rows, [group, "A", "B"])
    counted = [[pair.name, pair.a, pair.b] for pair in comparison.counts if pair.a or pair.b]
    if counted:
        yield table(counted, ["rows", "A", "B"])
    for measured in dict.fromkeys(pair.group for pair in comparison.metrics):
        pairs = [pair for pair in comparison.metrics if pair.group == measured]
        yield table(measure_rows(pairs), [measured, *HEADERS[1:]])
    if comparison.notes:
        yield "\n".join(f"note: {bound_text(note, 400)}" for note in comparison.notes)
