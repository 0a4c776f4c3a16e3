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

from curate.artifact import write_failure
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
) -> Path:
    """Write the state after ``step`` optimizer steps: weights, optimizer, random state; returns the file."""
    tensors: dict[str, Tensor] = {}
    for name, model in models.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in own_tensors(model).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    header = {"kind": "curate/checkpoint@1", "step": str(step), "fingerprint": fingerprint, "extra": json.dumps(extra)}
    path = folder / f"step-{step:08d}.safetensors"
    _write(path, {key: tensor.detach().contiguous() for key, tensor in tensors.items()}, header)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEEP]:
        old.unlink()
    return path


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
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            own[name] = tensor
        seen.add(tensor.data_ptr())
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
        tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118 – not a mapping
    for name, model in models.items():
        for key, tensor in own_tensors(model).items():
            tensor.copy_(tensors[f"{name}.{key}"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, rest = key.partition(".")
        if part == "optimizer":
            number, _, field = rest.partition(".")
            state.setdefault(int(number), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return int(header["step"]), json.loads(header["extra"])
