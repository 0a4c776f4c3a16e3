"""Answers drawn from the teacher's own distribution, each from noise that is its own."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


class GumbelNoise:
    """Makes the first choice of a row a draw from softmax(scores / temperature) (Gumbel-max; Maddison et al., 2014).

    A row's noise comes from the seed and its prompt alone: which prompts share a batch, and which were answered before
    a stop, changes no draw beyond what rounding does to the scores. The same prompt twice gets the same answer.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], temperature: float, seed: int) -> None:
        self.temperature = temperature
        self.generators = [torch.Generator().manual_seed(_number(prompt, seed)) for prompt in prompts]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 – transformers hands both
        """Scores (rows, vocabulary) with noise, whose largest entry is the draw."""
        noise = torch.empty(scores.shape, dtype=torch.float32)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self.temperature - noise.log_().to(scores.device)


def _number(prompt: Sequence[int], seed: int) -> int:
    """A seed of 63 bits for one prompt."""
    text = " ".join(str(number) for number in (seed, *prompt))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
