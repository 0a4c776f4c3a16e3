"""What must hold on the larger real data; skipped where it is not."""

import importlib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.gate import Verdict
from curate.policy import load_policy
from curate.prompts.analyze import analyze_prompts, judge_prompts
from curate.prompts.embed import load_embedder
from curate.prompts.promptset import PromptSet
from curate.prompts.reading import read_prompts
from curate.prompts.results import FilterReport, PromptDecision

BENCH = Path(__file__).parents[2] / "bench"


def test_out_of_scope_queries_are_told_from_in_scope_ones(corpus: Path) -> None:
    import json

    path = corpus / "prompts" / "clinc150" / "data.jsonl"
    if not path.is_file():
        pytest.skip("the corpus has no clinc150")
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    known = [row["prompt"] for row in rows if row["split"] == "train" and not row["oos"]][::3]
    tried = [row for row in rows if row["split"] == "test"][::2]
    embedder = load_embedder("default")
    similar = embedder.encode([row["prompt"] for row in tried]) @ embedder.encode(known).T
    score = np.sort(similar, axis=1)[:, -5:].mean(axis=1)
    out = np.array([row["oos"] for row in tried])
    above = (score[~out][:, None] > score[out][None, :]).mean()
    assert above >= 0.92


@pytest.fixture
def mixed_pool(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bench over the pool with injected faults, and the pool."""
    place = corpus / "prompts" / "mixed_pool"
    if not place.is_dir():
        pytest.skip("the corpus has no mixed_pool")
    monkeypatch.syspath_prepend(str(BENCH))
    bench = importlib.import_module("mixed_pool")
    return bench, bench.Pool(place)


def test_every_filter_alone_meets_every_bar_on_the_pool_with_injected_faults(mixed_pool: Any) -> None:
    bench, pool = mixed_pool
    lines = bench.measure(pool)
    asked = [line for line in lines if line[3] is not None]
    assert len(asked) > 30
    assert [line for line in asked if not bench.holds(*line[2:])] == []


def test_the_whole_chain_loses_no_row_and_keeps_hardly_a_fault_that_its_filters_look_for(mixed_pool: Any) -> None:
    bench, pool = mixed_pool
    kept, report = pool.run(pool.policy.prompts.filters)
    assert sorted([*kept.ids, *(drop.id for drop in report.drops)]) == sorted(pool.prompts.ids)
    gone = {drop.id for drop in report.drops}
    bars = {(name, kind): bar for name, kinds in bench.FOUND.items() for kind, bar in kinds.items() if bar is not None}
    missed = {
        place: found
        for place, bar in bars.items()
        if (found := pool.recall(place[1], gone, paired=place[0] in bench.PAIRED)) < bar
    }
    assert missed == {}
    assert pool.run(pool.policy.prompts.filters)[0].ids == kept.ids


def judged(prompts: PromptSet, reference: PromptSet) -> PromptDecision:
    """The default policy's decision over a set as it is, its chain taken as run."""
    diversity, shift = analyze_prompts(prompts, reference=reference)
    report = FilterReport(prompts_sha256="", rows_read=1, rows_kept=1, filters=(), drops=(), whole_chain=True)
    return judge_prompts(
        load_policy("default"),
        filter_report=report,
        diversity=diversity,
        shift=shift,
        file_sha256="0" * 64,
        rows=len(prompts),
        today=date(2026, 1, 2),
    )


def test_narrow_and_far_sets_are_denied_by_name_and_a_broad_one_passes(corpus: Path) -> None:
    path = corpus / "prompts" / "clinc150" / "data.jsonl"
    far_path = corpus / "prompts" / "gsm8k" / "data.jsonl"
    if not path.is_file() or not far_path.is_file():
        pytest.skip("the corpus has no clinc150 or gsm8k")
    rows = read_prompts(path)
    domains, splits = rows.table.column("domain").to_pylist(), rows.table.column("split").to_pylist()
    draw = np.random.default_rng(5)
    inside = [row for row in draw.permutation(len(rows)).tolist() if domains[row] != "oos"]
    reference = rows.take([row for row in inside if splits[row] == "train"][:600])
    others = [row for row in inside if splits[row] != "train"]
    assert judged(rows.take(others[:600]), reference).verdict is Verdict.ALLOW
    for domain in sorted(set(domains) - {"oos"}):
        narrow = judged(rows.take([row for row in inside if domains[row] == domain][:600]), reference)
        assert narrow.verdict is Verdict.DENY, domain
        assert "too-narrow" in {one.rule for one in narrow.findings if one.verdict is Verdict.DENY}, domain
    far = judged(read_prompts(far_path).take(range(600)), reference)
    assert far.verdict is Verdict.DENY
    assert "too-far" in {one.rule for one in far.findings if one.verdict is Verdict.DENY}
