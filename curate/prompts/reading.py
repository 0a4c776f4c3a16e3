"""Read prompts from JSONL, JSON, CSV and Parquet files, folders of them, and data sets of the hub."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from curate.artifact import sha256_file
from curate.errors import HubUnreachable, MissingExtra, ModelNotFound, PromptsError
from curate.progress import Progress, silent
from curate.prompts.columns import (
    MAX_COLUMNS,
    ROWS_A_BATCH,
    Batches,
    Row,
    assemble,
    from_table,
)
from curate.prompts.promptset import BadLine, PromptSet
from curate.prompts.scratch import TableFile, is_large
from curate.prompts.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq")
MAX_LINE_BYTES = 64 << 20
HUB = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w.-]+))?(?::(?P<split>[\w.-]+))?")

Rows = Iterator[tuple[str, "Row | BadLine"]]


def read_prompts(
    place: str | Path,
    *,
    column: str | None = None,
    license_column: str | None = None,
    source_column: str | None = None,
    strict: bool = False,
    progress: Progress = silent,
) -> PromptSet:
    """Read a prompt set from a file, a folder of files, or ``hf:owner/name[@revision][:split]``.

    Args:
        place: what to read.
        column: the text column; None to find it.
        license_column: the license column; None to find it.
        source_column: the source column; None to find it.
        strict: refuse the first bad line instead of leaving it out.
        progress: hears how many rows were read.

    Raises:
        PromptsError: nothing there, nothing in it, no such column, or a bad line under ``strict``.
    """
    names = (column, license_column, source_column)
    if str(place).startswith("hf:"):
        return from_table(read_hub(str(place)), str(place), "", names, strict)
    files = find_files(Path(place))
    if len(files) == 1 and files[0].suffix.lower() in (".parquet", ".pq"):
        return from_table(read_parquet(files[0]), str(place), sha256_file(files[0]), names, strict)
    table, numbers, bad = gather(files, Path(place), strict, progress)
    if not table.num_rows:
        raise PromptsError(f"{place}: no prompts in it" + (f" ({bad[0]})" if bad else ""), hint="check the file")
    return assemble(table, numbers, bad, str(place), digest_of(files, Path(place)), names, strict)


def find_files(path: Path) -> list[Path]:
    """The files to read, in a fixed order."""
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in ENDINGS)
            if not files:
                raise PromptsError(f"{path}: no prompt files in this folder", hint=f"looked for {', '.join(ENDINGS)}")
            return files
        if not path.is_file():
            raise PromptsError(f"{path}: no such file", hint="check the path")
    except OSError as error:
        raise PromptsError(f"{path}: cannot be read: {error.strerror}") from error
    return [path]


def digest_of(files: list[Path], place: Path) -> str:
    """The file's own SHA-256; of several, that over their names and digests."""
    if files == [place]:
        return sha256_file(place)
    lines = "".join(f"{file.relative_to(place).as_posix()}\0{sha256_file(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def gather(
    files: list[Path], place: Path, strict: bool, progress: Progress
) -> tuple[pa.Table, Sequence[str], list[BadLine]]:
    """All rows with their numbers, and the lines that are none.

    A column whose values turn out to have no one type makes the files be read once more, with that column as JSON text.
    """
    mixed: frozenset[str] = frozenset()
    while True:
        rows, bad = Batches(str(place), mixed), list[BadLine]()
        numbers = Texts.of(numbered(files, place, strict, progress, rows, bad))
        found = rows.table()
        if not isinstance(found, frozenset):
            return found, numbers, bad
        mixed |= found


def numbered(
    files: list[Path], place: Path, strict: bool, progress: Progress, rows: Batches, bad: list[BadLine]
) -> Iterator[str]:
    """The number of each row, while the rows and bad lines are handed over."""
    count = 0
    for file in files:
        prefix = "" if files == [place] else f"{file.relative_to(place).as_posix()}:"
        for number, row in read_file(file):
            if isinstance(row, BadLine):
                if strict:
                    raise PromptsError(f"{file}: {row}", hint="mend the line, or leave out --strict to skip it")
                bad.append(BadLine(prefix + row.place, row.reason))
                continue
            rows.add(row)
            count += 1
            if count % 20_000 == 0:
                progress("read", count)
            yield prefix + number


