"""Prompts with ids and answers from a file, as this wing needs them."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import ConfigError, PromptsError

PROMPT_COLUMNS = ("prompt", "text", "instruction", "question")
ANSWER_COLUMNS = ("answer", "response")
DOMAIN_COLUMNS = ("domain", "source")


@dataclass(frozen=True)
class Row:
    """One prompt; ``answer`` is empty where the file has none."""

    id: str
    prompt: str
    answer: str = ""
    domain: str = ""


def read_rows(path: Path, *, answers: str = "") -> list[Row]:
    """The rows of a Parquet, JSON-lines or CSV file; ``answers`` names the answer column.

    Raises:
        PromptsError: missing, malformed, or without prompts.
        ConfigError: the named column is not there.
    """
    rows = []
    found = False
    for number, record in enumerate(_records(path)):
        column = next((name for name in PROMPT_COLUMNS if name in record), None)
        if column is None:
            raise PromptsError(
                f"{path}: row {number + 1} has none of {', '.join(PROMPT_COLUMNS)}", hint="rename the column"
            )
        found = found or answers in record
        answer = record.get(answers) if answers else None
        domain = next((record[name] for name in DOMAIN_COLUMNS if record.get(name)), "")
        rows.append(
            Row(
                id=str(record["id"]) if record.get("id") is not None else str(number),
                prompt=str(record[column] or ""),
                answer="" if answer is None else str(answer).strip(),
                domain=str(domain),
            )
        )
    _refuse_twins(path, rows)
    if answers and rows and not found:
        raise ConfigError(f"answers: {path.name} has no column {answers!r}", hint="name a column, or leave answers out")
    return rows


def _refuse_twins(path: Path, rows: list[Row]) -> None:
    """Answers are kept by id, so two rows must not share one."""
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise PromptsError(f"{path}: the id {row.id!r} stands in two rows", hint="give every prompt its own id")
        seen.add(row.id)


def answer_column(path: Path, wanted: str) -> str:
    """The answer column of an evaluation file: the one that was named if it is there, else a usual one, else none."""
    first = next(_records(path), {})
    return next((name for name in (wanted, *ANSWER_COLUMNS) if name and name in first), "")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Records one by one."""
    if not path.is_file():
        raise PromptsError(f"{path}: no such file", hint="check the path")
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as stream:
                yield from csv.DictReader(stream)
        else:
            yield from _json_lines(path)
    except UnicodeDecodeError as error:
        raise PromptsError(f"{path}: not UTF-8 text: byte {error.start}") from error
    except csv.Error as error:
        raise PromptsError(f"{path}: not CSV: {error}") from error


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise PromptsError(f"{path}:{number}: not JSON: {error.msg}") from error
            if not isinstance(record, dict):
                raise PromptsError(f"{path}:{number}: an object is expected", hint='write {"prompt": "..."}')
            yield record


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise PromptsError(f"{path}: not Parquet: {error}") from error
    yield from table.to_pylist()
