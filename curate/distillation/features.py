"""Hidden states of paired layers, compared through learned projections (FitNets, Romero et al., 2015)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from curate.distillation.layers import LayerMap


class FeatureLoss(nn.Module):
    """Σ λ·distance(projection(student state), teacher state) over a layer map, summed over positions.

    Projections start as the identity (cut where widths differ), are trained with the student and left behind at export.
    The first position is left out: it carries a few massive activations and nothing of the text.
    """

    def __init__(self, pairs: LayerMap, student_width: int, teacher_width: int, distance: str) -> None:
        super().__init__()
        self.pairs = pairs
        self.distance = HIDDEN_DISTANCES[distance]
        self.projections = nn.ModuleList(nn.Linear(student_width, teacher_width, bias=False) for _ in pairs)
        for projection in self.projections:
            nn.init.eye_(projection.weight)  # type: ignore[arg-type]

    def forward(self, student: Mapping[int, Tensor], teacher: Mapping[int, Tensor], mask: Tensor) -> Tensor:
        """The sum over real positions but the first; divide by ``count_positions`` of the whole batch.

        Args:
            student: hidden states by index, (rows, positions, H_s).
            teacher: the teacher's, (rows, positions, H_t).
            mask: (rows, positions), true where a token is real.
        """
        keep = mask.clone()
        keep[:, 0] = False
        total = torch.zeros((), dtype=torch.float32, device=mask.device)
        for (ours, theirs, weight), projection in zip(self.pairs, self.projections, strict=True):
            rows = self.distance(projection(student[ours][keep]).float(), teacher[theirs][keep].float())
            total = total + weight * rows.sum()
        return total


def count_positions(mask: Tensor) -> int:
    """Real positions that the feature loss looks at."""
    return int(mask[:, 1:].sum())


def mse(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference over the width; one value a row."""
    return (ours - theirs).square().mean(-1)


def rms_mse(ours: Tensor, theirs: Tensor) -> Tensor:
    """``mse`` of both scaled to a root mean square of one: size no longer counts, direction and shape do."""
    return mse(_unit_rms(ours), _unit_rms(theirs))


def cosine(ours: Tensor, theirs: Tensor) -> Tensor:
    """1 − cosine similarity."""
    return 1 - nn.functional.cosine_similarity(ours, theirs, dim=-1)


def _unit_rms(states: Tensor) -> Tensor:
    return states * torch.rsqrt(states.square().mean(-1, keepdim=True) + 1e-6)


HIDDEN_DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "rms_mse": rms_mse, "cosine": cosine}
