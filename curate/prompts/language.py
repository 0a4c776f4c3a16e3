"""Which language a prompt is in, by script and by function words: small, offline, made for short texts.

It says "not English" only on evidence: another script, or function words of another language where English ones are
missing. A short text without evidence is taken as it is: dropping good English rows costs more than a missed phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from curate.prompts.forms import fold_lookalikes
from curate.prompts.lexicon import english_words, foreign_words, wordlist
from curate.prompts.work import Gone, Work

SCRIPTS = {
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "HEBREW": "he",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "THAI": "th",
    "TAMIL": "ta",
    "TELUGU": "te",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "SINHALA": "si",
    "ETHIOPIC": "am",
}
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MOST_CHARACTERS = 2000


def language(work: Work, *, allowed: list[str] | None = None) -> list[Gone]:
    """Rows in a language that is not wanted.

    Args:
        work: the job.
        allowed: ISO 639-1 codes to keep, English if none is given; a row whose language shows nowhere is kept.
    """
    wanted = set(allowed or ["en"])
    drops = []
    for row, text in enumerate(work.prompts.texts):
        found, share = guess_language(text)
        if found and found not in wanted:
            drops.append(Gone(row, f"not in {', '.join(sorted(wanted))}: looks like {found}", score=share))
    return drops


def guess_language(text: str) -> tuple[str, float]:
    """The language's code and how much of the text speaks for it; an empty code where nothing does."""
    text = fold_lookalikes(unicodedata.normalize("NFC", text[:MOST_CHARACTERS]).casefold())
    if text.isascii() and not any(letter.isalpha() for letter in text):
        return "", 0.0
    script, share = other_script(text)
    if share >= 0.3:
        return script, share
    return by_words(WORD.findall(text))


def other_script(text: str) -> tuple[str, float]:
    """The most frequent script that is not Latin, and its share of the letters."""
    if text.isascii():
        return "", 0.0
    counts: Counter[str] = Counter()
    letters = 0
    mixed = mixed_letters(text)
    for place, letter in enumerate(text):
        if letter.isalpha():
            letters += 1
            if letter > "\u02ff" and place not in mixed:
                counts[SCRIPTS.get(unicodedata.name(letter, "").split(" ")[0].split("-")[0], "")] += 1
    counts.pop("", None)
    if not counts:
        return "", 0.0
    if counts["ja"]:
        counts["ja"] += counts.pop("zh", 0)
    script, most = counts.most_common(1)[0]
    return script, most / max(letters, 1)


def mixed_letters(text: str) -> set[int]:
    """Places in words that mix Latin with another script: disguised Latin, not another language."""
    places: set[int] = set()
    for found in WORD.finditer(text):
        word = found.group()
        has_latin = any(letter.isascii() and letter.isalpha() for letter in word)
        if has_latin and not word.isascii() and max(word) < "\u0e00":
            places.update(range(found.start(), found.end()))
    return places


def by_words(words: list[str]) -> tuple[str, float]:
    """The language whose function words are there, if they outweigh the English ones."""
    if not words:
        return "", 0.0
    light, known, foreign = wordlist("light_words"), english_words(), foreign_words()
    votes: Counter[str] = Counter()
    english = unknown = 0.0
    for word in words:
        languages = foreign.get(word, frozenset())
        if word in light:
            english += 0.5 if languages else 1.0
            continue
        for found in languages:
            votes[found] += 1
        if word in known:
            english += 0.25
        else:
            unknown += 1
    accented = sum(not word.isascii() for word in words)
    if not votes:
        return (
            ("und", unknown / len(words)) if unknown + accented >= 0.7 * len(words) and len(words) >= 5 else ("", 0.0)
        )
    best, most = votes.most_common(1)[0]
    evidence = most + 0.5 * unknown + accented
    if most >= 2 and evidence > 2 * english and evidence >= 0.45 * len(words):
        return best, evidence / len(words)
    if most == 1 and english == 0 and (unknown + accented) * 2 > len(words) > 2:
        return best, evidence / len(words)
    return "", 0.0
