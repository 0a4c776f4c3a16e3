"""Terms of different sizes made to pull alike: each is scaled until its gradient is as long as that of the response.

Values do not tell how hard a term pulls: attention maps start at several nats and drown the rest, cosines at a tenth of
one and are drowned. So gradients are measured (after GradNorm, Chen et al., 2018), over the warm-up, and the factors
are then frozen: a resumed training goes on with the same ones.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from curate.distillation.shards import own_part
from curate.distillation.world import World

log = logging.getLogger(__name__)

RESPONSE = "response"
"""Task and KD term together: what the others are measured against."""
MAX_STEPS = 10
"""At most so many optimizer steps are measured; a step costs one more backward pass a term."""
LIMITS = 1e-4, 1e4
"""A factor stays between these."""


class Balance:
    """Running factors by term: the geometric mean of the ratios of gradient lengths seen so far."""

    def __init__(self, terms: Sequence[str], steps: int) -> None:
        self.sums = dict.fromkeys(terms, 0.0)
        self.counts = dict.fromkeys(terms, 0)
        self.steps = min(MAX_STEPS, max(1, steps)) if terms else 0

    def add(self, norms: Mapping[str, float]) -> None:
        """Hear of one step's gradient lengths, unscaled; a term without any pull is left as it is."""
        for name in self.sums:
            if norms[name] > 0 and norms[RESPONSE] > 0:
                self.sums[name] += math.log(norms[RESPONSE] / norms[name])
                self.counts[name] += 1

    @property
    def factors(self) -> dict[str, float]:
        """What each term's weight is multiplied by."""
        low, high = LIMITS
        return {
            name: min(high, max(low, math.exp(total / self.counts[name]))) if self.counts[name] else 1.0
            for name, total in self.sums.items()
        }

    def explain(self, weights: Mapping[str, float]) -> None:
        """Say in the log what was found."""
        for name, factor in self.factors.items():
            log.info(
                "balance: the gradient of %s was %.3g times that of task and kd together; "
                "its weight of %g counts as %.3g from here on",
                name,
                1 / factor,
                weights[name],
                weights[name] * factor,
            )

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": self.sums, "counts": self.counts}

    def load(self, state: Mapping[str, Any]) -> None:
        """Back from a checkpoint."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


class Pulls:
    """One step's gradients, term by term, summed over its batches."""

    def __init__(self, trained: Sequence[Tensor], names: Sequence[str], world: World | None = None) -> None:
        self.trained, self.world = trained, world or World()
        self.gradients: dict[str, list[Tensor | None]] = {name: [None] * len(trained) for name in names}

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Add a batch's gradients; the graph is spent afterwards."""
        names = [name for name, part in parts.items() if part.requires_grad]
        for name in names:
            last = name == names[-1]
            if self.world.sharded:
                found = self._through_shards(parts, name, retain_graph=not last)
            else:
                found = torch.autograd.grad(parts[name], self.trained, retain_graph=not last, allow_unused=True)
            known = self.gradients[name]
            self.gradients[name] = [_sum(old, new) for old, new in zip(known, found, strict=True)]

    def _through_shards(
        self, parts: Mapping[str, Tensor], name: str, *, retain_graph: bool
    ) -> tuple[Tensor | None, ...]:
        """The same where each process holds a shard of every gradient, already summed over all.

        A layer is gathered when the backward pass comes to what it gave; so every pass starts from the response, be it
        times zero, and not inside a layer, where attention maps are.
        """
        part = parts[name] if name == RESPONSE else parts[name] + 0.0 * parts[RESPONSE]
        part.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        found = tuple(tensor.grad for tensor in self.trained)
        for tensor in self.trained:
            tensor.grad = None
        return found

    def add_up(self) -> None:
        """Sum over all processes; one that had no rows adds nothing."""
        if self.world.size == 1 or self.world.sharded:
            return
        for name, gradients in self.gradients.items():
            pairs = zip(self.trained, gradients, strict=True)
            whole = [torch.zeros_like(tensor) if gradient is None else gradient for tensor, gradient in pairs]
            self.world.add_tensors(whole)
            self.gradients[name] = list(whole)

    def norms(self, student: Sequence[Tensor]) -> dict[str, float]:
        """The length of each term's gradient over the student's own weights; projections do not count."""
        own = {id(tensor) for tensor in student}
        squares = {
            name: sum(
                float(own_part(gradient).double().square().sum())
                for tensor, gradient in zip(self.trained, gradients, strict=True)
                if gradient is not None and id(tensor) in own
            )
            for name, gradients in self.gradients.items()
        }
        if self.world.sharded:
            squares = self.world.add_values(squares, self.trained[0].device.type)
        return {name: math.sqrt(square) for name, square in squares.items()}

    def settle(self, scales: Mapping[str, float]) -> None:
        """Put the scaled sum where the optimizer looks for it."""
        for place, tensor in enumerate(self.trained):
            tensor.grad = None
            for name, gradients in self.gradients.items():
                if (gradient := gradients[place]) is not None:
                    tensor.grad = _sum(tensor.grad, gradient * scales.get(name, 1.0))


def _sum(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    """Both, either or neither."""
    if old is None or new is None:
        return new if old is None else old
    return old + new
