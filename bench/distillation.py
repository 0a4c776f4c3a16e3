"""Time and memory of the response loss and of the trainer against TRL's and Liger's, and bytes of a cached teacher.

    pip install --target peers --no-deps trl==1.16.0 liger_kernel==0.8.5
    python bench/distillation.py --peers peers [--part loss trainer] [--rounds 3] [-o bench/results/distillation.md]

Every run in a process of its own; the variants take turns, so that a busy spell of the machine meets all of them, and
the median of each counts. Loss: forward KL from hidden states, with gradients to the student's states and head; memory
is the peak resident size above that at the start of the step, and the head's own gradient, which all must return, is
part of it. Trainer: see ``distillation_trainer``; it needs CURATE_CORPUS. ``--work`` keeps every run as it ends, and
what is there is not run again; ``--rounds 0`` writes the tables of what is there. Without ``--peers`` only curate's own
rows and the plain loss are measured.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from distillation_loss import measure_loss
from distillation_trainer import EPOCHS, measure_trainer
from machine import markdown

PEERS = {"TRL": "trl", "Liger": "liger_kernel"}
CACHED = "trainer cached bf16"
LONG = "trainer TRL3 bf16"
"""Three epochs each."""


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
    """Every variant once a round, each in a fresh process; all runs by variant."""
    path = options.work / "runs.json" if options.work else None
    rows = json.loads(path.read_text()) if path and path.exists() else {}
    for number in range(options.rounds):
        for variant in variants:
            if len(rows.setdefault(variant, [])) > number:
                continue
            row = run_once(variant, options)
            rows[variant].append(row)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(rows, indent=1))
            print(f"{number + 1} {variant:20}{row['wall_s']:8.1f} s{row['cpu_s']:8.1f} CPU s{row['peak_mb']:8.0f} MB",
                  file=sys.stderr, flush=True)  # fmt: skip
    return {variant: rows[variant] for variant in variants if rows.get(variant)}


def keep_cache_size(options):
    """Bytes a position of a cache, measured once for a work folder."""
    path = options.work / "cache.json" if options.work else None
    if path and path.exists():
        return json.loads(path.read_text())
    size = measure_cache()
    if path:
        path.write_text(json.dumps(size))
    return size


def run_once(variant, options):
    """One variant in a fresh process."""
    command = [sys.executable, __file__, "--variant", variant]
    for name in ("tokens", "vocabulary", "width", "threads", "examples"):
        command += [f"--{name}", str(getattr(options, name))]
    paths = [str(Path(options.peers).resolve())] if options.peers else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    # One compiler at a time, in the process that is measured.
    threads = {
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "OMP_NUM_THREADS": str(options.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    surroundings = os.environ | threads | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings)
    if done.returncode:
        raise SystemExit(f"{variant}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def middle(runs, name):
    """The median of one figure; speed is tokens a CPU second."""
    return statistics.median(run["tokens"] / run["cpu_s"] if name == "speed" else run[name] for run in runs)


def write_losses(rows):
    """Medians of the losses."""
    first = "loss TRL fp32" if "loss TRL fp32" in rows else next(iter(rows))
    lines = [
        [
            name.removeprefix("loss "),
            len(runs),
            *(f"{middle(runs, unit):.1f}" for unit in ("wall_s", "cpu_s")),
            f"{middle(runs, 'peak_mb'):,.0f}",
            *(f"{middle(runs, unit) / middle(rows[first], unit):.3f}" for unit in ("peak_mb", "cpu_s")),
            f"{runs[0]['loss']:.5f}",
            ", ".join(f"{norm:.5f}" for norm in runs[0]["norms"]),
        ]
        for name, runs in rows.items()
    ]
    against = first.removeprefix("loss ")
    head = [
        "loss",
        "runs",
        "wall s",
        "CPU s",
        "peak MB",
        f"memory ÷ {against}",
        f"CPU time ÷ {against}",
        "value",
        "gradients",
    ]
    return markdown(head, lines)


def write_trainers(rows):
    """Medians of the trainers."""
    lines = [
        [
            name.removeprefix("trainer "),
            len(runs),
            EPOCHS.get(name.split()[1], 1),
            *(f"{middle(runs, unit):.1f}" for unit in ("wall_s", "cpu_s")),
            f"{middle(runs, 'speed'):.0f}",
            f"{last_speed(runs):.0f}" if runs[0].get("last_s") else "–",
            f"{middle(runs, 'peak_mb'):,.0f}",
        ]
        for name, runs in rows.items()
    ]
    head = ["trainer", "runs", "epochs", "wall s", "CPU s", "tokens / CPU s", "of the last epoch"]
    return markdown([*head, "peak MB over the models"], lines)


def last_speed(runs):
    """The median of tokens a CPU second in the last of three epochs."""
    return statistics.median(run["tokens"] / 3 / run["last_s"] for run in runs if run.get("last_s"))


def list_bars():
    """Each bar: what, a figure of which variant, over that of which, at most or at least, how much."""
    for precision, time_bar in (("fp32", 0.85), ("bf16", 0.65)):
        ours, liger = f"loss curate {precision}", f"loss Liger {precision}"
        yield f"loss memory, {precision}, ÷ TRL fp32", "peak_mb", ours, "loss TRL fp32", "≤", 0.06
        yield f"loss CPU time, {precision}, ÷ TRL fp32", "cpu_s", ours, "loss TRL fp32", "≤", time_bar
        if precision == "bf16":
            yield "loss memory, bf16, ÷ TRL bf16", "peak_mb", ours, "loss TRL bf16", "≤", 0.06
            yield "loss CPU time, bf16, ÷ TRL bf16", "cpu_s", ours, "loss TRL bf16", "≤", time_bar
        yield f"loss memory, {precision}, ÷ Liger {precision}", "peak_mb", ours, liger, "≤", 1.0
        yield f"loss CPU time, {precision}, ÷ Liger {precision}", "cpu_s", ours, liger, "≤", 1.0
    for precision in ("bf16", "fp32"):
        ours, trl = f"trainer curate {precision}", f"trainer TRL {precision}"
        yield f"trainer tokens / CPU s, {precision}, ÷ TRL {precision}", "speed", ours, trl, "≥", 1.3
        yield f"trainer memory, {precision}, ÷ TRL {precision}", "peak_mb", ours, trl, "≤", 0.4
    name = "three epochs of a cached teacher, building it included, tokens / CPU s ÷ three of TRL bf16"
    yield name, "speed", CACHED, LONG, "≥", 1.8


def write_bars(rows, cache):
    """Each bar that was measured, and whether it holds."""
    bars = [
        (name, middle(rows[one], figure) / middle(rows[other], figure), sign, bar)
        for name, figure, one, other, sign, bar in list_bars()
        if one in rows and other in rows
    ]
    bars.append(("cache, bytes a token at k = 64", cache, "≤", 300))
    lines = [
        [name, f"{value:.3g}", f"{sign} {bar:g}", "holds" if (value <= bar) == (sign == "≤") else "misses"]
        for name, value, sign, bar in bars
    ]
    return markdown(["what", "measured", "bar", ""], lines)


def describe_machine(options):
    """Where and with what this was measured."""
    names = ["torch", "transformers"]
    listed = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.split(":", 1)[1].strip() for line in listed if line.startswith("model name")]
    flags = next((line for line in listed if line.startswith("flags")), "").split()
    able = ", ".join(flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    if options.peers:
        sys.path.insert(0, options.peers)
        versions += [f"{name} {importlib.metadata.version(package)}" for name, package in PEERS.items()]
    return (
        f"Loss: {options.tokens:,} tokens, vocabulary {options.vocabulary:,}, width {options.width}. Trainer: "
        f"{options.examples} examples. {processors[0] if processors else platform.machine()} ({able}), "
        f"{options.threads} thread(s) of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}; medians, "
        f"in turn; Python {platform.python_version()}, {', '.join(versions)}"
    )


def choose_variants(options):
    """What is measured, in the order in which a round goes."""
    chosen = []
    if "loss" in options.part:
        names = ["TRL", "Liger", "curate"] if options.peers else ["plain", "curate"]
        chosen += [f"loss {name} {precision}" for precision in ("fp32", "bf16") for name in names]
    if "trainer" in options.part:
        names = ["TRL", "curate"] if options.peers else ["curate"]
        chosen += [f"trainer {name} {precision}" for precision in ("bf16", "fp32") for name in names]
        chosen += [LONG, CACHED] if options.peers else [CACHED]
    if "compile" in options.part:
        chosen += ["trainer curate3 bf16", "trainer compiled bf16"]
    return [name for name in chosen if not options.only or any(text in name for text in options.only)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=["loss", "trainer", "compile"], default=["loss", "trainer"])
    parser.add_argument("--tokens", type=int, default=4096, help="of the loss")
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--examples", type=int, default=16, help="of the trainer's epoch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant")
    parser.add_argument("--peers", default="", help="folder that holds TRL and Liger")
    parser.add_argument("--work", type=Path, help="folder that keeps every run")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="variants whose names hold one of these")
    parser.add_argument("--variant", default="", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    if options.variant:
        measure = measure_loss if options.variant.startswith("loss ") else measure_trainer
        print(json.dumps(measure(options.variant, options)))
        return
    rows = run_rounds(choose_variants(options), options)
    parts = [describe_machine(options) + "."]
    for kind, write in (("loss", write_losses), ("trainer", write_trainers)):
        if own := {name: runs for name, runs in rows.items() if name.startswith(kind)}:
            parts.append(write(own))
    parts.append(write_bars(rows, keep_cache_size(options)))
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.output:
        options.output.write_text("# Loss and trainer against their peers\n\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
