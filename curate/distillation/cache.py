"""A teacher read once: at every answer position its k likeliest tokens, and one bucket for all others.

One safetensors file a shard, each written beside and renamed, so a broken build goes on with the next one. A position
takes 4·k + 2 bytes for vocabularies under 65,536. Log-probabilities are at the training temperature: the mass of
the bucket at one temperature cannot be had from those at another.

Where the feature term wants them, hidden states of the mapped layers lie beside, in fp16: 2·H bytes a state and real
token but the first of each row, which that term leaves out.
"""

import json
import os
from collections.abc import Mapping, Sequence
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
from curate.distillation.signals import Head, Probe, Signals, find_head
from curate.distillation.sweeps import FLOOR
from curate.distillation.world import World
from curate.errors import ConfigError, RunError
from curate.progress import Progress, silent

SHARD_BYTES = 64 << 20
"""A shard is written once it holds so much; a kill loses what was read since."""
ANSWER = "answer"
"""The kind of rows that go by answer positions; the others go by a side's real positions but the first."""
SMALL_VOCABULARY = 1 << 16
"""Below it, token ids are kept in two bytes."""
BATCH_TOKENS = 8192


class TeacherCache:
    """Shards of a folder, by example id."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.places: dict[str, tuple[Any, dict[str, slice]]] = {}
        self.shards = 0
        for path in sorted(folder.glob("shard-*.safetensors")):
            stream = safe_open(path, framework="pt")  # rows are read from the mapped file as they are asked for
            header = stream.metadata() or {}  # type: ignore[no-untyped-call]
            if header.get("fingerprint") != fingerprint:
                raise ConfigError(
                    f"{path}: this cache belongs to another teacher, prompt set or setting",
                    hint="choose another output folder",
                )
            starts: dict[str, int] = {}
            for name, counts in json.loads(header["rows"]):
                own = {}
                for kind, count in counts.items():
                    start = starts.get(kind, 0)
                    own[kind] = slice(start, start + count)
                    starts[kind] = start + count
                self.places[name] = stream, own
            self.shards += 1

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """``(ids, log_probs)`` of a batch's answer positions: (count, k) and (count, k + 1), in the batch's order."""
        device = batch.input_ids.device
        whole = self._rows(batch, ANSWER, "ids")
        narrow = whole.dtype == torch.int16
        numbers = whole.long() & 0xFFFF if narrow else whole.long()
        return numbers.to(device), self._rows(batch, ANSWER, "log_probs").to(device)

    def read_states(self, batch: Batch, states: Mapping[str, Sequence[int]]) -> dict[str, dict[int, Tensor]]:
        """Hidden states by side and number, (rows, positions, H) in fp32; zeros at first and padded positions."""
        found: dict[str, dict[int, Tensor]] = {}
        for side, numbers in states.items():
            mask = _but_first(batch.masks[side])
            for number in sorted(set(numbers)):
                rows = self._rows(batch, side, f"{side}.{number}").to(mask.device)
                whole = rows.new_zeros(*mask.shape, rows.shape[1])
                whole[mask] = rows
                found.setdefault(side, {})[number] = whole
        return found

    def _rows(self, batch: Batch, kind: str, tensor: str) -> Tensor:
        """What a batch's examples have of one tensor; ``kind`` says what its rows go by."""
        found = [self.places[name] for name in batch.ids]
        parts = [stream.get_slice(tensor)[own[kind]] for stream, own in found]
        # autocast joins no fp16 on a CPU
        return torch.cat([part.float() if part.is_floating_point() else part for part in parts])


def fingerprint_cache(
    teacher: str,
    examples: Sequence[Example],
    *,
    top_k: int,
    temperature: float,
    vocabulary: int = 0,
    states: Mapping[str, Sequence[int]] | None = None,
    tokenizer: str = "",
) -> str:
    """What a cache belongs to: teacher, tokenizer and template, every example token by token, and the settings."""
    tokens = [[example.id, example.prompt, example.answer, example.start] for example in examples]
    chosen = {side: sorted(set(numbers)) for side, numbers in (states or {}).items()}
    kept = [top_k, temperature, vocabulary, chosen]
    return sha256_text(canonical_json([teacher, tokenizer, tokens, *kept]))


