"""One file that holds a training's whole state, written under another name first: a kill leaves the last one whole."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from curate.artifact import write_failure
from curate.distillation.shards import cut_like, whole
from curate.errors import ConfigError, RunError

KEEP = 2
"""Checkpoints that stay; older ones go once a newer one is whole."""


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    models: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
    extra: dict[str, Any],
    writes: bool = True,
) -> Path:
    """Write the state after ``step`` optimizer steps: weights, optimizer, random state; returns the file.

    What lies in shards is gathered, so that every process must call this; only one of them ``writes``.
    """
    path = folder / f"step-{step:08d}.safetensors"
    tensors: dict[str, Tensor] = {}
    for key, tensor in _all_tensors(models, optimizer):
        gathered = whole(tensor)
        if writes:
            tensors[key] = gathered.cpu() if gathered is not tensor else tensor
    if not writes:
        return path
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    header = {"kind": "curate/checkpoint@1", "step": str(step), "fingerprint": fingerprint, "extra": json.dumps(extra)}
    _write(path, {key: tensor.detach().contiguous() for key, tensor in tensors.items()}, header)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEEP]:
        old.unlink()
    return path


def _all_tensors(models: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """Weights and moments by name, in the same order in every process."""
    for name, model in models.items():
        yield from ((f"{name}.{key}", tensor) for key, tensor in own_tensors(model).items())
    for number, state in optimizer.state_dict()["state"].items():
        yield from ((f"optimizer.{number}.{key}", value) for key, value in state.items())


def _write(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write, sync, rename."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary, metadata=header)
            with temporary.open("r+b") as stream:  # Windows syncs only what it may write
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while weights are written into a ``RunError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise write_failure(path, error) from error
    except SafetensorError as error:
        raise RunError(f"{path}: cannot be written: {error}", hint="free some space, then resume") from error


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """A module's state without the second names of tied weights."""
    seen: set[int] = set()
    own = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        place = id(tensor) if isinstance(tensor, DTensor) else tensor.data_ptr()  # a shard may be empty
        if place not in seen or tensor.numel() == 0:
            own[name] = tensor.detach()
        seen.add(place)
    return own


def find_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a folder."""
    return max(folder.glob("step-*.safetensors"), default=None)


def load_checkpoint(
    path: Path, *, models: dict[str, nn.Module], optimizer: torch.optim.Optimizer, fingerprint: str
) -> tuple[int, dict[str, Any]]:
    """Put everything back; returns the step that was reached and what else was saved.

    Raises:
        ConfigError: the checkpoint belongs to another config, teacher or prompt set.
    """
    with safe_open(path, framework="pt") as stream:
        header = stream.metadata() or {}
        if header.get("fingerprint") != fingerprint:
            raise ConfigError(
                f"{path}: this checkpoint belongs to another config, teacher or prompt set",
                hint="resume with the files it was started with, or start anew in another folder",
            )
        for name, model in models.items():
            for key, tensor in own_tensors(model).items():
                tensor.copy_(cut_like(stream.get_tensor(f"{name}.{key}"), tensor))
        _load_optimizer(stream, optimizer)
        torch.set_rng_state(stream.get_tensor("random.cpu"))
        if "random.cuda" in stream.keys() and torch.cuda.is_available():  # noqa: SIM118 – not a mapping
            torch.cuda.set_rng_state(stream.get_tensor("random.cuda"))
    return int(header["step"]), json.loads(header["extra"])


def _load_optimizer(stream: Any, optimizer: torch.optim.Optimizer) -> None:  # noqa: ANN401 – an open safetensors file
    """Put the moments back, each cut as its parameter is."""
    trained = [tensor for group in optimizer.param_groups for tensor in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key in stream.keys():  # noqa: SIM118 – not a mapping
        part, _, rest = key.partition(".")
        if part == "optimizer":
            number, _, field = rest.partition(".")
            state.setdefault(int(number), {})[field] = cut_like(stream.get_tensor(key), trained[int(number)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
