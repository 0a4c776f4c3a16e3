"""Detectors: wording that restricts use, licenses named in prose, and weights that leaked."""

# ruff: noqa: E501 – patterns stand whole

import re
from collections.abc import Iterator

from curate.licenses.body import Body, Place
from curate.licenses.lazy import Pattern
from curate.licenses.prose_languages import FORBIDDEN, USE_NOUN_AFTER, USE_NOUN_BEFORE
from curate.licenses.statements import Reading, Statement, is_about_another, says_no

MAX_HITS = 40
NONCOMMERCIAL = (
    r"non[- ]?commercial(?:ly)?|noncommercial|não[- ]comercial|no comercial|nicht[- ]kommerziell\w*|некоммерческ\w+"
)
RESTRICTED = Pattern(
    rf"\b(?:{NONCOMMERCIAL})\b|"
    r"\bresearch-only\b|\bresearch(?: and \w+)?(?: use| uses| purposes?| preview| usage)? only\b(?! (?:part|begin|start|show|focus|look)\w*)|"
    r"\bacademic (?:use|research|purposes?) only\b(?! (?:part|begin|start|show|focus|look)\w*)|"
    r"\bonly (?:be )?(?:used |available |intended |released |permitted |"
    r"allowed )?for (?:\w+ ){0,3}?(?:research|academic|scientific)\b|"
    r"\bsolely for (?:\w+ ){0,2}?(?:research|academic|scientific)\b|\b(?:restricted|"
    r"limited) to (?:\w+ ){0,3}?(?:research|academic)\b|"
    r"\bfor (?:academic |scientific )?research (?:purposes? )?only\b|\bfor research purposes?\b|"
    r"\b(?:prohibit\w*|forbid\w*|not (?:to )?(?:be )?(?:allow\w*|permit\w*|licensed|intended|used|"
    r"available|for|suitable|use))[\s:]+(?:\w+\s){0,5}?"
    r"commercial(?:ly| use| usage| purposes?)?\b|\bcommercial (?:use|usage|purposes?)(?: of [\w ]{1,30}?)? (?:is|"
    r"are) (?:strictly )?(?:not|never|prohibited|forbidden)\b|"
    r"\bno commercial (?:use|usage)\b|\bcan ?not (?:be )?used? (?:it |this |these |them |the )?(?:\w+ )?(?:for )?commercial\w*|"
    r"\bcommercial (?:use|licen[sc]e|usage)[^.\n]{0,60}(?:contact|apply|application|"
    r"e-?mail|request|authori[sz]ation|permission|fill)|"
    rf"{FORBIDDEN}|"
    r"仅供(?:学术)?研究|仅用于(?:学术)?研究|不得用于(?:任何)?商业|禁止商用|非商用|非商业|商用利用不可|商用不可|비상업"
)
RESTRICTED_STEMS = (
    "commercial",
    "research",
    "academic",
    "scientific",
    "comercial",
    "kommerziell",
    "коммерч",
    "商",
    "研究",
    "비상업",
    "営利",
    "상업",
    "비영리",
    "연구",
    "исследоват",
    "学术",
    "科研",
)
BOTH = Pattern(
    r"\bcommercial\w* (?:use |purposes? |applications? )?(?:and|or|/|as well as|&) ?(?:for )?non|"
    r"non-?commercial\w*[,\w ]{0,24}(?:and|or|/|as well as|&) ?(?:for )?commercial|both (?:research|academic|non)|"
    r"research and commercial|commercial and research|academic and commercial|academic research and free commercial|"
    r"research (?:or|and/or) commercial|commercial (?:or|and/or) research"
)
LICENSE_WORDS = Pattern(
    r"licen[sc]\w*|terms|permitted|allowed|prohibit|restrict|must not|may not|cannot|"
    r"can not|cc[- ]by|copyright|comply|agreement|usage"
)
ADVISED = Pattern(r"\b(?:only|solely|intended|released?|strictly|purely|provided|meant|exclusively)\b")
BINDS = Pattern(r"\b(?:can|may|must|shall)\s+$")
DATA_IS = Pattern(r"\bdata\w*\b[^.]{0,40}\b(?:is|are|has|have|under|with)\b[^.]{0,30}$")
USE_WORDS = Pattern(
    r"^\W{0,3}(?:\w+\W+){0,2}?(?:use\w*|usage|purposes?|research\w*|licen[sc]\w*|only|basis|academic\w*|projects?|application\w*|terms?|data\w*|"
    r"version|intent|clause|agreement|3d|distribution)\b"
)
LEAKED = Pattern(
    r"\bleak(?:ed)?\b[^.\n]{0,30}\b(?:weights?|models?|checkpoint)\b|\b(?:weights?|models?|"
    r"checkpoint)\b[^.\n]{0,30}\b(?:was|were|been|got) leaked\b"
)
NAMED_LICENSE = Pattern(
    r"\b(?:cc|creative commons)[- ]?by[- ]?nc[- ]?(?P<nc>sa|nd)?\b|\b(?:cc|creative commons)[- ]?by[- ]?(?P<sd>sa|nd)\b|"
    r"attribution[- ]non-?commercial|attribution[- ]share-?alike|"
    r"\b(?P<agpl>a?gpl)(?:[- ]?v?[23](?:\.0)?)?\b|"
    r"\b(?:llama[- ]?(?P<v>[1234](?:\.\d)?)?[- ](?P<llama>community licen[sc]e|licen[sc]e|acceptable use policy))|"
    r"(?P<gemma>gemma (?:terms of use|licen[sc]e))|(?P<rail>open ?rail(?:\+\+)?(?:-m)?)\b|"
    r"(?P<yi>yi (?:series )?(?:models )?(?:community )?licen[sc]e)|"
    r"(?P<qwen>tongyi qianwen|qwen licen[sc]e|qianwen licen[sc]e)"
)
LICENSE_STEMS = (
    "cc-by",
    "cc by",
    "ccby",
    "attribution",
    "gpl",
    "rail",
    "licens",
    "licenc",
    "gemma terms",
    "qianwen",
    "acceptable use",
)
GRANTS = Pattern(
    r"licen[sc]e|released under|distributed under|available under|terms|subject to|governed|lizenz|licenza|licença|licencia|лиценз|ライセンス|라이선스|许可|协议|\bweights:"
)
DATA_IS_UNDER = Pattern(r"\bdata ?(?:sets?)?\b[^.]{0,60}\b(?:is|are|under)\W{1,3}$")
OF_TOOLS = Pattern(
    r"\b(?:code|repository|repo|script|library|software|images?|photo|documentation|paper|docs)\b[^.;|]{0,60}$"
)
OF_CODE = Pattern(
    r"\b(?:code|repository|repo|source|script|library|software|data ?sets?|data|corpus|images?|"
    r"photo|documentation|paper|docs)\b[^.;|]{0,60}$"
)


