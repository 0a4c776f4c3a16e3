"""Charts as inline SVG: an Altair chart drawn by vl-convert, made small, safe and legible in light and dark.

No script is left in the page. Hover text is an SVG ``title``; colours are the few named here, so that the page's style
sheet can answer a dark screen by attribute (``[fill="#0072b2"]``); identifiers are made unique to the chart.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from curate.errors import MissingExtra
from curate.report.text import bound_text

INK, MUTED, RULE = "#3b3f46", "#6a6f78", "#dcdee2"
"""Text, axes, grid."""
BLUE, GREY = "#0072b2", "#8d929b"
PALETTE = ("#d55e00", "#009074", "#b4588c", "#c28600", "#3a97cf", "#7f5f3f")
"""For categories, after Okabe and Ito, darkened to stand out 3 : 1 on white; never told apart by colour alone."""

FONT = "Arial, Liberation Sans, Helvetica, sans-serif"
"""Fonts of one width, so that labels fit wherever the page is read; the style sheet names the same."""

PANEL_WIDTH = 340
"""Pixels; one panel fits a phone, two stand side by side on a page."""
AXIS_CELLS = 24
"""Of a label beside a bar. Cut here and not by Vega, which would cut an emoji in two and then fail to draw it."""
LABEL_CHARS = 160
"""Of a hover text."""

Row = Mapping[str, str | int | float | None]

_NAMESPACE = re.compile(r"\{[^}]*\}")
_KEPT_ATTRIBUTES = frozenset({
    "class", "clip-path", "cx", "cy", "d", "dx", "dy", "fill", "fill-opacity", "font-size", "font-style", "font-weight",
    "height", "id", "opacity", "r", "stroke", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
    "stroke-miterlimit", "stroke-opacity", "stroke-width", "text-anchor", "transform", "viewBox", "width", "x", "x1",
    "x2", "y", "y1", "y2",
})  # fmt: skip
_DEFAULTS = frozenset({("opacity", "1"), ("fill-opacity", "1"), ("transform", "translate(0,0)")})
"""What needs no saying."""
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_SHIFT = re.compile(r"translate\(([^,]+),([^)]+)\)")


def draw(chart: Any, rows: Sequence[Row], *, name: str, label: str) -> str:  # noqa: ANN401 – any Altair chart
    """The chart as an inline ``<svg>`` over its rows, which it refers to as the data set named ``rows``.

    Args:
        chart: an Altair chart whose data is ``alt.NamedData("rows")``.
        rows: the data, every text already bounded and escaped of controls.
        name: unique in the page; prefixes every identifier.
        label: what a screen reader says of the chart as a whole.
    """
    import vl_convert

    spec = chart.to_dict()
    spec["datasets"] = {"rows": [dict(row) for row in rows]}
    return polish(vl_convert.vegalite_to_svg(spec), name=name, label=label)


def load_altair() -> Any:  # noqa: ANN401 – the module
    """Altair, once vl-convert is there too; else what to install."""
    try:
        import altair
        import vl_convert  # noqa: F401 – asked for early, so that the message names the extra
    except ImportError as error:
        raise MissingExtra(error.name or "altair", "prompts") from error
    return altair


def styled(chart: Any) -> Any:  # noqa: ANN401 – any Altair chart
    """The chart in the house's style: no frame, no background, quiet axes."""
    return (
        chart.configure(background="transparent", padding=2, font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED, titleColor=MUTED, gridColor=RULE, domainColor=RULE, tickColor=RULE,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=0, titlePadding=8,
        )
        .configure_title(color=INK, fontSize=13, fontWeight=600, anchor="start", offset=10)
    )  # fmt: skip


def polish(svg: str, *, name: str, label: str) -> str:
    """An SVG document as a fragment: known attributes only, hover titles, own identifiers, a label for the whole."""
    root = ElementTree.fromstring(svg)  # noqa: S314 – our renderer's own output, without entities
    _simplify(root, name)
    root.attrib = {
        "class": "chart",
        "role": "img",
        "aria-label": bound_text(label, 400),
        "viewBox": root.attrib["viewBox"],
        "width": root.attrib["width"],
        "height": root.attrib["height"],
    }
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(element: ElementTree.Element, name: str) -> None:
    """Cut an element and all below it down to what a reader sees."""
    is_mark = element.attrib.get("role") == "graphics-symbol" and not len(element)
    hover = element.attrib.get("aria-label", "") if is_mark else ""
    element.tag = _NAMESPACE.sub("", element.tag)
    attributes = ((key, _attribute(key, value, name)) for key, value in element.attrib.items())
    element.attrib = {key: value for key, value in attributes if key in _KEPT_ATTRIBUTES and value}
    if "stroke" not in element.attrib:
        element.attrib.pop("stroke-width", None)
    if circle := _CIRCLE.fullmatch(element.attrib.get("d", "")):
        _as_circle(element, circle[1])
    for child in list(element):
        if _is_frame(child):
            element.remove(child)
            continue
        _simplify(child, name)
        if child.tag == "g" and not len(child):
            element.remove(child)
    if hover:
        title = ElementTree.Element("title")
        title.text = bound_text(hover, LABEL_CHARS)
        element.insert(0, title)


def _is_frame(element: ElementTree.Element) -> bool:
    """Whether it is one of Vega's empty frames, which nobody sees."""
    return element.attrib.get("class") in ("background", "foreground") or element.attrib.get("fill") == "transparent"


def _attribute(key: str, value: str, name: str) -> str:
    """An attribute's value with short numbers and the chart's own identifiers."""
    if key == "id":
        return f"{name}-{value}"
    if (key, value) in _DEFAULTS:
        return ""
    if key == "class":
        return " ".join(part for part in value.split() if part.endswith("_marks"))
    shortened = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)
    return shortened.replace("url(#", f"url(#{name}-") if key == "clip-path" else shortened


def _as_circle(element: ElementTree.Element, radius: str) -> None:
    """A round symbol's path as a circle at its place."""
    element.tag = "circle"
    element.attrib.pop("d")
    element.attrib["r"] = radius
    if place := _SHIFT.fullmatch(element.attrib.pop("transform", "")):
        element.attrib |= {"cx": place[1], "cy": place[2]}
