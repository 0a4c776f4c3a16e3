"""A sketch of a set is the sum of its parts' sketches, and says what all rows at once say."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.prompts.diversity import Seen, cluster_entropy, effective_rank, mean_pairwise_distance, vendi
from curate.prompts.neighbors import find_centers
from curate.prompts.shift import Compared, frechet, frechet_of
from curate.prompts.sketches import (
    Moments,
    cluster_counts,
    covariance,
    effective_number,
    mean_cosine,
    moments,
    spectrum,
)


def units(rows: int, seed: int, *, shift: float = 0.0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, 6)) + shift
    scaled: np.ndarray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def in_parts(vectors: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(vectors, sorted(cut % (len(vectors) + 1) for cut in cuts))


seeds = st.integers(0, 10_000)
cuts = st.lists(st.integers(0, 200), max_size=5)


@given(seed=seeds, rows=st.integers(2, 90), cuts=cuts)
@settings(max_examples=40, deadline=None)
def test_merged_moments_give_the_metrics_of_the_whole(seed: int, rows: int, cuts: list[int]) -> None:
    vectors = units(rows, seed)
    parts = [moments(part) for part in in_parts(vectors, cuts)]
    merged, turned = reduce(add, parts), reduce(add, reversed(parts))
    whole = Seen(vectors)
    for found in (merged, turned):
        assert found.rows == rows
        assert effective_number(spectrum(found)) == pytest.approx(vendi(whole).value)
        assert effective_number(spectrum(found) ** 0.5) == pytest.approx(effective_rank(whole).value)
        assert 1 - mean_cosine(found) == pytest.approx(mean_pairwise_distance(whole).value)
        assert covariance(found) == pytest.approx(np.cov(vectors.astype(float), rowvar=False), abs=1e-9)


@given(seed=seeds, cuts=cuts)
@settings(max_examples=25, deadline=None)
def test_the_frechet_distance_of_merged_moments_is_that_of_the_whole(seed: int, cuts: list[int]) -> None:
    one, two = units(60, seed), units(40, seed + 1, shift=0.7)
    merged = reduce(add, [moments(part) for part in in_parts(one, cuts)])
    value = frechet(Compared(one, two)).value
    assert value is not None
    assert value > 0.1
    assert frechet_of(merged, moments(two)) == pytest.approx(value)


@given(seed=seeds, cuts=cuts)
@settings(max_examples=25, deadline=None)
def test_cluster_counts_of_parts_add_up_to_the_entropy_of_the_whole(seed: int, cuts: list[int]) -> None:
    vectors, reference = units(80, seed), units(50, seed + 1)
    centers = find_centers(reference, 5, seed=0)
    counts = sum(cluster_counts(part, centers) for part in in_parts(vectors, cuts) if len(part))
    share = effective_number(np.asarray(counts)) / effective_number(cluster_counts(reference, centers))
    assert share == pytest.approx(cluster_entropy(Seen(vectors, reference=reference)).value)


def test_the_effective_number_of_equal_weights_is_their_number_and_of_one_is_one() -> None:
    assert effective_number(np.array([2, 2, 0, 2])) == pytest.approx(3)
    assert effective_number(np.array([0, 7])) == pytest.approx(1)
    assert 1 < effective_number(np.array([9, 1])) < 2


def test_rows_without_a_vector_count_for_nothing_in_the_spectrum() -> None:
    vectors = units(20, 3)
    padded = np.concatenate([vectors, np.zeros((5, 6), dtype=np.float32)])
    assert spectrum(moments(padded)) == pytest.approx(spectrum(moments(vectors)))
    nothing: Moments = moments(np.zeros((3, 6), dtype=np.float32))
    assert len(spectrum(nothing)) == 0
