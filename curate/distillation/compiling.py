"""Layers of student and teacher through torch.compile while the student learns; everything else stays as it is.

Only the layers' ``forward`` is replaced, layer by layer: all layers of a model share one compiled program, hooks and
names of weights stay, and nothing is left when the training is over.
The loss works in chunks of its own and is not compiled.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from curate.distillation.sides import count_layers, find_layers
from curate.errors import RunError, UnavailableError

HINT = "set compile to false"


def check_compile(device: str) -> None:
    """Compile a sum, so that what is missing is known before any model is loaded.

    Raises:
        UnavailableError: torch cannot compile here; on a CPU it needs a C++ compiler.
    """
    wanted = "install a C++ compiler (g++ or clang++)" if device == "cpu" else "install triton"
    if device == "cuda" and find_spec("triton") is None:
        raise UnavailableError("compile: triton is not installed", hint=f"{wanted}, or {HINT}")
    try:
        torch.compile(_add)(torch.ones(8, device=device))
    except Exception as error:  # whatever stands in the way, from a missing compiler to a read-only cache
        raise UnavailableError(
            f"compile: torch cannot compile here: {_first(error)}", hint=f"{wanted}, or {HINT}"
        ) from error


def _add(values: torch.Tensor) -> torch.Tensor:
    return values.sin() + 1


@contextmanager
def compiled(models: Sequence[Any]) -> Iterator[None]:
    """Run the layers of transformers models compiled, for any number of rows and positions.

    Raises:
        RunError: the compiler fails on a layer.
        ConfigError: a family that keeps its layers where they cannot be found.
    """
    if not models:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException
    from torch._functorch import config as functorch

    with ExitStack() as stack:
        stack.enter_context(functorch.patch(donated_buffer=False))  # balance goes back through a step's graph twice
        for model in models:
            for side in count_layers(model.config):
                for layer in find_layers(model, side)[1]:
                    stack.enter_context(_replaced(layer))
        try:
            yield
        except TorchDynamoException as error:
            raise RunError(
                f"compile: a layer cannot be compiled: {_first(error)}", hint=f"{HINT} and resume"
            ) from error


@contextmanager
def _replaced(layer: Any) -> Iterator[None]:  # noqa: ANN401 – a module
    """One layer; accelerate and others may have put a ``forward`` of theirs there already."""
    before = vars(layer).get("forward")
    layer.forward = torch.compile(layer.forward, dynamic=True)
    try:
        yield
    finally:
        if before is None:
            del layer.forward
        else:
            layer.forward = before


def _first(error: BaseException) -> str:
    """The first line of what may be pages."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split())[:200]
