"""Weights, gradients and Adam's moments in shards, one a process (FSDP2: Zhao et al. 2023, arXiv 2304.11277).

Each layer is a group: gathered while it works, in the forward and in the backward pass, and its gradients are summed
straight into shards. Embedding, last norm and head are the outermost group, gathered for the whole of a step, since the
fused loss takes the whole head; between steps they are shards like all else. A teacher's outermost group stays whole
once it was gathered.
"""

import copy
from collections.abc import Iterator
from functools import cache
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from curate.distillation.config import LoraSettings
from curate.distillation.loading import STORED
from curate.distillation.lora import add_lora
from curate.distillation.shards import PLAIN, settle, whole
from curate.distillation.sides import count_layers, find_layers
from curate.distillation.signals import READER, read_states
from curate.distillation.world import World, choose_device
from curate.errors import ConfigError


def shard(module: Any, world: World) -> None:  # noqa: ANN401
    """Leave each process its shard of a model, or of any smaller module, that all hold alike; on its device.

    A teacher that is rounded to 8 or 4 bits stays whole, since those weights cannot be cut by rows.

    Raises:
        ConfigError: a family whose layers cannot be found.
    """
    if getattr(module, "is_quantized", False):
        return
    if hasattr(module, "config"):
        shard_model(module, world)
    else:
        shard_part(module, world)


def shard_model(model: Any, world: World) -> None:  # noqa: ANN401 – a transformers model
    """Leave each process its shard of a model that all hold alike; the shards come to lie on its device.

    Raises:
        ConfigError: a family whose layers cannot be found.
    """
    try:
        layers = [layer for side in count_layers(model.config) for layer in find_layers(model, side)[1]]
    except ConfigError as error:
        raise ConfigError(f"sharding: {error.message}", hint="launch without FSDP, and set sharding to none") from error
    setattr(model, PLAIN, type(model))
    setattr(model, READER, MethodType(read_states, model))
    for layer in layers:
        fully_shard(layer, mesh=_mesh(world.size), reshard_after_forward=True)
    fully_shard(model, mesh=_mesh(world.size))
    for part in _parts(model):
        _sum_gradients(part)
    register_fsdp_forward_method(model, READER)


def shard_part(part: nn.Module, world: World) -> None:
    """The same for a module that is one group."""
    fully_shard(part, mesh=_mesh(world.size))
    for found in _parts(part):
        _sum_gradients(found)


@cache
def _mesh(size: int) -> DeviceMesh:
    """All processes in a row."""
    return init_device_mesh(choose_device(), (size,))


def _parts(module: nn.Module) -> Iterator[FSDPModule]:
    return (part for part in module.modules() if isinstance(part, FSDPModule))


def _sum_gradients(part: FSDPModule) -> None:
    """Losses are divided by the counts of the whole step already, so gradients are summed and not averaged."""
    part.set_gradient_divide_factor(1.0)
    part.set_force_sum_reduction_for_comms(True)


def gather_model(model: Any, world: World, lora: LoraSettings | None = None) -> Any:  # noqa: ANN401
    """A whole copy of a sharded model on the CPU of the first process; None in the others, which must call this too."""
    settle(model)
    tensors, known = {}, dict[int, Tensor]()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in known:
            gathered = whole(tensor)
            known[id(tensor)] = gathered.cpu() if world.is_first else torch.empty(0)
        tensors[name] = known[id(tensor)]
    if not world.is_first:
        return None
    plain = getattr(model, PLAIN)(copy.deepcopy(model.config))
    if lora:
        add_lora(plain, lora)
    plain.load_state_dict(tensors)
    plain.generation_config = copy.deepcopy(model.generation_config)
    setattr(plain, STORED, getattr(model, STORED, torch.float32))
    return plain.eval()
