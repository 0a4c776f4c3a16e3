"""Plain text for terminals: hostile text made harmless, tables, and a training report's before and after."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from curate.distillation.results import ExamPoint, Quality, TrainingReport
from curate.report.numbers import (
    ABSENT,
    format_bytes,
    format_count,
    format_fixed,
    format_number,
    format_ratio,
    format_seconds,
    format_share,
)

Cell = str | int | float | None
"""What a table takes; None and NaN show as a dash."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_NUMERIC = re.compile(r"[-+−]?[\d.,]+(e[-+]?\d+)?(\s?(%|×|ms|s|min|h|k|M|B|T|[kMGT]B))?( to [-+−]?[\d.,e]+)?|∞|−∞")
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


QUALITIES = {
    "perplexity": ("perplexity", format_number),
    "kl_to_teacher": ("KL to teacher (nats)", format_fixed),
    "reverse_kl": ("reverse KL (nats)", format_fixed),
    "top1_agreement": ("top-1 agreement", format_share),
    "accuracy": ("accuracy", format_share),
}
"""Field of ``Quality`` to its label and spelling."""


TERM_NAMES = {"total": "weighted total", "kd": "KD", "feature": "hidden states", "attention": "attention maps"}
"""How the loss terms are called by people; any other goes by its own name."""


def quality_rows(models: Mapping[str, Quality]) -> list[list[str]]:
    """One row a measure that was taken on any model, one cell a model."""
    rows = []
    for field, (label, spell) in QUALITIES.items():
        values = [getattr(quality, field) for quality in models.values()]
        if any(value is not None for value in values):
            rows.append([label, *map(spell, values)])
    return rows


def compared_models(report: TrainingReport, baseline: TrainingReport | None = None) -> dict[str, Quality]:
    """The models of a before/after table by heading."""
    models = {"teacher": report.teacher, "before": report.before, "after": report.after}
    return {**models, "without KD": baseline.after} if baseline else models


def footprint_rows(report: TrainingReport) -> list[list[str]]:
    """What teacher and student cost, and how many times less the student does."""
    teacher, student = report.footprints.get("teacher"), report.footprints.get("student")
    rows = []
    for label, field, spell in (
        ("parameters", "parameters", format_count),
        ("size", "bytes", format_bytes),
        ("ms a token", "ms_per_token", format_number),
        ("peak memory", "peak_memory_bytes", format_bytes),
    ):
        values = [getattr(footprint, field, None) for footprint in (teacher, student)]
        if any(value is not None for value in values):
            rows.append([label, *(spell(value) for value in values), format_ratio(values[1], values[0])])
    return rows


def domain_rows(models: Mapping[str, Quality]) -> list[list[str]]:
    """One row a measure and domain of the held-out prompts, where they come from several."""
    rows = []
    for domain in dict.fromkeys(name for quality in models.values() for name in quality.domains):
        parts = {model: quality.domains.get(domain, Quality()) for model, quality in models.items()}
        rows += [[bound_text(domain, 60), *row] for row in quality_rows(parts)]
    return rows


def exam_rows(exams: Sequence[ExamPoint]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the examinations while training: the step, then every measure that was taken."""
    taken = {
        field: told
        for field, told in QUALITIES.items()
        if any(getattr(exam.quality, field) is not None for exam in exams)
    }
    rows = [
        [f"{exam.step:,}", *(spell(getattr(exam.quality, field)) for field, (_, spell) in taken.items())]
        for exam in exams
    ]
    return ["step", *(label for label, _ in taken.values())], rows


def balance_line(balance: Mapping[str, float]) -> str:
    """What the weights of terms were multiplied by, so that no gradient drowns the others; nothing for none."""
    factors = ", ".join(f"{TERM_NAMES.get(term, term)} × {format_number(factor)}" for term, factor in balance.items())
    return f"weights balanced by gradient norms: {bound_text(factors, 300)}" if factors else ""


def training_text(report: TrainingReport, baseline: TrainingReport | None = None, *, width: int = 100) -> str:
    """What the distillation did: quality before, while and after, by domain, and size and speed against the teacher.

    ``baseline`` is the same student trained without the teacher's distributions, where one was trained.
    """
    models = compared_models(report, baseline)
    took = f" in {format_seconds(report.wall_s)}" if report.wall_s is not None else ""
    head = [
        f"{bound_text(report.teacher_ref, 80)} → {bound_text(report.config.student.name, 80)}",
        f"{report.steps:,} steps on {report.prompts_trained:,} prompts, {report.tokens:,} answer tokens{took}",
        balance_line(report.balance),
    ]
    held_out = f"on {report.prompts_held_out:,} held-out prompts"
    headers, exams = exam_rows(report.exams)
    tables = [
        ([held_out, *models], quality_rows(models)),
        (["domain", "measure", *models], domain_rows(models)),
        ([f"exam at {headers[0]}", *headers[1:]], exams),
        (["cost", "teacher", "student", "smaller by"], footprint_rows(report)),
    ]
    parts = ["\n".join(line for line in head if line)]
    parts += [table(rows, heads, width=width) for heads, rows in tables if rows]
    return "\n\n".join(parts)
