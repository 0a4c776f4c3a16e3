"""Charts of a prompt set: the map, similarity, what was dropped, and clusters against the reference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from curate.prompts.results import Cluster, FilterReport, Sample
from curate.report.figures import OTHER, Figure, LegendEntry, Panel, group_legend, spread
from curate.report.numbers import format_number, format_share
from curate.report.svg import AXIS_CELLS, BLUE, GREY, INK, PALETTE, PANEL_WIDTH, Row, draw, load_altair, styled
from curate.report.text import bound_text, shorten

MAP_POINTS = 2000
"""Drawn at most; captions count them all."""
MAP_SIZE = (720, 460)
HOVER_CHARS = 140
BAR_STEP = 28


def prompt_map(samples: Sequence[Sample], totals: Mapping[str, int] | None = None) -> Figure | None:
    """Prompts as points, near where alike; none without points.

    Args:
        samples: what may be drawn.
        totals: how many prompts of each group there are in truth; where it says nothing, the samples are counted.
    """
    shown = [sample for sample in samples if isfinite(sample.x) and isfinite(sample.y)]
    if not shown:
        return None
    sampled = Counter(sample.group for sample in shown)
    legend = group_legend({group: max(count, (totals or {}).get(group, 0)) for group, count in sampled.items()})
    names = {entry.label for entry in legend}
    places: dict[str, list[int]] = {entry.label: [] for entry in legend}
    for place, sample in enumerate(shown):
        places[sample.group if sample.group in names else OTHER].append(place)
    drawn = {label: spread(group, max(30, MAP_POINTS * len(group) // len(shown))) for label, group in places.items()}
    rows = [_map_row(shown[place], label) for label, group in drawn.items() for place in group]
    counted = ", ".join(f"{entry.label} {entry.count:,}" for entry in legend if entry.count is not None)
    whole = sum(entry.count or 0 for entry in legend)
    cut = f" {len(rows):,} of them are drawn." if len(rows) < whole else ""
    return Figure(
        name="map",
        title="Map of prompts",
        caption=f"{whole:,} prompts; those that mean much the same lie close together.{cut} "
        "Point at one to read it; untick a group to hide it.",
        panels=(Panel(svg=draw(_map_chart(legend), rows, name="map", label=f"Map of prompts: {counted}")),),
        legend=legend,
        headers=("group", "for example"),
        rows=tuple(
            (label, bound_text(shown[place].text, HOVER_CHARS))
            for label, group in drawn.items()
            for place in spread(group, 3)
        ),
        is_wide=True,
    )


def _map_row(sample: Sample, label: str) -> Row:
    """One point of the map."""
    text = f"{sample.group}: {bound_text(sample.text, HOVER_CHARS)}"
    return {"x": round(sample.x, 4), "y": round(sample.y, 4), "group": label, "text": text}


def _map_chart(legend: Sequence[LegendEntry]) -> Any:  # noqa: ANN401 – an Altair chart
    """One layer a group, so that each can be hidden by the page's style alone."""
    alt = load_altair()
    x = alt.X("x:Q", axis=None, scale=alt.Scale(zero=False, nice=False, padding=12))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False, nice=False, padding=12))
    layers = [
        alt.Chart(alt.NamedData("rows"))
        .transform_filter(alt.FieldEqualPredicate(field="group", equal=entry.label))
        .mark_point(
            filled=True,
            shape=entry.shape,
            color=entry.colour,
            size=26 if entry.label in ("kept", "reference") else 46,
            opacity=0.5 if entry.label == "reference" else 0.85,
        )
        .encode(x=x, y=y, description="text:N")
        for entry in legend
    ]
    return styled(alt.layer(*layers).properties(width=MAP_SIZE[0], height=MAP_SIZE[1]))


def similarity_histogram(counts: Sequence[int]) -> Figure | None:
    """How alike each prompt is to its nearest neighbour; none without counts."""
    total, alike = sum(counts), _from(counts, 0.9)
    return _histogram(
        counts,
        name="similarity",
        title="How alike the prompts are",
        axis="cosine to the nearest neighbour",
        caption=f"{_of(alike, total, 'prompts')} a near twin: another prompt at a cosine of 0.9 or above.",
    )


