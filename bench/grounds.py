"""Where students are studied: a teacher of ten domains that was asked everything, and what was kept of it.

Ground ``clinc``: CLINC150 (150 intents in ten domains). Its teacher is the embedded one, taught on by curate's trainer
with the task term alone until it names CLINC150's intents; it is kept in the user's cache, as are its answers to every
prompt and its likeliest tokens, so that they are made once. Ground ``quick`` needs no corpus: the embedded teacher as
it is, the demo's prompts, BANKING77's test, and ten groups of like-named intents as domains.
"""

import collections
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from corpora import corpus, read_set

from curate.artifact import canonical_json, sha256_file, sha256_folder, sha256_text
from curate.distillation.answers import AnswerFile, ask_teacher
from curate.distillation.batches import Encoder, Example
from curate.distillation.cache import TeacherCache, build_cache, fingerprint_cache
from curate.distillation.config import parse_config
from curate.distillation.loading import load_model
from curate.distillation.stack import LossStack
from curate.distillation.student import export_student, keep_layers
from curate.distillation.teacher import embedded_folder
from curate.distillation.trainer import Trainer

TOP_K = 64
OTHERS = 800
"""Prompts of another task that are asked."""
TEACHING = {"losses": {"task": 1, "kd": 0}, "epochs": 3, "learning_rate": 7e-4, "batch_tokens": 1024, "seed": 150}
"""How the embedded teacher is taught CLINC150; validation and test splits are kept out."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One prompt and where it belongs."""

    id: str
    prompt: str
    domain: str
    intent: str


@dataclasses.dataclass
class Ground:
    """A teacher that was asked everything, its encoder, and who is taught and examined on what."""

    name: str
    teacher: object
    base: object
    """The model before it learned the domains, another start for students."""
    encoder: Encoder
    pool: list[Row]
    test: list[Row]
    reference: list[str]
    """Prompts that stand for the target when a divergence is measured; taught to no student."""
    others: dict[str, list[Row]]
    """Prompts of other tasks, by name."""
    folder: Path
    """Where the teacher's answers and likeliest tokens are kept."""
    sha256: str
    """The teacher's digest."""
    examples: dict[str, Example] = dataclasses.field(default_factory=dict)
    cache: TeacherCache | None = None
    accuracy: float = 0.0
    """Share of test prompts to which the teacher gives the true intent."""

    @property
    def domains(self) -> list[str]:
        """Every domain that is examined."""
        return sorted({row.domain for row in self.test})


def load_ground(name: str) -> Ground:
    """Prepare a ground: its teacher, everything asked, everything encoded."""
    ground = {"clinc": clinc_ground, "quick": quick_ground}[name]()
    ground.teacher.requires_grad_(False)
    rows = [*ground.pool, *ground.test, *(row for other in ground.others.values() for row in other)]
    fingerprint = sha256_text(canonical_json([ground.sha256, [[row.id, row.prompt] for row in rows]]))
    file = AnswerFile(ground.folder / f"answers-{fingerprint[:12]}.jsonl", fingerprint)
    ids, prompts = [row.id for row in rows], [row.prompt for row in rows]
    answers = ask_teacher(ground.teacher, ground.encoder, ids, prompts, file, progress=tell)
    encoded = ground.encoder.encode(ids, prompts, [answers[row.id].text for row in rows])
    ground.examples = {example.id: example for example in encoded}
    asked_only = {row.id for row in ground.test}
    taught = [ground.examples[name] for name in ids if name not in asked_only]
    mark = fingerprint_cache(ground.sha256, taught, top_k=TOP_K, temperature=1.0)
    ground.cache = build_cache(
        ground.folder / f"top-{mark[:12]}", mark, taught, ground.teacher, pad=ground.encoder.pad, top_k=TOP_K,
        progress=tell,
    )  # fmt: skip
    ground.accuracy = float(np.mean([answers[row.id].text == row.intent for row in ground.test]))
    return ground


def tell(stage, done, total, _note=""):
    """Progress on standard error."""
    print(f"\r{stage} {done:,} of {total:,}   ", end="" if done < total else "\n", file=sys.stderr, flush=True)


def make_encoder(tokenizer) -> Encoder:
    return Encoder(tokenizer, max_prompt_tokens=48, max_answer_tokens=16, context=256)


