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

from curate.errors import ConfigError

MPI_SIZES = "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"
"""Where MPI says how many processes it has started."""
PATIENCE = timedelta(hours=12)
"""How long the others wait while the first asks the teacher, or examines and saves."""


@dataclass(frozen=True)
class World:
    """This process among ``size``."""

    rank: int = 0
    size: int = 1

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
        """Sum gradients over all processes; one that had no rows adds nothing."""
        if self.size > 1:
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
    def first_alone(self) -> Iterator[None]:
        """The first process goes through before the others, who find what it has written."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


def choose_device() -> str:
    """A GPU if there is one, and ``accelerate launch`` was not told to keep off it."""
    return "cuda" if torch.cuda.is_available() and not _told("ACCELERATE_USE_CPU") else "cpu"


def join_world() -> World:
    """The world the environment tells of; one process where it tells of none.

    Raises:
        ConfigError: a launcher was asked for something that does not happen here.
    """
    check_launch()
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size <= 1:
        return World()
    cuda = choose_device() == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    return World(distributed.get_rank(), size)


def check_launch() -> None:
    """Refuse a launch that would silently do something else than it says.

    Raises:
        ConfigError: sharded training, or one process where accelerate was asked for several.
    """
    for name, what in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")):
        if _told(name):
            raise ConfigError(
                f"accelerate launch: {what} is asked for, but a student is held whole by every process",
                hint="launch with examples/accelerate/gpus.yaml; for a teacher larger than a card see loading",
            )
    alone = not any(name in os.environ for name in ("WORLD_SIZE", *MPI_SIZES))
    if alone and _told("ACCELERATE_USE_CPU") and "MASTER_PORT" in os.environ:
        raise ConfigError(
            "accelerate launch: several processes were asked for and one was started, as --cpu does without MPI",
            hint="launch with --config_file examples/accelerate/cpu.yaml, or torchrun --nproc_per_node 2",
        )


def _told(name: str) -> bool:
    return os.environ.get(name, "").casefold() in {"1", "true", "yes"}
