"""Clauses of license texts that bear on distillation, each found with its sentence; they can only make stricter.

``CLAUSES`` at the foot is the table: a condition of the catalogue's vocabulary, how it is worded, and the conditions of
an entry that already say as much.
"""

# ruff: noqa: E501 – patterns stand whole

from collections.abc import Iterable
from dataclasses import dataclass

from curate.licenses.lazy import Pattern

MAX_QUOTE = 400
SENTENCE = Pattern(r"[.;:。；](?=\s|\Z|[^\x00-\x7f])")
NOT = r"(?:may|will|shall|must|can|do|agrees?|undertakes?) ?not|not to|prohibited from|without"
OUTPUT = r"(?:outputs?|results?|generated (?:content|data|text)|responses?|synthetic data)"
NONCOMMERCIAL = r"non ?-? ?commercial"
LIMITS_USE = ("noncommercial-only", "research-only", "non-production-only", "internal-use-only")
LIMITS_TRAINING = (
    "student-must-be-same-family", "no-output-training", "no-competing-model", "no-foundation-model-training",
    "no-output-training-except-noncommercial", "no-competing-product", "no-commercial-synthetic-data", *LIMITS_USE,
)  # fmt: skip
ASKS_FIRST = (
    "mau-limit", "revenue-limit", "authorization-required", "registration-required-commercial", "royalty-commercial",
    "maas-separate-license", *LIMITS_USE,
)  # fmt: skip


@dataclass(frozen=True)
class Clause:
    """One thing a text demands or forbids."""

    condition: str
    quote: str
    """The sentence as written, bounded."""
    line: int


@dataclass(frozen=True)
class Wording:
    """How a condition is worded, and what an entry says that covers it."""

    condition: str
    pattern: Pattern
    stems: tuple[str, ...]
    """One of these stands in every text the pattern matches; others need not be searched."""
    covered_by: tuple[str, ...] = ()


def find_clauses(text: str) -> tuple[Clause, ...]:
    """The first sentence of each kind of clause in a license text."""
    flat, origin = _flattened(text)
    found = []
    for wording in CLAUSES:
        if not any(stem in flat for stem in wording.stems):
            continue
        match = wording.pattern.search(flat)
        if match is not None:
            begin = max((stop.end() for stop in SENTENCE.finditer(flat, 0, match.start())), default=0)
            stop = SENTENCE.search(flat, match.end())
            finish = min(stop.end() if stop else len(flat), begin + MAX_QUOTE, len(flat))
            first, last = origin[begin], origin[max(begin, finish - 1)]
            quote = " ".join(text[first : last + 1].split())
            found.append(Clause(wording.condition, quote, text.count("\n", 0, origin[match.start()]) + 1))
    return tuple(found)


def uncovered(clauses: Iterable[Clause], conditions: Iterable[str]) -> tuple[Clause, ...]:
    """The clauses that an entry with these conditions says nothing of: text and entry disagree."""
    known = {condition.partition(":")[0] for condition in conditions}
    covers = {wording.condition: {wording.condition, *wording.covered_by} for wording in CLAUSES}
    return tuple(clause for clause in clauses if not covers[clause.condition] & known)


def _flattened(text: str) -> tuple[str, list[int]]:
    """Lower case with every run of blanks and marks of emphasis as one blank, and where each character came from."""
    kept: list[str] = []
    origin: list[int] = []
    for at, char in enumerate(text):
        plain = " " if char.isspace() or char in "*_#>\"“”‘’'" else char.lower()
        if plain == " " and kept and kept[-1] == " ":
            continue
        kept.append(plain[0])
        origin.append(at)
    return "".join(kept), [*origin, len(text)]


def _worded(condition: str, pattern: str, stems: str, covered_by: tuple[str, ...] = ()) -> Wording:
    """A row of the table."""
    return Wording(condition, Pattern(pattern), tuple(stems.split("|")), covered_by)


