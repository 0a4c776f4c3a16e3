"""What each term adds: the same student, the same tokens, one more term a rung; and balance off and auto.

    python bench/distillation_quality.py [--teacher embedded|smollm2] [--steps 64] [--seeds 0 1] [-o FILE]

``embedded``: the teacher that ships with curate, its own greedy answers to the demo's prompts, two of its layers kept.
``smollm2``: SmolLM2-135M-Instruct with its vocabulary cut to the tokens that occur, 6 of 30 layers, plain text (the
sources of Python's standard library) in blocks of 128 tokens. Figures are those of blocks or prompts held out.
"""

import argparse
import dataclasses
import json
import os
import platform
import random
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import torch

from curate.distillation.answers import generate_answers
from curate.distillation.batches import Encoder, Example
from curate.distillation.config import parse_config
from curate.distillation.evaluate import HeldOut, measure_quality
from curate.distillation.loading import load_model
from curate.distillation.smollm2 import fetch_smollm2
from curate.distillation.stack import LossStack
from curate.distillation.student import keep_layers
from curate.distillation.teacher import embedded_folder
from curate.distillation.trainer import Trainer

LADDER = {
    "CE": {"task": 1, "kd": 0},
    "+ KD": {"task": 1, "kd": 1},
    "off: + feature 1": {"task": 1, "kd": 1, "feature": 1, "balance": "off"},
    "off: + attention 0.1": {"task": 1, "kd": 1, "feature": 1, "attention": 0.1, "balance": "off"},
    "off: + attention 1": {"task": 1, "kd": 1, "feature": 1, "attention": 1, "balance": "off"},
    "auto: + feature 1": {"task": 1, "kd": 1, "feature": 1},
    "auto: + attention 0.1": {"task": 1, "kd": 1, "feature": 1, "attention": 0.1},
    "auto: + attention 1": {"task": 1, "kd": 1, "feature": 1, "attention": 1},
}
BELOW = {
    "+ KD": "CE",
    "off: + feature 1": "+ KD",
    "off: + attention 0.1": "off: + feature 1",
    "off: + attention 1": "off: + feature 1",
    "auto: + feature 1": "+ KD",
    "auto: + attention 0.1": "auto: + feature 1",
    "auto: + attention 1": "auto: + feature 1",
}
"""The rung before each."""


@dataclasses.dataclass
class Ground:
    """A teacher, what is learned from it and what is examined."""

    teacher: object
    encoder: Encoder
    examples: tuple
    held_out: HeldOut
    layers: tuple
    settings: dict


def prepare_embedded(_options):
    teacher, tokenizer = load_model(str(embedded_folder()))
    encoder = Encoder(tokenizer, max_prompt_tokens=64, max_answer_tokens=16, context=0)
    path = embedded_folder().parent / "demo" / "prompts.jsonl"
    prompts = sorted({json.loads(line)["prompt"] for line in path.read_text().splitlines()})
    random.Random(0).shuffle(prompts)
    answers = generate_answers(teacher, encoder, encoder.encode_prompts(prompts), max_new_tokens=16)
    examples = encoder.encode([str(number) for number in range(len(prompts))], prompts, answers)
    held = max(1, len(examples) // 5)
    return Ground(
        teacher, encoder, tuple(examples[held:]), HeldOut(tuple(examples[:held]), ("",) * held), (0, 3),
        {"batch_tokens": 1024, "learning_rate": 1e-3},
    )  # fmt: skip


def prepare_smollm2(options):
    teacher, tokenizer = load_model(str(fetch_smollm2(offline=True)))
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    random.Random(0).shuffle(files)
    needed = (options.steps * 4 + 16) * 128
    ids = []
    for path in files:
        ids += tokenizer(path.read_text(errors="replace"), add_special_tokens=False)["input_ids"]
        if len(ids) >= needed:
            break
    known = sorted(set(ids[:needed]) | {tokenizer.eos_token_id})
    prune(teacher, known)
    number = {token: place for place, token in enumerate(known)}
    rows = [[number[token] for token in ids[start : start + 128]] for start in range(0, needed, 128)]
    examples = tuple(Example(str(place), tuple(row[:1]), tuple(row[1:])) for place, row in enumerate(rows))
    encoder = Encoder(tokenizer, max_prompt_tokens=64, max_answer_tokens=128)
    encoder.pad = number[tokenizer.eos_token_id]
    return Ground(
        teacher, encoder, examples[16:], HeldOut(examples[:16], ("",) * 16), (0, 6, 12, 18, 24, 29),
        {"batch_tokens": 512, "learning_rate": 1e-3},
    )  # fmt: skip


def prune(model, known):
    """Keep these tokens of a vocabulary, in this order; a tied head follows."""
    rows = model.get_input_embeddings().weight.detach()[known].clone()
    model.resize_token_embeddings(len(known))
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(rows)
    model.config.pad_token_id = None


def climb(ground, losses, seed, options):
    """One rung: train from the same start for the same steps, and measure."""
    settings = {"losses": losses, "epochs": 1000, "max_steps": options.steps, "seed": seed, **ground.settings}
    config = parse_config(settings)
    torch.manual_seed(seed)
    student = keep_layers(ground.teacher, ground.layers)
    stack = LossStack(student, ground.teacher, config.losses, kept=ground.layers)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(stack, ground.examples, ground.encoder.pad, config, checkpoints=Path(folder))
        trainer.run()
    stack.close()
    quality = measure_quality(student, ground.teacher, ground.held_out, ground.encoder)
    return quality, trainer, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", choices=["embedded", "smollm2"], default="embedded")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rungs", nargs="+", default=list(LADDER), choices=list(LADDER))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ground = {"embedded": prepare_embedded, "smollm2": prepare_smollm2}[options.teacher](options)
    ground.teacher.requires_grad_(False)
    lines = [
        "| rung | " + " | ".join(f"seed {seed}: KL · perplexity · top-1" for seed in options.seeds) + " | factors |",
        "|---|" + "---|" * (len(options.seeds) + 1),
    ]
    tokens, kept = 0, {}
    for name in options.rungs:
        cells, factors = [], ""
        for seed in options.seeds:
            quality, trainer, wall = climb(ground, LADDER[name], seed, options)
            tokens = trainer.tokens
            kept[name, seed] = quality.kl_to_teacher
            cells.append(f"{quality.kl_to_teacher:.4f} · {quality.perplexity:.3f} · {quality.top1_agreement:.3f}")
            factors = ", ".join(f"{term} {value:.3g}" for term, value in trainer.balance.factors.items())
            print(f"{name:18} seed {seed} {cells[-1]}  {factors}  {wall:.0f} s", file=sys.stderr, flush=True)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {factors} |")
    ratios = "; ".join(
        f"{name} ÷ {below}: " + ", ".join(f"{kept[name, seed] / kept[below, seed]:.3f}" for seed in options.seeds)
        for name, below in BELOW.items()
        if {name, below} <= set(options.rungs)
    )
    head = (
        f"Teacher: {options.teacher}; layers {list(ground.layers)} kept; {options.steps} steps, {tokens:,} tokens "
        f"a rung; {len(ground.held_out.examples)} held out; {platform.machine()}, {options.threads} thread(s) of "
        f"{os.cpu_count()}; torch {torch.__version__}, precision {trainer.precision}. KL in nats a token, forward."
    )  # fmt: skip
    text = "\n\n".join([head, "\n".join(lines), f"KL ratios: {ratios}."]) + "\n"
    print(text)
    if options.output:
        options.output.write_text(f"# What each term adds: {options.teacher} teacher\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
