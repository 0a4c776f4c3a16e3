"""Row checks that need nothing but the row: garbage and length."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from itertools import pairwise

from curate.prompts.answers import holds_answers, wrong_answer
from curate.prompts.lexicon import english_words, wordlist
from curate.prompts.scores import quality_score
from curate.prompts.templates import is_template_code, unfilled_slot
from curate.prompts.work import Gone, Work

WORD = re.compile(r"[^\W\d_]+")
TAG = re.compile(r"<[/!]?[a-zA-Z][^<>]{0,300}>|&[a-z]{2,8};|&#\d+;")
STRUCTURE = re.compile(r"<(?:div|span|a|p|br|td|tr|li|ul|table|script|style|img|nav|html|body|head)\b", re.IGNORECASE)
MOJIBAKE = re.compile(r"â€|Ã[\x80-\xbf¡-¿]|Â[\x80-\xbf¡-¿]|ï»¿|ï¿½|ðŸ|\ufffd")
WHOLE_SLOT = re.compile(
    r"\W*(?:<[\w ]{1,30}>|\{+[\w ]{1,30}\}+|\[[\w ]{1,30}\]|lorem ipsum[\w\s,.]*)\W*", re.IGNORECASE
)
NUMBERED = re.compile(r"[ _#-]*\d{1,4}$")
EMPTY_FIELD = re.compile(r"\s*[{\[]\s*(?:\"?\w{1,20}\"?\s*:\s*(?:\"\s*\"|null|\[\s*\]|\{\s*\})\s*,?\s*)*[}\]]\s*")
DANGLING = re.compile(r"\b(?:the|an|of|following|my|your|their|our|its|because|whose|and|or)\s*[:…]?$", re.IGNORECASE)
CUT_OFF = re.compile(r"(?:…|\.\.\.)\s*$")
LOOP = re.compile(r"^\s*(.{1,12}?)\1{7,}.{0,12}$", re.DOTALL)
SIGNS = re.compile(r"[()\[\]{}<>+*/=^%&|~$€£\s-]{1,40}")
"""Brackets and operators that may be the whole of an answer."""
TOKEN = re.compile(r"\S+")
SENTENCE_WORDS = 5


def garbage(
    work: Work, *, unfilled_slots: bool = True, template_code: bool = False, min_quality: float = 0.0
) -> list[Gone]:
    """Rows that ask nothing: empty, no words, control or mis-decoded characters, loops, mark-up, placeholders, noise.

    In a column of answers, what was refused or cut off as well; a number or a sign alone is an answer.

    Args:
        work: the job.
        unfilled_slots: prompts with an unfilled slot of a template are garbage as well.
        template_code: and so are programs of a template engine ({% … %}); else a note counts them.
        min_quality: rows whose quality score is lower are dropped; 0 drops none.
    """
    drops = []
    programs = 0
    are_answers = holds_answers(work.prompts.text_column)
    for row, text in enumerate(work.prompts.texts):
        reason = row_fault(text, answers=are_answers, slots=unfilled_slots)
        if not reason and not are_answers and "{" in text and is_template_code(text):
            programs += 1
            reason = "code of a template engine" if template_code else ""
        score = quality_score(text) if min_quality and not reason else None
        if score is not None and score < min_quality:
            reason = f"quality under {min_quality:g}"
        if reason:
            drops.append(Gone(row, reason, score=score))
    if programs and not template_code:
        work.counts["garbage: {} rows hold code of a template engine; garbage:template_code=true drops them"] += (
            programs
        )
    return drops


def row_fault(text: str, *, answers: bool = False, slots: bool = True) -> str:
    """Why one text is no use as a prompt, or as an answer; empty if nothing shows."""
    found = what_is_wrong(text, short_is_fine=answers)
    if found:
        return found
    if answers:
        return wrong_answer(text)
    slot = unfilled_slot(text) if slots else ""
    return f"an unfilled slot of a template: {slot[:40]}" if slot else ""


def what_is_wrong(text: str, *, short_is_fine: bool = False) -> str:
    """Why a text is garbage; empty if it is not. Of answers, short ones may be a number."""
    shown = text.strip()
    if not any(letter.isprintable() and not letter.isspace() for letter in shown) or not visible(shown):
        return "empty"
    if control_share(shown) > 0.02:
        return "control characters"
    if MOJIBAKE.search(shown) and len(MOJIBAKE.findall(shown)) * 60 > len(shown):
        return "wrongly decoded characters"
    words = WORD.findall(shown)
    if not words:
        if short_is_fine and (any(letter.isdigit() for letter in shown) or SIGNS.fullmatch(shown)):
            return ""
        return "no words" if not any(letter.isalnum() for letter in shown) else no_words(shown)
    if is_placeholder(shown):
        return "a placeholder"
    return loops(shown, words) or markup(shown, words) or noise(shown, words) or cut_off(shown, words)


def is_placeholder(text: str) -> bool:
    """Whether the whole text stands for a missing one, numbered or not."""
    bare = NUMBERED.sub("", text.casefold().strip(" .!?\"'"))
    return bare in wordlist("placeholders_set") or bool(WHOLE_SLOT.fullmatch(text) or EMPTY_FIELD.fullmatch(text))


def visible(text: str) -> bool:
    """Whether anything in it can be seen."""
    return any(unicodedata.category(letter)[0] in "LNPSM" for letter in text[:4000])


def control_share(text: str) -> float:
    """Share of control characters other than tab and line ends."""
    found = sum(1 for letter in text[:4000] if (letter < " " and letter not in "\t\n\r") or "\x7f" <= letter <= "\x9f")
    return found / min(len(text), 4000)


def no_words(text: str) -> str:
    """Digits and signs without a word: arithmetic may be meant, anything else is not."""
    return "" if re.search(r"\d\s*[-+*/×÷=^%]\s*\(?\d", text) else "no words"


def loops(text: str, words: list[str]) -> str:
    """One thing repeated over and over."""
    if LOOP.match(text):
        return "the same characters over and over"
    if len(text) > 400 and len(text) < 20_000 and len(zlib.compress(text.encode("utf-8", "replace"))) * 15 < len(text):
        return "the same text over and over"
    if len(words) >= 8:
        word, most = Counter(word.casefold() for word in words).most_common(1)[0]
        if most * 10 > len(words) * 7 and len(word) > 1:
            return "the same word over and over"
    return ""


def markup(text: str, words: list[str]) -> str:
    """Boilerplate of a web page: more tags than words."""
    if not STRUCTURE.search(text):
        return ""
    bare = TAG.sub(" ", text)
    left = WORD.findall(bare)
    asks = len(left) > 40 or bool(
        re.search(r"\?|\b(?:how|what|why|write|fix|explain|create|convert)\b", bare.casefold())
    )
    return "mark-up of a web page" if len(TAG.findall(text)) >= 2 and not asks and len(left) < len(words) else ""


def noise(text: str, words: list[str]) -> str:
    """Random characters or encoded bytes: long runs without blanks that no word list knows."""
    if not text.isascii():
        return ""
    known = english_words()
    tokens = TOKEN.findall(text)
    good = sum(len(word) for word in words if word.casefold() in known and len(word) > 1)
    letters = sum(letter.isalnum() for letter in text)
    longest = max(len(token) for token in tokens)
    if len(tokens) <= 3 and len(text) >= 8 and good * 2 < letters and looks_random(max(tokens, key=len)):
        return "random characters"
    if longest >= 40 and longest * 2 > len(text) and not re.search(r"://|www\.|[/\\]\w+[/\\]|\w\.\w+\(", text):
        return "encoded bytes" if good * 3 < letters else ""
    return ""


def looks_random(token: str) -> bool:
    """Whether one token mixes letters, digits and signs as no word or code does, or has hardly a vowel."""
    if re.match(r"https?:|www\.|[\w.+-]+@", token):
        return False
    core = token.strip("\"'()[]{}<>,.;:!?")
    changes = sum(one.isdigit() != two.isdigit() for one, two in pairwise(core))
    vowels = sum(letter in "aeiouyAEIOUY" for letter in core)
    letters = sum(letter.isalpha() for letter in core)
    if changes >= 3 and len(core) >= 8:
        return True
    signs = sum(not letter.isalnum() and letter not in "-_./'" for letter in core)
    if signs >= 2 and len(core) >= 8 and not re.search(r"\w\(|=|==|->|::", core):
        return True
    return len(core) >= 8 and letters == len(core) and vowels * 6 < letters


def cut_off(text: str, words: list[str]) -> str:
    """A request that ends before it says what for."""
    ends = CUT_OFF.search(text) or DANGLING.search(text)
    return "cut off" if ends and len(words) <= SENTENCE_WORDS else ""


def length(
    work: Work,
    *,
    min_characters: int = 3,
    max_characters: int = 8000,
    min_words: int = 1,
    max_words: int = 2000,
    max_tokens: int = 0,
) -> list[Gone]:
    """Rows that are too short or too long, in characters, words, and tokens where a tokenizer is named.

    Args:
        work: the job; its tokenizer counts tokens.
        min_characters: least characters, blanks around the text aside; of answers, one is enough.
        max_characters: most characters.
        min_words: least words (runs between blanks).
        max_words: most words.
        max_tokens: most tokens; 0 for no limit. Needs a tokenizer.
    """
    counts = token_counts(work) if max_tokens else None
    drops = []
    min_characters = min(min_characters, 1) if holds_answers(work.prompts.text_column) else min_characters
    for row, text in enumerate(work.prompts.texts):
        shown = text.strip()
        words = len(shown.split())
        checks = (
            (len(shown) < min_characters, "too short", len(shown), "characters"),
            (len(shown) > max_characters, "too long", len(shown), "characters"),
            (words < min_words, "too short", words, "words"),
            (words > max_words, "too long", words, "words"),
            (counts is not None and counts[row] > max_tokens, "too long", counts[row] if counts else 0, "tokens"),
        )
        found = next((check for check in checks if check[0]), None)
        if found is not None:
            _, what, size, unit = found
            drops.append(Gone(row, f"{what}: {size} {unit}", score=float(size)))
    return drops


def token_counts(work: Work) -> list[int]:
    """Tokens of each row by the named tokenizer, counted by the tokenizers library."""
    from pathlib import Path

    from curate.errors import ModelNotFound, PromptsError

    if not work.tokenizer:
        raise PromptsError("length: max_tokens needs a tokenizer", hint="name one with --tokenizer REF")
    from tokenizers import Tokenizer

    path = Path(work.tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        counter = Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(work.tokenizer)
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelNotFound(f"tokenizer {work.tokenizer}: {error}", hint="give a folder or a tokenizer.json") from error
    return [len(found.ids) for found in counter.encode_batch_fast(work.prompts.texts)]
