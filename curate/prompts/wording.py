"""Whether two texts have the same wording: they differ in typing, courtesy and punctuation, in no word that matters."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Protocol

from curate.prompts.lexicon import english_words, wordlist

MAX_WORDS = 300
"""Longer texts are compared by their n-grams alone; aligning them word by word costs too much."""
RARE = 3
MUCH_MORE = 25
"""A word in at most ``RARE`` rows is a slip of a word that stands in so many times more."""


class Counts(Protocol):
    """In how many rows a word stands."""

    def get(self, word: str, default: int, /) -> int:
        """Of a word; ``default`` if it stands in none."""
        ...


def same_wording(first: str, second: str, counts: Counts | None = None) -> bool:
    """Whether two loose forms agree in every word but typing errors, splits, merges and courtesy."""
    one, two = first.split(), second.split()
    if len(one) > MAX_WORDS or len(two) > MAX_WORDS:
        return True
    if one == two:
        return True
    one, two = without_shared_ends(one, two)
    if not one or not two or not set(one) & set(two):
        return same_span(one, two, counts or {})
    for what, i1, i2, j1, j2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if what != "equal" and not same_span(one[i1:i2], two[j1:j2], counts or {}):
            return False
    return True


def without_shared_ends(one: list[str], two: list[str]) -> tuple[list[str], list[str]]:
    """Both texts without the words they begin with, and end with, alike."""
    most = min(len(one), len(two))
    start = next((place for place in range(most) if one[place] != two[place]), most)
    most -= start
    end = next((place for place in range(most) if one[-1 - place] != two[-1 - place]), most)
    return one[start : len(one) - end], two[start : len(two) - end]


def same_span(first: Sequence[str], second: Sequence[str], counts: Counts) -> bool:
    """Whether two differing spans are one another's typing error."""
    if not first or not second:
        courtesy = wordlist("courtesy")
        return all(word in courtesy for word in (*first, *second))
    if len(first) == len(second):
        return all(is_typo(one, two, counts) for one, two in zip(first, second, strict=True))
    joined, other = "".join(first), "".join(second)
    return joined == other or (len(joined) > 5 and is_typo(joined, other, counts))


def is_typo(first: str, second: str, counts: Counts | None = None) -> bool:
    """Whether one word is a mistyped other: few edits, and not two words that English knows.

    Of two known words one may still be a slip: neighbours swapped, or one edit from a word so much more frequent in
    these rows that the rare one is hardly meant.
    """
    if first == second:
        return True
    longest = max(len(first), len(second))
    if first.isdigit() or second.isdigit() or longest < 3 or abs(len(first) - len(second)) > 2:
        return False
    known, guarded = english_words(), guarded_words()
    if (first in known or first in guarded) and (second in known or second in guarded):
        if first in guarded or second in guarded or edits(first, second) != 1:
            return False
        return is_rare_slip(first, second, counts or {}) or (longest > 3 and sorted(first) == sorted(second))
    unknown_both = first not in known and second not in known
    allowed = 1 if longest <= 4 or unknown_both else 2 if longest <= 11 else 3
    return edits(first, second) <= allowed


@lru_cache(maxsize=1)
def guarded_words() -> frozenset[str]:
    """Words that stand for numbers, days and months, and negations without their apostrophe."""
    return frozenset(wordlist("numbers")) | frozenset(wordlist("negations"))


def is_rare_slip(first: str, second: str, counts: Counts) -> bool:
    """Whether one word is too rare beside the other to be meant."""
    rare, common = sorted((counts.get(first, 0), counts.get(second, 0)))
    return rare <= RARE and common >= MUCH_MORE * max(rare, 1)


@lru_cache(maxsize=20_000)
def edits(first: str, second: str) -> int:
    """Optimal string alignment distance: insertions, deletions, replacements, swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        last, row, older = row, [i], before
        for j, other in enumerate(second, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def bare_form(loose: str) -> str:
    """A loose form without greetings before and thanks after."""
    return " ".join(without_frame(loose.split(" ")))


def without_frame(words: list[str]) -> list[str]:
    """The words without greetings before and thanks after; all of them where nothing else would be left."""
    start, end = 0, len(words)
    openers, closers = frame_phrases("courtesy_openers"), frame_phrases("courtesy_closers")
    while found := next((size for size in range(6, 0, -1) if tuple(words[start : start + size]) in openers), 0):
        start += found
    while found := next(
        (size for size in range(6, 0, -1) if end - size > start and tuple(words[end - size : end]) in closers), 0
    ):
        end -= found
    return words[start:end] if start < end else words


@lru_cache(maxsize=2)
def frame_phrases(name: str) -> frozenset[tuple[str, ...]]:
    """Greetings or thanks as tuples of words."""
    from curate.prompts.lexicon import words_file

    return frozenset(tuple(str(phrase).split()) for phrase in words_file()[name])


def words_changed_places(first: str, second: str, *, overlap: float = 0.6) -> bool:
    """Whether two loose forms share most content words but put them in another order.

    Who did what to whom may have changed, and an embedder that averages words cannot see it. Function words do not
    count, nor do words that stand more than once.
    """
    light = wordlist("light_words")
    one = [word for word in first.split() if word not in light]
    two = [word for word in second.split() if word not in light]
    shared = {word for word in set(one) & set(two) if one.count(word) == two.count(word) == 1}
    if len(shared) < 2 or len(shared) < overlap * max(len(set(one)), len(set(two))):
        return False
    return [word for word in one if word in shared] != [word for word in two if word in shared]
