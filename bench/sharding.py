"""Data parallel against FSDP2, two processes each: what a process holds, its peak, CPU time and the losses.

    python bench/sharding.py [--steps 6]
    MALLOC_MMAP_THRESHOLD_=131072 python bench/sharding.py     freed buffers go back to the system at once

A Llama of random weights with twelve layers teaches six of them, on random tokens, over gloo, one thread a process.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import Peak, describe, markdown, peak_gib, write_table
from sizes import shape_of, sharded_student_bytes, sharded_teacher_bytes

SHAPE = {
    "num_hidden_layers": 12,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "vocab_size": 8192,
    "tie_word_embeddings": True,
}
KEPT = (0, 2, 4, 6, 8, 10)
PROCESSES = 2
WAYS = {"one process": (1, "none"), "data parallel": (PROCESSES, "none"), "fsdp2": (PROCESSES, "fsdp2")}


def train(sharding, steps, folder):
    """One process's part; writes down what it held."""
    import torch
    from torch.distributed.tensor import DTensor
    from transformers import LlamaConfig, LlamaForCausalLM

    from curate.distillation.batches import Example
    from curate.distillation.config import parse_config
    from curate.distillation.shards import own_part, settle, share_out
    from curate.distillation.stack import LossStack
    from curate.distillation.student import keep_layers
    from curate.distillation.trainer import Trainer
    from curate.distillation.world import join_world

    torch.set_num_threads(1)
    world = join_world(sharding)
    torch.manual_seed(0)
    teacher = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval().requires_grad_(False)
    student = keep_layers(teacher, KEPT)
    share_out(world, student, teacher)
    loading = peak_gib()
    tokens = torch.randint(
        5, SHAPE["vocab_size"], (steps * 8, 128), generator=torch.Generator().manual_seed(1)
    ).tolist()
    examples = [Example(str(row), tuple(line[:64]), tuple(line[64:])) for row, line in enumerate(tokens)]
    losses = {"task": 1.0, "kd": 1.0}
    config = parse_config(
        {"losses": losses, "batch_tokens": 1024, "epochs": 1, "precision": "fp32", "max_steps": steps}
    )
    stack = LossStack(student, teacher, config.losses)
    trainer = Trainer(stack, examples, 0, config, checkpoints=Path(folder), world=world)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what loading has left
    started = time.process_time()
    with Peak() as peak:
        trainer.run()
    took = time.process_time() - started
    gathered = sum(one.nbytes for one in teacher.parameters() if world.sharded and not isinstance(one, DTensor))
    for model in (student, teacher):
        settle(model)
    moments = [value for state in trainer.optimizer.state.values() for value in state.values() if value.ndim]
    found = {
        "student": sum(own_part(one).nbytes for one in [*student.parameters(), *moments])
        + sum(own_part(one.grad).nbytes for one in student.parameters()),
        "teacher": gathered + sum(own_part(one).nbytes for one in teacher.parameters()),
        "loading": loading,
        "peak": peak.most / 2**30,
        "cpu_s": took / steps,
        "losses": [point.total for point in trainer.curve],
    }
    (Path(folder) / f"{world.rank}.json").write_text(json.dumps(found))


def launch(way, steps):
    """What every process of a way wrote down."""
    size, sharding = WAYS[way]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        line = [__file__, "--child", sharding, "--steps", str(steps), "--folder", folder]
        if size > 1:
            line = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(size), *line]
        subprocess.run([sys.executable, *line], env=env, check=True)
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(size)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--child")
    parser.add_argument("--folder")
    given = parser.parse_args()
    if given.child:
        train(given.child, given.steps, given.folder)
        return
    teacher = shape_of(SHAPE)
    student = teacher.cut(len(KEPT))
    found = {way: launch(way, given.steps) for way in WAYS}
    [alone] = found["one process"]
    rows = []
    for way, parts in found.items():
        size = len(parts) if way == "fsdp2" else 1
        told = sharded_student_bytes(student, size), sharded_teacher_bytes(teacher, size, 4)
        worst = max(abs(a / b - 1) for a, b in zip(parts[0]["losses"], alone["losses"], strict=True))
        held = [max(part[name] for part in parts) for name in ("student", "teacher")]
        rows.append(
            [
                way,
                *(f"{seen / 1e6:.1f} ({value / 1e6:.1f})" for seen, value in zip(held, told, strict=True)),
                *(f"{max(part[name] for part in parts):.2f}" for name in ("loading", "peak")),
                f"{sum(part['cpu_s'] for part in parts):.2f}",
                f"{worst:.0e}" if way != "one process" else "",
            ]
        )
    head = [
        "way",
        "student, moments and gradients, MB a process (formula)",
        "teacher, MB a process (formula)",
        "peak resident of loading, GiB a process",
        "of training",
        "CPU s a step, all processes",
        "losses differ by at most, relative",
    ]
    setting = "MALLOC_MMAP_THRESHOLD_"
    given_back = f"{setting}={os.environ[setting]} " if setting in os.environ else ""
    write_table(
        "sharding_given_back" if given_back else "sharding",
        f"# Data parallel and FSDP2\n\n{describe('torch', 'transformers')}; made by "
        f"`{given_back}python bench/sharding.py`. "
        f"{student.parameters / 1e6:.0f} million parameters learn from {teacher.parameters / 1e6:.0f}, fp32, "
        f"{given.steps} steps of 1,024 tokens, gloo on one machine.\n\n" + markdown(head, rows),
    )


if __name__ == "__main__":
    main()
