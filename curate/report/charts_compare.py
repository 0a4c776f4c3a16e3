"""Charts of a comparison: each measure's value on both sides, with its interval where one was taken."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from curate.prompts.results import Metric
from curate.report.charts import fit_width
from curate.report.comparison import MetricPair
from curate.report.figures import Figure, Panel
from curate.report.measures import MEANS, label, spelling
from curate.report.numbers import ABSENT, format_fixed, format_share
from curate.report.svg import BLUE, INK, PALETTE, PANEL_WIDTH, Row, draw, load_altair, styled

SIDES = {"A": PALETTE[0], "B": BLUE}
OVERLAP_WORDS = {True: "overlap", False: "apart", None: ""}
HEADERS = ("measure", "A", "B", "B − A", "intervals")


def interval_panels(group: str, pairs: Sequence[MetricPair]) -> Figure | None:
    """One panel a measure, one point a side; none where nothing was measured on both."""
    name = f"measured-{group.replace(' ', '-').lower()}"
    panels = tuple(_panel(f"{name}-{place}", pair) for place, pair in enumerate(pairs) if pair.difference is not None)
    if not panels:
        return None
    apart = [label(pair.name) for pair in pairs if pair.intervals_overlap is False]
    told = f" Intervals do not overlap for {', '.join(apart)}." if apart else ""
    lines = " A line is a 95 % interval." if any(pair.a.low is not None for pair in pairs) else ""
    noun = "measure" if len(panels) == 1 else "measures"
    lone = sum(pair.difference is None for pair in pairs)
    missing = f" {lone} more could not be measured on both sides." if lone else ""
    return Figure(
        name=name,
        title=group[0].upper() + group[1:],
        caption=f"{len(panels)} {noun} taken on both sides.{told}{missing}{lines}",
        panels=panels,
        headers=HEADERS,
        rows=measure_rows(pairs),
        is_open=True,
    )


def measure_rows(pairs: Sequence[MetricPair]) -> tuple[tuple[str, ...], ...]:
    """Name, both values with their intervals, the difference and whether the intervals overlap."""
    return tuple(
        (
            label(pair.name),
            with_interval(pair.name, pair.a),
            with_interval(pair.name, pair.b),
            _signed(pair),
            OVERLAP_WORDS[pair.intervals_overlap],
        )
        for pair in pairs
    )


def with_interval(name: str, metric: Metric) -> str:
    """A metric with its 95 % interval, where it has one."""
    spell = spelling(name)
    if metric.low is None or metric.high is None:
        return spell(metric.value)
    low, high = (spell(bound).removesuffix(" %") for bound in (metric.low, metric.high))
    return f"{spell(metric.value)} ({low} to {high})"


def _signed(pair: MetricPair) -> str:
    """The difference with its sign, to as many places as its two sides are shown with; of shares in points."""
    if pair.difference is None:
        return ABSENT
    spell = spelling(pair.name)
    if spell is format_share:
        shown, unit = f"{100 * pair.difference:+,.1f}", " points"
    else:
        places = max(len(spell(one.value).partition(".")[2]) for one in (pair.a, pair.b))
        shown, unit = format_fixed(pair.difference, min(places, 4)), ""
        shown = shown if pair.difference < 0 else f"+{shown}"
    return f"{shown}{unit}" if any(digit in "123456789" for digit in shown) else "0"


def _panel(name: str, pair: MetricPair) -> Panel:
    """A measure's two sides above each other on one scale."""
    rows: list[Row] = [_row(side, pair.name, metric) for side, metric in (("A", pair.a), ("B", pair.b))]
    title = label(pair.name)
    told = f"{title}: A {with_interval(pair.name, pair.a)}, B {with_interval(pair.name, pair.b)}"
    return Panel(title=title, says=MEANS.get(pair.name, ""), svg=draw(_chart(), rows, name=name, label=told))


def _row(side: str, name: str, metric: Metric) -> Row:
    """One side of a measure."""
    value = metric.value
    low = value if metric.low is None or not isfinite(metric.low) else metric.low
    high = value if metric.high is None or not isfinite(metric.high) else metric.high
    shown = spelling(name)(value)
    return {
        "side": side, "value": value, "low": low, "high": high, "shown": shown, "colour": SIDES[side],
        "text": f"{side}: {with_interval(name, metric)}",
    }  # fmt: skip


def _chart() -> Any:  # noqa: ANN401 – an Altair chart
    """A point and its interval a side, the number at the end."""
    alt = load_altair()
    scale = alt.Scale(zero=True, nice=False)
    colour = alt.Color("colour:N", scale=None)
    y = alt.Y("side:N", title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    plain = alt.Chart(alt.NamedData("rows")).encode(y=y)
    line = plain.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=alt.X("low:Q", axis=None, scale=scale), x2="high:Q", color=colour
    )
    point = plain.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("value:Q", axis=None, scale=scale), color=colour, description="text:N"
    )
    number = plain.mark_text(align="left", dx=9, color=INK, fontSize=12).encode(
        x=alt.X("high:Q", axis=None, scale=scale), text="shown:N"
    )
    return styled(alt.layer(line, point, number).properties(width=PANEL_WIDTH, height=56, autosize=fit_width(alt)))
