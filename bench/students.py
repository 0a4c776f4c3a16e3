"""What the two studies of students share: prompts of equal tokens, students taught on them, exams, intervals."""

import argparse
import collections
import dataclasses
import gc
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from grounds import TOP_K, Ground, Row, read_lines

from curate.artifact import canonical_json
from curate.distillation.config import parse_config
from curate.distillation.evaluate import HeldOut, measure_quality
from curate.distillation.stack import LossStack
from curate.distillation.student import keep_layers
from curate.distillation.trainer import Trainer

LAYERS = (0, 3)
"""Of the teacher's eight: what a student starts from."""


def fill_exactly(rows: list[Row], lengths: dict[str, int], tokens: int) -> list[Row]:
    """Rows in the order given whose lengths add up to ``tokens``, not one more and not one less.

    Raises:
        ValueError: no choice of the rows does.
    """
    taken, left, place = [], tokens, 0
    while place < len(rows) and left - lengths[rows[place].id] >= 40:
        taken.append(rows[place])
        left -= lengths[rows[place].id]
        place += 1
    ways: dict[int, tuple[Row, ...]] = {0: ()}
    for row in rows[place:]:
        if left in ways:
            break
        size = lengths[row.id]
        longer = {total + size: (*way, row) for total, way in ways.items() if total + size <= left}
        ways = longer | ways
    if left not in ways:
        raise ValueError(f"{len(rows)} rows cannot add up to {tokens} tokens")
    return [*taken, *ways[left]]


@dataclasses.dataclass(frozen=True)
class Taught:
    """What a student was taught on and how it did; ``kl`` and ``wrong`` have a number a test prompt."""

    rows: int
    answer_tokens: int
    read_tokens: int
    """Prompts too."""
    steps: int
    kl: np.ndarray
    """Mean nats an answer token, forward, teacher to student."""
    wrong: np.ndarray
    """1 where the student's greedy answer is not the teacher's."""


def teach(ground: Ground, rows: list[Row], exam, seed: int, options) -> Taught:
    """Distil a student of two layers from the teacher on some prompts with L_task + L_KD, and examine it.

    Whatever the prompts, the steps are as many and every row is read as often: the trainer's batches are made here,
    of rows and not of tokens.
    """
    config = parse_config({"signals": "cached", "cache_top_k": TOP_K, "learning_rate": options.rate, "seed": seed})
    torch.manual_seed(seed)
    student = keep_layers(ground.teacher if options.start == "teacher" else ground.base, LAYERS)
    examples = [ground.examples[row.id] for row in rows]
    tokens = steps = 0
    if rows:
        stack = LossStack(student, ground.teacher, config.losses, cache=ground.cache)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(stack, examples, ground.encoder.pad, config, checkpoints=Path(folder))
            trainer.plan = plan(len(rows), options.epochs, options.steps, seed)
            trainer.run()
        stack.close()
        tokens, steps = trainer.tokens, trainer.step
    read = sum(example.length for example in examples) * options.epochs
    taught = Taught(len(rows), tokens, read, steps, *exam.take(student))
    gc.collect()  # models refer to themselves, and students would pile up
    return taught


def plan(rows: int, epochs: int, steps: int, seed: int) -> list[list[list[int]]]:
    """Every epoch's rows, shuffled, in so many steps of one batch."""
    draw = np.random.default_rng(seed)
    return [[part.tolist()] for _ in range(epochs) for part in np.array_split(draw.permutation(rows), steps)]


class Exam:
    """The same test prompts for every student of one seed: as many of each intent, drawn by it."""

    def __init__(self, ground: Ground, each: int, seed: int) -> None:
        self.ground = ground
        draw = np.random.default_rng(1000 + seed)
        by_intent = collections.defaultdict(list)
        for place in draw.permutation(len(ground.test)):
            by_intent[ground.test[place].intent].append(ground.test[place])
        self.rows = [row for intent in sorted(by_intent) for row in by_intent[intent][:each]]
        self.domains = np.array([row.domain for row in self.rows])
        self.intents = np.array([row.intent for row in self.rows])
        self.memory: dict = {}

    def take(self, student) -> tuple[np.ndarray, np.ndarray]:
        """Forward KL of every test prompt, and whether the greedy answer is another than the teacher's.

        The answers compared are the teacher's own greedy ones, so a student gives the same one if, and only if, every
        token of it is its first choice.
        """
        names = tuple(f"{place:05d}" for place in range(len(self.rows)))
        examples = tuple(self.ground.examples[row.id] for row in self.rows)
        held_out = HeldOut(examples, ("",) * len(examples), names)
        with torch.no_grad():
            found = measure_quality(
                student, self.ground.teacher, held_out, self.ground.encoder, memory=self.memory, ask=False
            ).domains
        kl = np.array([found[name].kl_to_teacher for name in names])
        agreed = np.array([found[name].top1_agreement for name in names])
        return kl, (agreed < 1).astype(float)


