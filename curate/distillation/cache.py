"""A teacher read once: at every answer position its k likeliest tokens, and one bucket for all others.

One safetensors file a shard, each written beside and renamed, so a broken build goes on with the next one. A position
takes 4·k + 2 bytes for vocabularies under 65,536. Log-probabilities are at the training temperature: the mass of
the bucket at one temperature cannot be had from those at another.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from curate.artifact import canonical_json, sha256_text
from curate.distillation.batches import Batch, Example, collate, group_by_length
from curate.distillation.checkpoint import writing
from curate.distillation.chunks import cap
from curate.distillation.fused import choose_chunk
from curate.distillation.signals import Probe, find_head
from curate.distillation.sweeps import FLOOR
from curate.errors import ConfigError, RunError
from curate.progress import Progress, silent

SHARD_TOKENS = 1 << 16
SMALL_VOCABULARY = 1 << 16
"""Below it, token ids are kept in two bytes."""
BATCH_TOKENS = 8192


class TeacherCache:
    """Shards of a folder, by example id."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.places: dict[str, tuple[Any, int, int]] = {}
        self.shards = 0
        for path in sorted(folder.glob("shard-*.safetensors")):
            stream = safe_open(path, framework="pt")  # rows are read from the mapped file as they are asked for
            header = stream.metadata() or {}  # type: ignore[no-untyped-call]
            if header.get("fingerprint") != fingerprint:
                raise ConfigError(
                    f"{path}: this cache belongs to another teacher, prompt set or setting",
                    hint="choose another output folder",
                )
            start = 0
            for name, count in json.loads(header["rows"]):
                self.places[name] = (stream, start, start + count)
                start += count
            self.shards += 1

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """``(ids, log_probs)`` of a batch's answer positions: (count, k) and (count, k + 1), in the batch's order."""
        ids, log_probs = [], []
        for name in batch.ids:
            stream, start, stop = self.places[name]
            ids.append(stream.get_slice("ids")[start:stop])
            log_probs.append(stream.get_slice("log_probs")[start:stop].float())  # autocast joins no fp16 on a CPU
        device = batch.input_ids.device
        whole = torch.cat(ids)
        narrow = whole.dtype == torch.int16
        numbers = whole.long() & 0xFFFF if narrow else whole.long()
        return numbers.to(device), torch.cat(log_probs).to(device)


def fingerprint_cache(teacher: str, examples: Sequence[Example], *, top_k: int, temperature: float) -> str:
    """What a cache belongs to: the teacher's digest or commit, every example token by token, and the settings."""
    tokens = [[example.id, example.prompt, example.answer] for example in examples]
    return sha256_text(canonical_json([teacher, tokens, top_k, temperature]))


def build_cache(
    folder: Path,
    fingerprint: str,
    examples: Sequence[Example],
    teacher: Any,  # noqa: ANN401 – a transformers model
    *,
    pad: int,
    top_k: int,
    temperature: float = 1.0,
    vocabulary: int = 0,
    progress: Progress = silent,
) -> TeacherCache:
    """Read every example once with the teacher; what an earlier build left is kept.

    Raises:
        ConfigError: the folder holds a cache of something else.
        RunError: the teacher gives numbers that are not finite, or the disk is full.
    """
    cache = TeacherCache(folder, fingerprint)
    todo = [example for example in examples if example.id not in cache.places]
    done, shard = len(examples) - len(todo), cache.shards
    rows: list[tuple[str, int]] = []
    parts: list[tuple[Tensor, Tensor]] = []
    groups = group_by_length([example.length for example in todo], BATCH_TOKENS)
    for number, group in enumerate(groups):
        batch = collate([todo[row] for row in group], pad).to(next(teacher.parameters()).device.type)
        parts.append(read_top(teacher, batch, top_k, temperature, vocabulary))
        rows += [(todo[row].id, len(todo[row].answer)) for row in group]
        if sum(count for _, count in rows) >= SHARD_TOKENS or number + 1 == len(groups):
            _write_shard(folder / f"shard-{shard:05d}.safetensors", fingerprint, rows, parts)
            rows, parts, shard = [], [], shard + 1
        done += len(group)
        progress("cache", done, len(examples))
    return TeacherCache(folder, fingerprint)


@torch.no_grad()
def read_top(teacher: Any, batch: Batch, top_k: int, temperature: float, vocabulary: int = 0) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Token ids and log-probabilities as they are kept, of every answer position of a batch."""
    head = find_head(teacher)
    size = vocabulary or head.weight.shape[0]
    states, weight = head.split(Probe(teacher)(batch).last[batch.predicts], size)
    kept = min(top_k, size)
    ids, log_probs = [], []
    for part in torch.split(states, choose_chunk(size)):
        log_p = cap((part @ weight.T).float(), head.scale, head.softcap).div_(temperature).log_softmax(-1)
        if not bool(log_p.isfinite().all()):
            raise RunError("cache: the teacher gives numbers that are not finite", hint="look at its weights")
        top, places = log_p.topk(kept)
        rest = log_p.scatter_(1, places, -torch.inf).logsumexp(-1, keepdim=True).clamp_min(FLOOR)
        ids.append(places.to(torch.int16 if size < SMALL_VOCABULARY else torch.int32).cpu())
        log_probs.append(torch.cat([top, rest], 1).half().cpu())
    return torch.cat(ids), torch.cat(log_probs)


def _write_shard(path: Path, fingerprint: str, rows: list[tuple[str, int]], parts: list[tuple[Tensor, Tensor]]) -> None:
    """Write, sync, rename."""
    temporary = path.with_name(f".{path.name}.partial")
    tensors = {
        "ids": torch.cat([ids for ids, _ in parts]),
        "log_probs": torch.cat([log_probs for _, log_probs in parts]),
    }
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary, metadata={"fingerprint": fingerprint, "rows": json.dumps(rows)})
            with temporary.open("r+b") as stream:  # Windows syncs only what it may write
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
