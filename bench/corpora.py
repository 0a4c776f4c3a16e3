"""Real prompts for the benches, and as many more as wanted made from real templates and real prompts, by seed."""

import json
import os
import random
import re
import sys
from pathlib import Path

SLOT = re.compile(r"\{\{[^{}]*\}\}|\{%[^%]*%\}")
SHORT = ("clinc150", "banking77", "slurp", "snips", "taskmaster4_openers", "nlupp", "gsm8k")
OTHERS = ("bbh", "mmlu_sample", "self_instruct_user", "self_instruct_seed", "koala_testset", "vicuna_bench", "ifeval")


def corpus() -> Path:
    """The folder of prompt sets, one ``<set>/data.jsonl`` each."""
    place = os.environ.get("CURATE_CORPUS", "")
    if not place:
        sys.exit("CURATE_CORPUS names no folder")
    return Path(place) / "prompts"


def read_set(name: str) -> list[dict]:
    """The rows of one set."""
    with (corpus() / name / "data.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def real_prompts(count: int, *, seed: int = 0) -> list[str]:
    """So many different real prompts of several sets, shuffled by seed; fewer where there are no more."""
    texts = dict.fromkeys(row["prompt"].strip() for name in (*SHORT, *OTHERS) for row in read_set(name))
    found = [text for text in texts if text]
    random.Random(seed).shuffle(found)
    return found[:count]


def made_prompts(count: int, *, seed: int = 0) -> list[str]:
    """So many prompts: real templates with real prompts in their slots, pairs of real prompts, a tenth of copies."""
    draw = random.Random(seed)
    real = [text for text in real_prompts(10**6, seed=seed) if len(text) < 400]
    templates = [row["prompt"] for row in read_set("promptsource_templates")]
    templates = [text for text in templates if 20 < len(text) < 300 and 1 <= len(SLOT.findall(text)) <= 3]
    out: list[str] = []
    for number in range(count):
        if out and number % 10 == 9:
            copy = out[draw.randrange(len(out))]
            out.append(draw.choice((copy.upper(), f"Hello, {copy} Thank you!", typing_error(copy, draw))))
        elif number % 2:
            out.append(SLOT.sub(lambda _: draw.choice(real), draw.choice(templates)))
        else:
            out.append(f"{draw.choice(real)} {draw.choice(real)}")
    return out


def typing_error(text: str, draw: random.Random) -> str:
    """The text with two neighbouring letters swapped."""
    place = draw.randrange(max(1, len(text) - 1))
    return text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
