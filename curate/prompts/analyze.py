"""Measure a prompt set; judging it and the ticket are next door, and found here as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from curate.errors import Denied
from curate.progress import Progress, silent
from curate.prompts.answers import holds_answers
from curate.prompts.blind import diversity_notes, shift_notes
from curate.prompts.diversity import METRICS, Seen
from curate.prompts.drops import Drop, Drops
from curate.prompts.judge import approve_prompts, judge_prompts
from curate.prompts.language import asked_beside
from curate.prompts.pictures import cluster_shares, dropped_texts, map_samples, similarity_histogram
from curate.prompts.promptset import PromptSet
from curate.prompts.results import DiversityReport, Metric, Sample, ShiftReport
from curate.prompts.scores import quality_score, score_histogram
from curate.prompts.shift import DISTANCES, Compared
from curate.prompts.store import VectorStore

if TYPE_CHECKING:
    import numpy as np

__all__ = ["analyze_prompts", "approve_prompts", "judge_prompts"]

SUBSAMPLE = 1000
DRAWS = 5


def analyze_prompts(
    prompts: PromptSet,
    *,
    reference: PromptSet | None = None,
    store: VectorStore | None = None,
    subsample: int = SUBSAMPLE,
    seed: int = 0,
    drops: Sequence[Drop] = (),
    source: PromptSet | None = None,
    progress: Progress = silent,
) -> tuple[DiversityReport, ShiftReport | None]:
    """How varied a prompt set is, and how far it lies from a reference if there is one.

    Args:
        prompts: what to measure; at least one row.
        reference: prompts of the target task.
        store: where vectors come from; the embedded embedder if none is given.
        subsample: rows the metrics are taken on, at most.
        seed: of the subsample and the permutations.
        drops: what filters dropped, or would; shown on the map by filter, and in no number.
        source: the set they dropped it from, if that is not ``prompts``.
        progress: hears of each metric.
    """
    if not len(prompts):
        raise Denied(
            "no prompts left", hint="see which filter dropped them; widen it in the policy or bring more prompts"
        )
    started = time.monotonic()
    if store is None:
        from curate.prompts.embed import load_embedder

        store = VectorStore(load_embedder("default"))
    sight = Sight(prompts, reference, store, subsample, seed)
    seen = sight.look(0)
    metrics = {}
    for place, (name, measure) in enumerate(METRICS.items()):
        progress("measure", place, len(METRICS), name)
        metrics[name] = measure(seen)
    if len(prompts) > subsample:
        others = [sight.look(number) for number in range(1, DRAWS)]
        metrics = {name: with_interval(metrics[name], METRICS[name], others) for name in metrics}
    shift = None if reference is None else measure_shift(prompts, reference, seen, store, seed, progress)
    histogram = similarity_histogram(seen.vectors)
    diversity = DiversityReport(
        prompts_sha256=prompts.sha256,
        embedder=store.embedder.ref,
        rows=len(prompts),
        subsample=len(seen.texts),
        seed=seed,
        metrics=metrics,
        clusters=cluster_shares(seen, reference_texts=None, reference=None),
        similarity_histogram=histogram,
        quality_histogram=score_histogram([quality_score(text) for text in seen.texts]),
        map=draw_map(sight, seen, drops if isinstance(drops, Drops) else Drops.of(drops), source or prompts),
        notes=diversity_notes(metrics, histogram, None if shift is None else shift.metrics),
        wall_s=round(time.monotonic() - started, 3),
    )
    return diversity, shift


def draw_map(sight: Sight, seen: Seen, drops: Drops, source: PromptSet) -> tuple[Sample, ...]:
    """The map of the first subsample and its reference, and of what was dropped."""
    prompts, reference = sight.prompts, sight.reference
    rows = draw(len(prompts), sight.subsample, sight.seed)
    ids = [prompts.ids[row] for row in rows]
    gone = set(ids).intersection(row_id for row_id, *_ in drops.rows()) if source is prompts else set()
    return map_samples(
        seen,
        None
        if reference is None or seen.reference is None
        else [reference.texts[row] for row in draw(len(reference), len(seen.reference), seen.seed)],
        kept=[place for place, row_id in enumerate(ids) if row_id not in gone],
        dropped=dropped_texts(source, drops),
        store=sight.store,
    )


def draw(rows: int, subsample: int, seed: int) -> list[int]:
    """Row numbers of a subsample, in file order; all rows where there are no more."""
    import numpy as np

    if rows <= subsample:
        return list(range(rows))
    chosen: list[int] = np.sort(np.random.default_rng(seed).choice(rows, subsample, replace=False)).tolist()
    return chosen


@dataclass
class Sight:
    """What subsamples are drawn from."""

    prompts: PromptSet
    reference: PromptSet | None
    store: VectorStore
    subsample: int
    seed: int
    asked: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.asked = asked_beside(self.prompts)

    def look(self, number: int) -> Seen:
        """The vectors and texts of one of several subsamples, and the reference's."""
        rows = draw(len(self.prompts), self.subsample, self.seed + number)
        texts = [self.prompts.texts[row] for row in rows]
        known: np.ndarray | None = None
        if self.reference is not None:
            chosen = draw(len(self.reference), self.subsample, self.seed)
            known = self.store([self.reference.texts[row] for row in chosen])
        return Seen(
            vectors=self.store(texts),
            texts=texts,
            reference=known,
            seed=self.seed,
            are_answers=holds_answers(self.prompts.text_column),
            asked=[self.asked[row] for row in rows] if self.asked else (),
        )


def with_interval(metric: Metric, measure: Callable[[Seen], Metric], others: Iterable[Seen]) -> Metric:
    """The metric with the spread of some more subsamples as its interval, where it has none of its own."""
    import numpy as np

    if metric.value is None or metric.low is not None:
        return metric
    values = [metric.value, *(value for one in others if (value := measure(one).value) is not None)]
    half = 1.96 * float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return metric.model_copy(update={"low": metric.value - half, "high": metric.value + half})


def measure_shift(
    prompts: PromptSet, reference: PromptSet, seen: Seen, store: VectorStore, seed: int, progress: Progress
) -> ShiftReport:
    """Every distance between the subsample and the reference."""
    started = time.monotonic()
    assert seen.reference is not None  # noqa: S101 – for the type checker: the caller has a reference
    compared = Compared(seen.vectors, seen.reference, seed)
    metrics = {}
    for place, (name, measure) in enumerate(DISTANCES.items()):
        progress("compare", place, len(DISTANCES), name)
        metrics[name] = measure(compared)
    known = [reference.texts[row] for row in draw(len(reference), len(seen.reference), seed)]
    return ShiftReport(
        prompts_sha256=prompts.sha256,
        reference_sha256=reference.sha256,
        embedder=store.embedder.ref,
        rows=len(prompts),
        reference_rows=len(reference),
        subsample=len(seen.vectors),
        seed=seed,
        metrics=metrics,
        clusters=cluster_shares(seen, reference_texts=known, reference=seen.reference),
        notes=shift_notes(metrics, len(reference)),
        wall_s=round(time.monotonic() - started, 3),
    )
