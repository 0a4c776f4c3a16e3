"""Which license a text is: by the digest of its words, by a matcher of standard texts, else by title – and then unsure.

An identity counts only where the whole text is accounted for and its clauses are those the entry tells of.
"""

# ruff: noqa: E501 – patterns stand whole

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from curate.licenses.clauses import Clause, find_clauses, uncovered
from curate.licenses.facts import Catalogue, LicenseFacts
from curate.licenses.lazy import Pattern

MAX_CHARS = 200_000
HEAD_CHARS = 1_500
MARKUP = Pattern(r"<[a-zA-Z/][^>]{0,80}>")
WORDS = Pattern(r"[^\W_]+")
COPYRIGHT = Pattern(
    r"^[ \t>*#]*(?:(?i:copyright)[ \t:]*(?:\([cC]\)|©|\d{4})[^\n]*|\([cC]\)[ \t]*(?:[cC]opyright[ \t]*)?\d{4}[^\n]*|©[^\n]*"
    r"|Copyright(?: (?:by )?[A-Z][\w.,&-]*){1,8}|(?i:all rights reserved)\.?)[ \t]*$",
    re.M,
)
APPENDIX = Pattern(r"third-party archives\.\s*([\s\S]*?)Licensed under the Apache License")
MORE_THAN_A_NOTICE = Pattern(
    r"\b(?:may|not|must|shall|only|except|use[ds]?|using|non|commercial\w*|train\w*|terms?|licen[sc]e\w*|prohibit\w*|research\w*|provided|without)\b",
    re.I,
)
MAX_NOTICE_WORDS = 20
NAME_WORDS = frozenset({
    "copyright", "c", "and", "the", "of", "by", "for", "in", "at", "its", "all", "rights", "reserved",
    "contributors", "contributor", "authors", "author", "others", "other", "owners", "holders", "developers",
    "team", "members", "present", "de", "van", "von", "der", "la", "le", "et", "al", "inc", "llc", "ltd", "co",
    "gmbh", "www",
})  # fmt: skip
COPYING = Pattern(r"\s*(?:copyright|\(c\)|©)", re.I)
OWNER = Pattern(r"Copyright [\[{]yyyy[\]}] [\[{]name of copyright owner[\]}]")
BLANK_APPENDIX = (
    "third-party archives.\n\nCopyright [yyyy] [name of copyright owner]\n\nLicensed under the Apache License"
)
TITLE_WORDS = frozenset({
    "the", "a", "license", "licence", "licenses", "version", "v", "terms", "agreement", "public", "international",
    "creative", "commons", "attribution", "general", "gnu", "file", "text", "of", "and", "1", "2", "3", "4", "0",
    "spdx", "identifier", "identifiers", "https", "http", "www", "org", "opensource", "com", "creativecommons",
    "html", "txt",
})  # fmt: skip
How = Literal["fingerprint", "whole text", "title", ""]
TITLES: tuple[tuple[str, str], ...] = (
    ("llama4", r"llama 4 (?:community license|acceptable use policy)"),
    ("llama3.3", r"llama 3\.3 (?:community license|acceptable use policy)"),
    ("llama3.2", r"llama 3\.2 (?:community license|acceptable use policy)"),
    ("llama3.1", r"llama 3\.1 (?:community license|acceptable use policy)"),
    ("llama3", r"llama 3 (?:community license|acceptable use policy)"),
    ("llama2", r"llama 2 (?:community license|acceptable use policy)|code llama"),
    ("llama1", r"llama (?:research )?license agreement|non-commercial bespoke license"),
    ("gemma", r"gemma (?:terms of use|prohibited use policy)"),
    ("qwen-research", r"qwen research license"),
    ("tongyi-qianwen-research", r"tongyi qianwen research license"),
    ("tongyi-qianwen", r"tongyi qianwen license"),
    ("qwen", r"qwen (?:community )?license"),
    ("deepseek-license", r"deepseek (?:model )?license"),
    ("yi-license", r"yi series models (?:community )?license"),
    ("baichuan2-community", r"baichuan"),
    ("chatglm-license", r"the chatglm"),
    ("glm-4", r"the glm-4"),
    ("hunyuan-community", r"hunyuan"),
    ("orion-14b", r"orion-14b"),
    ("databricks-open-model", r"databricks open model license"),
    ("jamba-open-model", r"jamba open model license"),
    ("grok2-community", r"grok[- ]2 community license"),
    ("minimax-01", r"minimax model license"),
    ("kimi-modified-mit", r"modified mit[\s\S]{0,900}(?:kimi|moonshot)"),
    ("minimax-m2", r"minimax[\s\S]{0,900}permission is hereby granted"),
    ("mistral-mrl", r"mistral ai research license"),
    ("mistral-mnpl", r"mistral ai non-production license"),
    ("flux-1-dev-nc", r"flux[. ][\s\S]{0,20}non-commercial license"),
    ("exaone-1.2-nc", r"exaone ai model license agreement 1\.2"),
    ("exaone-1.1-nc", r"exaone ai model license"),
    ("opt-175b", r"opt-175b license"),
    ("msrla", r"microsoft research license"),
    ("fair-noncommercial-research-license", r"fair non-?commercial research license"),
    ("chameleon-research", r"chameleon research license"),
    ("seamless", r"seamless licensing agreement"),
    ("apple-amlr", r"apple machine learning research model"),
    ("apple-ascl", r"apple software is supplied"),
    ("bigcode-openrail-m", r"bigcode open ?rail"),
    ("creativeml-openrail-m", r"creativeml open ?rail"),
    ("bigscience-bloom-rail-1.0", r"bigscience rail license"),
    ("openrail", r"responsible ai license|open rail-?m|openrail"),
    ("cc-by-nc-nd-4.0", r"attribution-noncommercial-noderivatives 4\.0"),
    ("cc-by-nc-sa-4.0", r"attribution-noncommercial-sharealike 4\.0"),
    ("cc-by-nc-4.0", r"attribution-noncommercial 4\.0"),
    ("cc-by-nd-4.0", r"attribution-noderivatives 4\.0"),
    ("cc-by-sa-4.0", r"attribution-sharealike 4\.0"),
    ("agpl-3.0", r"gnu affero general public license"),
    ("lgpl-3.0", r"gnu lesser general public license"),
    ("gpl-3.0", r"gnu general public license"),
    ("stability-nc-research", r"stability ai non-?commercial research"),
    ("stability-community", r"stability ai community license"),
    ("nvidia-open-model", r"nvidia open model license"),
    ("openmdw-1.1", r"openmdw license agreement"),
    ("apache-2.0", r"apache license,? version 2\.0"),
    ("mit", r"permission is hereby granted, free of charge"),
)
"""What the head of a text calls itself: enough to suspect a license, never enough to allow it."""


