"""The fused loss against its definition."""

import pytest
import torch
from torch.nn import functional

from curate.distillation import fused, losses, sweeps
from curate.errors import ConfigError

DIVERGENCES = ["forward_kl", "reverse_kl", "jsd:0.5", "jsd:0.1", "skew_kl:0.1", "skew_kl:0.7"]


def make_case(dtype=torch.float64, rows=13, vocabulary=11, ignored=(2, 7)):
    generator = torch.Generator().manual_seed(3)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    labels = torch.randint(0, vocabulary, (rows,), generator=generator)
    labels[list(ignored)] = losses.IGNORED
    return (
        make(rows, 5).requires_grad_(),
        make(vocabulary, 5).requires_grad_(),
        make(rows, 7),
        make(vocabulary, 7),
        labels,
    )


def whole(hidden, head, teacher_hidden, teacher_head, labels, *, temperature, task_weight, kd_weight, divergence):
    logits, teacher_logits = hidden @ head.T, teacher_hidden @ teacher_head.T
    task = losses.cross_entropy(logits, labels)
    kd = losses.kd_divergence(logits, teacher_logits, labels, temperature=temperature, divergence=divergence)
    return task_weight * task + kd_weight * kd


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("chunk_tokens", [1, 4, 100, None])
def test_chunked_equals_whole_in_value_and_gradient(divergence, temperature, chunk_tokens):
    for dtype, rtol in [(torch.float64, 1e-9), (torch.float32, 1e-4)]:
        case = make_case(dtype)
        options = {"temperature": temperature, "task_weight": 0.7, "kd_weight": 1.3, "divergence": divergence}
        value = fused.fused_kd_loss(*case, chunk_tokens=chunk_tokens, **options)
        grads = torch.autograd.grad(value, case[:2])
        expected = whole(*case, **options)
        expected_grads = torch.autograd.grad(expected, case[:2])
        torch.testing.assert_close(value, expected, rtol=min(rtol, 1e-5), atol=0)
        for got, want in zip(grads, expected_grads, strict=True):
            torch.testing.assert_close(got, want, rtol=rtol, atol=rtol * 1e-2)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradcheck_holds_in_double(divergence):
    hidden, head, *teacher = make_case()

    def loss(hidden, head):
        return fused.fused_kd_loss(
            hidden, head, *teacher, temperature=2.0, task_weight=0.5, divergence=divergence, chunk_tokens=4,
            student_scale=0.5, student_softcap=3.0, teacher_softcap=2.0,
        )  # fmt: skip

    assert torch.autograd.gradcheck(loss, (hidden, head))


def test_the_terms_come_one_by_one_and_sum_to_the_loss():
    case = make_case()
    terms = fused.fused_kd_terms(*case, temperature=2.0, task_weight=0.3, kd_weight=0.6)
    logits, teacher_logits = case[0] @ case[1].T, case[2] @ case[3].T
    torch.testing.assert_close(terms.task, losses.cross_entropy(logits, case[4]).detach())
    torch.testing.assert_close(
        terms.kd, losses.kd_divergence(logits, teacher_logits, case[4], temperature=2.0).detach()
    )
    torch.testing.assert_close(terms.loss.detach(), 0.3 * terms.task + 0.6 * terms.kd)
    assert not terms.task.requires_grad
    assert not terms.kd.requires_grad


def test_temperature_changes_the_loss_and_t_squared_keeps_the_gradient_in_scale():
    case = make_case()
    at = {t: fused.fused_kd_loss(*case, temperature=t) for t in (1.0, 2.0, 50.0, 100.0)}
    assert at[1.0].item() != pytest.approx(at[2.0].item(), rel=1e-2)
    norms = [torch.autograd.grad(at[t], case[0])[0].norm().item() for t in (50.0, 100.0)]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)


def test_a_loss_without_teacher_needs_no_teacher():
    hidden, head, _, _, labels = make_case()
    value = fused.fused_kd_loss(hidden, head, None, None, labels, task_weight=1.0, kd_weight=0.0)
    torch.testing.assert_close(value, functional.cross_entropy(hidden @ head.T, labels))
    with pytest.raises(ValueError, match="no teacher states"):
        fused.fused_kd_loss(hidden, head, None, None, labels)


