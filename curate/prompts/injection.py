"""Text that tries to take the teacher over instead of asking it something, by the forms such texts take."""

from __future__ import annotations

import re
import unicodedata

from curate.prompts.forms import INVISIBLE, fold_lookalikes
from curate.prompts.results import Drop
from curate.prompts.work import Work

BEFORE = r"(?:all |any |every |the |these |those |your |my |of |its )*"
RULES = r"(?:instruction|rule|prompt|guideline|polic|restriction|direction|command|constraint|training|programming|filter)"
PATTERNS: dict[str, str] = {
    "overrides instructions": rf"\b(?:ignore|disregard|forget|override|bypass|neglect|skip|drop)\b {BEFORE}"
    rf"(?:(?:previous|prior|above|earlier|preceding|foregoing|initial|original|system|safety|content|hidden)\b ?(?:and |or )?){{0,3}}{RULES}",
    "overrides what came before": r"\b(?:ignore|disregard|forget)\b (?:all |everything |anything )?(?:that (?:was|came|is) )?"
    r"(?:of the )?(?:above|before|previous(?:ly)?|you (?:were|have been) told)\b",
    "claims a new mode": r"\byou are (?:now |from now on )*(?:in |entering |a |an )*(?:developer|debug|god|admin|root|dan|jailbr\w+|unrestricted|unfiltered|uncensored)"
    r"|\b(?:developer|god|dan|jailbreak|debug) mode (?:on|enabled|activated)\b|\bdo anything now\b"
    r"|\bas an? (?:unrestricted|unfiltered|uncensored|jailbroken|evil) (?:model|ai|assistant|llm|bot)\b",
    "asks for hidden text": r"\b(?:reveal|print|output|show|repeat|leak|expose|disclose|dump|display|tell me|give me|send me)\b.{0,30}?"
    r"\b(?:your |the )?(?:system prompt|hidden prompt|hidden instruction\w*|initial prompt|secret (?:key|prompt)|api key|training data verbatim|"
    r"prompt verbatim|instructions verbatim|developer message)",
    "fakes a role": r"</?(?:system|assistant|developer)>|<\|(?:im_start|im_end|system|endoftext)\|>|\[/?(?:INST|SYS)\]|<</?SYS>>"
    r"|(?:^|\n)\s*(?:#{2,} *)?(?:system|assistant|developer)(?: (?:prompt|message|override))? ?: .{0,60}\b(?:you are|you must|ignore|print|reveal)\b"
    r"|#{2,} *(?:instruction|system|prompt) (?:override|injection)",
    "dictates the answer": r"\b(?:reply|respond|answer|say|output)\b (?:only |just |exactly |nothing but )+(?:with )?[\"'“]?(?:pwned|hacked|i have been)",
}
INJECTIONS = {reason: re.compile(pattern, re.IGNORECASE) for reason, pattern in PATTERNS.items()}
HINT = re.compile(
    r"ignore|disregard|forget|overrid|bypass|neglect|skip|drop|mode|system|assistant|developer|unrestrict|unfilter|uncensor"
    r"|jailbr|anything now|reveal|print|output|verbatim|key|prompt|\[/?INST|im_start|endoftext|SYS|pwned|hacked|dan\b",
    re.IGNORECASE,
)


def injection(work: Work) -> list[Drop]:
    """Rows that carry an attempt to override the instructions of whoever reads them."""
    drops = []
    for row, original in enumerate(work.prompts.texts):
        text = original
        if not text.isascii():
            text = fold_lookalikes(unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold())
        if HINT.search(text):
            found = [reason for reason, pattern in INJECTIONS.items() if pattern.search(text)]
            if found:
                drops.append(work.drop("injection", row, f"prompt injection: {found[0]}", score=float(len(found))))
    return drops
