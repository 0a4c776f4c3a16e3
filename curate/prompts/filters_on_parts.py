"""Filters that look at each row by itself, run on parts of the rows.

Several that follow one another run on a part one after the other, so that its texts travel once. Those that need
vectors run alone, and their part brings the vectors of its texts along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import RunError
from curate.policy import Option
from curate.progress import Progress, silent
from curate.prompts.chain import FILTERS
from curate.prompts.drops import DropLog, Row
from curate.prompts.engines import ranges
from curate.prompts.promptset import TEXT_COLUMNS, PromptSet
from curate.prompts.results import EmbedderRef
from curate.prompts.rows import VectorRows
from curate.prompts.store import VectorStore
from curate.prompts.work import Gone, Work

if TYPE_CHECKING:
    import numpy as np

TOGETHER = frozenset({"length", "garbage", "language", "pii", "injection"})
WITH_VECTORS = frozenset({"contamination", "off_domain"})
Steps = Mapping[str, Mapping[str, Option]]


class Told(NamedTuple):
    """What one filter found on a part; row numbers are those of what the group was given."""

    rows_in: int
    gone: list[Gone]
    notes: list[str]
    counts: Counter[str]


@dataclass(eq=False)
class Sum:
    """What one filter found on all parts."""

    rows_in: int = 0
    dropped: int = 0
    drops: DropLog = field(default_factory=DropLog)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Leaving:
    """Which rows of a job go."""

    def __init__(self, work: Work) -> None:
        import numpy as np

        self.work = work
        self.kept = np.ones(len(work.prompts), dtype=bool)

    def drop(self, name: str, gone: Iterable[Gone], drops: DropLog) -> int:
        """Mark rows that a filter drops, and note why; how many they are."""
        dropped = 0

        def told() -> Iterator[Row]:
            nonlocal dropped
            for row, reason, score, because_of in gone:
                self.kept[row] = False
                dropped += 1
                yield (
                    self.work.prompts.ids[row],
                    name,
                    reason,
                    None if score is None else round(float(score), 4),
                    because_of,
                )

        drops.add(told())
        return dropped

    def left(self) -> Work:
        """The job without them."""
        import numpy as np

        return self.work if self.kept.all() else self.work.take(np.flatnonzero(self.kept))


@dataclass(frozen=True, eq=False)
class Task:
    """What all parts share."""

    steps: Steps
    reference: PromptSet | None
    benchmarks: tuple[PromptSet, ...]
    tokenizer: str | None
    known: np.ndarray | None
    """(reference and benchmark rows, dimensions) their vectors, where a filter needs them."""
    embedder: EmbedderRef | None
    made: dict[str, Any] = field(default_factory=dict)
    """What a worker made of it with its first part."""


class Absent:
    """The embedder of a part: every vector has come along, so it never encodes."""

    is_cheap = True

    def __init__(self, ref: EmbedderRef) -> None:
        self.ref = ref

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:  # noqa: ARG002 – the protocol
        """Never."""
        raise RunError(f"a part lacks the vectors of {len(texts)} texts")


def groups_of(chain: Steps) -> Iterator[dict[str, Mapping[str, Option]]]:
    """The filters of a chain, those together that may run on a part one after the other."""
    group: dict[str, Mapping[str, Option]] = {}
    for name, options in chain.items():
        if name in TOGETHER:
            group[name] = options
            continue
        if group:
            yield group
            group = {}
        yield {name: options}
    if group:
        yield group


def run_on_parts(work: Work, steps: Steps) -> tuple[Leaving, dict[str, Sum]]:
    """Run row-wise filters on parts of the rows: which go, and what each found, in the order of the rows."""
    prompts = slim(work.prompts)
    reference = None if work.reference is None else slim(work.reference)
    vectors, known = vectors_for(work, steps)
    ref = None if vectors is None else work.vector_store().embedder.ref
    task = Task(steps, reference, tuple(map(slim, work.benchmarks)), work.tokenizer, known, ref)
    rows = list(ranges(len(prompts), work.engine.rows_a_part))
    parts = (
        (piece.start, prompts.take(range(piece.start, piece.stop)), None if vectors is None else vectors[piece])
        for piece in rows
    )
    leaving, sums = Leaving(work), {name: Sum() for name in steps}
    for done, part in enumerate(work.engine.map(on_part, parts, shared=task), start=1):
        for name, told in part.items():
            so_far = sums[name]
            so_far.rows_in += told.rows_in
            so_far.dropped += leaving.drop(name, told.gone, so_far.drops)
            so_far.notes.extend(told.notes)
            so_far.counts.update(told.counts)
        work.progress(next(iter(steps)), rows[done - 1].stop, len(prompts))
    return leaving, sums


def vectors_for(work: Work, steps: Steps) -> tuple[VectorRows | None, np.ndarray | None]:
    """The vectors of the prompts, and of what they are held against, where one of the filters needs them."""
    import numpy as np

    wanted = [work.reference] if "off_domain" in steps and work.reference is not None else []
    wanted += work.benchmarks if "contamination" in steps else ()
    if not wanted:
        return None, None
    return work.vector_rows(work.prompts), np.concatenate([work.vectors(one) for one in wanted])


def slim(prompts: PromptSet) -> PromptSet:
    """The set with the columns alone that a row-wise filter looks at."""
    columns = {getattr(prompts.ids, "name", ""), prompts.text_column}
    names = [name for name in prompts.table.column_names if name in columns or name.strip().lower() in TEXT_COLUMNS]
    return replace(prompts, table=prompts.table.select(names), bad_lines=())


def on_part(task: Task, start: int, prompts: PromptSet, vectors: np.ndarray | None) -> dict[str, Told]:
    """The filters on one part that begins at row ``start``."""
    import numpy as np

    work = Work(prompts, task.reference, task.benchmarks, tokenizer=task.tokenizer, made=task.made)
    if vectors is not None and task.known is not None and task.embedder is not None:
        wanted = [*(one.texts for one in task.benchmarks)] if "contamination" in task.steps else []
        if "off_domain" in task.steps and task.reference is not None:
            wanted = [task.reference.texts, *wanted]
        work.store = VectorStore(Absent(task.embedder))
        work.store.hold((text for texts in (*wanted, prompts.texts) for text in texts), task.known, vectors)
    rows = np.arange(start, start + len(prompts))
    found = {}
    for name, options in task.steps.items():
        gone = list(FILTERS[name](work, **options)) if len(work.prompts) else []
        told = [one._replace(row=int(rows[one.row])) for one in gone]
        found[name] = Told(len(work.prompts), told, [*work.notes], Counter(work.counts))
        work.notes.clear()
        work.counts.clear()
        kept = np.delete(np.arange(len(rows)), [one.row for one in gone])
        work, rows = work.take(kept), rows[kept]
    return found
