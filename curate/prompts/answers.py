"""What is wrong with an answer, beside what is wrong with any text: refused, cut off before its end, or in a loop."""

from __future__ import annotations

import re
import unicodedata

ANSWER_COLUMNS = ("answer", "answers", "response", "output", "completion", "target", "solution", "reply")
CANNOT = (
    r"(?:can['’]?t|can ?not|could ?n[o'’]?t|won['’]?t|will not|would not|(?:i am|i['’]m|we are|we['’]re|am|are)? ?"
    r"(?:unable|not able|not allowed|not permitted|not going)|(?:it['’]s|it is|this is|that is|is) not"
    r" (?:possible|something))"
)
HELP = (
    r"(?:\w+ly |\w+ you |in good \w+ )?(?:be able to )?(?:help(?! but\b)|assist|comply|provide|answer"
    r"|do (?:that|this|so)|fulfil+|engage|create|write|generate|discuss|respond|advise|give (?:\w+ ){0,2}advice"
    r"|be of (?:help|assistance)"
    r"|browse|open (?:links|files)|access|share|produce|process|talk about|form|comment|speculate)\b"
)
MODEL = r"an? (?:\w+ ){0,2}(?:ai|artificial intelligence|language model|chat ?bot|virtual assistant)\b"
IS_MODEL = rf"(?:as|being|i['’]?m|i am|since i am) (?:just |only )?{MODEL}"
ANSWERING = r"(?:talk|discuss|answer|help|assist|respond|comment|share|provide|give|do (?:that|this)|engage|write)"
OPENINGS = re.compile(
    rf"^\W*(?:no\b,? |however,? |{IS_MODEL},? )?(?:"
    rf"(?:i['’]?m|i am|we['’]re|we are) (?:\w+ )?(?:sorry|afraid)\b[^.!?]{{0,100}}?\b{CANNOT}"
    r"|(?:(?:i['’]?m |i am )?sorry|(?:my )?apologies|unfortunately|regrettably"
    r"|i (?:do |must )?(?:apologi[sz]e|regret))\b"
    rf"[^.!?]{{0,100}}?\b(?:{CANNOT} (?:for me|i)\b|(?:i|we)\b[^.!?]{{0,20}}?\b{CANNOT})"
    rf"|(?:i|we) (?:{CANNOT}|decline)(?: to)? {HELP}|i['’]m {CANNOT}(?: to)? {HELP}"
    r"|(?:i|we|i['’]m) (?:must|need to|(?:am |are )?(?:going to |will )?have to|going to have to)"
    r" (?:\w+ )?(?:decline|refuse|pass)\b"
    r"|i(?: am|['’]m| do) ?(?:not|n['’]t) (?:feel )?comfortable \w+ing\b|i don['’]t feel comfortable \w+ing\b"
    rf"|i(?:['’]d| would) (?:rather|prefer) not (?:to )?{ANSWERING}"
    r"|i(?: am|['’]m| was| have been) (?:\w+ )?(?:programmed|designed|trained|instructed|built)"
    r" (?:not to|to not|to avoid)\b"
    rf"|{IS_MODEL}[^.!?]{{0,80}}?\b{CANNOT}"
    r"|i (?:do not|don['’]?t) have (?:access to|the (?:ability|capability|capacity) to)\b"
    r"|my (?:\w+ )?(?:guidelines|policy|policies|principles|programming|instructions)\b[^.!?]{0,20}?"
    r"\b(?:not (?:allow|permit|let)|n['’]t (?:allow|permit|let)|prevents?|forbids?|prohibits?)\b"
    r"|(?:this|that|it|it['’]s|this isn['’]t|your request|this request|the request)\b[^.!?]{0,40}?"
    r"\b(?:against my (?:\w+ )?(?:guidelines|policy|policies|principles|programming)|not be appropriate for me"
    r"|(?:not|n['’]t) something (?:that )?i(?: can|['’]m able| am able)"
    r"|(?:outside|beyond)(?: of)? (?:what i can|my (?:\w+ )?(?:abilities|capabilities|scope))"
    r"|has been (?:refused|declined|denied|blocked))\b)",
    re.IGNORECASE,
)
NO_OPINION = re.compile(
    rf"^\W*(?:{IS_MODEL}[^.!?]{{0,80}}?\b(?:don['’]?t|do not|have no)\b|i (?:do not|don['’]?t) have|i have no)"
    r"[^.!?]{0,40}?\b(?:personal|opinions?|feelings?|beliefs?|experiences?|preferences?|consciousness|emotions?)\b",
    re.IGNORECASE,
)
"""The model says what it lacks: a refusal, unless an answer follows all the same."""
LATER = re.compile(
    rf"\b(?:i|we) {CANNOT}(?: to)? {HELP}|\bi['’]m {CANNOT}(?: to)? {HELP}|\bi (?:have|need) to (?:decline|refuse)\b",
    re.IGNORECASE,
)
"""In an answer of a few words, the refusal may come after some courtesy."""
LETTER = re.compile(r"^\W*(?:dear|hi|hello|hey)\b|^\s*[\"“‘']", re.IGNORECASE)
FEW_WORDS = 40
FINISHED = re.compile(r"[.!?…:;)\]}>\"'”’»`*|。！？]\s*$|\d\s*$")
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]*]*\s*$")
ENDS_INSIDE = re.compile(r"[^\W\d_]{2}[\"'”’)]?[.!?…][\"'”’)]?\s+(?=[^\W\d_a-z])")
BULLET = re.compile(r"\s*(?:[-*•–]|\(?\w{1,2}[.)])\s")
LAST_WORDS = re.compile(
    r"(?:,|(?<=\s)[-=+*/×÷]|\b(?:the|a|an|of|to|and|or|but|with|for|in|on|at|by|from|is|are|was|were|that|which|because|if"
    r"|as|than|your|their|its|my|our|this|these|into|such|can|will|would|should|has|have|had|been|be|when|while|how|each"
    r"|every|he|she|they|we|whose|about|between))\s*$",
    re.IGNORECASE,
)
WHOLE_END = re.compile(r"https?://\S+\s*\Z|^\s*[―–—-]+ ?[A-Z][^\n]{0,60}\Z", re.MULTILINE)
CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*(?:def|class|return|import|from|for|while|if|elif|else|try|except|with|public|private|const|let|var"
    r"|function|#include)\b.*[:;({=\])\w]$|^\s*[\w.]+(?:\[[^\]]*\])? ?(?:[-+*/]?=|\() ?\S"
)
"""Told by its lines; code needs no end mark, and its words are no language."""
LONG_WORDS = 25
"""A line of so many words that ends in the middle of a sentence was cut; a shorter one may be a phrase."""
TAIL = 3_000
LOOPED_CHARACTERS = 60
LOOPED_TIMES = 4


