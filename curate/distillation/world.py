"""Several processes that train one student: started by ``accelerate launch`` or ``torchrun``, told by environment.

Every process knows the whole plan and takes its share of each batch's rows; sums over a step are divided by counts of
the whole step, so gradients add up to those of one process, whatever the number of processes.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from curate.distillation.fsdp_launch import fsdp_launched, told
from curate.distillation.relaunch import become_several
from curate.errors import ConfigError

PATIENCE = timedelta(hours=12)
"""How long the others wait while the first asks the teacher, or examines and saves."""


@dataclass(frozen=True)
class World:
    """This process among ``size``."""

    rank: int = 0
    size: int = 1
    sharded: bool = False
    """Whether weights lie in shards, so that a model works only where all processes run it together."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, rows: Sequence[int]) -> Sequence[int]:
        """This process's rows of a batch; maybe none."""
        return rows[self.rank :: self.size]

    def add_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Sum every tensor over all processes, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def add_gradients(self, trained: Sequence[Tensor]) -> None:
        """Sum gradients over all processes; one that had no rows adds nothing. Those of shards are sums already."""
        if self.size > 1 and not self.sharded:
            for tensor in trained:
                if tensor.grad is None:
                    tensor.grad = torch.zeros_like(tensor)
            self.add_tensors([tensor.grad for tensor in trained if tensor.grad is not None])

    def add_values(self, values: Mapping[str, float], device: str) -> dict[str, float]:
        """Sum numbers by name over all processes, which must know the same names."""
        if self.size == 1:
            return dict(values)
        names = sorted(values)
        sums = torch.tensor([values[name] for name in names], dtype=torch.float64, device=device)
        self.add_tensors([sums])
        return dict(zip(names, sums.tolist(), strict=True))

    def tell(self, number: int) -> int:
        """The first process's number, in every process; it must fit 63 bits."""
        if self.size == 1:
            return number
        told = torch.tensor([number], dtype=torch.int64, device=choose_device())
        distributed.broadcast(told, src=0)
        return int(told)

    def who(self, here: bool) -> list[int]:
        """The numbers of the processes in which something is so."""
        flags = torch.zeros(self.size, dtype=torch.int64, device=choose_device())
        flags[self.rank] = int(here)
        self.add_tensors([flags])
        return [int(rank) for rank in flags.nonzero()[:, 0]]

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()

    @contextmanager
    def first_alone(self, *, together: bool = False) -> Iterator[None]:
        """The first process goes through before the others, who find what it has written; or all go together."""
        if together:
            yield
            self.wait()
            return
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


def choose_device() -> str:
    """A GPU if there is one, and ``accelerate launch`` was not told to keep off it."""
    return "cuda" if torch.cuda.is_available() and not told("ACCELERATE_USE_CPU") else "cpu"


def join_world(sharding: str = "none") -> World:
    """The world the environment tells of; one process where it tells of none.

    Args:
        sharding: none or fsdp2, as the config has it; ``accelerate launch`` may ask for FSDP2, too.

    Raises:
        ConfigError: a launcher was asked for something that does not happen here, or one process is to share weights.
        SystemExit, KeyboardInterrupt: this process has started those that were asked for, and they are done.
    """
    check_launch()
    become_several(choose_device())
    sharded = fsdp_launched() or sharding == "fsdp2"
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size <= 1:
        if sharded:
            raise ConfigError("sharding: one process has nobody to share weights with", hint="launch several processes")
        return World()
    cuda = choose_device() == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    return World(distributed.get_rank(), size, sharded)


def check_launch() -> None:
    """Refuse a launch that would silently do something else than it says.

    Raises:
        ConfigError: DeepSpeed.
    """
    if told("ACCELERATE_USE_DEEPSPEED"):
        raise ConfigError(
            "accelerate launch: DeepSpeed is asked for, and there is none here",
            hint="launch with examples/accelerate/gpus.yaml, or with fsdp2.yaml beside it to shard the models",
        )
