"""Numbers as people read them; one spelling for terminal, page and chart caption."""

import math
from collections.abc import Sequence

ABSENT = "–"
"""What stands where nothing was measured."""

BYTE_UNITS = (" B", " kB", " MB", " GB", " TB")
COUNT_UNITS = ("", " k", " M", " B", " T")


def is_measured(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def format_number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; whole numbers with thousands separators; a dash for none."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return f"{value:.{digits - 1}e}"
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{value:,.{places}f}"


def format_fixed(value: float | None, places: int = 3) -> str:
    """A number with a fixed number of places, so that a column lines up; a dash for none."""
    return f"{value:,.{places}f}" if value is not None and math.isfinite(value) else format_number(value)


def format_share(value: float | None) -> str:
    """A share of 1 as per cent with one place."""
    return f"{100 * value:.1f} %" if value is not None and math.isfinite(value) else ABSENT


def format_bytes(value: int | None) -> str:
    """Bytes in the unit that keeps the number between 1 and 1000 (decimal units)."""
    return ABSENT if value is None else _scaled(value, BYTE_UNITS)


def format_count(value: int | None) -> str:
    """A count in thousands (k), millions (M), billions (B) once it is long."""
    return ABSENT if value is None else _scaled(value, COUNT_UNITS)


def format_seconds(value: float | None) -> str:
    """A wall time in milliseconds, seconds, minutes or hours."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def format_ratio(value: float | None, of: float | None) -> str:
    """How many times the second is the first, such as 3.1×; a dash where either is absent or zero."""
    if value is None or of is None or not value or not of or not math.isfinite(of / value):
        return ABSENT
    return f"{format_fixed(of / value, 2 if of / value < 10 else 1)}×"


def _scaled(value: int, units: Sequence[str]) -> str:
    """The value in the largest unit that leaves at least 1 before the point."""
    scaled, steps = float(value), 0
    while abs(scaled) >= 999.5 and steps < len(units) - 1:
        scaled, steps = scaled / 1000, steps + 1
    if steps == 0:
        return f"{value:,}{units[0]}"
    return f"{scaled:,.{2 if abs(scaled) < 10 else 1}f}{units[steps]}"
