"""A figure as a page shows it: panels, a legend, a caption that says the numbers, and the numbers as a table."""

from collections.abc import Sequence

from curate.artifact import Value
from curate.report.svg import BLUE, GREY, PALETTE

SHAPES = {
    "circle": "M5 1a4 4 0 1 0 .01 0Z",
    "square": "M1.5 1.5h7v7h-7Z",
    "triangle-up": "M5 1L9 9H1Z",
    "diamond": "M5 .5L9.5 5L5 9.5L.5 5Z",
    "cross": "M3.5 1h3v2.5H9v3H6.5V9h-3V6.5H1v-3h2.5Z",
    "triangle-down": "M5 9L1 1H9Z",
}
"""Vega's symbol names, and each drawn in a 10 × 10 box for the legend."""
OTHER = "other drops"


class Panel(Value):
    """One chart of a figure."""

    svg: str
    title: str = ""
    says: str = ""
    """What the number means, in a few words."""


class LegendEntry(Value):
    """One kind of mark, and whether readers may hide it (the layer's place in the chart)."""

    label: str
    colour: str
    shape: str = "circle"
    count: int | None = None
    layer: int | None = None

    @property
    def outline(self) -> str:
        """The mark's shape as a path in a 10 × 10 box."""
        return SHAPES[self.shape]


class Figure(Value):
    """Everything a page needs to show a figure to those who see it and to those who do not."""

    name: str
    """Unique in the page."""
    title: str
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[LegendEntry, ...] = ()
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    is_open: bool = False
    """The numbers stand beside or below the chart, not behind a click."""
    is_wide: bool = False
    """Drawn over the whole width, with no text inside that would shrink on a phone."""


def group_legend(counts: dict[str, int]) -> tuple[LegendEntry, ...]:
    """A colour and a shape for every group of a prompt map: reference, kept, and the drops by how many there are."""
    drops = sorted((group for group in counts if group not in ("kept", "reference")), key=lambda g: (-counts[g], g))
    named = drops if len(drops) <= len(PALETTE) else drops[: len(PALETTE) - 1]
    entries = [("reference", GREY, "circle"), ("kept", BLUE, "circle")]
    marks = zip(PALETTE, [*list(SHAPES)[1:], "square"], strict=True)
    entries += [(group, colour, shape) for group, (colour, shape) in zip(named, marks, strict=False)]
    totals = {**counts, OTHER: sum(counts[group] for group in drops[len(named) :])}
    if totals[OTHER]:
        entries.append((OTHER, PALETTE[-1], "square"))
    present = [entry for entry in entries if totals.get(entry[0])]
    return tuple(
        LegendEntry(label=label, colour=colour, shape=shape, count=totals[label], layer=layer)
        for layer, (label, colour, shape) in enumerate(present)
    )


def spread(items: Sequence[int], limit: int) -> list[int]:
    """At most so many of the items, evenly spread, the first and last among them."""
    if len(items) <= limit or limit < 2:
        return list(items[:limit])
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]