class Figures:
    """Every student's figures by a name, kept as JSON lines where a file is given, so that a broken study goes on.

    Processes that study different seeds may share the file.
    """

    def __init__(self, path: Path | None, settings: dict) -> None:
        self.path = path
        self.found: dict[str, dict] = {}
        head = json.loads(canonical_json(settings))
        if path is None:
            return
        if path.is_file():
            first, *lines = read_lines(path)
            if first != head:
                sys.exit(f"{path}: figures of another study: {first}; this is {head}")
            self.found = {line["name"]: line for line in lines}
        else:
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def get(self, name: str, measure) -> dict:
        """The figures of one student, measured where they are not known."""
        if name not in self.found:
            self.found[name] = {"name": name, **measure()}
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(self.found[name]) + "\n")
            print(name, {key: self.found[name][key] for key in ("wrong", "kl")}, file=sys.stderr, flush=True)
        return self.found[name]


def parse_options(text: str, seeds: int, quick_seeds: int):
    """The command line both studies share."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="what ships with curate, few students, nothing written")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--tokens", type=int, help="answer tokens a student is taught on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20, help="an epoch")
    parser.add_argument("--each", type=int, default=3, help="held-out prompts an intent")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--start", choices=["teacher", "base"], default="teacher", help="whose layers a student keeps")
    parser.add_argument("--points", type=Path, help="keep every student's figures in this file, and go on from it")
    options = parser.parse_args()
    options.seeds = options.seeds or list(range(quick_seeds if options.quick else seeds))
    options.tokens = options.tokens or (700 if options.quick else 2000)
    torch.set_num_threads(1)
    return options


def settings_of(ground: Ground, options) -> dict:
    """What figures depend on, but for the seed."""
    names = ("tokens", "epochs", "steps", "each", "rate", "start")
    return {"ground": ground.name, "teacher": ground.sha256} | {name: getattr(options, name) for name in names}


def command(name: str, options) -> str:
    """What makes the same figures again."""
    seeds = " ".join(map(str, options.seeds))
    return f"python bench/{name}.py{' --quick' if options.quick else ''} --start {options.start} --seeds {seeds}"


def describe_setting(ground: Ground, options) -> str:
    """What every student of a study shares, in words."""
    return (
        f"Ground `{ground.name}`: {len(ground.pool):,} prompts of {len(ground.domains)} domains to teach with. The "
        f"teacher (weights {ground.sha256[:12]}) names the true intent of {ground.accuracy:.3f} of the "
        f"{len(ground.test):,} test prompts. Students: layers {list(LAYERS)} of the {options.start}'s, taught by "
        f"curate's trainer with task 1 and kd 1, {options.tokens:,} answer tokens read {options.epochs} times in "
        f"{options.steps * options.epochs} steps, learning rate {options.rate:g}; each seed has its own prompts and "
        f"exam (at most {options.each} held-out prompts an intent). Mean ± half of Student's 95 % interval over the "
        f"{len(options.seeds)} seeds."
    )


def balanced(values: np.ndarray, groups: np.ndarray, chosen: list[str]) -> float:
    """The mean over groups of the mean within each."""
    return float(np.mean([values[groups == name].mean() for name in chosen])) if chosen else float("nan")


def t_interval(values) -> tuple[float, float]:
    """Mean and half width of Student's 95 % interval of it; nan from a single value."""
    from scipy.stats import t

    kept = np.asarray(values, dtype=float)
    half = t.ppf(0.975, len(kept) - 1) * kept.std(ddof=1) / len(kept) ** 0.5 if len(kept) > 1 else float("nan")
    return float(kept.mean()), float(half)


def show(values, digits: int = 3) -> str:
    """Mean ± half width."""
    mean, half = t_interval(values)
    return "–" if np.isnan(mean) else f"{mean:.{digits}f} ± {half:.{digits}f}"
