"""Tensors and models of which each process holds a shard, as torch's FSDP2 leaves them (DTensor)."""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from curate.distillation.world import World

PLAIN = "_curate_plain_class"
"""The attribute under which a sharded model remembers its class."""


def is_sharded(model: Any) -> bool:  # noqa: ANN401
    """Whether a model lies in shards."""
    return hasattr(model, PLAIN)


def share_out(world: World, *models: Any) -> None:  # noqa: ANN401
    """Leave this process its shards of some models, where the world is one that shares weights; see ``sharding``."""
    if not world.sharded:
        return
    from curate.distillation.sharding import shard

    for model in models:
        if model is not None:
            shard(model, world)


def settle(model: Any) -> None:  # noqa: ANN401
    """Let go of what a forward pass without a backward pass has left gathered, so that parameters are shards again."""
    if is_sharded(model):
        model.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from all processes, which must all call this; itself where it is not sharded."""
    if not isinstance(tensor, DTensor):
        return tensor
    with torch.no_grad():
        gathered: Tensor = tensor.full_tensor()
    return gathered


def own_part(tensor: Tensor) -> Tensor:
    """This process's shard."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor cut as another one is; every process has it, and nothing is sent."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
