"""Build the demo's prompts, reference, benchmark and injected truth from the files in this folder.

Run from the repository root::

    python recipes/embedded_teacher/build_demo.py --out curate/embedded/demo

Good rows come from ``demo_prompts/*.yaml`` and faulty ones from ``demo_faults/*.yaml``; all of them were written for
this project. Rows that happen to come close to a message of the official BANKING77 test split are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from augment import misspell
from corpora import NearDuplicates, fold, read_rows

HERE = Path(__file__).parent
SOURCE, LICENSE = "curate/demo-prompts", "apache-2.0"
SEED = 77
REFERENCE_ROWS_PER_INTENT = 4
EXACT_DUPLICATES, NEAR_DUPLICATES = 40, 45
UNLICENSED = (
    ("gpt-4-generated", "cc-by-nc-4.0"),
    ("gpt-4-generated", "unknown"),
    ("scraped/support-forum", "unknown"),
    ("scraped/support-forum", ""),
    ("", "cc-by-nc-4.0"),
)
GREETINGS = ("Hi, ", "Hello there, ", "Good day. ", "hey ", "Hi team, ")
WRAPPINGS = ("Quick quiz for you. {} Thanks!", "I found this one in a test set: {}", "{} Please answer briefly.")


@dataclass
class Row:
    """One row of the demo; ``kind`` is the injected fault, empty for a good row."""

    prompt: str
    answer: str = ""
    kind: str = ""
    source: str = SOURCE
    license: str = LICENSE
    place: float = 0.0


def read_lines(path: Path) -> dict[str, list[str]]:
    """The lines of a YAML file that maps names to blocks of text."""
    blocks: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: block.strip().split("\n") for name, block in blocks.items()}


def read_good_rows(test_messages: Iterable[str]) -> list[Row]:
    """Every distinct good prompt that is not close to a test message, by file and intent."""
    near_test = NearDuplicates(test_messages)
    seen: set[str] = set()
    rows = []
    for path in sorted((HERE / "demo_prompts").glob("*.yaml")):
        for answer, prompts in read_lines(path).items():
            for prompt in prompts:
                if prompt in near_test or fold(prompt) in seen:
                    continue
                seen.add(fold(prompt))
                rows.append(Row(prompt, answer))
    return rows


def split_reference(rows: list[Row], rng: random.Random) -> tuple[list[Row], list[Row]]:
    """The prompts, and a few rows of each intent held out as the real task's sample."""
    by_answer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_answer[row.answer].append(row)
    prompts, reference = [], []
    for _, group in sorted(by_answer.items()):
        rng.shuffle(group)
        reference += group[:REFERENCE_ROWS_PER_INTENT]
        prompts += group[REFERENCE_ROWS_PER_INTENT:]
    return prompts, reference


def blur(prompt: str, rng: random.Random) -> str:
    """Nearly the same prompt: a greeting, another case, other punctuation, or a misspelt word."""
    match rng.randrange(4):
        case 0:
            return rng.choice(GREETINGS) + prompt[0].lower() + prompt[1:]
        case 1:
            return prompt.upper()
        case 2:
            return prompt.rstrip("?.!") + rng.choice(("!!", " ...", "??", " please?"))
        case _:
            words = prompt.split()
            longest = max(range(len(words)), key=lambda place: len(words[place]))
            words[longest] = misspell(words[longest], rng)
            return " ".join(words)


def make_duplicates(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    """Exact and near duplicates of good rows, each placed somewhere after its original."""
    candidates = [row for row in rows if len(row.prompt.split()) >= 5]
    chosen = rng.sample(candidates, EXACT_DUPLICATES + NEAR_DUPLICATES)
    for count, row in enumerate(chosen):
        is_exact = count < EXACT_DUPLICATES
        prompt = row.prompt if is_exact else blur(row.prompt, rng)
        kind = "exact_duplicate" if is_exact else "near_duplicate"
        yield Row(prompt, row.answer, kind, place=rng.uniform(row.place, 1.0))


def make_other_faults(benchmark: list[str], rng: random.Random) -> Iterator[Row]:
    """Faulty rows of every other kind."""
    for kind, prompts in read_lines(HERE / "demo_faults" / "faults.yaml").items():
        for count, prompt in enumerate(prompts):
            source, terms = UNLICENSED[count % len(UNLICENSED)] if kind == "unlicensed" else (SOURCE, LICENSE)
            yield Row(prompt, "", kind, source, terms)
    yield Row("", "", "garbage")
    for count, prompt in enumerate(rng.sample(benchmark, 20)):
        wrapped = prompt if count < 12 else WRAPPINGS[count % len(WRAPPINGS)].format(prompt)
        yield Row(wrapped, "", "contamination")


def make_long_rows(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    """Far too long rows: dozens of messages run together."""
    for length in (60, 80, 100, 120, 150, 200):
        yield Row(" ".join(row.prompt for row in rng.sample(rows, length)), "", "too_long")


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def describe(rows: list[Row], prefix: str) -> list[dict[str, str]]:
    """The rows as they are written, numbered in order."""
    return [
        {
            "id": f"{prefix}-{number:04d}",
            "prompt": row.prompt,
            "answer": row.answer,
            "source": row.source,
            "license": row.license,
        }
        for number, row in enumerate(rows, 1)
    ]


def main() -> None:
    """Write the demo folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=Path, default=Path("curate/embedded/banking77_test.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("curate/embedded/demo"))
    options = parser.parse_args()
    rng = random.Random(SEED)
    good = read_good_rows(str(row["prompt"]) for row in read_rows(options.test))
    prompts, reference = split_reference(good, rng)
    benchmark = read_lines(HERE / "demo_faults" / "benchmark.yaml")["prompts"]
    faulty = [*make_other_faults(benchmark, rng), *make_long_rows(prompts, rng)]
    for row in (*prompts, *faulty):
        row.place = rng.random()
    rows = sorted([*prompts, *faulty, *make_duplicates(prompts, rng)], key=lambda row: row.place)
    options.out.mkdir(parents=True, exist_ok=True)
    written = describe(rows, "demo")
    write_rows(options.out / "prompts.jsonl", written)
    rng.shuffle(reference)
    write_rows(options.out / "reference.jsonl", describe(reference, "reference"))
    write_rows(options.out / "benchmark.jsonl", describe([Row(prompt) for prompt in benchmark], "benchmark"))
    with (options.out / "faults.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("id", "kind"))
        writer.writerows((row["id"], source.kind) for row, source in zip(written, rows, strict=True) if source.kind)


if __name__ == "__main__":
    main()
