"""Metrics: values worked out by hand, and what must hold whatever the prompts are."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.prompts.diversity import (
    METRICS,
    Seen,
    cluster_entropy,
    compression_ratio,
    distinct_2,
    effective_rank,
    mean_nn_similarity,
    mean_pairwise_distance,
    reference_coverage,
    vendi,
)
from curate.prompts.shares import wilson
from curate.prompts.shift import (
    DISTANCES,
    Compared,
    c2st_auc,
    frechet,
    off_target_share,
    permutation_p,
    sqrt_energy,
    sqrt_mmd,
)


def unit(rows: int, dimensions: int = 16, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions))
    vectors[:, 0] += shift
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def value(metric: object) -> float:
    found = metric.value  # type: ignore[attr-defined]
    assert found is not None
    return float(found)


def test_vendi_of_unlike_rows_is_their_number() -> None:
    assert value(vendi(Seen(np.eye(5, dtype=np.float32)))) == pytest.approx(5)


def test_vendi_by_hand_for_two_rows_at_sixty_degrees() -> None:
    rows = np.array([[1, 0], [0.5, math.sqrt(0.75)]], dtype=np.float32)
    shares = (0.75, 0.25)  # eigenvalues of [[1, .5], [.5, 1]] / 2
    assert value(vendi(Seen(rows))) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-5)


def test_vendi_in_d_by_d_is_vendi_in_n_by_n() -> None:
    rows = unit(200, 12)
    eigenvalues = np.linalg.eigvalsh(rows.astype(float) @ rows.T.astype(float) / 200)
    kept = eigenvalues[eigenvalues > 1e-10]
    assert value(vendi(Seen(rows))) == pytest.approx(float(np.exp(-(kept * np.log(kept)).sum())), rel=1e-4)


def test_effective_rank_by_hand() -> None:
    rows = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    roots = np.sqrt([0.75, 0.25]) / np.sqrt([0.75, 0.25]).sum()
    assert value(effective_rank(Seen(rows))) == pytest.approx(math.exp(-(roots * np.log(roots)).sum()), rel=1e-6)


@pytest.mark.parametrize("measure", [vendi, effective_rank])
@given(rows=st.integers(2, 20), times=st.integers(2, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_repetition_adds_no_variety(measure, rows: int, times: int, seed: int) -> None:
    vectors = unit(rows, 8, seed)
    assert value(measure(Seen(np.repeat(vectors[:1], rows, axis=0)))) == pytest.approx(1, abs=1e-5)
    once, often = value(measure(Seen(vectors))), value(measure(Seen(np.tile(vectors, (times, 1)))))
    assert often == pytest.approx(once, rel=1e-4)


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_metrics_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    vectors, reference = unit(60, 8, seed), unit(60, 8, seed + 1)
    order = np.random.default_rng(seed).permutation(60)
    for name, measure in METRICS.items():
        if name not in ("distinct_2", "compression_ratio"):
            first = value(measure(Seen(vectors, reference=reference)))
            assert value(measure(Seen(vectors[order], reference=reference))) == pytest.approx(first, rel=1e-4), name
    for name in ("sqrt_mmd", "sqrt_energy", "frechet", "off_target_share"):
        first = value(DISTANCES[name](Compared(vectors, reference)))
        assert value(DISTANCES[name](Compared(vectors[order], reference))) == pytest.approx(first, rel=1e-3, abs=1e-4)


def test_pairwise_distance_and_neighbours_by_hand() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert value(mean_pairwise_distance(Seen(rows))) == pytest.approx(2 / 3)
    assert value(mean_nn_similarity(Seen(rows))) == pytest.approx(2 / 3)


def test_distinct_pairs_and_compression_by_hand() -> None:
    assert value(distinct_2(Seen(np.eye(2), ["a b a b", "a b"]))) == pytest.approx(2 / 4)
    assert value(compression_ratio(Seen(np.eye(2), ["same words " * 200]))) > 20


def test_the_reference_covers_itself_and_spreads_like_itself() -> None:
    reference = unit(100)
    assert value(reference_coverage(Seen(reference, reference=reference))) > 1
    assert value(cluster_entropy(Seen(reference, reference=reference))) == pytest.approx(1)
    assert value(cluster_entropy(Seen(reference[:1].repeat(50, axis=0), reference=reference))) < 0.2
    assert cluster_entropy(Seen(reference)).value is None


@pytest.mark.parametrize("measure", [sqrt_mmd, sqrt_energy, frechet])
@given(rows=st.integers(3, 40), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_a_set_is_at_no_distance_from_itself(measure, rows: int, seed: int) -> None:
    vectors = unit(rows, 8, seed)
    assert value(measure(Compared(vectors, vectors))) == pytest.approx(0, abs=2e-3)


def test_mmd_of_two_points_is_by_hand() -> None:
    one, two = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    kernel = math.exp(-2 / 2)  # squared distance 2, bandwidth 1 where the reference has no spread
    assert value(sqrt_mmd(Compared(one, two))) == pytest.approx(math.sqrt(2 - 2 * kernel))
    assert value(sqrt_energy(Compared(one, two))) == pytest.approx(math.sqrt(2 * math.sqrt(2)))


def test_mmd_is_linear_in_the_share_of_the_mixture() -> None:
    reference, other = unit(400, seed=1), unit(400, seed=2, shift=3)
    mine = unit(400, seed=3)
    shares = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    found = []
    for share in shares:
        count = int(share * 400)
        found.append(value(sqrt_mmd(Compared(np.concatenate([mine[count:], other[:count]]), reference))))
    assert np.corrcoef(shares[1:], found[1:])[0, 1] ** 2 > 0.99


def test_the_permutation_p_raises_false_alarms_as_often_as_it_says() -> None:
    alarms = [permutation_p(sqrt_mmd(Compared(unit(60, 6, 2 * n), unit(60, 6, 2 * n + 1)))) < 0.05 for n in range(200)]
    assert 0.02 <= float(np.mean(alarms)) <= 0.08


def test_another_task_is_seen_by_every_distance() -> None:
    reference, far = unit(300, seed=1, shift=4), unit(300, seed=2, shift=-4)
    near = unit(300, seed=3, shift=4)
    for name, measure in DISTANCES.items():
        assert value(measure(Compared(far, reference))) > value(measure(Compared(near, reference))) + 0.02, name
    assert value(c2st_auc(Compared(far, reference))) > 0.9
    assert value(off_target_share(Compared(near, reference))) < 0.1


def test_wilson_is_by_hand() -> None:
    low, high = wilson(0.5, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-3), pytest.approx(0.5962, abs=1e-3))
