"""What each term adds: the same student, the same tokens, one more term a rung, examined on what was held out.

    python bench/distillation_quality.py [--source gold teacher] [--seeds 0 1] [--work FOLDER] [-o FILE.md]

``gold``: SmolLM2-135M-Instruct, 6 of 30 layers, GSM8K as text. ``teacher``: GSM8K's questions with SmolLM2's own
answers, drawn at temperature 1; ``teacher-greedy``: its greedy ones. All three need CURATE_CORPUS. ``python``: the
same models on sources of Python's standard library. ``embedded``: the teacher that ships with curate, its own greedy
answers to the demo's prompts. Figures are of rows held out. Answers, and every rung as it ends, are kept in
``--work``; what is there is not made again. ``--tune`` trains and examines on rows that no reported figure touches
(give it another seed too); ``--set`` changes a setting of every rung, there and in reported runs.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import altair
import torch
from quality_grounds import SOURCES, prepare
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from curate.distillation.config import parse_config
from curate.distillation.evaluate import Exam
from curate.distillation.sides import DECODER
from curate.distillation.signals import Probe, Signals
from curate.distillation.stack import LossStack
from curate.distillation.student import keep_layers
from curate.distillation.trainer import Trainer, plan_steps
from curate.progress import silent

STITCHED = {"weight": 0.03, "layers": "stitch"}
LADDER = {
    "CE": {"task": 1, "kd": 0},
    "+ KD": {"task": 1, "kd": 1},
    "+ feature": {"task": 1, "kd": 1, "feature": 1},
    "+ attention": {"task": 1, "kd": 1, "feature": 1, "attention": STITCHED},
    "off: + feature 1": {"task": 1, "kd": 1, "feature": 1, "balance": "off"},
    "off: + attention 0.1": {"task": 1, "kd": 1, "feature": 1, "attention": 0.1, "balance": "off"},
    "off: + attention 1": {"task": 1, "kd": 1, "feature": 1, "attention": 1, "balance": "off"},
    "auto: + attention 1": {"task": 1, "kd": 1, "feature": 1, "attention": 1},
}
RUNGS = list(LADDER)[:4]
BELOW = {
    "+ KD": "CE",
    "+ feature": "+ KD",
    "+ attention": "+ feature",
    "off: + feature 1": "+ KD",
    "off: + attention 0.1": "off: + feature 1",
    "off: + attention 1": "off: + feature 1",
    "auto: + attention 1": "+ feature",
}
"""The rung before each."""
BARS = {"+ KD": 0.90, "+ feature": 1.02, "+ attention": 1.02}
"""At most so many times the KL of the rung before."""
EXAMS = 4
"""Points of a curve after its start."""


class Memory:
    """A teacher that reads a row once: what it shows of the row is kept for every rung and seed."""

    def __init__(self, ground, losses):
        stack = LossStack(keep_layers(ground.teacher, ground.layers), ground.teacher, losses, kept=ground.layers)
        self.chosen = {
            "hidden": stack.teacher_states,
            "maps": {side: [theirs for _, theirs, _ in pairs] for side, pairs in stack.map_pairs.items()},
        }
        stack.close()
        self.teacher, self.kept = ground.teacher, {}

    def listen(self, with_maps):
        """Stand in for the teacher of one rung."""
        self.with_maps = with_maps
        self.probe = Probe(self.teacher, **self.chosen)
        return self

    def __call__(self, batch):
        if any(name not in self.kept for name in batch.ids):
            self.keep(batch, self.probe(batch))
        rows = [self.kept[name] for name in batch.ids]
        _, hidden, maps = rows[0]
        states = {layer: pad_sequence([row[1][layer] for row in rows], batch_first=True) for layer in hidden}
        signals = Signals(pad_sequence([row[0] for row in rows], batch_first=True), {DECODER: states})
        if self.with_maps:
            width = batch.mask.shape[1]
            signals.attentions[DECODER] = {
                layer: torch.stack([widen(row[2][layer].float(), width) for row in rows]) for layer in maps
            }
        return signals

    def keep(self, batch, shown):
        """What was shown of every row, without padding; maps in half precision."""
        lengths = batch.mask.sum(1).tolist()
        for row, (name, length) in enumerate(zip(batch.ids, lengths, strict=True)):
            self.kept[name] = (
                shown.last[row, :length].clone(),
                {layer: state[row, :length].clone() for layer, state in shown.hidden.items()},
                {layer: kept[row, :, :length, :length].half() for layer, kept in shown.maps.items()},
            )

    def close(self):
        """The next rung asks on."""
        self.probe.close()


def widen(maps, width):
    """Maps (heads, n, n) in the corner of (heads, width, width)."""
    return functional.pad(maps, (0, width - maps.shape[-1]) * 2)


def terms_of(name, ground):
    """The weights of a rung on a ground."""
    terms = LADDER[name]
    return terms | {"kd": ground.kd} if terms["kd"] else terms


def climb(ground, exam, memory, name, seed, overrides):
    """One rung: train from the same start on the same tokens, and examine."""
    settings = {"epochs": 1, "learning_rate": 1e-3, "seed": seed, "losses": terms_of(name, ground)} | ground.settings
    steps = len(plan_steps(ground.examples, parse_config(settings, overrides)))
    config = parse_config(settings | {"evaluation": {"every": -(-steps // EXAMS)}}, overrides)
    torch.manual_seed(seed)
    student = keep_layers(ground.teacher, ground.layers)
    stack = LossStack(student, ground.teacher, config.losses, kept=ground.layers)
    stack.teacher_probe.close()
    stack.teacher_probe = memory.listen(bool(config.losses.attention.weight))
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            stack, ground.examples, ground.encoder.pad, config, checkpoints=Path(folder),
            examine=lambda: exam.take(student, "during"),
        )  # fmt: skip
        trainer.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stack.close()
    exams = [(point.step, point.quality) for point in trainer.exams]
    if exams[-1][0] != steps:
        exams.append((steps, exam.take(student, "after")))
    after = exams[-1][1]
    return {
        "kl": after.kl_to_teacher,
        "reverse_kl": after.reverse_kl,
        "perplexity": after.perplexity,
        "top1": after.top1_agreement,
        "curve": [(round(step * trainer.tokens / steps), quality.kl_to_teacher) for step, quality in exams],
        "factors": trainer.balance.factors,
        "tokens": trainer.tokens,
        "steps": steps,
        "precision": trainer.precision,
        "wall_s": wall,
        "cpu_s": cpu,
    }


def climb_all(source, options):
    """Every rung and seed of a source that the work folder does not hold yet; what is known of all of them, by name."""
    path = options.work / f"{source}{'-tune' if options.tune else ''}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    names = {
        "|".join([name, str(seed), str(options.tokens), *options.set]): (name, seed)
        for seed in options.seeds
        for name in options.rungs
    }
    if missing := [key for key in names if key not in known]:
        ground = prepare(source, options)
        ground.teacher.requires_grad_(False)
        exam = Exam(ground.teacher, ground.held_out, ground.encoder, 0, silent)
        looks = any("attention" in LADDER[names[key][0]] for key in missing)
        losses = terms_of("+ attention" if looks else "+ feature", ground)
        memory = Memory(ground, parse_config({"losses": losses}, options.set).losses)
        for key in missing:
            row = climb(ground, exam, memory, *names[key], options.set)
            row |= {"note": ground.note, "held_out": len(ground.held_out.examples)}
            known[key] = row
            path.write_text(json.dumps(known, indent=1))
            print(f"{source} {key}: KL {row['kl']:.4f}, {row['cpu_s']:.0f} CPU s", file=sys.stderr, flush=True)
    return {names[key]: known[key] for key in names}


def write_section(source, rows, options):
    """A source's table, ratios and bars."""
    any_row = next(iter(rows.values()))
    seeds = options.seeds
    lines = [
        "| rung | " + " | ".join(f"seed {seed}" for seed in seeds) + " | factors |",
        "|---|" + "---|" * (len(seeds) + 1),
    ]
    for name in options.rungs:
        found = [rows[name, seed] for seed in seeds]
        cells = [f"{row['kl']:.4f} · {row['perplexity']:.3f} · {row['top1']:.3f}" for row in found]
        factors = "; ".join(
            ", ".join(f"{term} {value:.3g}" for term, value in row["factors"].items()) for row in found
        ).strip("; ")
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {factors} |")
    bars = ["| KL ratio | " + " | ".join(f"seed {seed}" for seed in seeds) + " | at most | |"]
    bars.append("|---|" + "---|" * (len(seeds) + 2))
    for name, below in BELOW.items():
        if {name, below} <= set(options.rungs):
            ratios = [rows[name, seed]["kl"] / rows[below, seed]["kl"] for seed in seeds]
            bar = BARS.get(name)
            verdict = "" if bar is None else "holds" if max(ratios) <= bar else "misses"
            cells = " | ".join(f"{ratio:.3f}" for ratio in ratios)
            bars.append(f"| {name} ÷ {below} | {cells} | {'' if bar is None else bar} | {verdict} |")
    cpu = sum(row["cpu_s"] for row in rows.values()) / 60
    head = (
        f"{any_row['note']}; {any_row['steps']} steps, {any_row['tokens']:,} tokens learned a rung, "
        f"{any_row['held_out']} held out; {any_row['precision']}; {cpu:.0f} CPU minutes in all"
        + (f"; {', '.join(options.set)}" if options.set else "")
    )
    return "\n\n".join([f"## {source}", head + ".", "\n".join(lines), "\n".join(bars)])


