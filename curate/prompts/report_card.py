"""Everything ``analyze-prompts`` says, in one value: measured, judged, and what the chain would drop."""

from __future__ import annotations

import time

from curate.gate import RowJudge
from curate.policy import Policy
from curate.progress import Progress, silent
from curate.prompts.analyze import analyze_prompts
from curate.prompts.filters import filter_prompts
from curate.prompts.judge import bound_findings
from curate.prompts.promptset import PromptSet
from curate.prompts.results import FilterReport, PromptAnalysis
from curate.prompts.store import VectorStore


def examine_prompts(
    prompts: PromptSet,
    *,
    policy: Policy,
    reference: PromptSet | None,
    store: VectorStore,
    judge: RowJudge | None,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[PromptAnalysis, FilterReport]:
    """Measure the set as it is, hold it against the policy's bounds, and count what its chain would drop."""
    started = time.monotonic()
    _, report = filter_prompts(
        prompts,
        chain=policy.prompts.filters,
        reference=reference,
        judge=judge,
        store=store,
        policy_chain=policy.prompts.filters,
        policy_sha256=policy.digest(),
        progress=progress,
    )
    diversity, shift = analyze_prompts(
        prompts, reference=reference, store=store, seed=seed, drops=report.drops, progress=progress
    )
    analysis = PromptAnalysis(
        rows=len(prompts),
        rows_unreadable=len(prompts.bad_lines),
        diversity=diversity,
        shift=shift,
        filters=report.filters,
        findings=tuple(bound_findings(policy, diversity, shift, len(prompts))),
        notes=report.notes,
        policy_sha256=policy.digest(),
        wall_s=round(time.monotonic() - started, 3),
    )
    return analysis, report
