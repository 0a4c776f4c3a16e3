"""Universal logit distillation: closed-form values, gradients, and a student with a tokenizer of its own."""

import dataclasses

import pytest
import torch
from transformers import AutoTokenizer

from curate.distillation import losses
from curate.distillation.batches import Encoder, collate
from curate.distillation.config import parse_config
from curate.distillation.distill import distill
from curate.distillation.fused import fused_kd_terms
from curate.distillation.signals import Probe
from curate.distillation.stack import LossStack
from curate.distillation.uld import HeadOptions, fused_uld_terms, pair_positions
from curate.errors import ConfigError
from curate.licenses.decision import Case
from tests.distillation.counting import count_totals

from .classroom import CAPITALS, QUESTIONS, approve, make_config, make_model, make_rows, make_tokenizer
from .test_seq2seq import make_t5


def make_case(rows=9, ours=11, theirs=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    return (
        make(rows, 5).requires_grad_(),
        make(ours, 5).requires_grad_(),
        make(rows - 2, 6),
        make(theirs, 6),
        torch.randint(0, ours, (rows,), generator=generator),
        torch.tensor([[0, 0], [1, 1], [4, 2], [5, 3], [8, 6]]),
    )


def by_definition(case, temperature=1.0):
    """Σ |p₍ᵢ₎ − q₍ᵢ₎| of sorted softmaxes, the shorter filled up with zeros, over the student's labels."""
    hidden, head, teacher_hidden, teacher_head, labels, pairs = case
    total = 0
    for ours, theirs in pairs.tolist():
        q = (hidden[ours] @ head.T / temperature).softmax(-1).sort(descending=True).values
        p = (teacher_hidden[theirs] @ teacher_head.T / temperature).softmax(-1).sort(descending=True).values
        width = max(len(p), len(q))
        p, q = (torch.cat([one, one.new_zeros(width - len(one))]) for one in (p, q))
        total = total + (p - q).abs().sum()
    return total / len(labels)


def test_the_distance_of_known_distributions_is_what_the_paper_says():
    head = torch.eye(3, dtype=torch.float64)
    ours = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).log()
    theirs = torch.tensor([[0.1, 0.6, 0.25, 0.05]], dtype=torch.float64).log()
    found = fused_uld_terms(
        ours, head, theirs, torch.eye(4, dtype=torch.float64), torch.tensor([0]), torch.tensor([[0, 0]])
    )
    # sorted: 0.7 0.2 0.1 0 against 0.6 0.25 0.1 0.05
    assert found.kd.item() == pytest.approx(0.1 + 0.05 + 0 + 0.05)
    assert found.loss.item() == pytest.approx(0.2)


@pytest.mark.parametrize("sizes", [(11, 7), (7, 11), (9, 9)], ids=["student larger", "teacher larger", "equal"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("chunk_tokens", [1, 2, 100, None])
def test_chunked_equals_the_definition_in_value_and_gradient(sizes, temperature, chunk_tokens):
    for dtype, rtol in [(torch.float64, 1e-9), (torch.float32, 1e-4)]:
        case = make_case(ours=sizes[0], theirs=sizes[1], dtype=dtype)
        options = {"temperature": temperature, "task_weight": 0.7, "kd_weight": 1.3, "chunk_tokens": chunk_tokens}
        found = fused_uld_terms(*case, **options)
        task = losses.cross_entropy(case[0] @ case[1].T, case[4])
        expected = 0.7 * task + 1.3 * by_definition(case, temperature)
        torch.testing.assert_close(found.loss, expected, rtol=min(rtol, 1e-5), atol=1e-9)
        grads = torch.autograd.grad(found.loss, case[:2]), torch.autograd.grad(expected, case[:2])
        for got, want in zip(*grads, strict=True):
            torch.testing.assert_close(got, want, rtol=rtol, atol=rtol * 1e-2)


def test_gradcheck_holds_in_double():
    hidden, head, *rest = make_case()

    def loss(hidden, head):
        return fused_uld_terms(
            hidden, head, *rest, temperature=2.0, task_weight=0.5, chunk_tokens=2,
            student=HeadOptions(0.5, 3.0), teacher=HeadOptions(2.0, 4.0),
        ).loss  # fmt: skip

    assert torch.autograd.gradcheck(loss, (hidden, head))


def test_distributions_that_differ_by_names_alone_cost_nothing():
    hidden, head, _, _, labels, _ = make_case()
    moved = head.detach()[torch.randperm(11)]
    pairs = torch.arange(9)[:, None].expand(9, 2)
    found = fused_uld_terms(hidden, head, hidden.detach(), moved, labels, pairs)
    assert found.kd.item() == pytest.approx(0, abs=1e-12)


def test_nothing_of_tokens_times_vocabulary_is_saved_for_backward():
    hidden, head, teacher_hidden, teacher_head, labels, _ = make_case(
        rows=66, ours=512, theirs=600, dtype=torch.float32
    )
    pairs = torch.arange(64)[:, None].expand(64, 2)
    value = fused_uld_terms(hidden, head, teacher_hidden, teacher_head, labels, pairs, chunk_tokens=8).loss
    saved, todo = [], [value.grad_fn]
    while todo:
        node = todo.pop()
        saved += [tensor.numel() for tensor in getattr(node, "saved_tensors", ()) if tensor is not None]
        todo += [parent for parent, _ in node.next_functions if parent is not None]
    assert max(saved) == head.numel() < 64 * 512


def test_answers_are_paired_by_position_as_far_as_the_shorter_one_goes():
    ours = torch.tensor([[0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]], dtype=torch.bool)
    theirs = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1]], dtype=torch.bool)
    assert pair_positions(ours, theirs).tolist() == [[0, 0], [1, 1], [3, 2], [4, 3], [5, 4]]