def quality_histogram(counts: Sequence[int]) -> Figure | None:
    """The rows' quality scores; none without counts."""
    total = sum(counts)
    low = total - _from(counts, 0.4)
    return _histogram(
        counts,
        name="row-quality",
        title="How clean their text is",
        axis="quality score",
        caption=f"{_of(low, total, 'rows')} a quality score under 0.4. "
        "The score reads spelling and shape alone: it knows no meaning, and code and names score lower.",
    )


def _of(part: int, total: int, noun: str) -> str:
    """How many of them have what follows, none said as a word."""
    return f"Of {total:,} {noun}, {f'{part:,} ({_share(part, total)}) have' if part else 'none has'}"


def _from(counts: Sequence[int], bound: float) -> int:
    """How many lie in the bins from a bound on."""
    return sum(count for place, count in enumerate(counts) if place / len(counts) >= bound - 1e-9)


def _histogram(counts: Sequence[int], *, name: str, title: str, axis: str, caption: str) -> Figure | None:
    """Counts in equal bins from 0 to 1; none without counts."""
    if not sum(counts):
        return None
    width = 1 / len(counts)
    rows: list[Row] = [
        {
            "low": round(i * width, 4),
            "high": round((i + 1) * width, 4),
            "count": count,
            "text": f"{count:,} prompts between {i * width:.2f} and {(i + 1) * width:.2f}",
        }
        for i, count in enumerate(counts)
    ]
    alt = load_altair()
    scale = alt.Axis(grid=False, values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    chart = (
        alt.Chart(alt.NamedData("rows"), width=PANEL_WIDTH, height=180, autosize=fit_width(alt))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title=axis, axis=scale),
            x2="high:Q",
            y=alt.Y("count:Q", title="prompts", axis=alt.Axis(tickCount=4)),
            description="text:N",
        )
    )  # fmt: skip
    return Figure(
        name=name,
        title=title,
        caption=caption,
        panels=(Panel(svg=draw(styled(chart), rows, name=name, label=caption)),),
        headers=(f"{axis.split(' ')[0]} from", "to", "prompts"),
        rows=tuple((f"{row['low']:.2f}", f"{row['high']:.2f}", f"{row['count']:,}") for row in rows if row["count"]),
    )


def drops_by_filter(report: FilterReport) -> Figure | None:
    """Rows kept, and dropped by each filter; none if nothing was read."""
    if not report.rows_read:
        return None
    counts = [("kept", report.rows_kept), *((count.name, count.dropped) for count in report.filters)]
    if report.rows_unreadable:
        counts.append(("unreadable", report.rows_unreadable))
    rows: list[Row] = [
        {
            "what": shorten(bound_text(what, 40), AXIS_CELLS),
            "count": count,
            "shown": f"{count:,}",
            "colour": BLUE if what == "kept" else PALETTE[0],
            "text": f"{bound_text(what, 40)}: {count:,} of {report.rows_read:,} rows",
        }
        for what, count in counts
    ]
    dropped = report.rows_read - report.rows_kept
    caption = (
        f"Of {report.rows_read:,} rows, {report.rows_kept:,} were kept "
        f"({format_share(report.rows_kept / report.rows_read)}) and {dropped:,} dropped."
    )
    return Figure(
        name="drops",
        title="Kept and dropped",
        is_open=True,
        caption=caption,
        panels=(Panel(svg=draw(bars([row["what"] for row in rows]), rows, name="drops", label=caption)),),
        headers=("filter", "rows in", "dropped", "share"),
        rows=tuple(
            (count.name, f"{count.rows_in:,}", f"{count.dropped:,}", _share(count.dropped, count.rows_in))
            for count in report.filters
        ),
    )


