"""From rows of any keys to a prompt set: which column holds what, and every column kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curate.artifact import sha256_text
from curate.errors import PromptsError
from curate.prompts.promptset import (
    LICENSE_COLUMNS,
    MIXED,
    SOURCE_COLUMNS,
    BadLine,
    PromptSet,
    arrow_column,
    find_column,
    find_text_column,
    mend,
    text_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 10_000

Row = dict[str, Any]
Names = tuple[str | None, str | None, str | None]
"""Columns of text, license and source as the caller names them."""


def table_of(rows: list[Row], place: str) -> pa.Table:
    """An Arrow table of rows whose keys may differ; absent keys are null."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MAX_COLUMNS:
        raise PromptsError(f"{place}: more than {MAX_COLUMNS} columns", hint="keep the columns that are needed")
    pairs = [arrow_column(mend(name), [row.get(name) for row in rows]) for name in names]
    return pa.table([array for _, array in pairs], schema=pa.schema([field for field, _ in pairs]))


def from_table(table: pa.Table, place: str, sha256: str, names: Names, strict: bool) -> PromptSet:
    """A prompt set over a table that was read whole."""
    if table.num_rows == 0:
        raise PromptsError(f"{place}: no prompts in it", hint="check the file")
    numbers = [str(number) for number in range(1, table.num_rows + 1)]
    prompts = assemble(table, numbers, [], place, sha256 or "0" * 64, names, strict)
    if sha256:
        return prompts
    return replace(prompts, sha256=sha256_text("\0".join(prompts.texts)))


def assemble(
    table: pa.Table, numbers: list[str], bad: list[BadLine], place: str, sha256: str, names: Names, strict: bool
) -> PromptSet:
    """Find the columns and leave out rows whose prompt is no text."""
    text_name = find_text_column(table.column_names, column=names[0], place=place)
    found = column_values(table, text_name)
    texts = [text_of(value) for value in found]
    wrong = [row for row, text in enumerate(texts) if text is None]
    new = [BadLine(f"row {numbers[row]}", f"{text_name} is neither text nor a chat") for row in wrong]
    if new and strict:
        raise PromptsError(f"{place}: {new[0]}", hint="mend the row, or leave out --strict to skip it")
    if len(wrong) == len(texts):
        raise PromptsError(f"{place}: no prompts in it ({new[0]})", hint="name the text column with --column")
    id_name = find_column(table.column_names, ("id",))
    given = column_values(table, id_name) if id_name else [None] * len(texts)
    prompts = PromptSet(
        ids=[number if value in (None, "") else str(value) for value, number in zip(given, numbers, strict=True)],
        texts=[mend(text or "") for text in texts],
        table=table,
        sha256=sha256,
        place=place,
        text_column=text_name,
        licenses=named_texts(table, names[1], LICENSE_COLUMNS, place),
        sources=named_texts(table, names[2], SOURCE_COLUMNS, place),
        bad_lines=(*bad, *new),
    )
    gone = set(wrong)
    return prompts.take([row for row in range(len(texts)) if row not in gone]) if gone else prompts


def column_values(table: pa.Table, name: str) -> list[Any]:
    """A column's values, mixed ones as they were."""
    entry = table.schema.field(name)
    values: list[Any] = table.column(name).to_pylist()
    if entry.metadata and MIXED in entry.metadata:
        return [None if value is None else json.loads(value) for value in values]
    return values


def named_texts(table: pa.Table, named: str | None, usual: tuple[str, ...], place: str) -> list[str] | None:
    """The texts of a named or usual column, None where there is none."""
    if named is not None and named not in table.column_names:
        raise PromptsError(f"{place}: no column {named!r}", hint=f"it has: {', '.join(table.column_names[:12])}")
    name = named or find_column(table.column_names, usual)
    if name is None:
        return None
    return ["" if value is None else str(value).strip() for value in column_values(table, name)]
