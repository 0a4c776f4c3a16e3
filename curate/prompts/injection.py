"""Text that tries to take the teacher over instead of asking it something, by the forms such texts take."""

from __future__ import annotations

import re
import unicodedata

from curate.prompts.forms import INVISIBLE, fold_lookalikes
from curate.prompts.work import Gone, Work

OVERRIDE = r"\b(?:ignore|disregard|forget|override|bypass|neglect|skip|drop)\b"
WHOSE = r"(?:all |any |every |the |these |those |your |my |of |its )*"
WHICH = (
    r"(?:(?:previous|prior|above|earlier|preceding|foregoing|initial|original|system|safety|content|hidden)\b"
    r" ?(?:and |or )?){0,3}"
)
RULES = (
    r"(?:instruction|rule|prompt|guideline|polic|restriction|direction|command|constraint|training|programming|filter)"
)
SHOW = r"\b(?:reveal|print|output|show|repeat|leak|expose|disclose|dump|display|tell me|give me|send me)\b"
HIDDEN = (
    r"(?:system prompt|hidden prompt|hidden instruction\w*|initial prompt|secret (?:key|prompt)|api key"
    r"|training data verbatim|prompt verbatim|instructions verbatim|developer message)"
)
LOOSED = r"(?:unrestricted|unfiltered|uncensored|jailbr\w+)"
PATTERNS: dict[str, str] = {
    "overrides instructions": rf"{OVERRIDE} {WHOSE}{WHICH}{RULES}",
    "overrides what came before": r"\b(?:ignore|disregard|forget)\b (?:all |everything |anything )?"
    r"(?:that (?:was|came|is) )?(?:of the )?(?:above|before|previous(?:ly)?|you (?:were|have been) told)\b",
    "claims a new mode": r"\byou are (?:now |from now on )*(?:in |entering |a |an )*"
    rf"(?:developer|debug|god|admin|root|dan|{LOOSED})"
    r"|\b(?:developer|god|dan|jailbreak|debug) mode (?:on|enabled|activated)\b|\bdo anything now\b"
    rf"|\bas an? (?:{LOOSED}|evil) (?:model|ai|assistant|llm|bot)\b",
    "asks for hidden text": rf"{SHOW}.{{0,30}}?\b(?:your |the )?{HIDDEN}",
    "fakes a role": r"</?(?:system|assistant|developer)>|<\|(?:im_start|im_end|system|endoftext)\|>"
    r"|\[/?(?:INST|SYS)\]|<</?SYS>>|#{2,} *(?:instruction|system|prompt) (?:override|injection)"
    r"|(?:^|\n)\s*(?:#{2,} *)?(?:system|assistant|developer)(?: (?:prompt|message|override))? ?:"
    r" .{0,60}\b(?:you are|you must|ignore|print|reveal)\b",
    "dictates the answer": r"\b(?:reply|respond|answer|say|output)\b (?:only |just |exactly |nothing but )+(?:with )?"
    r"[\"'“]?(?:pwned|hacked|i have been)",
}
INJECTIONS = {reason: re.compile(pattern, re.IGNORECASE) for reason, pattern in PATTERNS.items()}
HINT = re.compile(
    r"ignore|disregard|forget|overrid|bypass|neglect|skip|drop|mode|system|assistant|developer|unrestrict|unfilter|uncensor"
    r"|jailbr|anything now|reveal|print|output|verbatim|key|prompt|\[/?INST|im_start|endoftext|SYS|pwned|hacked|dan\b",
    re.IGNORECASE,
)


def injection(work: Work) -> list[Gone]:
    """Rows that carry an attempt to override the instructions of whoever reads them."""
    drops = []
    for row, original in enumerate(work.prompts.texts):
        text = original
        if not text.isascii():
            text = fold_lookalikes(unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold())
        if HINT.search(text):
            found = [reason for reason, pattern in INJECTIONS.items() if pattern.search(text)]
            if found:
                drops.append(Gone(row, f"prompt injection: {found[0]}", score=float(len(found))))
    return drops
