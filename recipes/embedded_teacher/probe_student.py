"""Check the demo's promise: a two-layer student, taught on the demo's prompts alone, keeps most of the teacher.

Run from the repository root::

    python recipes/embedded_teacher/probe_student.py --embedded curate/embedded --out probe.json

Four numbers come out, all on the official BANKING77 test split: the teacher, the student before training, the student
taught with (a) cross-entropy on answers alone and (b) cross-entropy and distillation from the teacher's logits.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from batches import Batch, encode_answers, encode_prompts, pad_right
from corpora import Example, read_rows
from evaluate import answer_messages, measure_accuracy
from model import keep_layers
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Teaching:
    """How the student is taught."""

    keep_layers: str = "0,3"
    labels: str = "teacher"
    epochs: int = 8
    batch_rows: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.0
    cross_entropy: float = 1.0
    distillation: float = 1.0
    temperature: float = 2.0
    hidden: float = 0.0
    seed: int = 77
    threads: int = 1


def read_clean_prompts(folder: Path) -> list[Example]:
    """The demo's prompts without the injected faults."""
    with (folder / "faults.csv").open(encoding="utf-8") as lines:
        faulty = {row["id"] for row in csv.DictReader(lines)}
    rows = [row for row in read_rows(folder / "prompts.jsonl") if row["id"] not in faulty]
    return [Example(str(row["prompt"]), str(row["answer"]), str(row["source"])) for row in rows]


def iterate_tokens(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], size: int, rng: random.Random
) -> Iterator[Batch]:
    """One shuffled epoch of batches of similar lengths, messages as they are."""
    prompts = encode_prompts(tokenizer, [example.message for example in examples])
    rows = list(zip(prompts, encode_answers(tokenizer, [example.answer for example in examples]), strict=True))
    rows.sort(key=lambda row: len(row[0]) + rng.random() * 4)
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    rng.shuffle(groups)
    for group in groups:
        yield pad_right(group, tokenizer.pad_token_id)


def teach(
    teacher: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], how: Teaching
) -> tuple[LlamaForCausalLM, float]:
    """The student after training, and the seconds it took."""
    rng = random.Random(how.seed)
    torch.manual_seed(how.seed)
    student = keep_layers(teacher, [int(index) for index in how.keep_layers.split(",")]).train()
    optimizer = torch.optim.AdamW(student.parameters(), how.learning_rate, weight_decay=how.weight_decay)
    steps = how.epochs * math.ceil(len(examples) / how.batch_rows)
    warmup = max(1, int(steps * how.warmup_share))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, step / steps)))),
    )
    started = time.monotonic()
    for _ in range(how.epochs):
        for batch in iterate_tokens(tokenizer, examples, how.batch_rows, rng):
            teaching_loss(student, teacher, batch, how).backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return student.eval(), time.monotonic() - started


def teaching_loss(student: LlamaForCausalLM, teacher: LlamaForCausalLM, batch: Batch, how: Teaching) -> torch.Tensor:
    """Weighted cross-entropy, T²·KL and cosine distance of last hidden states, each a mean over answer tokens."""
    input_ids, part = batch
    is_answer = part[:, 1:] == 1
    needs_hidden = how.hidden > 0
    with torch.autocast("cpu", torch.bfloat16):
        ours = student(input_ids=input_ids, use_cache=False, output_hidden_states=needs_hidden)
    scores = ours.logits[:, :-1][is_answer].float()
    loss = how.cross_entropy * functional.cross_entropy(scores, input_ids[:, 1:][is_answer])
    if how.distillation == 0 and not needs_hidden:
        return loss
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        theirs = teacher(input_ids=input_ids, use_cache=False, output_hidden_states=needs_hidden)
    wanted = theirs.logits[:, :-1][is_answer].float()
    log_ours = functional.log_softmax(scores / how.temperature, -1)
    log_theirs = functional.log_softmax(wanted / how.temperature, -1)
    divergence = functional.kl_div(log_ours, log_theirs, log_target=True, reduction="batchmean")
    loss = loss + how.distillation * how.temperature**2 * divergence
    if needs_hidden:
        pair = (ours.hidden_states[-1][:, :-1][is_answer].float(), theirs.hidden_states[-1][:, :-1][is_answer].float())
        loss = loss + how.hidden * (1 - functional.cosine_similarity(*pair)).mean()
    return loss


def parse_arguments() -> tuple[Path, Path | None, Teaching]:
    """The embedded folder, where the numbers go, and the settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedded", type=Path, default=Path("curate/embedded"))
    parser.add_argument("--out", type=Path, default=None)
    for setting in fields(Teaching):
        kind = type(setting.default)
        parser.add_argument("--" + setting.name.replace("_", "-"), type=kind, default=setting.default)
    given = vars(parser.parse_args())
    return given.pop("embedded"), given.pop("out"), Teaching(**given)


def main() -> None:
    """Teach both students and print the four accuracies."""
    embedded, out, how = parse_arguments()
    torch.set_num_threads(how.threads)
    teacher = AutoModelForCausalLM.from_pretrained(embedded / "intent_teacher", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(embedded / "intent_teacher")
    test = [
        Example(str(row["prompt"]), str(row["answer"]), str(row["source"]))
        for row in read_rows(embedded / "banking77_test.jsonl")
    ]
    examples = read_clean_prompts(embedded / "demo")
    answers = answer_messages(teacher, tokenizer, [example.message for example in examples])
    agreed = sum(answer == example.answer for answer, example in zip(answers, examples, strict=True))
    if how.labels == "teacher":
        examples = [replace(example, answer=answer) for example, answer in zip(examples, answers, strict=True)]
    start = keep_layers(teacher, [int(index) for index in how.keep_layers.split(",")]).eval()
    found: dict[str, object] = {
        "settings": asdict(how),
        "prompts": len(examples),
        "teacher_agrees_with_intended_intent": round(agreed / len(examples), 4),
        "teacher_parameters": teacher.num_parameters(),
        "student_parameters": start.num_parameters(),
        "teacher": round(measure_accuracy(teacher, tokenizer, test), 4),
        "student_before": round(measure_accuracy(start, tokenizer, test), 4),
    }
    plain = replace(how, distillation=0.0, hidden=0.0)
    for name, teaching in (("a_cross_entropy", plain), ("b_distillation", how)):
        student, wall_s = teach(teacher, tokenizer, examples, teaching)
        found[name] = {"accuracy": round(measure_accuracy(student, tokenizer, test), 4), "train_s": round(wall_s, 1)}
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if out:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
