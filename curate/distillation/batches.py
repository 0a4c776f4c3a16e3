"""Prompts and answers to tokens with an answer mask, and length-grouped batches within a token budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from curate.distillation.sides import DECODER, ENCODER
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
    start: int | None = None
    """For a model with an encoder: the token its decoder starts from. The encoder reads the prompt."""
    twin: "Example | None" = None
    """The same prompt and answer as another model reads them, where it splits text otherwise."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.answer)

    @property
    def lengths(self) -> dict[str, int]:
        """Tokens by side."""
        if self.start is None:
            return {DECODER: self.length}
        return {ENCODER: len(self.prompt), DECODER: 1 + len(self.answer)}


@dataclass(frozen=True)
class Batch:
    """Right-padded rows; all tensors are (rows, positions).

    A causal model reads prompt and answer as one text. Where there is an encoder, it reads ``prompt_ids``, and the
    decoder the start token and the answer.
    """

    ids: tuple[str, ...]
    input_ids: Tensor
    mask: Tensor
    """True where a token is real."""
    position_ids: Tensor
    predicts: Tensor
    """True at positions whose next token belongs to the answer."""
    prompt_ids: Tensor | None = None
    prompt_mask: Tensor | None = None
    twin: "Batch | None" = None
    """The same rows as another model reads them, where it splits text otherwise."""

    @property
    def labels(self) -> Tensor:
        """The answer tokens, (count,), in the order in which ``predicts`` picks positions."""
        return self.input_ids.roll(-1, dims=1)[self.predicts]

    @property
    def masks(self) -> dict[str, Tensor]:
        """Where a token is real, by side."""
        return ({} if self.prompt_mask is None else {ENCODER: self.prompt_mask}) | {DECODER: self.mask}

    @property
    def answer_tokens(self) -> int:
        """How many tokens are learned."""
        return int(self.predicts.sum())

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch on a device; itself if it lies there."""
        if self.input_ids.device == torch.device(device):
            return self
        return Batch(
            self.ids,
            self.input_ids.to(device),
            self.mask.to(device),
            self.position_ids.to(device),
            self.predicts.to(device),
            None if self.prompt_ids is None else self.prompt_ids.to(device),
            None if self.prompt_mask is None else self.prompt_mask.to(device),
            None if self.twin is None else self.twin.to(device),
        )


class Encoder:
    """Turns text to tokens the way the teacher reads it: its chat template where it has one, else the text alone.

    ``start`` is the token from which the decoder of a model with an encoder starts; None for a causal model.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 – a transformers tokenizer
        *,
        max_prompt_tokens: int,
        max_answer_tokens: int,
        context: int = 0,
        start: int | None = None,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no end token, so no answer could ever end", hint="use another model")
        if context and context <= max_answer_tokens:
            raise ConfigError(
                f"max_answer_tokens: {max_answer_tokens} leaves no room for a prompt in a context of {context} tokens",
                hint="lower it",
            )
        self.tokenizer, self.start = tokenizer, start
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
        return [Example(name, tuple(prompt), tuple(answer), self.start) for name, prompt, answer in rows]

    def _render(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        rows: list[list[int]]
        if not getattr(self.tokenizer, "chat_template", None):
            rows = self.tokenizer(list(texts))["input_ids"]
            if self.start is not None:  # what an encoder reads ends with the end token
                return [row or [self.end] for row in rows]
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
    whole = [_decoded(example) for example in examples]
    input_ids, mask = pad_right([tokens for tokens, _ in whole], pad)
    predicts = torch.zeros_like(mask)
    for row, (tokens, before) in enumerate(whole):
        predicts[row, before - 1 : len(tokens) - 1] = True
    width = input_ids.shape[1]
    position_ids = torch.arange(width).expand(len(examples), width).contiguous()
    names = tuple(example.id for example in examples)
    prompts = [example.prompt for example in examples if example.start is not None]
    prompt_ids, prompt_mask = pad_right(prompts, pad) if prompts else (None, None)
    twins = [example.twin for example in examples if example.twin is not None]
    twin = collate(twins, 0) if twins else None  # masked there, and every vocabulary has a token 0
    return Batch(names, input_ids, mask, position_ids, predicts, prompt_ids, prompt_mask, twin)


def _decoded(example: Example) -> tuple[tuple[int, ...], int]:
    """What the decoder reads, and how many tokens of it come before the answer."""
    before = example.prompt if example.start is None else (example.start,)
    return before + example.answer, len(before)


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """``(ids, mask)`` of rows of tokens, filled up behind."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(list(row))
        mask[place, : len(row)] = True
    return ids, mask


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """``(input_ids, mask)`` of prompts that are to be continued."""
    width = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = True
    return input_ids, mask
