"""What must hold whatever the prompts are."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.prompts.analyze import analyze_prompts
from curate.prompts.chain import FILTERS
from curate.prompts.diversity import METRICS, Seen
from curate.prompts.filters import filter_prompts
from curate.prompts.promptset import PromptSet
from curate.prompts.shift import DISTANCES, Compared
from tests.prompts.made import TOPICS, fake_judge, varied

TASKS = [task for tasks in TOPICS.values() for task in tasks]
SPOILERS = ["", "🙂🙂", "Schreib mir bitte ein Gedicht über den Herbst", "mail ann@example.org", "{}", "x" * 9000]
prompt = st.one_of(
    st.sampled_from(varied()),
    st.sampled_from(SPOILERS),
    st.builds(lambda task, count: f"In {count} steps, {task}", st.sampled_from(TASKS), st.integers(1, 4)),
    st.text(max_size=30),
)
ORDER_TOLERANCE = 1e-3
"""Relative; sums in another order and ties in the nearest neighbours are what is left."""


def as_set(texts: Sequence[str], ids: Sequence[str] | None = None) -> PromptSet:
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    names = list(ids) if ids is not None else [f"r{row}" for row in range(len(texts))]
    licenses = ["MIT" if row % 3 else "CC-BY-NC-4.0" for row in range(len(texts))]
    table = pa.table({"prompt": pa.array(clean, pa.string())})
    return PromptSet(ids=names, texts=clean, table=table, sha256="0" * 64, licenses=licenses)


@pytest.mark.parametrize("name", FILTERS)
@given(texts=st.lists(prompt, min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_every_filter_keeps_or_drops_each_row_once_and_a_second_pass_drops_none(name: str, texts: list[str]) -> None:
    prompts = as_set(texts)
    known = as_set(varied()[::5])
    judge = fake_judge
    kept, report = filter_prompts(prompts, chain={name: {}}, reference=known, benchmarks=[known], judge=judge)
    assert sorted([*kept.ids, *(drop.id for drop in report.drops)]) == sorted(prompts.ids)
    assert all(drop.reason for drop in report.drops)
    if len(kept):
        again, _ = filter_prompts(kept, chain={name: {}}, reference=known, benchmarks=[known], judge=judge)
        assert again.ids == kept.ids


@given(seed=st.integers(0, 999), rows=st.integers(30, 80))
@settings(max_examples=12, deadline=None)
def test_every_metric_and_distance_ignores_the_order_of_rows(seed: int, rows: int) -> None:
    draw = np.random.default_rng(seed)
    vectors, reference = (random_units(draw, count) for count in (rows, 60))
    texts = [varied()[place] for place in draw.integers(0, len(varied()), rows)]
    order = draw.permutation(rows)
    for name, measure in METRICS.items():
        first = measure(Seen(vectors, texts, reference)).value
        second = measure(Seen(vectors[order], [texts[place] for place in order], reference)).value
        assert second == pytest.approx(first, rel=ORDER_TOLERANCE), name
    for name, distance in DISTANCES.items():
        first = distance(Compared(vectors, reference)).value
        second = distance(Compared(vectors[order], reference)).value
        assert second == pytest.approx(first, rel=ORDER_TOLERANCE, abs=1e-4), name


def random_units(draw: np.random.Generator, rows: int) -> np.ndarray:
    vectors = draw.normal(size=(rows, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.sampled_from(varied()), st.integers(2, 40))
@settings(max_examples=10, deadline=None)
def test_one_prompt_over_and_over_is_one_prompt(text: str, times: int) -> None:
    diversity, shift = analyze_prompts(as_set([text] * times), reference=as_set([text] * times))
    assert diversity.metrics["vendi"].value == pytest.approx(1, abs=1e-4)
    assert diversity.metrics["effective_rank"].value == pytest.approx(1, abs=1e-2)
    assert shift is not None
    assert shift.metrics["sqrt_mmd"].value == pytest.approx(0, abs=1e-4)


@given(st.lists(st.sampled_from(varied()), min_size=3, max_size=40, unique=True), st.integers(2, 4))
@settings(max_examples=10, deadline=None)
def test_a_set_k_times_over_is_as_varied_as_once(texts: list[str], times: int) -> None:
    once, _ = analyze_prompts(as_set(texts))
    often, shift = analyze_prompts(as_set(texts * times), reference=as_set(texts))
    for name in ("vendi", "effective_rank"):
        assert often.metrics[name].value == pytest.approx(once.metrics[name].value, rel=1e-3), name
    assert shift is not None
    assert shift.metrics["sqrt_mmd"].value == pytest.approx(0, abs=1e-4)
