"""Prompts and answers to tokens with an answer mask, and length-grouped batches within a token budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from curate.errors import ConfigError

POOL_BATCHES = 32
"""How many batches' worth of rows are shuffled together before they are sorted by length."""


@dataclass(frozen=True)
class Example:
    """One prompt with the answer to learn, as tokens."""

    id: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    """With the end token, unless the answer was cut."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Batch:
    """Right-padded rows; all tensors are (rows, positions)."""

    ids: tuple[str, ...]
    input_ids: Tensor
    mask: Tensor
    """True where a token is real."""
    position_ids: Tensor
    predicts: Tensor
    """True at positions whose next token belongs to the answer."""

    @property
    def labels(self) -> Tensor:
        """The answer tokens, (count,), in the order in which ``predicts`` picks positions."""
        return self.input_ids.roll(-1, dims=1)[self.predicts]

    @property
    def answer_tokens(self) -> int:
        """How many tokens are learned."""
        return int(self.predicts.sum())

    def to(self, device: str) -> "Batch":
        """The same batch on a device."""
        return Batch(
            self.ids,
            self.input_ids.to(device),
            self.mask.to(device),
            self.position_ids.to(device),
            self.predicts.to(device),
        )


class Encoder:
    """Turns text to tokens the way the teacher reads it: its chat template where it has one, else the text alone."""

    def __init__(self, tokenizer: Any, *, max_prompt_tokens: int, max_answer_tokens: int, context: int = 0) -> None:  # noqa: ANN401
        if tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no end token, so no answer could ever end", hint="use another model")
        if context and context <= max_answer_tokens:
            raise ConfigError(
                f"max_answer_tokens: {max_answer_tokens} leaves no room for a prompt in a context of {context} tokens",
                hint="lower it",
            )
        self.tokenizer = tokenizer
        self.max_prompt_tokens = min(max_prompt_tokens, context - max_answer_tokens) if context else max_prompt_tokens
        self.max_answer_tokens = max_answer_tokens
        self.end: int = tokenizer.eos_token_id
        self.pad: int = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def encode_prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each prompt, ready to be answered; a long prompt loses its end, never the template around it."""
        rows = self._render(texts)
        long = [place for place, row in enumerate(rows) if len(row) > self.max_prompt_tokens]
        for place in long:
            plain = self.tokenizer(texts[place], add_special_tokens=False)["input_ids"]
            keep = max(0, len(plain) - (len(rows[place]) - self.max_prompt_tokens) - 1)
            rows[place] = self._render([self.tokenizer.decode(plain[:keep])])[0][-self.max_prompt_tokens :]
        return rows

    def encode_answers(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each answer and the end token; a cut answer has none, for it did not end there."""
        if not texts:
            return []
        rows: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        room = self.max_answer_tokens
        return [row[:room] if len(row) >= room else [*row, self.end] for row in rows]

    def encode(self, ids: Sequence[str], prompts: Sequence[str], answers: Sequence[str]) -> list[Example]:
        """One example a row."""
        rows = zip(ids, self.encode_prompts(prompts), self.encode_answers(answers), strict=True)
        return [Example(id=name, prompt=tuple(prompt), answer=tuple(answer)) for name, prompt, answer in rows]

    def _render(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        rows: list[list[int]]
        if not getattr(self.tokenizer, "chat_template", None):
            rows = self.tokenizer(list(texts))["input_ids"]
            return [row[:-1] if len(row) > 1 and row[-1] == self.end else row or [self.end] for row in rows]
        talks = [[{"role": "user", "content": text}] for text in texts]
        rendered = self.tokenizer.apply_chat_template(talks, tokenize=False, add_generation_prompt=True)
        rows = self.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return rows


def group_by_length(
    lengths: Sequence[int], batch_tokens: int, *, seed: int | None = None, epoch: int = 0
) -> list[list[int]]:
    """Row numbers of every batch of an epoch: similar lengths together, padding counted, order shuffled by the seed.

    Without a seed the batches come sorted by length. The same arguments give the same batches on every machine.
    """
    order = list(range(len(lengths)))
    pool = len(order)
    generator = torch.Generator()
    if seed is not None:
        generator.manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(order), generator=generator).tolist()
        mean = max(1, sum(lengths) // max(1, len(lengths)))
        pool = max(1, batch_tokens // mean) * POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), max(1, pool)):
        rows = sorted(order[start : start + pool], key=lambda row: lengths[row])
        batches.extend(_fill(rows, lengths, batch_tokens))
    if seed is None:
        return batches
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def _fill(rows: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Cut rows, sorted by length, into batches of at most ``batch_tokens`` padded tokens, at least one row each."""
    batches: list[list[int]] = []
    for row in rows:
        if batches and (len(batches[-1]) + 1) * lengths[row] <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Right-padded tensors of some examples."""
    width = max(example.length for example in examples)
    input_ids = torch.full((len(examples), width), pad)
    mask = torch.zeros((len(examples), width), dtype=torch.bool)
    predicts = torch.zeros_like(mask)
    for row, example in enumerate(examples):
        input_ids[row, : example.length] = torch.tensor(example.prompt + example.answer)
        mask[row, : example.length] = True
        predicts[row, len(example.prompt) - 1 : example.length - 1] = True
    position_ids = torch.arange(width).expand(len(examples), width).contiguous()
    return Batch(tuple(example.id for example in examples), input_ids, mask, position_ids, predicts)


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """``(input_ids, mask)`` of prompts that are to be continued."""
    width = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = True
    return input_ids, mask
