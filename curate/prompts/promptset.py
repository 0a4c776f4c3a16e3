"""A prompt set: texts with their ids, licenses and sources, over an Arrow table that keeps every input column."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from curate.artifact import atomic_file, write_failure
from curate.errors import PromptsError, RunError
from curate.prompts.labels import Labels
from curate.prompts.rows import Rows, chosen_of
from curate.prompts.texts import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TEXT_COLUMNS = ("prompt", "text", "instruction", "question")
CHAT_COLUMNS = ("messages", "conversations")
LICENSE_COLUMNS = ("license", "licence")
SOURCE_COLUMNS = ("source",)
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
"""A number with a sign is no formula."""
ROWS_A_FILE = 1_000_000
"""Rows of one Parquet file of a folder."""
ROWS_A_GROUP = 1 << 20
"""Rows of one group of a Parquet file."""
MIXED = b"curate.mixed"
"""Field metadata of a column whose values had no one Arrow type and are kept as JSON text."""


@dataclass(frozen=True)
class BadLine:
    """A line that could not be used, and why; it cost itself, not the file."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts in the order of their file; ``table`` has one row for each of ``texts``.

    ``ids`` and ``texts`` are lists, or ``Texts`` over the buffers of the table where they were read from a file;
    ``table`` is an Arrow table, or some ``Rows`` of one.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    table: pa.Table
    sha256: str
    """Digest of the file or files they were read from."""
    place: str = ""
    """What they were read from, for messages."""
    text_column: str = "prompt"
    licenses: Sequence[str] | None = None
    """None where no column tells."""
    sources: Sequence[str] | None = None
    bad_lines: tuple[BadLine, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> PromptSet:
        """The same set with these rows only, in this order; nothing of them is copied but their numbers."""
        numbers: dict[int, np.ndarray] = {}

        def chosen(known: np.ndarray | None) -> np.ndarray:
            if id(known) not in numbers:
                numbers[id(known)] = chosen_of(known, rows)
            return numbers[id(known)]

        def taken(texts: Sequence[str]) -> Sequence[str]:
            if isinstance(texts, Texts):
                return texts.at(chosen(texts.rows))
            return texts.take(rows) if isinstance(texts, Labels) else [texts[row] for row in rows]

        is_whole = not isinstance(self.table, Rows)
        return replace(
            self,
            ids=taken(self.ids),
            texts=taken(self.texts),
            table=Rows(self.table, chosen(None)) if is_whole else self.table.at(chosen(self.table.rows)),
            licenses=None if self.licenses is None else taken(self.licenses),
            sources=None if self.sources is None else taken(self.sources),
        )


def find_column(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name that is there, compared without regard to case."""
    there = {name.strip().lower(): name for name in reversed(names)}
    return next((there[name] for name in wanted if name in there), None)


def find_text_column(names: Sequence[str], *, column: str | None, place: str) -> str:
    """The column the prompts stand in.

    Raises:
        PromptsError: the named column is not there, or none of the usual ones is.
    """
    if column is not None:
        if column not in names:
            raise PromptsError(f"{place}: no column {column!r}", hint=f"it has: {', '.join(list(names)[:12])}")
        return column
    found = find_column(names, (*TEXT_COLUMNS, *CHAT_COLUMNS))
    if found is None:
        listed = ", ".join(list(names)[:12]) or "nothing"
        raise PromptsError(f"{place}: no prompt column; it has: {listed}", hint="name one with --column")
    return found


def text_of(value: Any) -> str | None:  # noqa: ANN401 – any JSON value
    """The prompt in one cell: the text itself, or the user turns of a chat; None if it is neither."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        turns = [turn_text(turn) for turn in value]
        return None if None in turns else "\n".join(turn for turn in turns if turn)
    return None


def turn_text(turn: Any) -> str | None:  # noqa: ANN401 – any JSON value
    """What the user says in one chat turn; empty for other roles, None if it is no turn."""
    if not isinstance(turn, dict):
        return None
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if role not in ("user", "human"):
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return " ".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def mend(text: str) -> str:
    """The text with lone surrogates replaced, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def write_prompts(path: Path, prompts: PromptSet) -> None:
    """Write every input column as JSONL, CSV or Parquet, by the file's ending (JSONL where it says nothing).

    CSV is for spreadsheets: text that one would run as a formula gets an apostrophe. JSONL and Parquet keep every byte.
    """
    with atomic_file(path) as stream:
        ending = path.suffix.lower()
        if ending in (".parquet", ".pq"):
            write_parquet(prompts.table, stream)
        elif ending == ".csv":
            import csv
            import io

            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(text)
            writer.writerow(map(disarm, prompts.table.column_names))
            for row in rows_of(prompts):
                writer.writerow(disarm(cell_text(value)) for value in row.values())
            text.detach()
        else:
            import json

            for row in rows_of(prompts):
                stream.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")


def write_parquet(table: pa.Table | Rows, stream: IO[bytes]) -> None:
    """A table as Parquet, a group of rows at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        for start in range(0, max(1, table.num_rows), ROWS_A_GROUP):
            writer.write_table(table.slice(start, ROWS_A_GROUP))


def write_parts(folder: Path, prompts: PromptSet, *, rows: int = ROWS_A_FILE) -> None:
    """Write every input column as Parquet files of so many rows, in a new or empty folder that is there when all are.

    Raises:
        RunError: the folder holds something, or cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder}: there is something in it", hint="name a new or an empty folder")
        temporary.mkdir(parents=True)
        for number, start in enumerate(range(0, len(prompts), rows)):
            part = replace(prompts, table=prompts.table.slice(start, rows))
            write_prompts(temporary / f"part-{number:05}.parquet", part)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise write_failure(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cell_text(value: Any) -> str:  # noqa: ANN401 – any JSON value
    """A value as it stands in a CSV cell."""
    import json

    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def disarm(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet would run as a formula; numbers stay numbers."""
    return f"'{cell}" if FORMULA.match(cell) and not PLAIN_NUMBER.fullmatch(cell) else cell


def rows_of(prompts: PromptSet) -> Any:  # noqa: ANN401 – an iterator of JSON objects
    """The input rows one by one, mixed columns as they were."""
    import json

    table = prompts.table
    mixed = {entry.name for entry in table.schema if is_mixed(entry)}
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            for name in mixed:
                row[name] = None if row[name] is None else json.loads(row[name])
            yield row


def is_mixed(entry: pa.Field) -> bool:
    """Whether a column holds JSON text of values of no one type."""
    return bool(entry.metadata and MIXED in entry.metadata)


def arrow_column(name: str, values: list[Any], *, is_mixed: bool = False) -> tuple[pa.Field, pa.Array]:
    """One Arrow column; values of no one type are kept as JSON text and marked so, as are those told to be mixed."""
    import json

    import pyarrow as pa

    try:
        array = None if is_mixed else pa.array([mend(value) if isinstance(value, str) else value for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        array = None
    if array is not None:
        return pa.field(name, array.type), array
    texts = [None if value is None else mend(json.dumps(value)) for value in values]
    return pa.field(name, pa.string(), metadata={MIXED: b"1"}), pa.array(texts, type=pa.string())