@dataclass(frozen=True)
class Identity:
    """What a text was found to be, how, and what in it the entry does not tell of."""

    license: str = ""
    """Catalogue id; empty if nobody knows the text."""
    how: How = ""
    kind: Literal["license", "use-policy", "margin"] = "license"
    clauses: tuple[Clause, ...] = ()
    surplus: tuple[Clause, ...] = ()
    """Clauses that the entry does not tell of."""

    @property
    def is_certain(self) -> bool:
        """Whether the whole text is accounted for and its clauses agree with the entry."""
        return self.how in ("fingerprint", "whole text") and not self.surplus


def fingerprint(text: str) -> str:
    """SHA-256 of a text's words: lower case, without markup, punctuation, blanks and line breaks."""
    plain = unicodedata.normalize("NFKC", MARKUP.sub(" ", text)).lower()
    return hashlib.sha256(" ".join(WORDS.findall(plain)).encode()).hexdigest()


@lru_cache(maxsize=512)
def recognize(text: str, catalogue: Catalogue) -> Identity:
    """What a license text is; ``is_certain`` only if nothing in it is left unexplained."""
    if not text.strip():
        return Identity()
    text = text[:MAX_CHARS].replace("\r\n", "\n")
    clauses = find_clauses(text)
    printed = catalogue.fingerprints.get(fingerprint(text))
    if printed is not None:
        return _identity(catalogue, printed.license, "fingerprint", clauses, printed.kind)
    standard = match_standard(text, catalogue)
    if standard is not None:
        return _identity(catalogue, standard.id, "whole text", clauses)
    head = " ".join(text[: HEAD_CHARS * 2].lower().replace("*", "").split())[:HEAD_CHARS]
    titled = next((one for one, title in TITLES if one in catalogue.licenses and re.search(title, head)), "")
    return _identity(catalogue, titled, "title" if titled else "", clauses)


def _identity(
    catalogue: Catalogue,
    license_id: str,
    how: How,
    clauses: tuple[Clause, ...],
    kind: Literal["license", "use-policy", "margin"] = "license",
) -> Identity:
    """The identity with the clauses its entry does not tell of."""
    conditions = catalogue.licenses[license_id].conditions if license_id in catalogue.licenses else ()
    return Identity(license_id, how, kind, clauses, uncovered(clauses, conditions))


def match_standard(text: str, catalogue: Catalogue) -> LicenseFacts | None:
    """The standard license that a text is from end to end, but for notices of copyright and its own title."""
    from licenseclassifier import identify_license

    plain = _without_margins(text, catalogue)
    notices = [match[0] for match in COPYRIGHT.finditer(plain)] + [
        match[1].strip() for match in APPENDIX.finditer(plain)
    ]
    if any(_says_more(notice) for notice in notices if not OWNER.fullmatch(notice.strip())):
        return None
    bare = APPENDIX.sub(BLANK_APPENDIX, COPYRIGHT.sub("", plain))
    regions = identify_license(bare)
    if len({region.id for region in regions}) != 1 or any(COPYING.match(bare, one.start) for one in regions):
        return None
    spdx = regions[0].id.removesuffix("-or-later").removesuffix("-only")
    facts = next((one for one in catalogue.find(spdx) if one.spdx.lower().startswith(spdx.lower())), None)
    if facts is None:
        return None
    rest, at = "", 0
    for region in regions:
        rest, at = f"{rest} {bare[at : region.start]}", max(at, region.end)
    left = WORDS.findall(f"{rest} {bare[at:]}".lower())
    named = {
        word for name in (facts.name, facts.spdx, facts.id, *facts.aliases) for word in WORDS.findall(name.lower())
    }
    return facts if set(left) <= TITLE_WORDS | named - {"non", "no"} else None


def _says_more(notice: str) -> bool:
    """Whether a notice of copyright says more than who holds it."""
    words = [word for word in notice.split() if "@" not in word and "/" not in word]
    told = [word for word in words if word[:1].islower() and word.strip(".,;:()").lower() not in NAME_WORDS]
    return len(told) > 3 or MORE_THAN_A_NOTICE.search(notice) is not None or len(words) > MAX_NOTICE_WORDS


def _without_margins(text: str, catalogue: Catalogue) -> str:
    """The text without the preamble that Creative Commons prints around its licenses."""
    if "creative commons" not in text.lower():
        return text
    paragraphs = re.split(r"\n\s*\n|={8,}", text)
    return "\n\n".join(one for one in paragraphs if fingerprint(one) not in catalogue.fingerprints)