def bars(order: Sequence[object]) -> Any:  # noqa: ANN401 – an Altair chart
    """Horizontal bars with their numbers at the end: rows of what, count, shown, colour, text."""
    alt = load_altair()
    y = alt.Y("what:N", sort=list(order), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    plain = alt.Chart(alt.NamedData("rows")).encode(y=y)
    bar = plain.mark_bar(height={"band": 0.62}).encode(
        x=alt.X("count:Q", axis=None, scale=alt.Scale(padding=0)),
        color=alt.Color("colour:N", scale=None),
        description="text:N",
    )
    number = plain.mark_text(align="left", dx=6, color=INK, fontSize=12).encode(x="count:Q", text="shown:N")
    height = BAR_STEP * max(len(order), 1)
    return styled(alt.layer(bar, number).properties(width=PANEL_WIDTH, height=height, autosize=fit_width(alt)))


def cluster_shares(clusters: Sequence[Cluster], limit: int = 12) -> Figure | None:
    """The largest clusters, each with its share of the prompts and of the reference; none without clusters."""
    ranked = sorted(clusters, key=lambda cluster: (-max(cluster.share, cluster.reference_share or 0), cluster.words))
    if not ranked:
        return None
    names = [_cluster_name(place, cluster) for place, cluster in enumerate(ranked)]
    rows: list[Row] = []
    for name, cluster in list(zip(names, ranked, strict=True))[:limit]:
        shares = [("prompts", cluster.share, BLUE), ("reference", cluster.reference_share, GREY)]
        rows += [
            {"what": name, "series": series, "share": share, "colour": colour,
             "text": f"{name}: {format_share(share)} of the {series}"}
            for series, share, colour in shares
            if share is not None
        ]  # fmt: skip
    compared = any(cluster.reference_share is not None for cluster in ranked)
    caption = _cluster_caption(ranked, compared)
    legend = [LegendEntry(label="prompts", colour=BLUE, shape="square")]
    legend += [LegendEntry(label="reference", colour=GREY, shape="square")] if compared else []
    svg = draw(_pairs([str(row["what"]) for row in rows]), rows, name="clusters", label=caption)
    return Figure(
        name="clusters",
        title="Clusters against the reference" if compared else "Clusters",
        is_open=True,
        caption=caption,
        panels=(Panel(svg=svg),),
        legend=tuple(legend),
        headers=("cluster", "share", "reference", "ratio"),
        rows=tuple(
            (f"{i} {_words(one)}".rstrip(), format_share(one.share), format_share(one.reference_share), _times(one))
            for i, one in enumerate(ranked, start=1)
        ),
    )


def _cluster_caption(clusters: Sequence[Cluster], compared: bool) -> str:
    """How many clusters there are, and the one that says most."""
    count = f"{len(clusters)} clusters." if len(clusters) > 1 else "One cluster."
    if not compared:
        largest = max(clusters, key=lambda cluster: cluster.share)
        return f"{count} The largest, “{_words(largest)}”, holds {format_share(largest.share)} of the prompts."
    furthest = max(clusters, key=lambda cluster: abs(cluster.share - (cluster.reference_share or 0)))
    return (
        f"{count} Furthest apart is “{_words(furthest)}”: {format_share(furthest.share)} of the prompts, "
        f"{format_share(furthest.reference_share or 0)} of the reference."
    )


def _pairs(order: Sequence[str]) -> Any:  # noqa: ANN401 – an Altair chart
    """A pair of thin bars a name: prompts above, reference below."""
    alt = load_altair()
    names = list(dict.fromkeys(order))
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .mark_bar()
        .encode(
            y=alt.Y("what:N", sort=names, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8)),
            yOffset=alt.YOffset("series:N", sort=["prompts", "reference"]),
            x=alt.X("share:Q", title="share", axis=alt.Axis(format="%", tickCount=4)),
            color=alt.Color("colour:N", scale=None),
            description="text:N",
        )
    )
    return styled(chart.properties(width=PANEL_WIDTH, height=BAR_STEP * len(names), autosize=fit_width(alt)))


def _cluster_name(place: int, cluster: Cluster) -> str:
    """A cluster by its first words; numbered, for words may repeat."""
    return shorten(f"{place + 1} {_words(cluster)}".rstrip(), AXIS_CELLS)


def _words(cluster: Cluster) -> str:
    """The first words of a cluster."""
    return " ".join(bound_text(word, 16) for word in cluster.words[:3])


def _times(cluster: Cluster) -> str:
    """How many times its share of the reference a cluster takes of the prompts."""
    if not cluster.reference_share:
        return "–"
    return f"{format_number(cluster.share / cluster.reference_share, 2)}×"


def _share(part: int, whole: int) -> str:
    """A part as per cent of a whole that may be empty."""
    return format_share(part / whole) if whole else "–"


def fit_width(alt: Any) -> Any:  # noqa: ANN401 – Altair and one of its values
    """Total width as given, labels included."""
    return alt.AutoSizeParams(type="fit-x", contains="padding")
