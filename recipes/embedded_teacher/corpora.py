"""Read the labelled messages the teacher learns from, and keep the official BANKING77 test split out of them."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

TARGET = "banking77"
ADDED_SETS = ("clinc150", "slurp", "snips", "nlupp", "taskmaster4_openers")
NEAR_DUPLICATE_JACCARD = 0.8
LONGEST_MESSAGE_WORDS = 60


@dataclass(frozen=True)
class Example:
    """One message, the intent name in words that answers it, and the set it came from."""

    message: str
    answer: str
    source: str


@dataclass
class Corpora:
    """The four lists a training run needs, and the facts its record repeats."""

    train: list[Example] = field(default_factory=list)
    dev: list[Example] = field(default_factory=list)
    test: list[Example] = field(default_factory=list)
    added: list[Example] = field(default_factory=list)
    files: dict[str, dict[str, object]] = field(default_factory=dict)

    def answers(self) -> list[str]:
        """The sorted names of the target's intents."""
        return sorted({example.answer for example in self.train})


def name_intent(label: str) -> str:
    """The label as the teacher says it: ``Refund_not_showing_up`` becomes ``refund not showing up``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.sub(r"[^a-z0-9]+", " ", spaced.lower()).split())


def fold(text: str) -> str:
    """The text in lower case without punctuation: equal folds are the same message."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


class NearDuplicates:
    """Finds messages whose word sets overlap a fixed list's by a Jaccard index of at least a threshold."""

    def __init__(self, messages: Iterable[str], threshold: float = NEAR_DUPLICATE_JACCARD) -> None:
        self._threshold = threshold
        self._word_sets = [frozenset(fold(message).split()) for message in messages]
        self._folds = {" ".join(sorted(words)) for words in self._word_sets}
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for index, words in enumerate(self._word_sets):
            for word in words:
                self._by_word[word].append(index)

    def __contains__(self, message: object) -> bool:
        words = frozenset(fold(str(message)).split())
        if not words or " ".join(sorted(words)) in self._folds:
            return bool(words)
        shared: dict[int, int] = defaultdict(int)
        for word in words:
            for index in self._by_word.get(word, ()):
                shared[index] += 1
        return any(
            count / (len(words) + len(self._word_sets[index]) - count) >= self._threshold
            for index, count in shared.items()
        )


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_corpora(corpus: Path, seed: int, dev_rows: int, rows_per_label: int) -> Corpora:
    """The target's train, dev and test rows and the added sets, cleared of anything close to a test row."""
    found = Corpora()
    train: list[Example] = []
    path = corpus / "prompts" / TARGET / "data.jsonl"
    for row in read_rows(path):
        example = Example(str(row["prompt"]).strip(), name_intent(str(row["label"])), TARGET)
        (found.test if row["split"] == "test" else train).append(example)
    test_folds = {fold(example.message) for example in found.test}
    clean = [example for example in train if fold(example.message) not in test_folds]
    random.Random(seed).shuffle(clean)
    found.dev, found.train = clean[:dev_rows], clean[dev_rows:]
    found.files[TARGET] = _describe(path, len(found.train), len(train) - len(clean))
    near_test = NearDuplicates(example.message for example in found.test)
    for name in ADDED_SETS:
        _add_set(found, corpus, name, near_test, rows_per_label)
    return found


def _add_set(found: Corpora, corpus: Path, name: str, near_test: NearDuplicates, rows_per_label: int) -> None:
    path = corpus / "prompts" / name / "data.jsonl"
    taken: dict[str, int] = defaultdict(int)
    kept, dropped = [], 0
    for row in read_rows(path):
        label = str(row.get("label") or "")
        message = str(row["prompt"]).strip()
        is_usable = label and row.get("split") != "test" and len(message.split()) <= LONGEST_MESSAGE_WORDS
        if not is_usable or taken[label] >= rows_per_label:
            continue
        if message in near_test:
            dropped += 1
            continue
        taken[label] += 1
        kept.append(Example(message, name_intent(label), name))
    found.added.extend(kept)
    found.files[name] = _describe(path, len(kept), dropped)


def _describe(path: Path, rows: int, dropped: int) -> dict[str, object]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": digest, "rows_used": rows, "rows_dropped_as_close_to_test": dropped}