CLAUSES: tuple[Wording, ...] = (
    _worded(
        "student-must-be-same-family",
        rf"{OUTPUT}[^.]{{0,200}}\bto improve (?:any )?(?:other )?[^.]{{0,60}}\bmodels?\b"
        rf"|{OUTPUT}[^.]{{0,120}}(?:improve|train)[^.]{{0,60}}models? (?:other than|excluding|except)",
        "improve|train",
        LIMITS_TRAINING,
    ),
    _worded(
        "no-output-training",
        rf"(?:{NOT})\b[^.]{{0,220}}\b{OUTPUT}\b[^.]{{0,120}}\b(?:to|for) (?:\w+ ){{0,2}}?(?:train|develop|distil|fine-?tun|creat|improv)\w*"
        rf"|(?:{NOT})\b[^.]{{0,120}}\b(?:train|distil|fine-?tun|develop|improv)\w*[^.]{{0,80}}\bmodels?\b[^.]{{0,80}}\b{OUTPUT}\b"
        rf"|(?:{NOT})[^.]{{0,60}}\bdistil\w*|no (?:model )?(?:training|distillation) on (?:the )?{OUTPUT}",
        "train|distil|tun|develop|improv|creat",
        LIMITS_TRAINING,
    ),
    _worded(
        "no-competing-model",
        r"\bmodels?\b[^.]{0,120}\b(?:that |which )?(?:is |are )?(?:directly |indirectly |or )*(?:compet(?:e|es|ing|itive))\b"
        r"|\bcompet(?:e|es|ing|itive)\b[^.]{0,80}\b(?:models?|products?|services?)\b",
        "compet",
        LIMITS_TRAINING,
    ),
    _worded(
        "noncommercial-only",
        rf"(?:(?<!alternative is allowed )only|solely|exclusively|limited to|restricted to|strictly)\b[^.]{{0,90}}\b{NONCOMMERCIAL}"
        rf"|\b{NONCOMMERCIAL}\b[^.]{{0,50}}\b(?:purposes?|use|uses|research|basis)\b[^.]{{0,30}}\bonly\b"
        rf"|(?:for|your|any) {NONCOMMERCIAL}[^.]{{0,30}} (?:purposes?|use|uses)\b|{NONCOMMERCIAL} (?:licen[sc]e|international)"
        rf"|(?:{NOT})\b[^.]{{0,90}}\b(?:for|any) (?:\w+ ){{0,4}}?commercial (?:use|purposes?|advantage|gain)"
        r"|不得[^。]{0,20}商业|非商业(?:用途|使用|目的)|仅[^。]{0,12}非商",
        "commercial|商业|非商",
        (*LIMITS_USE, "registration-required-commercial", "authorization-required"),
    ),
    _worded(
        "research-only",
        r"\b(?:only|solely|exclusively|sole purpose|limited|restricted)\b[^.]{0,60}\b(?:scientific |academic )?research\b"
        r"|\bresearch (?:purposes?|use|uses)\b[^.]{0,20}\bonly\b|\bresearch[- ]only\b|仅[^。]{0,12}研究",
        "research|研究",
        LIMITS_USE,
    ),
    _worded("non-production-only", r"\bnon-?production\b", "production", LIMITS_USE),
    _worded("mau-limit", r"\b(?:monthly|daily) active users?\b", "active user", ASKS_FIRST),
    _worded(
        "revenue-limit",
        r"\b(?:annual|monthly|recurring|gross|total|aggregate)\b[^.]{0,40}\brevenues?\b[^.]{0,120}(?:\d|million|usd|\$)"
        r"|(?:us dollars?|usd|\$)[^.]{0,60}\brevenue",
        "revenue",
        (*ASKS_FIRST, "derivative-impact-report"),
    ),
    _worded(
        "registration-required-commercial",
        r"commercial[^.]{0,140}\b(?:register|registration|apply for|application (?:form|to|for)|obtain[^.]{0,40}(?:authori[sz]ation|licen[sc]e)"
        r"|request a (?:commercial )?licen[sc]e|contact (?:us|the licensor))|填写[^。]{0,20}(?:登记|申请)|登记|申请[^。]{0,12}商用",
        "commercial|登记|申请",
        ASKS_FIRST,
    ),
    _worded(
        "name-prefix",
        r"\bat the beginning of\b[^.]{0,60}\bname|\bname[^.]{0,60}\b(?:begin|start)s? with\b",
        "beginning of|name",
        ("name-prefix",),
    ),
    _worded(
        "display",
        r"\bprominently display\b|\bbuilt with \w+",
        "prominently display|built with",
        ("display", "notice-file"),
    ),
    _worded(
        "territory-excluded",
        r"does not apply in the|\bnot (?:be |being )?(?:granted|grant|apply)[^.]{0,160}\beuropean union\b"
        r"|\beuropean union\b[^.]{0,80}\bnot (?:be )?granted",
        "does not apply in|european union",
        ("territory-excluded",),
    ),
    _worded(
        "distilled-model-is-derivative",
        r"\b(?:derivatives?|modified)\b[^.]{0,400}\b(?:distillation|patterns of the weights|intermediate data representations)\b",
        "distillation|patterns of the weights|intermediate data",
        ("distilled-model-is-derivative",),
    ),
    _worded(
        "no-redistribution-of-weights",
        r"\b(?:may|shall|will|must) not\b[^.]{0,60}\b(?:distribute|share|publish|disclose|sublicen[sc]e)\b[^.]{0,60}"
        r"\b(?:the )?(?:weights|models?|materials|parameters)\b(?![^.]{0,60}\bunless\b)",
        "distribute|share|publish|disclose|sublicen",
        (
            "no-redistribution-of-weights",
            "no-derivatives-sharing",
            "outputs-covered",
            "copy-of-license",
            "name-prefix",
            *LIMITS_USE,
        ),
    ),
)
