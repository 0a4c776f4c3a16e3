"""What counts as the same text: the exact form, the loose form, and what two texts must not differ in.

Exact form: NFKC, casefold, invisible characters gone, sentence punctuation gone (kept inside numbers), whitespace to
one blank. Signs that carry meaning in code and arithmetic (+ - * / = < > % $ # …) stay.
Loose form: the exact form, without emoji and other symbols, look-alike letters of other alphabets folded to Latin.
"""

from __future__ import annotations

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
NEGATED = re.compile(
    r"\b(?:do|does|did|is|are|was|were|has|have|had|ca|wo|would|could|should|must|need|ai|might)n['’]?t\b"
)
PLAIN_NEGATION = re.compile(r"\b(?:not|no|never|none|neither|nor|without|cannot)\b")
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


@lru_cache(maxsize=200_000)
def guarded_parts(text: str) -> tuple[tuple[str, ...], int, tuple[str, ...]]:
    """What two duplicates must not differ in: numbers (also as words, days, months), negations, code identifiers."""
    plain = unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold()
    plain = plain if plain.isascii() else fold_lookalikes(plain)
    numbers = [found.replace(",", "") for found in NUMBER.findall(plain)]
    counted = wordlist("numbers")
    numbers += [counted[word] for word in re.findall(r"[a-z]+", plain) if word in counted]
    negations = len(PLAIN_NEGATION.findall(plain)) + len(NEGATED.findall(plain))
    names = {next(part for part in found if part) for found in IDENTIFIER.findall(plain) if any(found)}
    return tuple(sorted(numbers)), negations, tuple(sorted(names))


def differ_in_guarded(first: str, second: str) -> bool:
    """Whether a number, a negation or a code identifier tells two prompts apart."""
    return guarded_parts(first) != guarded_parts(second)
