"""Curves with intervals, drawn as SVG files."""

import altair as alt
import vl_convert

COLOURS = ["#0072b2", "#d55e00", "#009074", "#b4588c"]


def curve(rows, *, x, y):
    """An SVG of lines with bars from ``low`` to ``high``; ``rows`` hold x, y, low, high and line."""
    lines = list(dict.fromkeys(row["line"] for row in rows))
    colour = alt.Color("line:N", sort=lines, scale=alt.Scale(domain=lines, range=COLOURS), title=None)
    base = alt.Chart().encode(x=alt.X("x:Q", title=x), color=colour)
    marks = base.mark_line(point=True).encode(
        y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=True)),
        shape=alt.Shape("line:N", sort=lines, scale=alt.Scale(domain=lines), title=None),
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=y), y2="high:Q")
    chart = alt.layer(bars, marks, data=alt.Data(values=rows)).properties(width=330, height=260)
    return vl_convert.vegalite_to_svg(chart.configure(background="white").to_dict())
