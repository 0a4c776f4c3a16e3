"""Plain text for terminals: hostile text made harmless, and tables."""

import re
import unicodedata
from collections.abc import Sequence

from curate.report.numbers import ABSENT, format_number

Cell = str | int | float | None
"""What a table takes; None and NaN show as a dash."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_NUMBER = r"[-+−]?[\d.,]+(e[-+]?\d+)?"
_UNIT = r"(\s?(%|×|ms|s|min|h|points|k|M|B|T|[kMGT]B))?"
_NUMERIC = re.compile(rf"{_NUMBER}{_UNIT}( to {_NUMBER}{_UNIT})?( \({_NUMBER} to {_NUMBER}\))?|∞|−∞")
_NARROWEST = 8
"""A column is not cut below so many cells."""


def escape_controls(text: str, *, multiline: bool = False) -> str:
    r"""The text with every control, bidirectional, zero-width or unassigned character shown as an escape.

    One line by default (a newline shows as ``\n``); with ``multiline``, newlines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if (multiline and char in "\n\t") or not _is_hidden(char) else _escape(char) for char in text)


def bound_text(text: str, limit: int, *, multiline: bool = False) -> str:
    """At most so many characters with controls escaped; a cut is marked by … and never splits an escape."""
    shown = escape_controls(text[:limit], multiline=multiline)
    return shown if len(text) <= limit else f"{shown}…"


def _is_hidden(char: str) -> bool:
    """Whether a reader would not see this character, or would see others moved by it."""
    is_selector = "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef"
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or char in _BLANK_LETTERS or is_selector


def _escape(char: str) -> str:
    r"""A character as Python writes it: \n, \x1b, \u202e, \U000e0041."""
    named = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(char)
    if named:
        return named
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def display_width(text: str) -> int:
    """How many cells of a terminal the text takes: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    """Cells of one character."""
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """The text cut to so many cells, the last one … where something was cut."""
    if display_width(text) <= width:
        return text
    kept, room = [], max(width, 1) - 1
    for char in text:
        room -= _cells(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def table(rows: Sequence[Sequence[Cell]], headers: Sequence[str], *, width: int = 100) -> str:
    """Aligned columns under headers: numbers to the right, text to the left, the widest cut to fit the width.

    Cells may be hostile: controls are escaped and newlines shown. Short rows are filled with blanks.
    """
    shown = [[_cell(row[i]) if i < len(row) else "" for i in range(len(headers))] for row in rows]
    heads = [escape_controls(header) for header in headers]
    columns = [[row[i] for row in shown] for i in range(len(heads))]
    widths = [max(map(display_width, [head, *column])) for head, column in zip(heads, columns, strict=True)]
    widths = _fit(widths, width - 2 * (len(widths) - 1))
    right = numeric_columns(shown, len(heads))
    lines = [heads, ["─" * cells for cells in widths], *shown]
    return "\n".join(
        "  ".join(
            _pad(cell, cells, to_right) for cell, cells, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Cell) -> str:
    """One cell as harmless text on one line."""
    return escape_controls(value) if isinstance(value, str) else format_number(value)


def numeric_columns(rows: Sequence[Sequence[str]], count: int) -> list[bool]:
    """Of so many columns, those that hold numbers and nothing else, but for dashes and blanks."""
    columns = [[row[i] for row in rows if row[i] not in ("", ABSENT)] for i in range(count)]
    return [bool(column) and all(_NUMERIC.fullmatch(cell) for cell in column) for column in columns]


def _pad(cell: str, width: int, to_right: bool) -> str:
    """A cell cut and filled to its column's width."""
    cut = shorten(cell, width)
    fill = " " * (width - display_width(cut))
    return fill + cut if to_right else cut + fill


def _fit(widths: Sequence[int], room: int) -> list[int]:
    """Widths that sum to no more than the room, the widest giving way first, none below a readable least."""
    fitted = [min(cells, max(room, _NARROWEST)) for cells in widths]
    while sum(fitted) > room and max(fitted, default=0) > _NARROWEST:
        widest = fitted.index(max(fitted))
        rest = sorted(fitted, reverse=True)[1:2] or [0]
        fitted[widest] = max(_NARROWEST, min(fitted[widest] - 1, max(rest[0], fitted[widest] - (sum(fitted) - room))))
    return fitted
