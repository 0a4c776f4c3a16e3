"""What a model costs: parameters, bytes on disk, milliseconds a token, peak memory."""

import statistics
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from curate.artifact import folder_files
from curate.distillation.loading import find_start
from curate.distillation.results import Footprint
from curate.distillation.shards import is_sharded

WARMUP_TOKENS = 4
TIMED_TOKENS = 12
ROUNDS = 4
"""Turns of every model; as many tokens are timed in each."""


def measure_footprints(
    models: Mapping[str, tuple[Any, Path | None]], prompt: Sequence[int], *, rounds: int = ROUNDS
) -> dict[str, Footprint]:
    """Measure models while they continue one prompt greedily, batch of one.

    They take turns, so that a busy spell of the machine meets all of them and their ratio can be trusted; the median
    over all rounds counts. The folder beside each is where its weights are saved; without it, bytes are those of the
    weights in memory. Peak memory is weights plus the largest sum of tensors alive at one time (CPU: those that
    operations return, without what a kernel takes for itself; GPU: as CUDA reports it). Of a model that lies in shards
    neither is measured: no process runs it alone.
    """
    alone = {name: model for name, (model, _) in models.items() if not is_sharded(model)}
    times: dict[str, list[float]] = {name: [] for name in models}
    peaks = {}
    for turn in range(rounds):
        for name, model in alone.items():
            ours, tokens = _fit(model, prompt)
            was_training = model.training
            model.eval()
            run = _time_tokens(model, ours, tokens)
            times[name] += run[WARMUP_TOKENS:] or run
            if turn == 0:
                peaks[name] = _peak_memory(model, ours, min(tokens, 8))
            model.train(was_training)
    footprints = {}
    for name, (model, folder) in models.items():
        weights = list(model.parameters())
        footprints[name] = Footprint(
            parameters=sum(tensor.numel() for tensor in weights),
            bytes=folder_bytes(folder) if folder else sum(tensor.nbytes for tensor in weights),
            ms_per_token=statistics.median(times[name]) if times[name] else None,
            peak_memory_bytes=peaks.get(name),
        )
    return footprints


def _fit(model: Any, prompt: Sequence[int]) -> tuple[Sequence[int], int]:  # noqa: ANN401
    """The prompt and a number of tokens to continue it by, as far as the model's context reaches."""
    room = getattr(model.config, "max_position_embeddings", 0) or 0
    tokens = WARMUP_TOKENS + TIMED_TOKENS
    if not room:
        return prompt, tokens
    prompt = prompt[-max(1, room - tokens) :]
    return prompt, min(tokens, room - len(prompt))


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
    ids, more = torch.tensor([list(prompt)], device=device), {}
    start = find_start(model)
    if start is not None:
        more = {"encoder_outputs": model.get_encoder()(input_ids=ids)}
        ids = torch.tensor([[start]], device=device)
    name = "input_ids" if start is None else "decoder_input_ids"
    result = model(**{name: ids}, **more, use_cache=True)
    times = []
    for _ in range(count):
        token = result.logits[:, -1:].argmax(-1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        result = model(**{name: token}, **more, past_key_values=result.past_key_values, use_cache=True)
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
