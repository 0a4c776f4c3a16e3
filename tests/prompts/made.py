"""Prompts written for these tests: small, varied, and easy to check by eye."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from curate.gate import Finding, Verdict

TOPICS = {
    "cooking": [
        "bake sourdough bread",
        "season a cast iron pan",
        "poach an egg",
        "thicken a tomato soup",
        "roast garlic",
    ],
    "travel": ["find a night train to Vienna", "pack for a week of hiking", "renew a passport", "book a quiet hostel"],
    "money": [
        "dispute a card charge",
        "open a savings account",
        "read a payslip",
        "set a monthly budget",
        "file taxes",
    ],
    "garden": ["prune an old apple tree", "keep slugs off lettuce", "start a compost heap", "sow carrots in clay"],
    "code": ["reverse a linked list", "write a unit test in Python", "undo the last git commit", "parse a CSV file"],
    "health": ["sleep better in summer", "stretch a stiff neck", "treat a small burn", "drink enough water at work"],
    "music": ["tune a ukulele", "learn the bass clef", "record a podcast at home", "name the parts of a violin"],
    "home": ["fix a dripping tap", "descale a kettle", "hang a heavy mirror", "insulate a draughty window"],
}
FRAMES = [
    "How do I {}?",
    "Explain to a beginner the way to {}.",
    "What tools will somebody need to {}?",
    "List the most common mistakes people make when they {}.",
]


def all_pairs(chunks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of all ranges behind one another, and how similar they are."""
    found = [(np.zeros((0, 2), dtype=np.int64), np.zeros(0)), *chunks]
    return np.concatenate([pairs for pairs, _ in found]), np.concatenate([similar for _, similar in found])


def varied() -> list[str]:
    """Some 140 prompts on eight topics."""
    return [frame.format(task) for tasks in TOPICS.values() for task in tasks for frame in FRAMES]


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_texts(path: Path, texts: list[str], **columns: object) -> Path:
    """Texts as JSONL with ids and some fixed columns."""
    return write_jsonl(path, [{"id": f"r{row}", "prompt": text, **columns} for row, text in enumerate(texts)])


def fake_judge(claimed: str, source: str) -> Finding:
    """A row judge for tests: permissive is allowed, NC is denied, the rest is under review."""
    name = claimed.lower()
    verdict = Verdict.REVIEW
    if name.startswith(("mit", "apache", "cc0", "cc-by-4")):
        verdict = Verdict.ALLOW
    elif "nc" in name:
        verdict = Verdict.DENY
    return Finding(rule="row-license", subject=source or "row", verdict=verdict, message=claimed or "no license")
