"""What is wrong with an answer, beside what is wrong with any text: refused, or cut off before its end."""

from __future__ import annotations

import re

ANSWER_COLUMNS = ("answer", "answers", "response", "output", "completion", "target", "solution", "reply")
REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am|we['’]re|we are)\s+(?:very |really |truly )?(?:sorry|afraid)\b[^.!?]{0,80}?"
    r"\b(?:can['’]?t|cannot|can not|won['’]?t|unable|not able|not allowed|not comfortable)\b"
    r"|(?:sorry|apologies|unfortunately|i apologi[sz]e)\b[^.!?]{0,60}?\b(?:i|we)\b[^.!?]{0,20}?"
    r"\b(?:can['’]?t|cannot|can not|won['’]?t|unable|not able|not allowed)\b"
    r"|i\s+(?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to|must decline to|decline to)\s+"
    r"(?:\w+\s+)?(?:help|assist|comply|provide|answer|do that|do this|fulfil+|engage|create|write|generate|discuss)\b"
    r"|as an? (?:ai|artificial intelligence|language model|large language model|ai language model)\b[^.!?]{0,80}?"
    r"\b(?:can['’]?t|cannot|can not|unable|not able|don['’]?t|do not|not allowed)\b)",
    re.IGNORECASE,
)
FINISHED = re.compile(r"[.!?…:;)\]}>\"'”’»`*|。！？]\s*$|\d\s*$")
LAST_WORDS = re.compile(
    r"(?:,|-|\b(?:the|a|an|of|to|and|or|but|with|for|in|on|at|by|from|is|are|was|were|that|which|because|if|as|than"
    r"|your|their|its|my|our|this|these|into|such|can|will|would|should))\s*$",
    re.IGNORECASE,
)
LONG_WORDS = 25
"""An answer of so many words that ends in the middle of a sentence was cut; a shorter one may be a phrase."""


def holds_answers(column: str) -> bool:
    """Whether a column's name says that it holds answers."""
    return column.strip().lower() in ANSWER_COLUMNS


def wrong_answer(text: str) -> str:
    """Why a text is no use as an answer; empty if nothing shows."""
    shown = text.strip()
    if REFUSAL.search(shown.replace("\n", " ")[:400]):
        return "refused"
    return "cut off" if is_cut_off(shown) else ""


def is_cut_off(text: str) -> bool:
    """Whether it ends in the middle: an open code block, a word that wants another, or a long text with no end mark."""
    if text.count("```") % 2:
        return True
    words = text.split()
    if len(words) >= 4 and LAST_WORDS.search(text):
        return True
    last = text.rsplit("\n", 1)[-1].split()
    is_listed = "\n" in text and len(last) < LONG_WORDS
    return len(words) >= LONG_WORDS and not FINISHED.search(text) and not is_listed