def test_no_labelled_row_gives_zero_and_no_gradient():
    hidden, head, *teacher, labels = make_case()
    value = fused.fused_kd_loss(hidden, head, *teacher, torch.full_like(labels, losses.IGNORED), task_weight=1.0)
    grads = torch.autograd.grad(value, (hidden, head))
    assert value.item() == 0
    assert all(grad.abs().sum() == 0 for grad in grads)


def test_a_response_of_no_weight_has_no_gradient():
    hidden, head, _, _, labels = make_case(torch.float32, rows=500)
    torch.full((500, 5), float("nan"))  # what is freed here is what an unfilled tensor may hold
    value = fused.fused_kd_loss(hidden, head, None, None, labels, task_weight=0.0, kd_weight=0.0)
    grads = torch.autograd.grad(value, (hidden, head))
    assert value.item() == 0
    assert all(grad.abs().sum() == 0 for grad in grads)


def test_nothing_of_tokens_times_vocabulary_is_saved_for_backward():
    hidden, head, *teacher = make_case(torch.float32, rows=64, vocabulary=512, ignored=())
    value = fused.fused_kd_loss(hidden, head, *teacher, chunk_tokens=8)
    assert max(tensor.numel() for tensor in value.grad_fn.saved_tensors) == head.numel() < 64 * 512


def test_bf16_products_keep_an_fp32_softmax():
    case = make_case(torch.float32, rows=64, vocabulary=300, ignored=())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = fused.fused_kd_loss(*case, task_weight=1.0)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(fused.fused_kd_loss(*case, task_weight=1.0).item(), rel=1e-2)
    grad = torch.autograd.grad(value, case[1])[0]
    assert grad.dtype == torch.float32


def test_both_tables_of_divergences_have_the_same_names():
    assert list(sweeps.SWEEPS) == list(losses.DIVERGENCES)


def test_shapes_that_do_not_fit_are_refused_before_anything_is_computed():
    hidden, head, teacher_hidden, teacher_head, labels = make_case()
    with pytest.raises(ValueError, match="labels"):
        fused.fused_kd_loss(hidden, head, teacher_hidden, teacher_head, labels[:-1])
    with pytest.raises(ValueError, match="cut the heads"):
        fused.fused_kd_loss(hidden, head, teacher_hidden, teacher_head[:-1], labels)


@pytest.mark.parametrize("spec", ["kl", "forward_kl:0.5", "jsd:", "jsd:x", "jsd:1.0", "skew_kl:0", "jsd:nan"])
def test_a_divergence_that_does_not_exist_is_a_config_error(spec):
    with pytest.raises(ConfigError, match="divergence"):
        fused.fused_kd_loss(*make_case(), divergence=spec)


def make_cache(case, k, temperature):
    """What a cache of the teacher's k likeliest tokens would hold."""
    log_p = (case[2] @ case[3].T / temperature).log_softmax(-1)
    top, ids = log_p.topk(k)
    rest = log_p.scatter(1, ids, -torch.inf).logsumexp(-1, keepdim=True).clamp_min(sweeps.FLOOR)
    return ids, torch.cat([top, rest], 1)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_cache_of_the_whole_vocabulary_gives_the_whole_loss(divergence):
    case = make_case()
    options = {"temperature": 2.0, "task_weight": 0.7, "divergence": divergence}
    cached = fused.fused_topk_terms(*case[:2], *make_cache(case, 11, 2.0), case[4], chunk_tokens=4, **options)
    live = fused.fused_kd_terms(*case, **options)
    torch.testing.assert_close(cached.loss, live.loss, rtol=1e-6, atol=1e-9)
    for got, want in zip(
        torch.autograd.grad(cached.loss, case[:2]), torch.autograd.grad(live.loss, case[:2]), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_fewer_tokens_give_a_lower_bound_that_rises_with_k(divergence):
    case = make_case()
    values = [
        fused.fused_topk_terms(*case[:2], *make_cache(case, k, 1.0), case[4], divergence=divergence).kd.item()
        for k in (1, 3, 6, 11)
    ]
    assert values == sorted(values)
    assert values[0] > 0


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradcheck_holds_for_buckets(divergence):
    case = make_case()
    ids, log_probs = make_cache(case, 4, 2.0)

    def loss(hidden, head):
        return fused.fused_topk_terms(
            hidden, head, ids, log_probs, case[4], temperature=2.0, task_weight=0.5, divergence=divergence,
            chunk_tokens=4, student_softcap=3.0,
        ).loss  # fmt: skip

    assert torch.autograd.gradcheck(loss, case[:2])