@torch.no_grad()
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
    states: Mapping[str, Sequence[int]] | None = None,
    progress: Progress = silent,
    world: World | None = None,
) -> TeacherCache:
    """Read every example once with the teacher; what an earlier build left is kept.

    Args:
        folder: where the shards lie.
        fingerprint: what the cache belongs to.
        examples: what is read.
        teacher: who reads.
        pad: any token of the vocabulary.
        top_k: likeliest tokens that are kept; 0: none, and no bucket.
        temperature: of the log-probabilities.
        vocabulary: rows of the head that count; 0: all.
        states: hidden states that are kept, numbers by side.
        progress: hears of it.
        world: processes that must all call this, where the teacher lies in shards; the first one writes.

    Raises:
        ConfigError: the folder holds a cache of something else.
        RunError: the teacher gives numbers that are not finite, states that fp16 cannot hold, or the disk is full.
    """
    world = world or World()
    cache = TeacherCache(folder, fingerprint)
    world.wait()  # nobody writes before everybody has read
    todo = [example for example in examples if example.id not in cache.places]
    done, shard = len(examples) - len(todo), cache.shards
    rows: list[tuple[str, dict[str, int]]] = []
    parts: list[dict[str, Tensor]] = []
    groups = group_by_length([example.length for example in todo], BATCH_TOKENS)
    probe = Probe(teacher, hidden=states or {})
    try:
        for number, group in enumerate(groups):
            own = [todo[row] for row in group]
            batch = collate(own, pad).to(next(teacher.parameters()).device.type)
            signals = probe(batch)
            tops = _read_top(find_head(teacher), signals.last[batch.predicts], top_k, temperature, vocabulary)
            parts.append(tops | _read_states(signals, batch))
            rows += [(example.id, _counts(example)) for example in own]
            if sum(tensor.nbytes for part in parts for tensor in part.values()) >= SHARD_BYTES or number + 1 == len(
                groups
            ):
                if world.is_first:
                    _write_shard(folder / f"shard-{shard:05d}.safetensors", fingerprint, rows, parts)
                rows, parts, shard = [], [], shard + 1
            done += len(group)
            progress("cache", done, len(examples))
    finally:
        probe.close()
    world.wait()
    return TeacherCache(folder, fingerprint)


def _counts(example: Example) -> dict[str, int]:
    """How many rows of each kind an example has in a shard."""
    return {ANSWER: len(example.answer)} | {side: length - 1 for side, length in example.lengths.items()}


def _but_first(mask: Tensor) -> Tensor:
    """Real positions but the first of each row."""
    keep = mask.clone()
    keep[:, 0] = False
    return keep


def _read_states(signals: Signals, batch: Batch) -> dict[str, Tensor]:
    """Hidden states as they are kept."""
    tensors = {}
    for side, kept in signals.states.items():
        mask = _but_first(batch.masks[side])
        for number, states in kept.items():
            half = states[mask].half()
            if not bool(half.isfinite().all()):
                raise RunError(
                    f"cache: hidden state {number} of the teacher's {side} is not finite in fp16",
                    hint="set signals to live, or leave that state out of losses.feature.layers",
                )
            tensors[f"{side}.{number}"] = half.cpu()
    return tensors


def _read_top(head: Head, states: Tensor, top_k: int, temperature: float, vocabulary: int) -> dict[str, Tensor]:
    """Token ids and log-probabilities as they are kept."""
    size = vocabulary or head.weight.shape[0]
    states, weight = head.split(states, size)
    kept = min(top_k, size)
    if not kept:
        return {}
    ids, log_probs = [], []
    for part in torch.split(states, choose_chunk(size)):
        log_p = cap((part @ weight.T).float(), head.scale, head.softcap).div_(temperature).log_softmax(-1)
        if not bool(log_p.isfinite().all()):
            raise RunError("cache: the teacher gives numbers that are not finite", hint="look at its weights")
        top, places = log_p.topk(kept)
        rest = log_p.scatter_(1, places, -torch.inf).logsumexp(-1, keepdim=True).clamp_min(FLOOR)
        ids.append(places.to(torch.int16 if size < SMALL_VOCABULARY else torch.int32).cpu())
        log_probs.append(torch.cat([top, rest], 1).half().cpu())
    return {"ids": torch.cat(ids), "log_probs": torch.cat(log_probs)}


def _write_shard(
    path: Path, fingerprint: str, rows: list[tuple[str, dict[str, int]]], parts: list[dict[str, Tensor]]
) -> None:
    """Write, sync, rename."""
    temporary = path.with_name(f".{path.name}.partial")
    tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary, metadata={"fingerprint": fingerprint, "rows": json.dumps(rows)})
            with temporary.open("r+b") as stream:  # Windows syncs only what it may write
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
