"""Text to tokens, tokens to batches."""

import pytest
import torch

from curate.distillation.batches import Encoder, Example, collate, group_by_length, pad_left
from curate.errors import ConfigError

from .classroom import make_tokenizer


def make_encoder(tokenizer, **changes):
    return Encoder(tokenizer, **({"max_prompt_tokens": 40, "max_answer_tokens": 8} | changes))


def test_a_prompt_wears_the_chat_template_and_an_answer_ends(tokenizer):
    example = make_encoder(tokenizer).encode(["a"], ["capital of peru"], ["lima"])[0]
    assert tokenizer.decode(example.prompt) == "<s>capital of peru<a>"
    assert tokenizer.decode(example.answer) == "lima</s>"


def test_without_a_template_the_prompt_is_the_text():
    encoder = make_encoder(make_tokenizer(["capital of peru lima"], template=None))
    assert encoder.tokenizer.decode(encoder.encode_prompts(["capital of peru"])[0]) == "capital of peru"


def test_a_long_prompt_is_cut_inside_its_template(tokenizer):
    row = make_encoder(tokenizer, max_prompt_tokens=10).encode_prompts(["which city governs " * 20, "short"])[0]
    assert len(row) <= 10
    text = tokenizer.decode(row)
    assert text.startswith("<s>which")
    assert text.endswith("<a>")


def test_a_cut_answer_has_no_end(tokenizer):
    long, short = make_encoder(tokenizer, max_answer_tokens=4).encode_answers(["zqx zqx zqx zqx", "lima"])
    assert len(long) == 4
    assert long[-1] != tokenizer.eos_token_id
    assert short[-1] == tokenizer.eos_token_id


def test_a_context_without_room_for_a_prompt_is_a_config_error(tokenizer):
    with pytest.raises(ConfigError, match="max_answer_tokens"):
        make_encoder(tokenizer, context=8)
    assert make_encoder(tokenizer, context=20).max_prompt_tokens == 12


EXAMPLES = [Example("a", (5, 6, 7), (8, 2)), Example("b", (9,), (4, 3, 2))]


def test_a_batch_is_padded_right_and_marks_what_predicts_answers():
    batch = collate(EXAMPLES, 0)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 2], [9, 4, 3, 2, 0]]
    assert batch.predicts.tolist() == [[False, False, True, True, False], [True, True, True, False, False]]
    assert batch.labels.tolist() == [8, 2, 4, 3, 2]
    assert batch.mask.sum() == 9
    assert batch.position_ids[1].tolist() == [0, 1, 2, 3, 4]
    assert batch.answer_tokens == 5


def test_batches_stay_within_the_budget_and_hold_every_row_once():
    lengths = [(7 * n) % 40 + 1 for n in range(500)]
    for seed in (None, 0, 3):
        batches = group_by_length(lengths, 120, seed=seed)
        assert sorted(row for batch in batches for row in batch) == list(range(500))
        assert all(len(batch) * max(lengths[row] for row in batch) <= 120 for batch in batches)
        assert len(batches) < 1.3 * sum(lengths) / 120


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own():
    assert sorted(map(len, group_by_length([500, 3, 3], 100))) == [1, 2]


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = [n % 13 + 1 for n in range(200)]
    first = group_by_length(lengths, 50, seed=1, epoch=0)
    torch.randn(3)
    assert group_by_length(lengths, 50, seed=1, epoch=0) == first
    assert group_by_length(lengths, 50, seed=1, epoch=1) != first
    assert group_by_length(lengths, 50, seed=2, epoch=0) != first


def test_prompts_to_be_continued_are_padded_left():
    ids, mask = pad_left([[5, 6, 7], [9]], 0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 9]]
    assert mask.tolist() == [[True] * 3, [False, False, True]]
