"""Peak memory and time of the response loss against TRL's and Liger's, and bytes of a cached teacher, in one run.

    pip install --target peers --no-deps trl==1.16.0 liger_kernel==0.8.5 accelerate==1.15.0 psutil
    python bench/distillation.py --peers peers [--rounds 3] [-o bench/results/distillation.md]

Forward KL from hidden states, with gradients to the student's states and head, every run in a process of its own; the
variants take turns, so that a busy spell of the machine meets all of them, and the median counts. Memory is the peak
resident size above that at the start of the step; the head's own gradient, which all must return, is part of it.
Without ``--peers`` only curate's own rows and the plain loss are measured.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

PEERS = {"TRL": "trl", "Liger": "liger_kernel"}


def read_resident():
    """Resident bytes of this process."""
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * resource.getpagesize()


class Peak:
    """The largest resident size while it runs, read every few milliseconds."""

    def __enter__(self):
        self.start = self.most = read_resident()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self):
        while not self.stopped.wait(0.004):
            self.most = max(self.most, read_resident())

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    @property
    def megabytes(self):
        return (self.most - self.start) / 1e6


def load_plain():
    """What one writes first."""
    from torch.nn import functional

    def loss(hidden, head, teacher_hidden, teacher_head, _labels):
        log_q = (hidden @ head.T).float().log_softmax(-1)
        log_p = (teacher_hidden @ teacher_head.T).float().log_softmax(-1)
        return functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean")

    return loss


def load_trl():
    """TRL's GKD loss at β = 0 on whole logits, as its trainer calls it."""
    import torch
    from trl.experimental.gkd import GKDTrainer

    def loss(hidden, head, teacher_hidden, teacher_head, labels):
        # In bf16 under autocast, as its trainer runs: the softmax is then in fp32, like everybody's.
        context = torch.autocast("cpu", torch.bfloat16) if hidden.dtype == torch.bfloat16 else nullcontext()
        with context:
            with torch.no_grad():
                teacher_logits = teacher_hidden @ teacher_head.T
            logits = hidden @ head.T
            return GKDTrainer.generalized_jsd_loss(logits[None], teacher_logits[None], labels=labels[None], beta=0)

    return loss


