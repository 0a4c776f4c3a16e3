"""What a model costs: parameters, bytes on disk, milliseconds a token, peak memory."""

import statistics
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from curate.artifact import folder_files
from curate.distillation.results import Footprint

WARMUP_TOKENS = 4
TIMED_TOKENS = 32


def measure_footprint(model: Any, prompt: Sequence[int], *, folder: Path | None = None) -> Footprint:  # noqa: ANN401
    """Measure a model while it continues one prompt greedily, batch of one.

    ``folder`` is where its weights are saved; without it, bytes are those of the weights in memory. Peak memory is
    weights plus the largest sum of tensors alive at one time (CPU: those that operations return, without what a kernel
    takes for itself; GPU: as CUDA reports it).
    """
    room = getattr(model.config, "max_position_embeddings", 0) or 0
    tokens = WARMUP_TOKENS + TIMED_TOKENS
    if room:
        prompt = prompt[-max(1, room - tokens) :]
        tokens = min(tokens, room - len(prompt))
    was_training = model.training
    model.eval()
    times = _time_tokens(model, prompt, tokens)
    peak = _peak_memory(model, prompt, min(tokens, 8))
    model.train(was_training)
    weights = list(model.parameters())
    return Footprint(
        parameters=sum(tensor.numel() for tensor in weights),
        bytes=folder_bytes(folder) if folder else sum(tensor.nbytes for tensor in weights),
        ms_per_token=statistics.median(times[WARMUP_TOKENS:] or times) if times else None,
        peak_memory_bytes=peak,
    )


def folder_bytes(folder: Path) -> int:
    """Bytes of weights, config and tokenizer in a folder; cards and records beside them do not count."""
    return sum(
        path.stat().st_size
        for path in folder_files(folder)
        if path.suffix in {".safetensors", ".json", ".bin", ".model"}
    )


@torch.inference_mode()
def _time_tokens(model: Any, prompt: Sequence[int], count: int) -> list[float]:  # noqa: ANN401
    """Milliseconds of each greedy step after the prompt was read."""
    device = next(model.parameters()).device
    result = model(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
    times = []
    for _ in range(count):
        token = result.logits[:, -1:].argmax(-1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        result = model(input_ids=token, past_key_values=result.past_key_values, use_cache=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - started) * 1000)
    return times


def _peak_memory(model: Any, prompt: Sequence[int], count: int) -> int:  # noqa: ANN401
    """Weights and buffers plus the most that was allocated beside them."""
    own = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    if next(model.parameters()).device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _time_tokens(model, prompt, count)
        return int(own + torch.cuda.max_memory_allocated() - before)
    with _AliveTensors(model) as alive:
        _time_tokens(model, prompt, count)
    return int(own + alive.peak)


class _AliveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations make, while they live; the weights are left out."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self.known or not size:
            return
        self.known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size
