"""Greedy generation and exact match of the intent's name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from batches import encode_prompts
from corpora import Example
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

LONGEST_ANSWER_TOKENS = 24


@torch.no_grad()
def answer_messages(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, messages: Sequence[str], size: int = 128
) -> list[str]:
    """The model's greedy answer to each message, in the order given."""
    prompts = encode_prompts(tokenizer, messages)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers = [""] * len(prompts)
    was_training = model.training
    model.eval()
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        padded = tokenizer.pad({"input_ids": [prompts[row] for row in rows]}, padding_side="left", return_tensors="pt")
        tokens = model.generate(**padded, do_sample=False, max_new_tokens=LONGEST_ANSWER_TOKENS)
        texts = tokenizer.batch_decode(tokens[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, text in zip(rows, texts, strict=True):
            answers[row] = text
    model.train(was_training)
    return answers


def measure_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> float:
    """The share of examples answered with exactly their intent's name."""
    answers = answer_messages(model, tokenizer, [example.message for example in examples])
    hits = sum(answer == example.answer for answer, example in zip(answers, examples, strict=True))
    return hits / len(examples)
