"""Words the row checks go by: lists in ``words.yaml``, and the English words of the embedded tokenizer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import yaml

from curate.prompts.embed import static_folder


@cache
def words_file() -> dict[str, dict[str, str] | list[str]]:
    """The shipped word lists."""
    path = Path(__file__).parent / "words.yaml"
    loaded: dict[str, dict[str, str] | list[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@cache
def wordlist(name: str) -> dict[str, str]:
    """A list of words, each with what it stands for (itself where the file does not say); of a ``_set``, phrases."""
    found = words_file()[name]
    if isinstance(found, dict):
        return {str(word): str(meaning) for word, meaning in found.items()}
    if name.endswith("_set"):
        return {str(phrase): str(phrase) for phrase in found}
    return {word: word for entry in found for word in str(entry).split()}


@cache
def english_words() -> frozenset[str]:
    """About 21,000 frequent English words and names: the whole words of the embedded tokenizer's vocabulary."""
    vocabulary = json.loads((static_folder() / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return frozenset(word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 1) | {"a", "i"}


@cache
def foreign_words() -> dict[str, frozenset[str]]:
    """Frequent function words by word: the languages (ISO 639-1) that use it; words English uses are left out."""
    lists = words_file()["languages"]
    assert isinstance(lists, dict)  # noqa: S101 – for the type checker; a test reads the file
    found: dict[str, set[str]] = {}
    for language, words in lists.items():
        for word in words.split():
            found.setdefault(word, set()).add(language)
    return {word: frozenset(languages) for word, languages in found.items()}
