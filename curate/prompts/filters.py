"""Run a chain of filters: each looks at what is left, in the order of cost, with a reason for every row it drops."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from curate.gate import RowJudge
from curate.policy import Option
from curate.progress import Progress, silent
from curate.prompts.chain import FILTERS, Chain, check_chain, covers
from curate.prompts.drops import DropLog
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.filters_on_parts import TOGETHER, WITH_VECTORS, Leaving, groups_of, run_on_parts
from curate.prompts.promptset import PromptSet
from curate.prompts.results import FilterCount, FilterReport
from curate.prompts.select import Method, Quota, select_to_budget
from curate.prompts.store import VectorStore
from curate.prompts.work import Gone, Work

SHOWN_LINES = 20
"""Unreadable lines that a report shows; all are counted."""


def filter_prompts(
    prompts: PromptSet,
    *,
    chain: Chain,
    reference: PromptSet | None = None,
    benchmarks: Sequence[PromptSet] = (),
    judge: RowJudge | None = None,
    store: VectorStore | None = None,
    tokenizer: str | None = None,
    budget: int | None = None,
    method: Method = "coverage",
    quota: Quota = "",
    seed: int = 0,
    policy_chain: Chain | None = None,
    policy_sha256: str = "",
    engine: Engine = LOCAL,
    progress: Progress = silent,
) -> tuple[PromptSet, FilterReport]:
    """Run a chain of filters; returns what is left and the report with a reason for every row that went.

    Args:
        prompts: what to filter.
        chain: filter names with their options; they run in the order of cost, whatever the order here.
        reference: prompts of the target task, for ``off_domain``, leaks, and selection.
        benchmarks: what the student will be tested on.
        judge: judges a row's license and source.
        store: where vectors come from; the embedded embedder if none is given.
        tokenizer: a tokenizer for ``length``'s max_tokens.
        budget: select so many of what is left.
        method: of the selection: ``coverage`` or ``importance``.
        quota: ``source`` or ``cluster``: each gets an equal share of the budget.
        seed: of the selection.
        policy_chain: the policy's own chain; the report says whether this one covers it.
        policy_sha256: the policy's digest.
        engine: where parts of the rows are worked on; the store is to have the same.
        progress: hears of each filter.
    """
    started = time.monotonic()
    checked = check_chain(chain)
    work = Work(prompts, reference, tuple(benchmarks), store, judge, tokenizer, progress, engine)
    work, counts, drops = run_all(work, checked)
    skipped = [name for name in checked if any(note.startswith(f"{name}: skipped") for note in work.notes)]
    if budget is not None:
        before, options = len(work.prompts), {"rows": budget, "method": method, "quota": quota}
        left_out = select_to_budget(work, budget, method=method, quota=quota, seed=seed)
        work, dropped = without(work, "budget", left_out, drops)
        counts.append(FilterCount(name="budget", options=options, rows_in=before, dropped=dropped))
    report = FilterReport(
        prompts_sha256=prompts.sha256,
        reference_sha256=reference.sha256 if reference is not None else "",
        benchmark_sha256=tuple(one.sha256 for one in benchmarks),
        embedder=work.store.embedder.ref if work.store is not None else None,
        rows_read=len(prompts),
        rows_unreadable=len(prompts.bad_lines),
        rows_kept=len(work.prompts),
        filters=tuple(counts),
        drops=drops.drops(),
        policy_sha256=policy_sha256,
        whole_chain=policy_chain is not None and covers(checked, policy_chain),
        skipped=tuple(skipped),
        notes=tuple(dict.fromkeys(work.notes)),
        unreadable=tuple(str(line) for line in prompts.bad_lines[:SHOWN_LINES]),
        budget=budget,
        seed=seed,
        wall_s=round(time.monotonic() - started, 3),
    )
    return work.prompts, report


def run_all(work: Work, chain: Mapping[str, Mapping[str, Option]]) -> tuple[Work, list[FilterCount], DropLog]:
    """Every filter in turn: the job for what is left, what each did, and what went."""
    counts: list[FilterCount] = []
    drops = DropLog()

    def ran(name: str, rows_in: int, dropped: int) -> None:
        counts.append(FilterCount(name=name, options=dict(chain[name]), rows_in=rows_in, dropped=dropped))

    for group in groups_of(chain):
        if work.engine is not LOCAL and group.keys() <= TOGETHER | WITH_VECTORS and len(work.prompts):
            work.progress("filter", len(counts), len(chain), ", ".join(group))
            work, found = run_group(work, group, drops)
            for name, (rows_in, dropped) in found.items():
                ran(name, rows_in, dropped)
            continue
        for name, options in group.items():
            work.progress("filter", len(counts), len(chain), name)
            rows_in = len(work.prompts)
            work, dropped = run_filter(work, name, options, drops)
            ran(name, rows_in, dropped)
    work.progress("filter", len(chain), len(chain))
    return work, counts, drops


def run_filter(work: Work, name: str, options: Mapping[str, Option], drops: DropLog) -> tuple[Work, int]:
    """One filter on all rows: the job for what is left, and how many went; ``drops`` hears of each."""
    left, dropped = without(work, name, FILTERS[name](work, **options) if len(work.prompts) else (), drops)
    tell_counts(work, work.counts)
    work.counts.clear()
    work.made.clear()
    return left, dropped


def run_group(
    work: Work, group: Mapping[str, Mapping[str, Option]], drops: DropLog
) -> tuple[Work, dict[str, tuple[int, int]]]:
    """Some row-wise filters on parts of the rows: what is left, and of each the rows in and how many went."""
    leaving, found = run_on_parts(work, group)
    for told in found.values():
        work.notes.extend(dict.fromkeys(told.notes))
        tell_counts(work, told.counts)
        drops.extend(told.drops)
    return leaving.left(), {name: (told.rows_in, told.dropped) for name, told in found.items()}


def tell_counts(work: Work, counts: Mapping[str, int]) -> None:
    """Counts as notes."""
    work.notes.extend(note.format(count) for note, count in counts.items())


def without(work: Work, name: str, gone: Iterable[Gone], drops: DropLog) -> tuple[Work, int]:
    """The job without some rows, and how many they are."""
    leaving = Leaving(work)
    dropped = leaving.drop(name, gone, drops)
    return leaving.left(), dropped
