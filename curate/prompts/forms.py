"""What counts as the same text: the exact form, the loose form, and what two texts must not differ in.

Exact form: NFKC, casefold, invisible characters gone, sentence punctuation gone (kept inside numbers), whitespace to
one blank. Signs that carry meaning in code and arithmetic (+ - * / = < > % $ # …) stay.
Loose form: the exact form, without emoji and other symbols, look-alike letters of other alphabets folded to Latin.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

from curate.prompts.lexicon import wordlist

SENTENCE_MARKS = re.compile(r"(?<!\d)[.,:](?=\d)|(?<=\d)[.,:](?!\d)|(?<!\d)[.,:](?!\d)|[;!?…'\"`´‘’“”„«»¿¡·•]")
SPACES = re.compile(r"\s+")
SYMBOLS = re.compile(r"[^\w\s]|_")
LATIN = re.compile(r"[a-z]")
LOOKALIKES = str.maketrans("аеорсухіјѕԁһӏкмтвнгпԛԝοαειρυνκτηχաօոսցհ", "aeopcyxijsdhlkmtbhrnqwoaeipuvktnxwonugh")
NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
WORD = re.compile(r"\w+")
LETTERS = re.compile(r"[a-z]+")
AUXILIARIES = "do|does|did|is|are|was|were|has|have|had|ca|wo|would|could|should|must|need|ai|might"
NEGATED = re.compile(rf"\b(?:{AUXILIARIES})n['’]t\b")
NEGATIONS = frozenset(
    ["not", "no", "never", "none", "neither", "nor", "without", "cannot"]
    + [f"{verb}nt" for verb in AUXILIARIES.split("|")]
)
IDENTIFIER = re.compile(r"`([^`\n]+)`|\b(\w*[a-z0-9]_\w+|\w+(?=\())|\b(\w+(?:\.\w+)+)(?=\()", re.IGNORECASE)
INVISIBLE = dict.fromkeys((*range(8203, 8208), 8288, 65279, 173, *range(65024, 65040)))


def exact_form(text: str) -> str:
    """The text as exact duplicates are compared."""
    text = unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold()
    return SPACES.sub(" ", SENTENCE_MARKS.sub("", text)).strip()


def loose_form(text: str) -> str:
    """The text as near duplicates are compared; the exact form where nothing else would be left."""
    text = exact_form(text)
    if not text.isascii():
        text = fold_lookalikes(text)
    return SPACES.sub(" ", SYMBOLS.sub(" ", text)).strip() or text


def fold_lookalikes(text: str) -> str:
    """The text in Latin letters where some word mixes Latin with look-alikes; a text of one other alphabet stays."""
    words = [word for word in text.split(" ") if not word.isascii()]
    mixed = any(LATIN.search(word) and word.translate(LOOKALIKES).isascii() for word in words)
    return text.translate(LOOKALIKES) if mixed else text


Guarded = tuple[tuple[str, ...], int, tuple[str, ...]]
NOTHING: Guarded = ((), 0, ())


@lru_cache(maxsize=5_000)
def guarded_parts(text: str) -> Guarded:
    """What two duplicates must not differ in: numbers (also as words, days, months), negations, code identifiers."""
    return read_guarded(text)


def read_guarded(text: str) -> Guarded:
    """The guarded parts of a text that is not asked for again soon."""
    plain = text.casefold()
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold()
        plain = plain if plain.isascii() else fold_lookalikes(plain)
    numbers = [found.replace(",", "") for found in NUMBER.findall(plain)]
    words, counted = LETTERS.findall(plain), wordlist("numbers")
    if not counted.keys().isdisjoint(words):
        numbers += [f"={counted[word]}" for word in words if word in counted]
    names: set[str] = set()
    if "_" in plain or "(" in plain or "`" in plain:
        names = {next(part for part in found if part) for found in IDENTIFIER.findall(plain) if any(found)}
    if numbers or "_" in plain or not plain.isascii():
        words = WORD.findall(plain)
    negations = 0 if NEGATIONS.isdisjoint(words) else sum(word in NEGATIONS for word in words)
    if "n't" in plain or "n’t" in plain:
        negations += len(NEGATED.findall(plain))
    return tuple(sorted(numbers)), negations, tuple(sorted(names))


def guard_key(text: str) -> int:
    """A signed 64-bit number that two texts share if a guarded part does not tell them apart; 0 if there is none."""
    found = read_guarded(text)
    if found == NOTHING:
        return 0
    written = repr((spelt(found[0]), *found[1:])).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(written, digest_size=8).digest(), "little", signed=True)


def spelt(numbers: tuple[str, ...]) -> list[str]:
    """Numbers alike whether in figures or in words."""
    return sorted(number.removeprefix("=") for number in numbers)


def differ_in_figures(first: str, second: str) -> bool:
    """Whether a figure or a code identifier tells two prompts apart; words are left to who compares words."""
    return figures(first) != figures(second)


@lru_cache(maxsize=5_000)
def figures(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The numbers that are written in figures, and the code identifiers."""
    numbers, _, names = guarded_parts(text)
    return tuple(number for number in numbers if number[0].isdigit()), names


def differ_in_guarded(first: str, second: str) -> bool:
    """Whether a number, a negation or a code identifier tells two prompts apart."""
    one, two = guarded_parts(first), guarded_parts(second)
    return one[1:] != two[1:] or spelt(one[0]) != spelt(two[0])