def draw(found, options, path):
    """KL to the teacher over tokens learned, a panel a source, a line a rung, a point the mean over seeds."""
    points = []
    for source, rows in found.items():
        for name in options.rungs:
            curves = [rows[name, seed]["curve"] for seed in options.seeds]
            for together in zip(*curves, strict=True):
                mean = sum(kl for _, kl in together) / len(together)
                points.append({"source": source, "rung": name, "tokens": together[0][0], "KL": mean})
    chart = altair.Chart(altair.Data(values=points)).mark_line(point=True)
    chart = chart.encode(
        x=altair.X("tokens:Q", title="tokens learned"),
        y=altair.Y("KL:Q", title="KL to the teacher, held out, nats a token", scale=altair.Scale(type="log")),
        color=altair.Color("rung:N", sort=options.rungs, title=None),
        column=altair.Column("source:N", title=None),
    )
    chart.properties(width=300, height=260).resolve_scale(y="independent").save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=SOURCES, nargs="+", default=["gold", "teacher"])
    parser.add_argument("--tokens", type=int, default=32_768, help="tokens learned a rung, SmolLM2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rungs", nargs="+", default=RUNGS, choices=list(LADDER))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tune", action="store_true", help="on rows that no reported figure touches")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "curate-quality")
    parser.add_argument("-o", "--output", type=Path, help="write the tables there, and the curve beside it as SVG")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    found = {source: climb_all(source, options) for source in options.source}
    head = (
        "KL to the teacher, forward, in nats a token · perplexity · share of tokens with the same first choice, all on "
        "rows held out; factors are what balance found. By `bench/distillation_quality.py "
        + f"--source {' '.join(options.source)}"
        + f"`; {platform.machine()}, {options.threads} thread(s); torch {torch.__version__}."
    )
    sections = [write_section(source, rows, options) for source, rows in found.items()]
    text = "\n\n".join([head, *sections]) + "\n"
    print(text)
    if options.output:
        options.output.write_text(f"# What each term adds\n\n{text}", encoding="utf-8")
        draw(found, options, str(options.output.with_suffix(".svg")))


if __name__ == "__main__":
    main()