def restricted_use(reading: Reading) -> Iterator[Statement]:
    """Wording that bars commercial use or allows research alone; mere advice is told apart."""
    body = reading.body
    for count, match in enumerate(body.search_near(RESTRICTED, RESTRICTED_STEMS)):
        if count > MAX_HITS:
            return
        place = body.place(match.start(), match.end())
        if _is_harmless(match[0], place) or is_about_another(reading, place):
            continue
        hard = _is_hard(match[0], place, body)
        if hard is not None and (hard or not _in_table(body, match.start())):
            yield Statement("restriction" if hard else "advice", match[0], place)


def _is_harmless(wording: str, place: Place) -> bool:
    """Both kinds of use allowed, a condition on the reader, or the license of the code."""
    if BOTH.search(place.sentence) or re.search(r"\bcode\b.{0,30}\blicen", place.sentence):
        return True
    if wording.startswith("only") and place.before.endswith("not "):
        return True
    starts_open = wording.startswith(("non", "commercial", "não", "nicht"))
    return (starts_open and says_no(place)) or re.search(r"\bif you\b|\bunless\b", place.before) is not None


def _is_hard(wording: str, place: Place, body: Body) -> bool | None:
    """True for a restriction, False for advice or a condition, None for neither."""
    if re.search(r"commercial.*(?:contact|apply|applic|mail|request|authori|permission|fill)", wording):
        return False
    rest = place.sentence.replace(wording, " ")
    if re.match(r"for research purposes?$", wording) and not ADVISED.search(rest):
        return None
    if wording.startswith(("restricted", "limited", "solely", "research-only")):
        return True
    if wording.startswith("only") and BINDS.search(place.before):
        return True
    if re.match(rf"(?:{NONCOMMERCIAL})$", wording):
        told = (
            USE_NOUN_AFTER.match(place.after)
            or USE_NOUN_BEFORE.search(place.before)
            or USE_WORDS.match(place.after)
            or DATA_IS.search(place.before)
            or LICENSE_WORDS.search(rest)
            or "licen" in body.heading(place.start)
        )
        return True if told else None
    return "commercial" in wording or not wording.isascii() or LICENSE_WORDS.search(rest) is not None


def _in_table(body: Body, at: int) -> bool:
    """Whether a line belongs to a table, whose cells speak of many models."""
    begin = body.low.rfind("\n", 0, at) + 1
    return body.low[begin : begin + 12].lstrip().startswith(("|", "<th", "<td"))


def named_licenses(reading: Reading) -> Iterator[Statement]:
    """Licenses that prose names for the model itself."""
    body = reading.body
    for count, match in enumerate(body.search_near(NAMED_LICENSE, LICENSE_STEMS)):
        if count > MAX_HITS:
            return
        place = body.place(match.start(), match.end())
        told = GRANTS.search(place.sentence) or DATA_IS_UNDER.search(place.before)
        if not (told or "licen" in body.heading(match.start())):
            continue
        if says_no(place) or is_about_another(reading, place):
            continue
        license_id = _license_id(match)
        aside = OF_TOOLS if license_id.startswith("cc-by-nc") else OF_CODE
        if aside.search(place.before[-90:]) and not reading.is_dataset:
            continue
        yield Statement("license", license_id, place)


def _license_id(match: re.Match[str]) -> str:
    """The catalogue entry that a license named in prose stands for."""
    groups = match.groupdict()
    if groups["llama"]:
        version = groups["v"] or "2"
        return f"llama{version}" if version in ("1", "2", "3", "4", "3.1", "3.2", "3.3") else "llama2"
    for key, entry in (("gemma", "gemma"), ("rail", "openrail"), ("yi", "yi-license"), ("qwen", "tongyi-qianwen")):
        if groups[key]:
            return entry
    if groups["agpl"]:
        return "agpl-3.0" if groups["agpl"].startswith("a") else "gpl"
    if groups["sd"]:
        return f"cc-by-{groups['sd']}-4.0"
    if "alike" in match[0]:
        return "cc-by-sa-4.0"
    return f"cc-by-nc-{groups['nc']}-4.0" if groups["nc"] else "cc-by-nc-4.0"


def leaked_weights(reading: Reading) -> Iterator[Statement]:
    """A word that the weights leaked."""
    for match in reading.body.search_near(LEAKED, ("leak",)):
        place = reading.body.place(match.start(), match.end())
        if not says_no(place) and "data leak" not in place.sentence:
            yield Statement("leak", match[0], place)
            return
