"""Everything ``analyze-prompts`` says, in one value: measured, judged, and what the chain would drop."""

from __future__ import annotations

import time

from curate.gate import RowJudge
from curate.policy import Policy
from curate.progress import Progress, silent
from curate.prompts.analyze import analyze_prompts
from curate.prompts.answers import holds_answers
from curate.prompts.engines import LOCAL, Engine
from curate.prompts.filters import filter_prompts
from curate.prompts.forms import exact_form
from curate.prompts.judge import bound_findings
from curate.prompts.keys import hash_text
from curate.prompts.language import asked_beside, wrong_language
from curate.prompts.promptset import PromptSet
from curate.prompts.quality import row_fault
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
    engine: Engine = LOCAL,
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
        engine=engine,
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
        answers=answer_counts(prompts),
        findings=tuple(bound_findings(policy, diversity, shift, len(prompts))),
        notes=report.notes,
        policy_sha256=policy.digest(),
        wall_s=round(time.monotonic() - started, 3),
    )
    return analysis, report


def answer_counts(prompts: PromptSet) -> dict[str, int]:
    """Of a column of answers: how many rows have each fault, and how many repeat an earlier one; else empty."""
    if not holds_answers(prompts.text_column):
        return {}
    asked = asked_beside(prompts) or [""] * len(prompts)
    counts = dict.fromkeys(("empty", "refused", "cut off", "looping", "garbage", "wrong language", "repeated"), 0)
    forms: set[bytes] = set()
    for text, prompt in zip(prompts.texts, asked, strict=True):
        fault = row_fault(text, answers=True)
        if fault:
            counts["looping" if fault.endswith("over and over") else fault if fault in counts else "garbage"] += 1
        elif prompt and wrong_language(text, prompt):
            counts["wrong language"] += 1
        form = exact_form(text)
        key = hash_text(form)
        counts["repeated"] += bool(form) and key in forms
        forms.add(key)
    return counts
