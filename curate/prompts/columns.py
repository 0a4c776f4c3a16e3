"""From rows of any keys to a prompt set: which column holds what, and every column kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from curate.errors import PromptsError
from curate.prompts.labels import Labels
from curate.prompts.promptset import (
    LICENSE_COLUMNS,
    SOURCE_COLUMNS,
    BadLine,
    PromptSet,
    arrow_column,
    find_column,
    find_text_column,
    is_mixed,
    mend,
    text_of,
)
from curate.prompts.rows import BATCH
from curate.prompts.scratch import TableFile, is_large
from curate.prompts.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 10_000
ROWS_A_BATCH = 20_000

Row = dict[str, Any]
Names = tuple[str | None, str | None, str | None]
"""Columns of text, license and source as the caller names them."""


def table_of(rows: list[Row], place: str, mixed: Collection[str] = ()) -> pa.Table:
    """An Arrow table of rows whose keys may differ; absent keys are null.

    Args:
        rows: the rows.
        place: what they were read from, for messages.
        mixed: columns that are known to hold values of no one type.
    """
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MAX_COLUMNS:
        raise PromptsError(f"{place}: more than {MAX_COLUMNS} columns", hint="keep the columns that are needed")
    pairs = [arrow_column(mend(name), [row.get(name) for row in rows], is_mixed=name in mixed) for name in names]
    return pa.table([array for _, array in pairs], schema=pa.schema([field for field, _ in pairs]))


class Batches:
    """Rows as Arrow tables, batch by batch; what goes beyond some lies in a memory-mapped file."""

    def __init__(self, place: str, mixed: Collection[str]) -> None:
        self.place, self.mixed = place, mixed
        self.rows: list[Row] = []
        self.tables: list[pa.Table] = []
        self.on_disk = TableFile()
        self.held = 0

    def add(self, row: Row) -> None:
        """Take one row."""
        self.rows.append(row)
        if len(self.rows) == ROWS_A_BATCH:
            self.flush()

    def flush(self) -> None:
        """Turn the rows at hand into a table, and write tables out where they have grown."""
        if not self.rows:
            return
        self.tables.append(table_of(self.rows, self.place, self.mixed))
        self.rows = []
        self.held += self.tables[-1].nbytes
        if is_large(self.held):
            for _, alike in groupby(self.tables, key=lambda table: table.schema.serialize().to_pybytes()):
                together = list(alike)
                batches = (batch for table in together for batch in table.to_batches())
                self.on_disk.add(together[0].schema, batches)
            self.tables, self.held = [], 0

    def table(self) -> pa.Table | frozenset[str]:
        """All rows as one table, or the columns in which two batches have no type in common."""
        import pyarrow as pa

        self.flush()
        tables = [*self.on_disk.tables(), *self.tables]
        if len(tables) < 2:
            return tables[0] if tables else pa.table({})
        told = {field.name for table in tables for field in table.schema if is_mixed(field)} - set(self.mixed)
        if told:
            return frozenset(told)
        try:
            joined = pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return frozenset(name for name in names_of(tables) if not have_one_type(name, tables))
        if joined.num_columns > MAX_COLUMNS:
            raise PromptsError(
                f"{self.place}: more than {MAX_COLUMNS} columns", hint="keep the columns that are needed"
            )
        return joined


def names_of(tables: list[pa.Table]) -> list[str]:
    """The names of all columns, each once."""
    return list(dict.fromkeys(name for table in tables for name in table.column_names))


def have_one_type(name: str, tables: list[pa.Table]) -> bool:
    """Whether the batches of a column can be put together."""
    import pyarrow as pa

    parts = [table.select([name]) for table in tables if name in table.column_names]
    try:
        pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def from_table(table: pa.Table, place: str, sha256: str, names: Names, strict: bool) -> PromptSet:
    """A prompt set over a table that was read whole."""
    if table.num_rows == 0:
        raise PromptsError(f"{place}: no prompts in it", hint="check the file")
    numbers = Texts.of(map(str, range(1, table.num_rows + 1)))
    prompts = assemble(table, numbers, [], place, sha256 or "0" * 64, names, strict)
    if sha256:
        return prompts
    digest = hashlib.sha256()
    for row, text in enumerate(prompts.texts):
        digest.update(("\0" if row else "").encode() + text.encode())
    return replace(prompts, sha256=digest.hexdigest())


def assemble(
    table: pa.Table, numbers: Sequence[str], bad: list[BadLine], place: str, sha256: str, names: Names, strict: bool
) -> PromptSet:
    """Find the columns and leave out rows whose prompt is no text."""
    text_name = find_text_column(table.column_names, column=names[0], place=place)
    wrong: list[int] = []
    texts = plain_column(table, text_name) or Texts.of(texts_of(table, text_name, wrong))
    new = [BadLine(f"row {numbers[row]}", f"{text_name} is neither text nor a chat") for row in wrong]
    if new and strict:
        raise PromptsError(f"{place}: {new[0]}", hint="mend the row, or leave out --strict to skip it")
    if len(wrong) == len(texts):
        raise PromptsError(f"{place}: no prompts in it ({new[0]})", hint="name the text column with --column")
    prompts = PromptSet(
        ids=ids_of(table, numbers),
        texts=texts,
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


def plain_column(table: pa.Table, name: str) -> Texts | None:
    """A column of strings without nulls as texts that share its memory; None for any other."""
    import pyarrow as pa

    entry, column = table.schema.field(name), table.column(name)
    is_text = pa.types.is_string(entry.type) or pa.types.is_large_string(entry.type)
    if not is_text or is_mixed(entry) or column.null_count:
        return None
    return Texts(column, name=name)


def texts_of(table: pa.Table, name: str, wrong: list[int]) -> Iterator[str]:
    """The prompt in each cell; rows without one are empty, and noted in ``wrong``."""
    for row, value in enumerate(column_values(table, name)):
        text = text_of(value)
        if text is None:
            wrong.append(row)
        yield mend(text or "")


def ids_of(table: pa.Table, numbers: Sequence[str]) -> Sequence[str]:
    """The column of ids; a row without one goes by its number."""
    name = find_column(table.column_names, ("id",))
    if name is None:
        return numbers
    plain = plain_column(table, name)
    if plain is not None and not plain.column.index("").as_py() >= 0:
        return plain
    found = zip(column_values(table, name), numbers, strict=True)
    return Texts.of(number if value in (None, "") else mend(str(value)) for value, number in found)


def column_values(table: pa.Table, name: str) -> Iterator[Any]:
    """A column's values, mixed ones as they were."""
    column, mixed = table.column(name), is_mixed(table.schema.field(name))
    for start in range(0, len(column), BATCH):
        for value in column[start : start + BATCH].to_pylist():
            yield json.loads(value) if mixed and value is not None else value


def named_texts(table: pa.Table, named: str | None, usual: tuple[str, ...], place: str) -> Labels | None:
    """The texts of a named or usual column, None where there is none."""
    if named is not None and named not in table.column_names:
        raise PromptsError(f"{place}: no column {named!r}", hint=f"it has: {', '.join(table.column_names[:12])}")
    name = named or find_column(table.column_names, usual)
    if name is None:
        return None
    return Labels.of("" if value is None else str(value).strip() for value in column_values(table, name))
