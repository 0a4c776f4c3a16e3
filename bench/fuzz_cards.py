"""Noise against the gate: ``python bench/fuzz_cards.py [EXAMPLES]``, 10,000 by default, the same every time.

Half of the examples are cards of the project and of ``CURATE_CORPUS`` (if set) with bytes changed, cut, repeated or
swapped with those of another; a quarter are noise of YAML's own characters; a quarter are policy files with lines changed.
Nothing may crash. A card that is allowed must, read again by PyYAML alone, name a license; no policy may say allow of the
unknown.
"""

# ruff: noqa: E501 – tables stand whole

import os
import random
import re
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import yaml

from curate.errors import PolicyError
from curate.licenses.card import RawCard
from curate.licenses.check import check_license
from curate.policy import load_policy, policies_folder, read_policy

ROOT = Path(__file__).parents[1]
TODAY = date(2026, 11, 26)
BLOCK = re.compile(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))")
SIGNS = "---\n:[]{}&*!|>'\"#%@`,? \t\r\x00\ufeff\u200blicense:mtapche-2.0basemodlothrnknw"
GRAFTS = (
    b"license: mit\n", b"license:\n", b"license: [", b"- ", b"base_model: ", b"&a ", b"*a", b"<<: *a\n", b"\x00", b"\xff\xfe", b"---\n",
    "\u202e".encode(), b"gpt-4 generated ", b"```", b"!!python/object:os.system ", b"{a: {a: ", b"? ", b"|", b"%YAML 1.1\n", b"\t",
)  # fmt: skip


class OneCard:
    """A source that knows one card."""

    def __init__(self):
        self.content = b""

    def fetch(self, ref):
        return RawCard("models/README.md", self.content) if str(ref) == "fuzz/one" else None


def seeds():
    """Cards to start from."""
    folders = [ROOT / "examples/cards/models", ROOT / "curate/embedded/demo/cards/models"]
    if corpus := os.environ.get("CURATE_CORPUS"):
        folders.append(Path(corpus) / "cards/models")
    return [path.read_bytes()[:6000] for folder in folders for path in sorted(folder.glob("*/README.md"))]


def mutated(content, others, dice):
    """The content with one to six changes."""
    text = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(text) + 1)
        head = min(at, dice.randrange(400))
        kind = dice.randrange(6)
        if kind == 0:
            text[head:head] = dice.choice(GRAFTS)
        elif kind == 1:
            del text[head : head + dice.randrange(1, 60)]
        elif kind == 2:
            text[head : head + 1] = bytes([dice.randrange(256)])
        elif kind == 3:
            text[at:at] = text[max(0, at - dice.randrange(1, 200)) : at]
        elif kind == 4:
            other = dice.choice(others)
            cut = dice.randrange(len(other) + 1)
            text[at:] = other[cut : cut + 3000]
        else:
            del text[at:]
    return bytes(text)


def noise(dice):
    """Characters that YAML gives a meaning, in a block or bare."""
    text = "".join(dice.choice(SIGNS) for _ in range(dice.randrange(300)))
    return (f"---\n{text}\n---\n" if dice.random() < 0.7 else text).encode("utf-8", "replace")


def names_a_license(content):
    """Whether a plain loader finds text under ``license``, or cannot read the block at all."""
    block = BLOCK.match(
        content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    )
    if block is None:
        return False
    try:
        front = yaml.load(block[2], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except ValueError:  # a number or day that Python cannot hold
        front = yaml.load(block[2], Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, TypeError):
        return False
    value = front.get("license") if isinstance(front, dict) else None
    return any(isinstance(one, str) and one.strip() for one in (value if isinstance(value, list) else [value]))


def try_card(content, source, policy):
    """The verdict on a card; an allow that nothing grants is an error."""
    source.content = content
    verdict = check_license("fuzz/one", policy=policy, source=source, today=TODAY).verdict.value
    assert verdict != "allow" or names_a_license(content), content
    return verdict


def try_policy(dice, texts, path):
    """A policy file with lines dropped, doubled, swapped or words changed; refused, or never lenient to the unknown."""
    lines = dice.choice(texts).splitlines()
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(lines))
        lines[at : at + 1] = dice.choice([[], [lines[at]] * 2, [lines[at][: dice.randrange(len(lines[at]) + 1)]],
                                          [lines[at].replace("review", "allow").replace("deny", "allow")],
                                          [dice.choice(lines)], ["\t" + lines[at]], [lines[at] + ": &x [*x"]])  # fmt: skip
        lines = lines or [""]
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        policy = read_policy(path).licenses
    except PolicyError:
        return "refused"
    for line in ("unknown", "missing", "unread_parent", "unreadable_card"):
        assert str(getattr(policy, line)) in ("review", "deny"), lines
    assert str(policy.by_kind.get("undetermined", "review")) != "allow", lines
    return "read"


def run(examples, seed=0):
    """All examples; returns how each ended."""
    dice, source, policy, others = random.Random(seed), OneCard(), load_policy("default"), seeds()
    policies = [path.read_text(encoding="utf-8") for path in sorted(policies_folder().glob("*.yaml"))]
    ends, slowest = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(examples):
            started = time.perf_counter()
            if number % 4 == 3:
                end = "policy " + try_policy(dice, policies, Path(folder) / "p.yaml")
            elif number % 4 == 2:
                end = "noise " + try_card(noise(dice), source, policy)
            else:
                end = "card " + try_card(mutated(dice.choice(others), others, dice), source, policy)
            slowest = max(slowest, time.perf_counter() - started)
            ends[end] = ends.get(end, 0) + 1
    return ends, slowest


def main():
    """Run, then print how the examples ended."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    started = time.perf_counter()
    ends, slowest = run(examples)
    for end, count in sorted(ends.items()):
        print(f"{end:16} {count}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{examples} examples, no crash, no allow without a license, in {time.perf_counter() - started:.0f} s")
    print(f"slowest {slowest * 1000:.0f} ms, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