def read_file(path: Path) -> Rows:
    """Rows of one file by its ending; a file that says nothing is read as JSONL."""
    ending = path.suffix.lower()
    try:
        if ending in (".parquet", ".pq"):
            batches = read_parquet(path).to_batches(max_chunksize=4096)
            for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), start=1):
                yield str(number), row
        elif ending in (".csv", ".tsv"):
            yield from csv_rows(path, "\t" if ending == ".tsv" else ",")
        else:
            with path.open("rb") as stream:
                yield from json_rows(stream, path)
    except OSError as error:
        raise PromptsError(f"{path}: cannot be read: {error.strerror or error}") from error


def json_rows(stream: IO[bytes], path: Path) -> Rows:
    """One JSON object a line; a file that is one JSON list of objects is taken as well."""
    if path.suffix.lower() == ".json" and stream.read(256).lstrip()[:1] == b"[":
        stream.seek(0)
        yield from listed_rows(stream.read(), path)
        return
    stream.seek(0)
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        place = f"line {number}"
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield str(number), BadLine(place, f"longer than {MAX_LINE_BYTES >> 20} MiB")
        elif line.strip():
            yield str(number), json_row(line.removeprefix(b"\xef\xbb\xbf"), place)


def json_row(line: bytes, place: str) -> Row | BadLine:
    """The object on one line."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return BadLine(place, f"not JSON: {error.msg} at column {error.colno}")
    except UnicodeDecodeError:
        return BadLine(place, "not UTF-8")
    except (RecursionError, ValueError):
        return BadLine(place, "not JSON that can be read")
    return row if isinstance(row, dict) else BadLine(place, "not a JSON object")


def listed_rows(content: bytes, path: Path) -> Rows:
    """Objects of a JSON list."""
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PromptsError(f"{path}: not JSON: {error}", hint="or give JSONL, one object a line") from error
    for number, row in enumerate(rows, start=1):
        yield str(number), row if isinstance(row, dict) else BadLine(f"item {number}", "not a JSON object")


def csv_rows(path: Path, delimiter: str) -> Rows:
    """Rows of a CSV file with a header; a row of another width costs itself."""
    csv.field_size_limit(min(sys.maxsize, MAX_LINE_BYTES))
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        header = next_record(reader)
        if isinstance(header, list) and len(header) > MAX_COLUMNS:
            raise PromptsError(f"{path}: {len(header)} columns", hint=f"keep at most {MAX_COLUMNS}")
        if not isinstance(header, list) or len(set(header)) != len(header):
            raise PromptsError(f"{path}: line 1: not a header with different names", hint="name the columns in line 1")
        while True:
            record = next_record(reader)
            place, number = f"line {reader.line_num}", str(reader.line_num - 1)
            if record is None:
                return
            if isinstance(record, str):
                yield number, BadLine(place, record)
            elif len(record) != len(header):
                if record:
                    yield number, BadLine(place, f"{len(record)} fields where the header has {len(header)}")
            elif any("\udc80" <= letter <= "\udcff" for cell in record for letter in cell):
                yield number, BadLine(place, "not UTF-8")
            else:
                yield number, dict(zip(header, record, strict=True))


def next_record(reader: Any) -> list[str] | str | None:  # noqa: ANN401 – csv's reader type is private
    """The next record, what is wrong with it, or None at the end."""
    try:
        record: list[str] = next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        return f"not CSV: {error}"
    return record


def read_parquet(path: Path) -> pa.Table:
    """A Parquet file as a table; a large one is unpacked batch by batch into a memory-mapped file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            about = file.metadata
            size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
            if is_large(size):
                return TableFile.of(file.schema_arrow, file.iter_batches(ROWS_A_BATCH))
        return pq.read_table(path)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PromptsError(f"{path}: not a Parquet file that can be read: {reason}") from error


def read_hub(place: str) -> pa.Table:
    """A data set of the hub, or of the local cache, as a table."""
    found = HUB.fullmatch(place)
    if found is None:
        raise PromptsError(f"{place}: not a hub data set", hint="write hf:owner/name[@revision][:split]")
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "prompts") from error
    try:
        data = datasets.load_dataset(
            found["name"], revision=found["revision"], split=found["split"] or "train", streaming=False
        )
    except datasets.exceptions.DatasetNotFoundError as error:
        raise ModelNotFound(f"{place}: no such data set on the hub, or it is gated") from error
    except ValueError as error:
        raise PromptsError(
            f"{place}: {str(error).splitlines()[0]}", hint="name the split: hf:owner/name:split"
        ) from error
    except (OSError, ConnectionError) as error:
        raise HubUnreachable(
            f"{place}: the hub does not answer", hint="download the files and give the folder"
        ) from error
    return data.with_format("arrow")[:]
