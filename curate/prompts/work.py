"""What a filter is given: the prompts that are left, and what they are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from curate.gate import Finding, RowJudge, Verdict
from curate.progress import Progress, silent
from curate.prompts.engines import LOCAL, Engine, each
from curate.prompts.forms import loose_form
from curate.prompts.promptset import PromptSet
from curate.prompts.rows import VectorRows, ordered
from curate.prompts.store import VectorStore
from curate.prompts.texts import Texts

if TYPE_CHECKING:
    import numpy as np


Made = TypeVar("Made")


class Gone(NamedTuple):
    """A row that a filter drops, and why."""

    row: int
    reason: str
    score: float | None = None
    because_of: str | None = None


@dataclass
class Work:
    """One filter's view of the job; nothing in it changes but the notes and counts."""

    prompts: PromptSet
    reference: PromptSet | None = None
    benchmarks: tuple[PromptSet, ...] = ()
    store: VectorStore | None = None
    judge: RowJudge | None = None
    tokenizer: str | None = None
    progress: Progress = silent
    engine: Engine = LOCAL
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Notes with a count in place of ``{}``, which add up over parts of the rows."""
    judged: dict[tuple[str, str], Finding] = field(default_factory=dict)
    loose: Texts | None = None
    """The loose form of every row, made once for all filters."""
    made: dict[str, Any] = field(default_factory=dict)
    """What a filter made of the reference or the benchmarks, by name; parts of the rows share it."""

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What does not depend on the rows, made with the first part of them."""
        if name not in self.made:
            self.made[name] = make()
        found: Made = self.made[name]
        return found

    def take(self, rows: Sequence[int] | np.ndarray) -> Work:
        """The same job for some rows only."""
        forms = None if self.loose is None else self.loose.take(rows)
        return replace(self, prompts=self.prompts.take(rows), loose=forms)

    def forms(self) -> Texts:
        """The loose form of every row."""
        if self.loose is None:
            self.loose = Texts.of(each(self.engine, loose_form, self.prompts.texts))
        return self.loose

    def vectors(self, prompts: PromptSet) -> np.ndarray:
        """(rows, dimensions) unit vectors of some prompts."""
        return self.vector_store()(prompts.texts, progress=self.progress)

    def vector_rows(self, prompts: PromptSet) -> VectorRows:
        """(rows, dimensions) the same, gathered where they are looked at."""
        store = self.vector_store()
        places = store.places(prompts.texts, progress=self.progress)
        return VectorRows(store.vectors, places)

    def vector_store(self) -> VectorStore:
        """Where vectors come from; the embedded embedder if none was given."""
        if self.store is None:
            from curate.prompts.embed import load_embedder

            self.store = VectorStore(load_embedder("default"))
        return self.store

    def finding(self, row: int) -> Finding | None:
        """What the row judge says of a row; None where there is no judge or nothing to judge."""
        licenses, sources = self.prompts.licenses, self.prompts.sources
        if self.judge is None or (licenses is None and sources is None):
            return None
        pair = (licenses[row] if licenses else "", sources[row] if sources else "")
        if pair not in self.judged:
            self.judged[pair] = self.judge(*pair)
        return self.judged[pair]

    def rank(self) -> np.ndarray:
        """Rows in the order in which duplicates prefer them: license allowed, then under review, then the earliest."""
        import numpy as np

        return ordered(np.frombuffer(self.severities(), dtype=np.uint8))

    def severities(self) -> bytes:
        """How bad each row's license is, a byte a row; all alike where nobody judges."""
        if self.judge is None:
            return bytes(len(self.prompts))
        found = map(self.finding, range(len(self.prompts)))
        return bytes(Verdict.REVIEW.severity if one is None else one.effective.severity for one in found)
