"""What must hold on the larger real data; skipped where it is not."""

from pathlib import Path

import numpy as np
import pytest

from curate.prompts.embed import load_embedder
from curate.prompts.reading import read_prompts


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

    from curate.prompts.filters import filter_prompts

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