def clinc_ground() -> Ground:
    """CLINC150 with a teacher of its own."""
    rows = [row for row in read_set("clinc150") if not row["oos"]]
    made = {split: [as_row(row) for row in rows if row["split"] == split] for split in ("train", "val", "test")}
    known = {row.prompt.casefold() for row in made["train"]}
    test = [row for row in made["test"] if row.prompt.casefold() not in known]
    mark = sha256_text(canonical_json([TEACHING, sha256_file(corpus() / "clinc150" / "data.jsonl"), torch.__version__]))
    folder = cache_folder() / f"clinc-{mark[:12]}"
    if not (folder / "teacher" / "model.safetensors").is_file():
        teach_clinc(folder / "teacher", made["train"])
    teacher, tokenizer = load_model(str(folder / "teacher"))
    others = {
        name: [Row(row["id"], row["prompt"], name, "") for row in spread(read_set(name), OTHERS)]
        for name in ("banking77", "gsm8k")
    }
    reference = [row.prompt for row in made["val"] if row.prompt.casefold() not in known]
    base = load_model(str(embedded_folder()))[0]
    sha256 = sha256_folder(folder / "teacher")
    return Ground(
        "clinc",
        teacher,
        base,
        make_encoder(tokenizer),
        first(made["train"], 67),
        first(test, 10),
        reference,
        others,
        folder,
        sha256,
    )


def first(rows: list[Row], each: int) -> list[Row]:
    """At most so many of each intent, in the order given."""
    seen: collections.Counter = collections.Counter()
    kept = []
    for row in rows:
        seen[row.intent] += 1
        kept += [row] if seen[row.intent] <= each else []
    return kept


def spread(rows: list, count: int) -> list:
    """So many rows, evenly over a file that may be sorted."""
    return [rows[place] for place in np.linspace(0, len(rows) - 1, count).astype(int)]


def as_row(row) -> Row:
    return Row(row["id"], row["prompt"], row["domain"], row["intent"].replace("_", " "))


def cache_folder() -> Path:
    """Where this machine's user keeps what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate" / "bench"


def teach_clinc(folder: Path, rows: list[Row]) -> None:
    """Teach all eight layers of the embedded teacher the true intents, and save them."""
    start, tokenizer = load_model(str(embedded_folder()))
    config = parse_config(TEACHING)
    learner = keep_layers(start, tuple(range(start.config.num_hidden_layers)))
    encoder = make_encoder(tokenizer)
    examples = encoder.encode([r.id for r in rows], [r.prompt for r in rows], [r.intent for r in rows])
    stack = LossStack(learner, start, config.losses)
    with tempfile.TemporaryDirectory() as checkpoints:
        Trainer(stack, examples, encoder.pad, config, checkpoints=Path(checkpoints), progress=tell).run()
    stack.close()
    export_student(learner, tokenizer, folder)


def quick_ground() -> Ground:
    """What ships with curate: the embedded teacher, the demo's prompts, ten groups of BANKING77's intents."""
    teacher, tokenizer = load_model(str(embedded_folder()))
    shipped = embedded_folder().parent
    faulty = {line.split(",")[0] for line in (shipped / "demo" / "faults.csv").read_text().splitlines()}
    demo = [row for row in read_lines(shipped / "demo" / "prompts.jsonl") if row["id"] not in faulty and row["answer"]]
    test = read_lines(shipped / "banking77_test.jsonl")
    group = group_intents(sorted({row["answer"] for row in test}))
    pool = [Row(row["id"], row["prompt"], group[row["answer"]], row["answer"]) for row in demo]
    asked = [Row(f"test-{place}", row["prompt"], group[row["answer"]], row["answer"]) for place, row in enumerate(test)]
    reference = [row["prompt"] for row in read_lines(shipped / "demo" / "reference.jsonl")]
    sha256 = sha256_folder(embedded_folder())
    folder = cache_folder() / f"quick-{sha256[:12]}"
    return Ground(
        "quick", teacher, teacher, make_encoder(tokenizer), pool, first(asked, 8), reference, {}, folder, sha256
    )


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def group_intents(names: list[str], groups: int = 10) -> dict[str, str]:
    """Intents in the order of a tree of their names' embeddings, cut into groups of equal size."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    from curate.prompts.embed import load_embedder

    order = leaves_list(linkage(load_embedder("default").encode(names), "average", metric="cosine"))
    parts = np.array_split(order, groups)
    return {names[place]: f"group {number}" for number, part in enumerate(parts) for place in part}
