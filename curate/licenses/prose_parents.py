"""Detectors: what prose and merge recipes say a model was made from."""

# ruff: noqa: E501 – patterns stand whole

import re
from collections.abc import Iterator

from curate.licenses.body import Body, Place
from curate.licenses.lazy import Pattern
from curate.licenses.names import is_repo_id
from curate.licenses.statements import Reading, Statement, compares, is_about_another, says_no

MAX_SPANS = 25
MAX_RECIPE = 40
DERIVED = Pattern(
    r"(?:\b(?:fine[- ]?tun\w*|train\w*|built|build\w*|bas(?:ed|ing)|base|initiali[sz]\w*|"
    r"deriv\w+|(?:franken)?merg\w+|combin\w+|connect\w+|integrat\w+|adapt\w*|extend\w*|continu\w+|"
    r"quanti[sz]\w+|quants?|gguf|ggml|gptq|awq|exl2|logits|learns?|learned|teacher|student|distill?\w*|convert\w*|conversion|versions?|variants?|upgrade\w*|modif\w+|lora|qlora|adapters?|deltas?|weights?|"
    r"checkpoints?|start\w*|prun\w+|compress\w+|abliterat\w+|tuned|power\w*|backbone|"
    r"foundation|parent|initial|original model|slerp|"
    r"instruct\w*|further|restrictions|ajuste fino|ajustad\w|afinad\w|affinato|basad\w|basead\w|basier\w*|based? sur|basé\w?)\b|基于|微调|"
    r"底座|基座|на основе|на базе|ベース|기반)[^.;!?|]{0,70}$"
)
DETERMINERS = (
    r"(?:(?:[\w.-]+ )?[\w.-]+['’]s |the |an? |our |official |original |pre-?trained |"
    r"meta(?:ai)?(?:'s)? |two |three |four |several |multiple |many |\[|`|\*|base |model |models |\(|"
    r"huggingface\.co/|https?://|[\w.-]+/|meta-)"
)
JOINED = Pattern(
    r"(?:\b(?:on|of|from|upon|with|to|by|top|using|over|is|are|model|for|a|the|in|and|both|base|between|version|released?|en|em|auf|sur|de|di|do|da|del|no|na|su|op|von)\b|"
    rf"基于|基于了|使用|为|用|основе|базе)[\W_]{{0,6}}{DETERMINERS}{{0,7}}[\W_]{{0,4}}$|[:=/,|]\s{{0,3}}[\W_]{{0,6}}(?:[\w.-]+/)?$|"
    r"\b(?:original|base|finetuned|fine-tuned|tuned|trained|fine-?tun(?:e|ing)|pre-?training|quanti[sz](?:e|ed|ing)|prun(?:e|ed|ing)|"
    r"distill(?:ed|ing)|abliterat(?:ed|ing)|merg(?:ed|ing)|adapt(?:ed|ing)|"
    r"extend(?:ed|ing)|teacher(?: model)?)\s+(?:\w+\s)?[\W_]{0,3}$"
)
NOT_PARENT = Pattern(
    r"architect\w*|tokeni[sz]er|vocab\w*|format|template|style|prompt|licen[sc]e|compatible|\.cpp|cpp\b|index\b|factory|file\b|llamafied|"
    r"\bollama|paper|report|recipe|eval|benchmark|implementation|codebase|repo\b|loader|inference|attention|structure|design|config|"
    r"hyper-?param|\bcode\b|scripts?\b|naming|community|^\W{0,2}(?:like|inspired)\b"
)
CODE_OF = Pattern(r"\b(?:code(?:base)?|scripts?|repo(?:sitory)?|framework) (?:of|from|by) (?:the )?$")
PACKED = Pattern(r"(?:gguf|ggml|gptq|awq|exl2|quants?|quanti[sz]ed)\b")
OTHERS_BUILT = Pattern(
    r"\b(?:projects?|applications?|librar(?:y|ies)|tools?|other models|many models|frameworks?|works|researchers|"
    r"people|developers)\b[^.;]{0,50}$"
)
HOLDS = Pattern(
    r"\b(?:contains?|provides?|hosts?|this is|repo(?:sitory)? (?:for|of))\b[^.;]{0,40}$|^[\W_]{0,4}(?:an? )?$"
)
KIND_AFTER = Pattern(
    r"^[\w .\-,)\]*`]{0,24}\b(?:quanti[sz]ed|weights|deltas?|lora|adapters?|"
    r"checkpoints?|merged?|(?:model |llm )?(?:fine-?)?tuned|pruned|[48]-?bit|gguf|gptq|awq|with (?:an? )?(?:extended|longer)|"
    r"further (?:pre-?)?trained|continued)\b"
)
NAMESAKE = Pattern(r"\b(?:open|tiny|mobi|baby)[-_ ]?\W{0,2}$")
"""OpenLLaMA, TinyLlama and the like share a name and an architecture, no weights."""
ONE_OF_SEVERAL = Pattern(r"\bfine-?tune\s\W{0,3}#\W{0,2}(?:&|and )")
"""``we finetune BLOOM & mT5`` tells of a family, of which the model at hand may be either."""
PARENT_AFTER = Pattern(
    r"^[\w .,\-]{0,40}\bfurther (?:pre-?)?train|^[\w .\-)\]*`]{0,24}\b(?:as (?:the |our |its |a )?(?:base|backbone|"
    r"foundation|llm|language)|fine-?tun\w+|finetun\w+|"
    r"based\b(?! on)|is an auto-?regressive|derivative|weights? (?:fine|delta|are)|as a starting|をベース|기반)"
)
PARENT_LABEL = Pattern(
    r"(?:base[ _-]?model|backbone|llm|parent|teacher(?: model)?|finetuned from(?: model)?|fine-tuned from|"
    r"language model|foundation model|base llm|"
    r"trained from|original model|基座模型|底座模型|ベースモデル)[^.;\n]{0,12}(?:[:=|：]|\bis\b)[^.;\n]{0,50}$"
)
ASIDE_HEADING = Pattern(r"citation|reference|acknowledg|related|compar|evaluat|benchmark|results")
RECIPE_LINE = Pattern(
    r"(?m)^[ \t]{0,12}(?:-[ \t]{1,3})?[\"']?(?:model|base_model|merge_model|source_model|base|"
    r"path|model1|model2)[\"']?[ \t]*:[ \t]*[\"']?"
    r"([A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,95})(?:\+[\w./-]+)?[\"']?[ \t]*(?:#.*)?$"
)
MADE_FROM_LINK = Pattern(
    r"(?:fine[- ]?tun\w+|quanti[sz]\w+|adapter|lora|trained|version|merg\w+|based|conver\w+|built|"
    r"initiali[sz]\w+|original model|distill?\w+|base model)"
    r"[^.\n]{0,80}\]\((?:https?://)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/|papers/|docs/|blog/)([\w.-]+(?:/[\w.-]+)?)\)"
)
MERGED_HEADING = Pattern(r"merge|recipe|models used|source models|ingredients|base models?$")
ITEM_NAME = Pattern(
    r"(?m)^[ \t]{0,6}(?:[*+-]|\d+\.)[ \t]*[`*]{0,2}([A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,95})[`*]{0,2}[ \t]*$"
)
ITEM_LINK = Pattern(
    r"(?m)^[ \t]{0,6}(?:[*+-]|\d+\.)[ \t]*[\w\s:*]{0,24}\[[^\]\n]{1,120}\]\((?:https?://)?(?:huggingface\.co|hf\.co)/"
    r"(?!datasets/|spaces/)([\w.-]+/[\w.-]+)\)"
)


