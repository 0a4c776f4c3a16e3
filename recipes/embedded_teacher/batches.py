"""Turn messages and answers into right-padded token batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from augment import vary
from corpora import Example
from transformers import PreTrainedTokenizerFast
from vocabulary import ASK, BOS, EOS

IGNORED = -100
Batch = tuple[torch.Tensor, torch.Tensor]


def encode_prompts(tokenizer: PreTrainedTokenizerFast, messages: Sequence[str]) -> list[list[int]]:
    """Token ids of each message as ``apply_chat_template(..., add_generation_prompt=True)`` gives them."""
    return tokenizer([f"{BOS}{message.strip()}{ASK}" for message in messages], add_special_tokens=False)["input_ids"]


def encode_answers(tokenizer: PreTrainedTokenizerFast, answers: Sequence[str]) -> list[list[int]]:
    """Token ids of each answer, the end token included."""
    return tokenizer([f"{answer}{EOS}" for answer in answers], add_special_tokens=False)["input_ids"]


def iterate_batches(
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    size: int,
    rng: random.Random,
    strength: float,
) -> Iterator[Batch]:
    """One shuffled epoch of ``(input_ids, is_answer)``, both ``(rows, tokens)``, similar lengths together."""
    shuffled = list(examples)
    rng.shuffle(shuffled)
    prompts = encode_prompts(tokenizer, [vary(example.message, rng, strength) for example in shuffled])
    backend = tokenizer.backend_tokenizer
    dropout, backend.model.dropout = backend.model.dropout, None
    answers = encode_answers(tokenizer, [example.answer for example in shuffled])
    backend.model.dropout = dropout
    rows = list(zip(prompts, answers, strict=True))
    groups: list[list[tuple[list[int], list[int]]]] = []
    for start in range(0, len(rows), size * 16):
        pool = sorted(rows[start : start + size * 16], key=lambda row: len(row[0]) + len(row[1]))
        groups.extend(pool[at : at + size] for at in range(0, len(pool), size))
    rng.shuffle(groups)
    for group in groups:
        yield pad_right(group, tokenizer.pad_token_id)


def pad_right(group: Sequence[tuple[list[int], list[int]]], pad_id: int) -> Batch:
    """``(input_ids, answer_mask)``; the mask is 1 on answers, 0 on messages and -1 on padding."""
    longest = max(len(prompt) + len(answer) for prompt, answer in group)
    input_ids = torch.full((len(group), longest), pad_id)
    part = torch.full((len(group), longest), -1)
    for row, (prompt, answer) in enumerate(group):
        whole = len(prompt) + len(answer)
        input_ids[row, :whole] = torch.tensor(prompt + answer)
        part[row, : len(prompt)] = 0
        part[row, len(prompt) : whole] = 1
    return input_ids, part
