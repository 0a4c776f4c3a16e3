"""Selection to a budget: coverage, importance, quotas; the same for one seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import PromptsError
from curate.prompts import select
from curate.prompts.filters import filter_prompts
from curate.prompts.importance import importance_order
from curate.prompts.reading import read_prompts
from curate.prompts.select import allot, select_rows
from tests.prompts.made import TOPICS, varied, write_jsonl


def skewed(tmp_path: Path) -> Path:
    """Sources of very different size: a hundred rows on cooking, few on the rest."""
    texts = [text for text in varied() if any(task in text for task in TOPICS["cooking"])]
    rows: list[dict[str, object]] = [
        {"prompt": f"{text} Number {n}.", "source": "big"} for n in range(5) for text in texts
    ]
    rows += [{"prompt": text, "source": "small"} for text in varied() if text not in texts][:30]
    return write_jsonl(tmp_path / "p.jsonl", rows)


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=60), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_quotas_use_the_whole_budget_and_nobody_gets_more_than_there_is(groups: list[str], budget: int) -> None:
    room, sizes = allot(groups, budget), Counter(groups)
    assert sum(room.values()) == min(budget, len(groups))
    assert all(room[group] <= sizes[group] for group in room)
    unfilled = [room[group] for group in room if room[group] < sizes[group]]
    assert max(unfilled, default=0) - min(unfilled, default=0) <= 1
    assert all(room[group] <= min(unfilled) + 1 for group in room if unfilled)


def test_a_quota_by_source_gives_each_its_share(tmp_path: Path) -> None:
    prompts = read_prompts(skewed(tmp_path))
    kept, report = filter_prompts(prompts, chain={}, budget=40, quota="source")
    assert Counter(kept.sources or []) == {"big": 20, "small": 20}
    assert report.filters[-1].options == {"rows": 40, "method": "coverage", "quota": "source"}
    free, _ = filter_prompts(prompts, chain={}, budget=100, quota="source")
    assert Counter(free.sources or []) == {"big": 70, "small": 30}


def test_a_quota_by_cluster_spreads_the_rows(tmp_path: Path) -> None:
    prompts = read_prompts(skewed(tmp_path))
    kept, _ = filter_prompts(prompts, chain={}, budget=24, quota="cluster", method="coverage")
    assert len(kept) == 24
    by_chance = 24 * 30 / len(prompts)
    assert Counter(kept.sources or [])["small"] > by_chance + 1


def test_importance_draws_what_is_like_the_reference() -> None:
    cooking = [text for text in varied() if any(task in text for task in TOPICS["cooking"])]
    others = [text for text in varied() if text not in cooking]
    chosen = importance_order([*others, *cooking], [f"{text} today" for text in cooking], seed=3)[: len(cooking)]
    assert sum(row >= len(others) for row in chosen) >= 0.9 * len(cooking)


def test_importance_without_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match="no reference"):
        filter_prompts(read_prompts(skewed(tmp_path)), chain={}, budget=5, method="importance")


def test_a_quota_by_source_without_sources_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"prompt": text} for text in varied()])
    with pytest.raises(PromptsError, match="no column names a source"):
        filter_prompts(read_prompts(path), chain={}, budget=5, quota="source")


@pytest.mark.parametrize(("method", "quota"), [("coverage", ""), ("coverage", "cluster"), ("importance", "source")])
def test_one_seed_selects_the_same_rows_and_kept_and_dropped_are_the_input(tmp_path: Path, method, quota) -> None:
    prompts = read_prompts(skewed(tmp_path))
    reference = read_prompts(write_jsonl(tmp_path / "r.jsonl", [{"prompt": text} for text in varied()[:40]]))
    runs = [
        filter_prompts(prompts, chain={}, reference=reference, budget=30, method=method, quota=quota, seed=7)
        for _ in range(2)
    ]
    assert runs[0][0].ids == runs[1][0].ids
    assert len(runs[0][0]) == 30
    assert sorted([*runs[0][0].ids, *(drop.id for drop in runs[0][1].drops)]) == sorted(prompts.ids)


def test_a_budget_beyond_what_is_picked_one_by_one_is_filled_from_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "MOST_PICKS", 10)
    monkeypatch.setattr(select, "MOST_CANDIDATES", 30)
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = ["a"] * 250 + ["b"] * 50
    kept = select_rows(vectors, 100, groups=groups)
    assert len(kept) == len(set(kept)) == 100
    assert sum(row >= 250 for row in kept) == 50