def named_parents(reading: Reading) -> Iterator[Statement]:
    """Models known to bring terms of their own, named as what this one was made from."""
    body = reading.body
    for word, known, longer, tokens in reading.catalogue.words["models"]:
        if not tokens <= body.tokens:
            continue
        for count, (start, end) in enumerate(body.find_words(word, longer)):
            if count >= MAX_SPANS:
                break
            place = body.place(start, end)
            if is_parent(place, body.heading(start)) and not is_about_another(reading, place):
                yield Statement("parent", word, place, known)
                break


def is_parent(place: Place, heading: str) -> bool:
    """Whether the sentence says that the model was made from what the span names."""
    before, after = place.before[-130:], place.after[:60]
    if NAMESAKE.search(before) or CODE_OF.search(before):
        return False
    if says_no(place) or NOT_PARENT.search(after[:26].partition(",")[0]) or ASIDE_HEADING.search(heading):
        return False
    if compares(place) or OTHERS_BUILT.search(before) or ONE_OF_SEVERAL.search(f"{before[-14:]}#{after[:4]}"):
        return False
    if HOLDS.search(before) and KIND_AFTER.match(after):
        return True
    if PARENT_LABEL.search(before) or PARENT_AFTER.match(after):
        return True
    match = DERIVED.search(before)
    if match is None or JOINED.search(before) is None:
        return False
    return PACKED.match(match[0]) is not None or NOT_PARENT.search(match[0]) is None


def recipe_parents(body: Body, own: str) -> Iterator[tuple[str, int, bool]]:
    """Ids of parents in merge recipes and links: id, line, and whether the recipe says so for certain."""
    seen: set[str] = {own.lower()}
    if "model" in body.low:
        for match in RECIPE_LINE.finditer(body.raw):
            yield from _once(match[1], body, match.start(1), seen, certain="merge" in body.low)
    for match in ITEM_NAME.finditer(body.text) if "merg" in body.low else ():
        if _is_merge_list(body, match.start()):
            yield from _once(match[1], body, match.start(1), seen, certain=True)
    if "huggingface.co" not in body.low and "hf.co" not in body.low:
        return
    for match in ITEM_LINK.finditer(body.text):
        if _is_merge_list(body, match.start()):
            yield from _once(match[1], body, match.start(1), seen, certain=True)
    for match in MADE_FROM_LINK.finditer(body.text):
        place = body.place(match.start(1), match.end(1))
        told = not (says_no(place) or compares(place) or ASIDE_HEADING.search(body.heading(match.start())))
        if told and not NOT_PARENT.search(place.after[:40]):
            yield from _once(match[1], body, match.start(1), seen, certain=False)


def _is_merge_list(body: Body, at: int) -> bool:
    """Whether a list stands under a heading or a sentence that tells of a merge."""
    lead = body.low[max(0, at - 400) : at]
    return bool(MERGED_HEADING.search(body.heading(at)) or re.search(r"\bmerges? of\b|\bmerging\b|\bmerged\b", lead))


def _once(name: str, body: Body, at: int, seen: set[str], *, certain: bool) -> Iterator[tuple[str, int, bool]]:
    """An id that was not met before, with its line."""
    name = name.rstrip(".")
    if is_repo_id(name) and name.lower() not in seen and len(seen) <= MAX_RECIPE:
        seen.add(name.lower())
        yield name, body.first_line + body.raw.count("\n", 0, at), certain
