"""Hidden states through projections."""

import pytest
import torch

from curate.distillation.features import FeatureLoss, cosine, count_positions, mse, rms_mse

MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_projections_start_as_the_identity_cut_to_size():
    loss = FeatureLoss(((1, 1, 1.0),), 2, 4, "mse")
    assert loss.projections[0].weight.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("distance", ["mse", "rms_mse", "cosine"])
def test_equal_states_cost_nothing(distance):
    states = {1: torch.randn(2, 3, 4)}
    loss = FeatureLoss(((1, 1, 1.0),), 4, 4, distance)
    assert loss(states, states, MASK).item() == pytest.approx(0, abs=1e-5)


def test_distances_by_hand():
    ours, theirs = torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])
    assert mse(ours, theirs).item() == 1.0
    assert cosine(ours, theirs).item() == pytest.approx(1 - 24 / 25)
    assert rms_mse(ours, theirs).item() == pytest.approx(1 / 12.5, rel=1e-5)
    assert rms_mse(ours, 100 * theirs).item() == pytest.approx(1 / 12.5, rel=1e-5)


def test_padding_and_the_first_position_count_for_nothing():
    ours, theirs = {1: torch.randn(2, 3, 4)}, {1: torch.randn(2, 3, 4)}
    loss = FeatureLoss(((1, 1, 0.5),), 4, 4, "mse")
    value = loss(ours, theirs, MASK)
    expected = 0.5 * sum(mse(ours[1][row, at], theirs[1][row, at]) for row, at in [(0, 1), (0, 2), (1, 1)])
    torch.testing.assert_close(value, expected)
    assert count_positions(MASK) == 3


def test_projections_learn():
    ours, theirs = {1: torch.randn(2, 3, 2)}, {1: torch.randn(2, 3, 4)}
    loss = FeatureLoss(((1, 1, 1.0),), 2, 4, "cosine")
    loss(ours, theirs, MASK).backward()
    assert loss.projections[0].weight.grad.abs().sum() > 0