def holds_answers(column: str) -> bool:
    """Whether a column's name says that it holds answers."""
    return column.strip().lower() in ANSWER_COLUMNS


def wrong_answer(text: str) -> str:
    """Why a text is no use as an answer; empty if nothing shows."""
    shown = text.strip()
    if is_refusal(shown):
        return "refused"
    if ends_in_a_loop(shown):
        return "the same text over and over"
    return "cut off" if is_cut_off(shown) else ""


def is_refusal(text: str) -> bool:
    """Whether it says that it will not answer, in its first sentences, and gives no answer after that."""
    start = " ".join(text[:600].split())[:400]
    if OPENINGS.search(start):
        return True
    words = text.split()
    if NO_OPINION.search(start):
        return len(words) < 2 * FEW_WORDS
    return len(words) <= FEW_WORDS and not LETTER.search(text) and bool(LATER.search(start))


def ends_in_a_loop(text: str) -> bool:
    """Whether one piece of text, not of signs alone, stands four times in a row at the end, last perhaps in part."""
    tail = text[-TAIL:]
    key = tail[-12:]
    before = tail.rfind(key, 0, len(tail) - 1)
    if before < 0 or len(key) < 12:
        return False
    period = len(tail) - len(key) - before
    same = period
    while same < len(tail) and tail[-1 - same] == tail[-1 - same + period]:
        same += 1
    unit = tail[-period:]
    least = LOOPED_CHARACTERS if any(letter.isalpha() for letter in unit) else 2 * LOOPED_CHARACTERS
    return same >= max(least, LOOPED_TIMES * period) and any(letter.isalnum() for letter in unit)


def is_cut_off(text: str) -> bool:
    """Whether it ends in the middle: an open code block, a word that wants another, or a text with no end mark.

    A line without an end mark was cut where the other lines of its kind, or sentences before it, have one.
    """
    if text.count("```") % 2:
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or is_code(lines):
        return False
    last = lines[-1].split()
    is_closing = len(lines) > 2 and len(last) <= 6 and last[-1].endswith(",")
    if len(text.split()) >= 4 and LAST_WORDS.search(text) and not is_closing:
        return True
    if is_closing or is_name(lines) or is_whole(text):
        return False
    return is_unlike_its_peers(lines) or breaks_off(lines[-1])


def is_unlike_its_peers(lines: list[str]) -> bool:
    """Whether the last line has no end mark where most others of its kind, items of a list or not, have one."""
    peers = [line for line in lines[:-1] if bool(BULLET.match(line)) == bool(BULLET.match(lines[-1]))]
    ended = sum(bool(SENTENCE_END.search(line)) for line in peers)
    enough = len(peers) >= 2 or len(lines[-1].split()) >= 8
    return bool(peers) and ended * 10 >= len(peers) * 6 and enough


def breaks_off(line: str) -> bool:
    """Whether one line is prose that does not end: some sentence of it does, or it is long and no list."""
    words = line.split()
    ends = [found.end() for found in ENDS_INSIDE.finditer(line)]
    if ends and len(words) >= 12 and len(line[ends[-1] :].split()) >= 3:
        return True
    return len(words) >= LONG_WORDS and line.count(",") * 5 < len(words)


def is_whole(text: str) -> bool:
    """Whether it ends as texts do: with a mark, a number, an emoji, an address of the web, or who said it."""
    return bool(FINISHED.search(text) or WHOLE_END.search(text[-200:])) or unicodedata.category(text[-1])[0] in "SM"


def is_code(lines: list[str]) -> bool:
    """Whether half of the lines look like a program's."""
    return bool(lines) and sum(bool(CODE_LINE.search(line)) for line in lines) * 2 >= len(lines)


def is_name(lines: list[str]) -> bool:
    """Whether the last line is a name, such as the one under a letter."""
    last = lines[-1].split()
    is_signed = len(lines) > 1 and lines[-2].rstrip().endswith(",") and len(lines[-2].split()) <= 4
    return 0 < len(last) <= 4 and (is_signed or all(word[:1].isupper() for word in last))
