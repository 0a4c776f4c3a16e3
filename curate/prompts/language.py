"""Which language a prompt is in, by script and by function words: small, offline, made for short texts.

It says "not English" only on evidence: another script, or function words of another language where English ones are
missing. A short text without evidence is taken as it is: dropping good English rows costs more than a missed phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from curate.prompts.answers import holds_answers, is_code
from curate.prompts.forms import fold_lookalikes
from curate.prompts.lexicon import english_words, foreign_words, wordlist
from curate.prompts.promptset import TEXT_COLUMNS, PromptSet, find_column, text_of
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
MISTAKEN = (
    {"es", "pt", "ca", "it", "fr", "ro"},
    {"da", "nb", "sv", "is"},
    {"nl", "af", "de"},
    {"cs", "pl", "hr", "sq"},
    {"et", "fi"},
    {"lt", "lv"},
    {"ru", "uk"},
)
"""Languages whose short texts are taken for one another; an answer is not blamed for that."""
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MOST_CHARACTERS = 2000


def language(work: Work, *, allowed: list[str] | None = None) -> list[Gone]:
    """Rows in a language that is not wanted; of answers, also those in another language than they were asked in.

    An answer may be in the language that its prompt names or asks to translate into.

    Args:
        work: the job.
        allowed: ISO 639-1 codes to keep, English if none is given; a row whose language shows nowhere is kept.
    """
    wanted = set(allowed or ["en"])
    asked = asked_beside(work.prompts)
    drops = []
    for row, text in enumerate(work.prompts.texts):
        found, share = guess_language(text)
        prompt = asked[row] if asked else ""
        if found and found not in wanted and not (prompt and asks_for(prompt, found)):
            drops.append(Gone(row, f"not in {', '.join(sorted(wanted))}: looks like {found}", score=share))
        elif prompt and (reason := wrong_language(text, prompt)):
            drops.append(Gone(row, reason))
    return drops


def asked_beside(prompts: PromptSet) -> list[str]:
    """The prompts beside a column of answers; empty where the texts are no answers or no prompt stands beside them."""
    if not holds_answers(prompts.text_column):
        return []
    name = find_column([one for one in prompts.table.column_names if one != prompts.text_column], TEXT_COLUMNS)
    return [] if name is None else [text_of(value) or "" for value in prompts.table[name].to_pylist()]


def wrong_language(answer: str, prompt: str) -> str:
    """Why an answer is in the wrong language for its prompt; empty where it is not, or nothing shows."""
    if is_code(answer.splitlines()):
        return ""
    given, asked = guess_language(answer)[0] or english_if_shown(answer), guess_language(prompt)[0]
    asked = asked or english_if_shown(prompt)
    alike = given == asked or any({given, asked} <= family for family in MISTAKEN)
    if not given or not asked or alike or "und" in (given, asked) or asks_for(prompt, given):
        return ""
    return f"answered in {given}, asked in {asked}"


def english_if_shown(text: str) -> str:
    """``en`` where a quarter of the words, and three at least, are function words of English."""
    words = WORD.findall(text[:MOST_CHARACTERS].casefold())
    light = wordlist("light_words")
    found = sum(word in light for word in words)
    return "en" if found >= 3 and found * 4 >= len(words) else ""


def asks_for(prompt: str, code: str) -> bool:
    """Whether a prompt names a language or wants something translated."""
    shown = prompt[:MOST_CHARACTERS].casefold()
    names = wordlist("language_names").get(code, "").split()
    return "translat" in shown or any(re.search(rf"\b{re.escape(name)}\b", shown) for name in names)


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
    best, most = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    evidence = most + 0.5 * unknown + accented
    if most >= 2 and evidence > 2 * english and evidence >= 0.45 * len(words):
        return best, evidence / len(words)
    if most == 1 and english == 0 and (unknown + accented) * 2 > len(words) > 2:
        return best, evidence / len(words)
    return "", 0.0
