"""Charts of a distillation: losses by term, quality before and after, what teacher and student cost."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, isfinite, log10
from typing import Any

from curate.distillation.results import ExamPoint, Footprint, LossPoint, Quality, TrainingReport
from curate.report.charts import bars, fit_width
from curate.report.figures import Figure, Panel, spread
from curate.report.measures import QUALITIES
from curate.report.numbers import format_bytes, format_count, format_number, format_ratio, is_measured
from curate.report.recipe import quality_sentence
from curate.report.svg import BLUE, GREY, INK, MUTED, PALETTE, PANEL_WIDTH, Row, draw, load_altair, styled
from curate.report.text import bound_text
from curate.report.text_training import TERM_NAMES, exam_rows, footprint_rows, quality_rows

CURVE_POINTS = 300
"""Drawn at most, evenly spread."""
LOG_FROM = 20
"""A scale is logarithmic where the largest value is so many times the smallest."""
MODEL_COLOURS = {"teacher": GREY, "before": PALETTE[3], "after": BLUE, "without KD": PALETTE[2], "student": BLUE}


def loss_curves(curve: Sequence[LossPoint]) -> Figure | None:
    """One panel a loss term, the weighted total first; none without logged steps."""
    terms = list(dict.fromkeys(term for point in curve for term in point.terms))
    panels, rows = [], []
    for place, term in enumerate(["total", *terms]):
        points = [
            (point.step, value)
            for point in curve
            if (value := point.total if term == "total" else point.terms.get(term)) is not None and isfinite(value)
        ]
        if not points:
            continue
        name = bound_text(TERM_NAMES.get(term, term), 40)
        first, last = points[0][1], points[-1][1]
        lowest = min(value for _, value in points)
        rows.append((name, format_number(first), format_number(last), format_number(lowest)))
        panels.append(_curve_panel(name, [points[i] for i in spread(range(len(points)), CURVE_POINTS)], f"loss{place}"))
    if not panels:
        return None
    said = "; ".join(f"{name} from {first} to {last}" for name, first, last, _ in rows)
    return Figure(
        name="losses",
        title="Losses by term",
        caption=f"Over {curve[-1].step:,} steps: {said}. The terms themselves are shown unweighted.",
        panels=tuple(panels),
        headers=("term", "first", "last", "lowest"),
        rows=tuple(rows),
    )


def exam_curves(exams: Sequence[ExamPoint]) -> Figure | None:
    """One panel a measure over the examinations while training; none where fewer than two were asked for."""
    headers, rows = exam_rows(exams)
    panels = []
    for field, (label, _) in QUALITIES.items():
        points = [
            (exam.step, value)
            for exam in exams
            if (value := getattr(exam.quality, field)) is not None and isfinite(value)
        ]
        if len(points) > 1:
            panels.append(_curve_panel(label, points, f"exam-{field.replace('_', '-')}", is_noisy=False))
    if not panels:
        return None
    return Figure(
        name="exams",
        title="Examined while training",
        caption=f"{len(exams)} examinations on held-out prompts, the last after {exams[-1].step:,} steps.",
        panels=tuple(panels),
        headers=tuple(headers),
        rows=tuple(tuple(row) for row in rows),
        is_open=True,
    )


def _curve_panel(name: str, points: Sequence[tuple[int, float]], identifier: str, *, is_noisy: bool = True) -> Panel:
    """One measure over the steps: the line faint and its moving mean strong, or the points themselves."""
    smooth = _moving_mean([value for _, value in points])
    rows: list[Row] = [
        {"step": step, "loss": value, "mean": mean, "text": f"{name} at step {step:,}: {format_number(value)}"}
        for (step, value), mean in zip(points, smooth, strict=True)
    ]
    smallest, largest = (pick(value for _, value in points) for pick in (min, max))
    is_log = smallest > 0 and largest / smallest > LOG_FROM
    alt = load_altair()
    if is_log:
        scale = alt.Scale(type="log", nice=False, domain=[smallest * 0.8, largest * 1.2])
        axis = alt.Axis(values=_powers(smallest, largest), format="~g")
    else:
        scale, axis = alt.Scale(zero=smallest >= 0, nice=True), alt.Axis(tickCount=4, format="~r")
    y = alt.Y("loss:Q", title=None, scale=scale, axis=axis)
    plain = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=4))
    )
    lines = alt.layer(
        plain.mark_line(color=GREY, strokeWidth=1, opacity=0.55).encode(y=y),
        plain.mark_line(color=BLUE, strokeWidth=2).encode(y=alt.Y("mean:Q", title=None, scale=scale)),
        plain.mark_point(filled=True, size=30, opacity=0 if is_noisy else 1, color=BLUE).encode(
            y=y, description="text:N"
        ),
    )
    sized = lines.properties(width=PANEL_WIDTH, height=150, autosize=fit_width(alt))
    label = f"{name}: {format_number(points[0][1])} at first, {format_number(points[-1][1])} at last"
    title = f"{name} (log scale)" if is_log else name
    return Panel(title=title, svg=draw(styled(sized), rows, name=identifier, label=label))


def _powers(smallest: float, largest: float) -> list[float]:
    """Powers of ten within a range, with their halves and fifths where there are few."""
    powers = [10.0**exponent for exponent in range(floor(log10(smallest)), ceil(log10(largest)) + 1)]
    inside = [power for power in powers if smallest * 0.8 <= power <= largest * 1.2]
    if len(inside) > 2:
        return inside
    return [step * power for power in powers for step in (1, 2, 5) if smallest * 0.8 <= step * power <= largest * 1.2]


def _moving_mean(values: Sequence[float]) -> list[float]:
    """The mean over a window of about a twentieth of the values around each."""
    reach = len(values) // 40
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def quality_bars(models: Mapping[str, Quality]) -> Figure | None:
    """One panel a measure, one bar a model; none where nothing was measured."""
    panels = []
    for field, (label, spell) in QUALITIES.items():
        values = {model: getattr(quality, field) for model, quality in models.items()}
        panels.append(_measure_panel(f"quality-{field.replace('_', '-')}", label, values, spell))
    drawn = tuple(panel for panel in panels if panel)
    if not drawn:
        return None
    return Figure(
        name="quality",
        title="Before and after",
        caption=f"On held-out prompts. {quality_sentence(models)}",
        panels=drawn,
        headers=("measure", *models),
        rows=tuple(tuple(row) for row in quality_rows(models)),
        is_open=True,
    )


def footprint_bars(report: TrainingReport) -> Figure | None:
    """What teacher and student cost; none where nothing was measured."""
    costs: dict[str, Footprint] = {
        role: report.footprints[role] for role in ("teacher", "student") if role in report.footprints
    }
    spellings: dict[str, tuple[str, Callable[[Any], str]]] = {
        "parameters": ("parameters", format_count),
        "bytes": ("size on disk", format_bytes),
        "ms_per_token": ("ms a token", format_number),
        "peak_memory_bytes": ("peak memory", format_bytes),
    }
    panels = []
    for field, (label, spell) in spellings.items():
        values = {role: getattr(footprint, field) for role, footprint in costs.items()}
        panels.append(_measure_panel(f"cost-{field.replace('_', '-')}", label, values, spell))
    drawn = tuple(panel for panel in panels if panel)
    if not drawn:
        return None
    return Figure(
        name="cost",
        title="Size and speed",
        is_open=True,
        caption=_cost_caption(costs),
        panels=drawn,
        headers=("cost", "teacher", "student", "smaller by"),
        rows=tuple(tuple(row) for row in footprint_rows(report)),
    )


def _cost_caption(costs: Mapping[str, Footprint]) -> str:
    """How much smaller and faster the student is, in a sentence."""
    teacher, student = costs.get("teacher"), costs.get("student")
    if teacher is None or student is None:
        return "Measured on one of the two models only."
    said = [
        f"The student has {format_count(student.parameters)} parameters where the teacher has "
        f"{format_count(teacher.parameters)} ({format_ratio(student.parameters, teacher.parameters)} smaller)"
    ]
    if is_measured(teacher.ms_per_token) and is_measured(student.ms_per_token):
        said.append(
            f"takes {format_number(student.ms_per_token)} ms a token instead of "
            f"{format_number(teacher.ms_per_token)} ({format_ratio(student.ms_per_token, teacher.ms_per_token)} faster)"
        )
    return ", and ".join(said) + "."


def _measure_panel(
    name: str, label: str, values: Mapping[str, float | None], spell: Callable[[Any], str]
) -> Panel | None:
    """One measure over the models that have it: bars, or points on a log scale where bars would vanish."""
    rows: list[Row] = [
        {"what": model, "count": value, "shown": spell(value), "colour": MODEL_COLOURS.get(model, MUTED),
         "text": f"{model}: {spell(value)}"}
        for model, value in values.items()
        if value is not None and isfinite(value)
    ]  # fmt: skip
    if not rows:
        return None
    order = [str(row["what"]) for row in rows]
    numbers = [float(value) for row in rows if (value := row["count"]) is not None]
    is_log = min(numbers) > 0 and max(numbers) / min(numbers) > LOG_FROM
    said = f"{label}: " + ", ".join(f"{row['what']} {row['shown']}" for row in rows)
    chart = _points(order) if is_log else bars(order)
    return Panel(title=f"{label} (log scale)" if is_log else label, svg=draw(chart, rows, name=name, label=said))


def _points(order: Sequence[str]) -> Any:  # noqa: ANN401 – an Altair chart
    """Points on a logarithmic scale with their numbers beside them."""
    alt = load_altair()
    y = alt.Y("what:N", sort=list(order), title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    plain = alt.Chart(alt.NamedData("rows")).encode(
        y=y, x=alt.X("count:Q", title=None, scale=alt.Scale(type="log", nice=True, padding=8), axis=None)
    )
    point = plain.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("colour:N", scale=None), description="text:N"
    )
    number = plain.mark_text(align="left", dx=9, color=INK, fontSize=12).encode(text="shown:N")
    height = 28 * max(len(order), 1)
    return styled(alt.layer(point, number).properties(width=PANEL_WIDTH, height=height, autosize=fit_width(alt)))
