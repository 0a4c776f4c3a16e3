"""Losses against values worked out by hand."""

import math

import pytest
import torch

from curate.distillation import losses

P = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
Q = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
LN2 = math.log(2)


def test_closed_forms():
    log_p, log_q = P.log(), Q.log()
    assert losses.forward_kl(log_p, log_q).item() == pytest.approx(0.5 * LN2 - 0.25 * LN2)
    assert losses.reverse_kl(log_p, log_q).item() == pytest.approx(0.5 * LN2 - 0.25 * LN2)
    middle = 0.375
    half = 0.5 * math.log(0.5 / middle) + 0.25 * math.log(0.25 / middle)
    assert losses.jsd(log_p, log_q).item() == pytest.approx(half)
    mixed = [0.9 * q + 0.1 * p for p, q in zip(P[0].tolist(), Q[0].tolist(), strict=True)]
    skewed = sum(p * math.log(p / m) for p, m in zip(P[0].tolist(), mixed, strict=True))
    assert losses.skew_kl(log_p, log_q, skew=0.1).item() == pytest.approx(skewed)


def test_a_divergence_between_equals_is_zero():
    for divergence in losses.DIVERGENCES.values():
        assert divergence(P.log(), P.log()).item() == pytest.approx(0, abs=1e-12)


def test_reverse_kl_is_forward_kl_the_other_way_round():
    log_p, log_q = torch.randn(4, 7).log_softmax(-1), torch.randn(4, 7).log_softmax(-1)
    torch.testing.assert_close(losses.reverse_kl(log_p, log_q), losses.forward_kl(log_q, log_p))


def test_jsd_near_its_ends_is_the_scaled_kl():
    log_p, log_q = torch.randn(4, 7).double().log_softmax(-1), torch.randn(4, 7).double().log_softmax(-1)
    tiny = 1e-7
    torch.testing.assert_close(
        losses.jsd(log_p, log_q, beta=tiny) / tiny, losses.forward_kl(log_p, log_q), rtol=1e-4, atol=0
    )


def test_cross_entropy_of_flat_logits_is_log_of_the_vocabulary():
    labels = torch.tensor([0, 3, losses.IGNORED])
    assert losses.cross_entropy(torch.zeros(3, 8), labels).item() == pytest.approx(math.log(8))


def test_kd_divergence_is_scaled_by_temperature_squared_and_counts_labelled_rows_only():
    student, teacher = torch.randn(5, 9), torch.randn(5, 9)
    labels = torch.tensor([1, 2, losses.IGNORED, 3, losses.IGNORED])
    keep = labels != losses.IGNORED
    log_p, log_q = (teacher[keep] / 2).log_softmax(-1), (student[keep] / 2).log_softmax(-1)
    expected = 4 * torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    torch.testing.assert_close(losses.kd_divergence(student, teacher, labels, temperature=2.0), expected)


def test_one_denominator_makes_two_halves_add_up():
    student, teacher, labels = torch.randn(6, 9), torch.randn(6, 9), torch.arange(6)
    whole = losses.kd_divergence(student, teacher, labels) + losses.cross_entropy(student, labels)
    parts = [
        losses.kd_divergence(student[part], teacher[part], labels[part], denominator=6)
        + losses.cross_entropy(student[part], labels[part], denominator=6)
        for part in (slice(0, 2), slice(2, 6))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_what_follows_the_colon_is_the_divergences_option():
    assert losses.parse_divergence("jsd:0.3") == ("jsd", {"beta": 0.3})
    assert losses.parse_divergence("jsd") == ("jsd", {"beta": 0.5})
    assert losses.parse_divergence("skew_kl:0.2") == ("skew_kl", {"skew": 0.2})
    assert losses.parse_divergence("forward_kl") == ("forward_kl", {})