@pytest.fixture(scope="module")
def other_tokenizer():
    return make_tokenizer([" ".join(CAPITALS)] * 3, size=290, template=None)


@pytest.fixture
def other_base(tmp_path, other_tokenizer):
    folder = tmp_path / "base"
    make_model(len(other_tokenizer), layers=2, width=24).save_pretrained(folder)
    other_tokenizer.save_pretrained(folder)
    return folder


def teach(classroom, config, out="out"):
    tickets = classroom.teacher_ticket, classroom.dataset_ticket
    return distill(*tickets, config, root=classroom.root, out=classroom.root / out)


def test_a_student_with_another_tokenizer_learns_from_ranked_logits(tmp_path, teacher_folder, other_base):
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=Case(student_base=str(other_base)))
    kd = {"weight": 1.0, "divergence": "uld"}
    config = make_config(student={"base": str(other_base)}, losses={"task": 0.0, "kd": kd}, epochs=12)
    report = teach(classroom, config)
    assert report.curve[-1].terms["kd"] < 0.7 * report.curve[0].terms["kd"]
    assert report.after.kl_to_teacher is None, "distributions over other tokens have no KL"
    names = AutoTokenizer.from_pretrained(tmp_path / "out" / "student").get_vocab()
    assert names == AutoTokenizer.from_pretrained(other_base).get_vocab()


def test_without_it_another_tokenizer_is_refused_with_both_ways_out(tmp_path, teacher_folder, other_base):
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=Case(student_base=str(other_base)))
    student = {"base": str(other_base)}
    with pytest.raises(ConfigError, match=r"do not share a tokenizer.*uld.*answers alone"):
        teach(classroom, make_config(student=student, losses={"task": 1.0, "kd": 1.0}))
    deep = {"kd": {"divergence": "uld"}, "feature": 1.0}
    with pytest.raises(ConfigError, match=r"do not share a tokenizer.*feature and attention to 0"):
        teach(classroom, make_config(student=student, losses=deep))
    cached = make_config(student=student, losses={"kd": {"divergence": "uld"}}, signals="cached")
    with pytest.raises(ConfigError, match="uld ranks whole distributions"):
        teach(classroom, cached)


def test_the_stack_pairs_what_each_tokenizer_made_of_the_same_answers(tokenizer, other_tokenizer):
    rooms = {"max_prompt_tokens": 40, "max_answer_tokens": 8}
    columns = ["a", "b", "c"], *zip(*QUESTIONS[:3], strict=True)
    twins = Encoder(tokenizer, **rooms).encode(*columns)
    examples = Encoder(other_tokenizer, **rooms).encode(*columns)
    examples = [dataclasses.replace(example, twin=twin) for example, twin in zip(examples, twins, strict=True)]
    student, teacher = make_model(len(other_tokenizer), width=24), make_model(len(tokenizer), seed=2)
    config = parse_config({"losses": {"task": 0.0, "kd": {"divergence": "uld", "temperature": 2.0}}})
    batch = collate(examples, other_tokenizer.pad_token_id)
    _, terms = LossStack(student, teacher, config.losses)(batch, count_totals([batch]))
    ours = Probe(student)(batch).last[batch.predicts]
    theirs = Probe(teacher)(batch.twin).last[batch.twin.predicts]
    heads = student.lm_head.weight, teacher.lm_head.weight
    pairs = pair_positions(batch.predicts, batch.twin.predicts)
    expected = by_definition((ours, heads[0], theirs, heads[1], batch.labels, pairs), temperature=2.0)
    torch.testing.assert_close(terms["kd"], expected.detach(), rtol=1e-5, atol=1e-6)


def test_models_of_two_families_with_one_vocabulary_are_compared_token_by_token(tokenizer):
    rooms = {"max_prompt_tokens": 40, "max_answer_tokens": 8}
    columns = ["a", "b", "c"], *zip(*QUESTIONS[:3], strict=True)
    twins = Encoder(tokenizer, **rooms, start=0).encode(*columns)
    examples = Encoder(tokenizer, **rooms).encode(*columns)
    examples = [dataclasses.replace(example, twin=twin) for example, twin in zip(examples, twins, strict=True)]
    student, teacher, batch = make_model(len(tokenizer)), make_t5(len(tokenizer)), collate(examples, 0)
    _, terms = LossStack(student, teacher, parse_config({}).losses)(batch, count_totals([batch]))
    ours = Probe(student)(batch).last[batch.predicts]
    theirs = Probe(teacher)(batch.twin).last[batch.twin.predicts] * 32**-0.5
    expected = fused_kd_terms(ours, student.lm_head.weight, theirs, teacher.lm_head.weight, batch.labels).kd
    torch.testing.assert_close(terms["kd"], expected)