def load_liger():
    """Liger's chunked linear + JSD at β = 0, rows in chunks of 256, not compiled: on a CPU there is no other way."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    options = {"weight_hard_loss": 0.0, "weight_soft_loss": 1.0, "beta": 0.0, "compiled": False, "chunk_size": 256}
    return LigerFusedLinearJSDLoss(**options)


def load_curate():
    from curate.distillation.fused import fused_kd_loss

    return fused_kd_loss


LOSSES = {"plain": load_plain, "TRL": load_trl, "Liger": load_liger, "curate": load_curate}


def measure(variant, options):
    """One variant, measured here."""
    import torch

    torch.set_num_threads(options.threads)
    name, _, precision = variant.partition(" ")
    loss_of = LOSSES[name]()
    generator = torch.Generator().manual_seed(0)
    make = lambda *shape: torch.randn(*shape, generator=generator) * 0.3  # noqa: E731
    shapes = [(options.tokens, options.width), (options.vocabulary, options.width)] * 2
    tensors = [make(*shape).to(torch.bfloat16 if precision == "bf16" else torch.float32) for shape in shapes]
    for tensor in tensors[:2]:
        tensor.requires_grad_()
    tensors.append(torch.randint(options.vocabulary, (options.tokens,), generator=generator))
    loss_of(tensors[0][:32], tensors[1], tensors[2][:32], tensors[3], tensors[4][:32]).backward()
    tensors[0].grad = tensors[1].grad = None
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        loss = loss_of(*tensors)
        loss.backward()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    norms = [tensor.grad.float().norm().item() for tensor in tensors[:2]]
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak.megabytes, "loss": loss.item(), "norms": norms}))


def measure_cache():
    """Bytes a position of a cache on disk, index included: 20,000 positions of 100-token answers, k = 64."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from curate.distillation.batches import Example
    from curate.distillation.cache import build_cache

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    rows = torch.randint(49_152, (200, 100)).tolist()
    examples = [Example(f"prompt-{number:06d}", (1, 2, 3), tuple(row)) for number, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        build_cache(Path(folder), "0" * 64, examples, LlamaForCausalLM(config).eval(), pad=0, top_k=64)
        return sum(path.stat().st_size for path in Path(folder).iterdir()) / (200 * 100)


def run_rounds(variants, options):
    """Every variant once a round, each in a fresh process; medians over rounds."""
    rows = {variant: [] for variant in variants}
    for number in range(options.rounds):
        for variant in variants:
            command = [sys.executable, __file__, "--variant", variant]
            for name in ("tokens", "vocabulary", "width", "threads"):
                command += [f"--{name}", str(getattr(options, name))]
            paths = [str(Path(options.peers).resolve())] if options.peers else []
            paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
            surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
            done = subprocess.run(command, capture_output=True, text=True, env=surroundings)
            if done.returncode:
                raise SystemExit(f"{variant}: {done.stderr[-2000:]}")
            rows[variant].append(json.loads(done.stdout.splitlines()[-1]))
            row = rows[variant][-1]
            print(f"{number + 1} {variant:12}{row['wall_s']:8.1f} s{row['cpu_s']:8.1f} CPU s{row['peak_mb']:8.0f} MB",
                  file=sys.stderr, flush=True)  # fmt: skip
    middle = lambda runs, name: statistics.median(run[name] for run in runs)  # noqa: E731
    return {
        variant: runs[0] | {name: middle(runs, name) for name in ("wall_s", "cpu_s", "peak_mb")}
        for variant, runs in rows.items()
    }


def write_table(rows):
    """The medians, and every ratio to the first row."""
    first = next((row for name, row in rows.items() if name == "TRL fp32"), next(iter(rows.values())))
    lines = [
        "| loss | wall s | CPU s | peak MB | memory ÷ TRL fp32 | CPU time ÷ TRL fp32 | value | gradient norms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['peak_mb']:,.0f} "
            f"| {row['peak_mb'] / first['peak_mb']:.3f} | {row['cpu_s'] / first['cpu_s']:.2f} "
            f"| {row['loss']:.5f} | {row['norms'][0]:.5f}, {row['norms'][1]:.5f} |"
        )
    return "\n".join(lines)


def write_bars(rows, cache):
    """Each bar, what was measured, and whether it holds."""
    ratio = lambda one, other, name: rows[one][name] / rows[other][name]  # noqa: E731
    bars = []
    for precision, time_bar in (("fp32", 0.85), ("bf16", 0.65)):
        ours = f"curate {precision}"
        bars += [
            (f"memory, {precision}, ÷ TRL fp32", ratio(ours, "TRL fp32", "peak_mb"), 0.06),
            (f"CPU time, {precision}, ÷ TRL fp32", ratio(ours, "TRL fp32", "cpu_s"), time_bar),
            (f"memory, {precision}, ÷ Liger {precision}", ratio(ours, f"Liger {precision}", "peak_mb"), 1.0),
            (f"CPU time, {precision}, ÷ Liger {precision}", ratio(ours, f"Liger {precision}", "cpu_s"), 1.0),
        ]
    bars.append(("cache, bytes a token at k = 64", cache, 300))
    lines = ["| bar | measured | at most | |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {value:.3g} | {most:g} | {'holds' if value <= most else 'misses'} |" for name, value, most in bars
    ]
    return "\n".join(lines)


def describe_machine(options):
    """Where and with what this was measured."""
    names = ["torch", "transformers"]
    listed = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.split(":", 1)[1].strip() for line in listed if line.startswith("model name")]
    processor = processors[0] if processors else platform.machine()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    if options.peers:
        sys.path.insert(0, options.peers)
        versions += [f"{name} {importlib.metadata.version(package)}" for name, package in PEERS.items()]
    return (
        f"{options.tokens:,} tokens, vocabulary {options.vocabulary:,}, width {options.width}; {processor}, "
        f"{options.threads} thread(s) of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}; median of {options.rounds}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="", help="folder that holds TRL and Liger")
    parser.add_argument("--variant", default="", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    if options.variant:
        measure(options.variant, options)
        return
    names = ["TRL", "Liger", "curate"] if options.peers else ["plain", "curate"]
    rows = run_rounds([f"{name} {precision}" for precision in ("fp32", "bf16") for name in names], options)
    cache = measure_cache()
    parts = [describe_machine(options) + ".", write_table(rows)]
    parts.append(write_bars(rows, cache) if options.peers else f"Cache: {cache:.0f} bytes a token at k = 64.")
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.output:
        options.output.write_text("# The response loss against its peers\n\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
