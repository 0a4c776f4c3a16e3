"""How much of a training is padding: the share that packing could save at most.

    CURATE_CORPUS=FOLDER python bench/padding.py [--rows 4000]

Batches are the trainer's own plan, three epochs, for the demo's prompts with the teacher that ships and, where
CURATE_CORPUS names a folder of prompt sets, for GSM8K's questions with their true answers as SmolLM2 reads them, which
an earlier bench has fetched. Beside the plan stands what shuffled rows would pad, batches of as many rows, unsorted.
"""

import argparse
import os
import random

from machine import describe, markdown, write_table

BUDGETS = (512, 1024, 2048, 4096, 8192)


def demo_rows():
    """The demo's prompts; answers where the file has none are taken to be the mean ones' length."""
    import json

    from curate.runs.workshop import demo_folder

    lines = (demo_folder() / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["prompt"], row["answer"] or "card arrival") for row in map(json.loads, lines)]


def gsm8k_rows(count):
    """Questions and worked answers of the training part."""
    from corpora import read_set

    rows = [row for row in read_set("gsm8k") if row["split"] == "train"]
    return [(row["prompt"], row["response"]) for row in rows[:count]]


def encode(folder, rows, answer_tokens):
    """The rows as examples."""
    from transformers import AutoConfig, AutoTokenizer

    from curate.distillation.batches import Encoder

    encoder = Encoder(
        AutoTokenizer.from_pretrained(folder),
        max_prompt_tokens=512,
        max_answer_tokens=answer_tokens,
        context=AutoConfig.from_pretrained(folder).max_position_embeddings,
    )
    return encoder.encode([str(number) for number in range(len(rows))], *zip(*rows, strict=True))


def padded(batches, lengths):
    """The share of read positions that hold no token."""
    read = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return 1 - sum(lengths[row] for batch in batches for row in batch) / read


def shuffled(batches, lengths):
    """The same numbers of rows a batch, drawn without regard to length."""
    rows = list(range(len(lengths)))
    draw, found = random.Random(0), []
    pool = []
    for batch in batches:
        if len(pool) < len(batch):
            pool = draw.sample(rows, len(rows))
        found.append([pool.pop() for _ in batch])
    return found


def measure(name, examples):
    """A line a budget."""
    from curate.distillation.config import parse_config
    from curate.distillation.trainer import plan_steps

    lengths = [example.length for example in examples]
    lines = []
    for budget in BUDGETS:
        config = parse_config({"batch_tokens": budget, "epochs": 3})
        batches = [batch for step in plan_steps(examples, config) for batch in step]
        rows = sum(map(len, batches)) / len(batches)
        lines.append(
            [
                name,
                f"{len(lengths):,}",
                f"{min(lengths)} / {sum(lengths) / len(lengths):.0f} / {max(lengths)}",
                f"{budget:,}" + (" (the default)" if budget == 2048 else ""),
                f"{rows:.1f}",
                f"{padded(batches, lengths):.1%}",
                f"{padded(shuffled(batches, lengths), lengths):.1%}",
            ]
        )
    return lines


def main():
    from curate.distillation.smollm2 import fetch_smollm2
    from curate.distillation.teacher import embedded_folder

    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4000, help="GSM8K's questions")
    given = parser.parse_args()
    lines = measure("the demo's", encode(embedded_folder(), demo_rows(), 16))
    if os.environ.get("CURATE_CORPUS"):
        lines += measure("GSM8K", encode(fetch_smollm2(offline=True), gsm8k_rows(given.rows), 256))
    head = ["prompts", "rows", "tokens, least / mean / most", "`batch_tokens`", "rows a batch", "padding", "unsorted"]
    write_table(
        "padding",
        f"# Padding\n\n{describe('torch', 'transformers')}; made by `CURATE_CORPUS=FOLDER python bench/padding.py`. "
        "Share of the positions read that hold no token, three epochs.\n\n" + markdown(head, lines),
    )


if __name__ == "__main__":
    main()
