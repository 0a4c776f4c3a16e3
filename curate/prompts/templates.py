"""Templates with unfilled slots: a request that went out before its blanks were filled in.

A slot is one name in braces, brackets or angles, an order to insert something, or a line to write on. Code, mark-up
and talk about placeholders hold the same signs and mean them; where the text shows one of these, its slots stay.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 20_000
FENCED = re.compile(r"```.*?(?:```|$)|`[^`\n]+`", re.DOTALL)
TEMPLATE_CODE = re.compile(r"\{%-?\s*\w|\{\{\s*[^{}\n]{1,200}?\s*\}\}")
DOUBLE = re.compile(r"(?<!\{)\{\{\s*[A-Za-z_][\w ]{0,40}\s*\}\}(?!\})")
ORDER = re.compile(
    r"[\[<]\s*(?:insert|enter|your|add|type|paste|choose|fill in|specify|describe|name of|e\.g\.)\b[^\]>\n]{0,80}[\]>](?!\()"
    r"|\[(?:(?:first|last|full|company|product|job|city|user|brand) )?(?:name|topic|company|product|date|city|country"
    r"|subject|title|language|number|text|place|person|position|role|recipient)\](?![(\[:])",
    re.IGNORECASE,
)
CAPITALS = re.compile(r"(?<![\w\]\[])\[(?![ABCD]+\])[A-Z]{3,}(?:[ _/-][A-Z]+){0,4}\](?![(\[:])")
BRACES = re.compile(r"(?<![\w$\\^_{}%'\"(=])\{[a-z][a-z]+(?:[ _-]?[a-zA-Z]+){0,3}\}(?![\w{}'\"=)])")
DOLLAR = re.compile(r"(?<!\\)\$\{[a-zA-Z_]\w*(?::[^{}\n]{0,40})?\}")
ANGLES = re.compile(r"(?<![\w<$.:(=\"'])<{1,2}([a-z][a-z]+(?:[ _-][a-z]+){0,4})>{1,2}(?![\w(>])")
LINE = re.compile(r"(?<![\w_*])_{3,}(?![\w_*])")
NOT_SLOTS = frozenset(
    {"MASK", "CLS", "SEP", "PAD", "UNK", "BOS", "EOS", "INST", "SYS", "TODO", "NOTE", "WARNING", "FAQ"}
)
TAGS = frozenset(
    "address article aside audio base blockquote body br button canvas caption cite code col data datalist dd del"
    " details dfn dialog div dl dt em embed fieldset figure footer form frame head header hr html iframe img input ins"
    " kbd label legend li link main map mark menu meta meter nav object ol optgroup option output param picture pre"
    " progress ruby samp script section select small source span strong style sub summary sup svg table tbody td"
    " template textarea tfoot th thead time title tr track ul var video think answer tool pad unk eos bos mask sep cls"
    " iostream vector string map set stdio int char float double bool void any object".split()
)
CODE = re.compile(
    r"\b(?:def|class|function|import|return|const|let|var|public|private|fn|func|printf?|println|SELECT)\b[^.!?\n]{0,40}[({;=:]"
    r"|#include\b|=>|\\(?:begin|frac|sum|int|text|mathbb|left)\b|</\w|/>|;\s*(?:\n|$)|\bf[\"']|<\?(?:php|xml)|^\s*[.#]?[\w-]+\s*\{\s*$",
    re.MULTILINE,
)
TALK = re.compile(
    r"\bplace-?holders?\b|\b(?:curly|square|angle) ?brac(?:e|ket)|\bf-strings?\b|\bformat string|\bjinja\b|\bmustache\b"
    r"|\bhandlebars\b|\bregex|\bregular expression|\btemplat(?:ing|e) (?:engine|string|literal|syntax|variable)|\breplace (?:all|every|the|each|any)\b",
    re.IGNORECASE,
)
CLOZE = re.compile(
    r"\bfill(?:ing|s|ed)?\b|\bblanks?\b|\bcomplete\b|\bmissing\b|\bchoose\b|\boptions?\b|\banswer\b|\bwhich\b|\bword\b"
    r"|^\s*\(?[A-Da-d][).:]\s|\bcorrect\b|\bcloze\b|\bgap\b|=|\?",
    re.IGNORECASE | re.MULTILINE,
)
TO_DO = re.compile(
    r"^\W*(?:please )?(?:write|translate|explain|summari[sz]e|act|give|create|generate|describe|tell|list|compose|draft"
    r"|make|convert|i want|you are|help|compare|suggest|recommend|imagine|pretend|dear|hi|hello|how|what|who|when|where|why)\b",
    re.IGNORECASE,
)


def unfilled_slot(text: str) -> str:
    """The first unfilled slot of a text as it stands there; empty where there is none."""
    if not any(sign in text for sign in ("{", "[", "<", "___")):
        return ""
    shown = FENCED.sub(" ", text[:MOST_CHARACTERS])
    if TALK.search(shown) or is_template_code(shown):
        return ""
    found = DOUBLE.search(shown) or ORDER.search(shown) or line_to_write_on(shown)
    if found is None and not CODE.search(shown):
        found = BRACES.search(shown) or DOLLAR.search(shown) or named(shown)
    return found.group().strip() if found else ""


def is_template_code(text: str) -> bool:
    """Whether a text is a program of a template engine: statements, or expressions that are more than one name."""
    return any(not DOUBLE.fullmatch(found) for found in TEMPLATE_CODE.findall(text))


def named(text: str) -> re.Match[str] | None:
    """A slot in capitals or angles that no mark-up and no model uses as a sign of its own."""
    found = next((one for one in CAPITALS.finditer(text) if one.group()[1:-1] not in NOT_SLOTS), None)
    return found or next(
        (one for one in ANGLES.finditer(text) if one[1] not in TAGS and f"</{one[1]}" not in text), None
    )


def line_to_write_on(text: str) -> re.Match[str] | None:
    """A line of underscores in a request; in an exercise to be completed it is the exercise."""
    found = LINE.search(text)
    return found if found and TO_DO.search(text) and not CLOZE.search(text.replace(found.group(), " ", 1)) else None
