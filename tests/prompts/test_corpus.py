"""What must hold on the larger real data; skipped where it is not."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from curate.gate import Verdict
from curate.policy import load_policy
from curate.prompts.analyze import analyze_prompts, judge_prompts
from curate.prompts.embed import load_embedder
from curate.prompts.filters import filter_prompts
from curate.prompts.promptset import PromptSet
from curate.prompts.reading import read_prompts
from curate.prompts.results import FilterReport, PromptDecision


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


def test_the_pool_is_filtered_with_high_recall(corpus: Path) -> None:
    import csv

    place = corpus / "prompts" / "mixed_pool"
    if not place.is_dir():
        pytest.skip("the corpus has no mixed_pool")
    prompts = read_prompts(place / "pool.jsonl").take(range(8000))
    _, report = filter_prompts(
        prompts, chain={name: {} for name in ("garbage", "pii", "injection", "language", "length")}
    )
    gone = {drop.id for drop in report.drops}
    here = set(prompts.ids)
    for kind in ("pii", "prompt_injection", "non_english", "very_long", "empty", "emoji_only", "garbage"):
        with (place / "pool_truth.csv").open(encoding="utf-8") as stream:
            rows = [row["row_id"] for row in csv.DictReader(stream) if row["kind"] == kind and row["row_id"] in here]
        assert np.mean([row in gone for row in rows]) >= 0.9, kind


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


def test_semantic_finds_the_pairs_above_its_bound_and_keeps_contrasts(corpus: Path) -> None:
    place = corpus / "prompts" / "mixed_pool"
    if not place.is_dir():
        pytest.skip("the corpus has no mixed_pool")
    prompts = read_prompts(place / "pool.jsonl")
    vectors = load_embedder("default").encode(prompts.texts)
    _, report = filter_prompts(prompts, chain={"semantic": {"number_guard": False}})
    gone = {drop.id for drop in report.drops}
    first, second = (np.concatenate(side) for side in zip(*all_pairs(vectors, 0.92), strict=True))
    found = [prompts.ids[a] in gone or prompts.ids[b] in gone for a, b in zip(first, second, strict=True)]
    assert np.mean(found) >= 0.99


def all_pairs(vectors: np.ndarray, threshold: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every pair at or above a cosine, by exact search."""
    pairs = []
    for start in range(0, len(vectors), 2000):
        one, two = np.nonzero(vectors[start : start + 2000] @ vectors.T >= threshold)
        above = two > one + start
        pairs.append((one[above] + start, two[above]))
    return pairs
