"""Templates, with every text that passes through them escaped, bounded and free of characters nobody sees."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from curate.report.numbers import format_number, format_seconds
from curate.report.text import bound_text, numeric_columns
from curate.report.views import CONFIDENCE_WORDS, VERDICT_MARKS, VERDICT_WORDS

_WORD = re.compile(r"[a-z]+('s)?,?:? ")
TEXT_CHARS = 1500
"""The longest text a page shows where its template does not say otherwise."""


def render(template: str, **values: object) -> str:
    """A page from its template."""
    text: str = _environment().get_template(template).render(**values)
    return text


@cache
def _environment() -> Environment:
    """Jinja with autoescape on and an undefined name an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "bound": bound_text,
        "confidence": lambda name: CONFIDENCE_WORDS.get(name, name),
        "mark": lambda tone: VERDICT_MARKS.get(str(tone), ""),
        "numeric_columns": numeric_columns,
        "quoted": _quoted,
        "seconds": format_seconds,
        "sentence": _sentence,
        "word": lambda verdict: VERDICT_WORDS.get(str(verdict), str(verdict)),
    }
    return environment


def _sentence(text: str) -> str:
    """The text with a capital first, where it begins with a word and not with a name."""
    return text[0].upper() + text[1:] if _WORD.match(text) else text


def _harmless(value: Any) -> Any:  # noqa: ANN401 – whatever a template prints
    """What a template prints: text bounded, controls shown as escapes, numbers as people read them."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return bound_text(value, TEXT_CHARS)
    return format_number(value) if value is None or isinstance(value, int | float) else str(value)


def _quoted(text: str) -> Markup:
    """A quote with its own line breaks."""
    return escape(bound_text(text, TEXT_CHARS, multiline=True))
