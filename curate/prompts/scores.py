"""A quality score from 0 to 1 for one text, from its surface alone, and what it says of a set.

The score is the product of four parts, each from 0 to 1 (``quality_parts``). It is cheap and knows no meaning: code,
rare names and languages written in Latin letters score lower than English prose, and a fluent falsehood scores 1. It is
shown as a distribution and drops nothing unless a policy sets ``garbage: {min_quality: …}``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from curate.prompts.lexicon import english_words

MOST_CHARACTERS = 4_000
BINS = 20
TOKEN = re.compile(r"\S+")
PART = re.compile(r"[^\W_]+")
PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:[.,:/-]\d+)*(?:st|nd|rd|th|s|k|m|am|pm|h|kg|km|cm|mm|gb|mb|x)?", re.IGNORECASE)
CONSONANTS = re.compile(r"[^aeiouyäöüáéíóúàèìòùâêîôûåøæãõ]{6}")
ORDINARY = frozenset(".,!?'\"-:;()/$%&€£’‘“”–—…¿¡`*#+=_\n")
BROKEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]|â€|Ã[\x80-\xbf¡-¿]")
UNENDED = re.compile(
    r"(?:…|\.\.\.|,|\b(?:the|a|an|of|to|following|my|your|their|because|whose|and|or|with|for))\s*$", re.IGNORECASE
)


def quality_score(text: str) -> float:
    """The product of the parts; 0 for what holds nothing."""
    score = 1.0
    for part in quality_parts(text).values():
        score *= part
    return score


def quality_parts(text: str) -> dict[str, float]:
    """What the score is made of, each from 0 to 1.

    ``words``: share of the characters that stand in words and numbers as people write them. A word that the list of
    21,000 does not know counts as noise by a quarter of its letters, by all of them where it mixes letters and digits
    or has no vowel in reach; other alphabets count as known. ``clean``: falls with control and mis-decoded characters.
    ``variety``: different words over words from 8 words on, twice as many as half being full. ``whole``: 0.5 where the
    text ends in the middle, and for a text of one or two words 0.6 and 0.8.
    """
    shown = text[:MOST_CHARACTERS].strip()
    tokens = TOKEN.findall(shown)
    words = [part.casefold() for part in PART.findall(shown)]
    if not words:
        return {"words": 0.0, "clean": 1.0, "variety": 1.0, "whole": 1.0}
    good, noise = word_letters(tokens)
    signs = sum(not letter.isalnum() and not letter.isspace() and letter not in ORDINARY for letter in shown)
    marks = sum(not letter.isalnum() and letter in ORDINARY for letter in shown)
    noise += signs + max(0, marks - 3 * len(words))
    variety = min(1.0, 2 * len(set(words)) / len(words)) if len(words) >= 8 else 1.0
    whole = {1: 0.6, 2: 0.8}.get(len(words), 1.0) * (0.5 if UNENDED.search(shown) else 1.0)
    clean = max(0.0, 1 - 20 * len(BROKEN.findall(shown)) / len(shown))
    return {"words": good / max(good + noise, 1.0), "clean": clean, "variety": variety, "whole": whole}


def word_letters(tokens: Sequence[str]) -> tuple[float, float]:
    """Letters and digits that stand in words and numbers, and those that are noise."""
    known = english_words()
    good = noise = 0.0
    for token in tokens:
        core = token.strip(".,!?'\"-:;()[]{}<>*`’“”")
        if PLAIN_NUMBER.fullmatch(core):
            good += len(core)
            continue
        for part in PART.findall(core):
            share = noise_share(part.casefold(), known)
            good += (1 - share) * len(part)
            noise += share * len(part)
    return good, noise


def noise_share(part: str, known: frozenset[str]) -> float:
    """How much of a run of letters and digits is noise."""
    if part in known or part.isdigit() or not part.isascii():
        return 0.0
    if not part.isalpha():
        return 1.0 if len(part) > 3 else 0.5
    if len(part) > 25 or CONSONANTS.search(part) or (len(part) > 3 and not any(letter in "aeiouy" for letter in part)):
        return 1.0
    return 0.25


def score_histogram(scores: Sequence[float]) -> tuple[int, ...]:
    """Counts in 20 equal bins from 0 to 1; those of two parts of a set add up to those of the set."""
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, int(score * BINS))] += 1
    return tuple(counts)
