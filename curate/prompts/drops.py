"""Why rows went, packed: some 30 bytes a dropped row, in files where there are many; a ``Drop`` is made when looked at.

Rows lie in blocks of columns. Filter and reason are small numbers into the block's own list of the pairs it has, so
that a filter with one reason a row costs no more than the reasons. Nothing here needs more than pydantic: a report is
also read where numpy and Arrow are not installed.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from operator import eq
from typing import TYPE_CHECKING, Any, overload

from pydantic_core import ValidationError, core_schema

from curate.artifact import Value, canonical_json
from curate.prompts.scratch import Spill

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

AT_ONCE = 8192
"""Rows of a block, at most."""
HEAD = struct.Struct("=II")
"""Of a block: its rows, and its pairs of filter and reason."""
NO_SCORE, NO_CAUSE = 1, 2
Row = tuple[str, str, str, float | None, str | None]
"""The fields of a ``Drop``, in its order."""


class Drop(Value):
    """Why one row went."""

    id: str
    filter: str
    reason: str
    score: float | None = None
    because_of: str | None = None
    """The row (or benchmark item) that made it superfluous, if one did."""


class Drops(Sequence[Drop]):
    """Dropped rows in order; equal to a tuple of the same. In a report, its JSON and its errors are a tuple's."""

    def __init__(self, blocks: Sequence[bytes | memoryview] = ()) -> None:
        self.blocks = blocks
        """As ``packed`` makes them."""
        self.starts: list[int] = [0, *accumulate(HEAD.unpack_from(block)[0] for block in blocks)]

    @classmethod
    def of(cls, drops: Iterable[Drop]) -> Drops:
        """Dropped rows, packed."""
        found = DropLog()
        found.add((one.id, one.filter, one.reason, one.score, one.because_of) for one in drops)
        return found.drops()

    def rows(self) -> Iterator[Row]:
        """The fields of each, without a ``Drop`` around them."""
        for block in self.blocks:
            yield from unpacked(block)

    def __len__(self) -> int:
        return self.starts[-1]

    @overload
    def __getitem__(self, place: int) -> Drop: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Drop, ...]: ...
    def __getitem__(self, place: int | slice) -> Drop | tuple[Drop, ...]:
        if isinstance(place, slice):
            chosen = range(*place.indices(len(self)))
            if chosen.step == 1:
                return tuple(islice(self._from(chosen.start), len(chosen)))
            return tuple(self[one] for one in chosen)
        place = place + len(self) if place < 0 else place
        if not 0 <= place < len(self):
            raise IndexError(place)
        return next(self._from(place))

    def _from(self, place: int) -> Iterator[Drop]:
        """Those from one place on."""
        number = bisect_right(self.starts, place) - 1
        skipped = place - self.starts[number]
        for block in islice(self.blocks, number, None):
            yield from map(drop_of, islice(unpacked(block), skipped, None))
            skipped = 0

    def __iter__(self) -> Iterator[Drop]:
        return map(drop_of, self.rows())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Drops):
            return len(self) == len(other) and all(map(eq, self.rows(), other.rows()))
        return isinstance(other, tuple) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Drops of {len(self)}: {self[:3]!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Drops, ([bytes(block) for block in self.blocks],)

    def canonical(self) -> Iterator[str]:
        """The list as it stands in the canonical JSON of a report's field, in pieces.

        Raises:
            ValueError: a score is no number that JSON has.
        """
        start, end = canonical_json({"drops": [0]}).split("0")
        place = start.index("[")
        before = start[place:]
        for block in self.blocks:
            rows = [dict(zip(Drop.model_fields, row, strict=True)) for row in unpacked(block)]
            yield before + canonical_json({"drops": rows})[len(start) : -len(end)]
            before = "," + start[place + 1 :]
        yield end.removesuffix("\n}\n") if self.blocks else "[]"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """A field of dropped rows: read and written as a tuple of them."""
        whole = handler.generate_schema(tuple[Drop, ...])
        return core_schema.json_or_python_schema(
            core_schema.no_info_after_validator_function(cls.of, whole),
            core_schema.no_info_wrap_validator_function(read_drops, whole),
            serialization=core_schema.plain_serializer_function_ser_schema(tuple, return_schema=whole),
        )


def read_drops(given: Any, read: core_schema.ValidatorFunctionWrapHandler) -> Drops:  # noqa: ANN401 – what a file holds
    """Rows of a report, checked and packed some at a time; whatever is wrong is told of the whole."""
    if isinstance(given, Drops):
        return given
    if type(given) not in (list, tuple):
        return Drops.of(read(given))
    found = DropLog()
    for start in range(0, len(given), AT_ONCE):
        try:
            some = read(given[start : start + AT_ONCE])
        except ValidationError:
            return Drops.of(read(given))
        found.add((one.id, one.filter, one.reason, one.score, one.because_of) for one in some)
    return found.drops()


def drop_of(row: Row) -> Drop:
    """The fields as a ``Drop``."""
    name, by, reason, score, because_of = row
    return Drop(id=name, filter=by, reason=reason, score=score, because_of=because_of)


class DropLog:
    """Dropped rows while a chain runs, packed block by block."""

    def __init__(self) -> None:
        self.waiting: list[Row] = []
        self.blocks = Spill()
        self.ends = array("Q", [0])

    def add(self, rows: Iterable[Row]) -> None:
        """More rows.

        Raises:
            RunError: the disk is full, or there is no folder for the file.
        """
        for row in rows:
            self.waiting.append(row)
            if len(self.waiting) == AT_ONCE:
                self._pack()

    def extend(self, other: DropLog) -> None:
        """What another one has, after what is here."""
        self._pack()
        for block in other.drops().blocks:
            self._keep(bytes(block))

    def _pack(self) -> None:
        """Make a block of the rows that wait."""
        if self.waiting:
            self._keep(packed(self.waiting))
            self.waiting = []

    def _keep(self, block: bytes) -> None:
        """One more block."""
        self.blocks.add(block, len(block))
        self.ends.append(self.ends[-1] + len(block))

    def drops(self) -> Drops:
        """All so far."""
        self._pack()
        content = self.blocks.content()
        if content is None:
            return Drops([*self.blocks.held])
        whole = memoryview(content)
        return Drops([whole[start:end] for start, end in pairwise(self.ends)])


def packed(rows: Sequence[Row]) -> bytes:
    """Rows as one block: flags, scores, numbers of (filter, reason), lengths of the texts, and the texts."""
    known: dict[tuple[str, str], int] = {}
    numbers = array("H", [known.setdefault(row[1:3], len(known)) for row in rows])
    flags = bytes(NO_SCORE * (row[3] is None) + NO_CAUSE * (row[4] is None) for row in rows)
    scores = array("d", [0.0 if row[3] is None else row[3] for row in rows])
    texts = [row[0] for row in rows]
    texts += [row[4] or "" for row in rows]
    texts += [text for pair in known for text in pair]
    lengths = array("I", map(len, texts))
    content = "".join(texts).encode("utf-8", "surrogatepass")
    head = HEAD.pack(len(rows), len(known))
    return b"".join((head, flags, scores.tobytes(), numbers.tobytes(), lengths.tobytes(), content))


def unpacked(block: bytes | memoryview) -> Iterator[Row]:
    """The rows of a block."""
    rows, pairs = HEAD.unpack_from(block)
    rest = memoryview(block)[HEAD.size :]
    flags, rest = bytes(rest[:rows]), rest[rows:]
    columns = []
    for kind, count in (("d", rows), ("H", rows), ("I", 2 * rows + 2 * pairs)):
        columns.append(array(kind))
        size = count * columns[-1].itemsize
        columns[-1].frombytes(rest[:size])
        rest = rest[size:]
    scores, numbers, lengths = columns
    content = str(rest, "utf-8", "surrogatepass")
    ends = [0, *accumulate(lengths)]
    texts = [content[start:end] for start, end in pairwise(ends)]
    ids, causes, whys = texts[:rows], texts[rows : 2 * rows], texts[2 * rows :]
    for name, cause, score, number, flag in zip(ids, causes, scores, numbers, flags, strict=True):
        yield (
            name,
            whys[2 * number],
            whys[2 * number + 1],
            None if flag & NO_SCORE else score,
            None if flag & NO_CAUSE else cause,
        )
