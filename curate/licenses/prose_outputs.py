"""Detectors: training text written or rated by hosted models, and data sets known for it."""

# ruff: noqa: E501 – patterns stand whole

import re
from collections.abc import Iterator

from curate.licenses.body import Body, Place
from curate.licenses.facts import Known
from curate.licenses.lazy import Pattern
from curate.licenses.prose_languages import WRITTEN_AFTER, WRITTEN_BEFORE
from curate.licenses.statements import Reading, Statement, Topic, compares, is_about_another, says_no

GENERATORS = ("gpt-4", "gpt4", "gpt 4", "gpt-3.5", "gpt3.5", "gpt 3.5", "chatgpt", "chat-gpt", "chat gpt", "gpt-3",
              "gpt3", "text-davinci", "davinci-003", "davinci", "openai", "gpt-generated",
              "gpt-assisted", "gpt-5", "gpt-35", "openai o1", "openai o3", "o1-preview", "o1-mini", "o3-mini",
              "o4-mini")  # fmt: skip
OTHERS = ("claude", "gemini", "google bard", "palm 2", "palm-2", "bing chat", "copilot", "anthropic")
COMPANIES = ("openai", "anthropic")
MAX_SPANS = 60
MADE = (
    r"(?:generat(?:ed|ions?|e|ing)|created?|creating|written|writes?|wrote|writing|produc\w+|synthes\w+|distil\w+|collect\w+|gather\w+|sampl\w+|"
    r"scrap\w+|answered|annotat\w+|labell?ed|labell?ing|translat\w+|augment\w+|rewr\w+|rephras\w+|paraphras\w+|refin\w+|"
    r"obtain\w+|construct\w+|deriv\w+|extract\w+|curat\w+|enhanc\w+|summari[sz]ed|captioned|captions|evolv\w+|simulat\w+|improved|crafted|"
    r"made|sourced|self-instruct|powered|prompted)"
)
THINGS = (
    r"(?:outputs?|responses?|answers?|completions?|conversations?|dialogues?|dialogs?|chats?|generations?|instructions?|"
    r"data(?:sets?)?|samples?|examples?|stories|explanations?|reasoning traces|traces|labels|captions|entries|"
    r"queries|questions|solutions|descriptions?|corpus|logs|interactions|replies|knowledge|rationales?|rows|pairs|"
    r"demonstrations?|texts?|reasoning)"
)
LINK = r"(?:by|from|with|using|via|through|of|between|involving|leveraging|employing)"
MADE_BEFORE = Pattern(
    rf"\b{MADE}\b[^.;|]{{0,60}}?\b{LINK}\b[^.;|]{{0,36}}$|\b{THINGS}\s+(?:\w+\s+){{0,3}}{LINK}\b[^.;|]{{0,24}}$|由[^。]{{0,12}}$|"
    rf"\bdistil(?:l|ls|led|ling|s)?\W{{1,3}}(?:the )?$|\bsynthetic (?:\w+ )?{THINGS}\s*\(\W{{0,2}}$|\bteacher(?: model)?s?\W{{0,4}}(?:is |are |was )?\W{{0,4}}$"
)
MADE_BY = Pattern(
    rf"\b{THINGS}\b[^.;|]{{0,50}}\b{MADE}\b[^.;|]{{0,40}}\b(?:by|from|with|using|via|through)\b[^.;|]{{0,24}}$"
)
TRAINED_BEFORE = Pattern(
    r"\b(?:train(?:ed|ing)?|tun(?:ed|ing)|fine-?tun(?:ed|ing)|distill?(?:ed|ation|ing)|sft|learn(?:s|ed|ing)?)\b[^.;|]{0,36}?"
    r"\b(?:on|with|from|using)\b[^.;|]{0,30}$"
)
MADE_AFTER = Pattern(
    rf"^(?:[\w.]{{0,8}}-?\d{{0,4}}\w{{0,2}}(?:-turbo|-vision|-preview|-o)?)?[`*_\])\"']{{0,3}}(?:'s|"
    rf"’s)?[- ]?(?:api[- ]?)?(?:(?:was|were|is) used to )?"
    rf"(?:(?:high-?quality|synthetic|diverse|based|style|assisted|model|instruction|"
    rf"detailed|multi-?turn|long|chat|raw)[- ]){{0,2}}"
    rf"(?:{MADE}|{THINGS})\b|^[^。]{{0,10}}(?:生成|数据|蒸馏|标注|回答)"
)
USED_AFTER = Pattern(
    rf"^[^.;|]{{0,40}}\b(?:was|were|been)\s+(?:then\s+)?(?:used|prompted|asked|employed|leveraged|instructed|queried)\s+"
    rf"(?:to|for|as)\s+(?:\w+\s+){{0,3}}{MADE}"
)
ASKED_BEFORE = Pattern(
    r"\b(?:used|using|we (?:also |then |first )?(?:use|employ|ask|prompt|query)|prompt(?:ed|ing)|ask(?:ed|ing)|leverag(?:ed|"
    r"ing)|employ(?:ed|ing)|utili[sz](?:ed|ing)|with|via|"
    r"call(?:ed|ing)|quer(?:ied|ying)|instruct(?:ed|ing))\b[^.;|]{0,50}$|(?:使用|利用|通过|用)[^。]{0,8}$"
)
TO_MAKE = Pattern(rf"^[^.;|]{{0,40}}\b(?:to|for|and|that|which|we|i|they)\s+(?:\w+\s+){{0,2}}{MADE}|^[^。]{{0,10}}生成")
ASKED_FOR = Pattern(rf"^[^.;|]{{0,20}}\bfor\s+(?:\w+\s+){{0,2}}{THINGS}\b")
ITS_THINGS = Pattern(rf"^[^.;|]{{0,60}}\b(?:its|their|whose)\s+(?:own\s+)?{THINGS}\b")
LEARNS = Pattern(r"\b(?:train\w*|learn\w*|tun(?:ed|ing)|fine-?tun\w*|distil\w*|imitat\w*|mimic\w*)\b")
SUPPOSED = Pattern(
    r"\b(?:if|when|should) (?:you|one|someone|users?|people)\b[^.;,]{0,60}$"
    r"|\byou (?:can|could|may|might) (?:also )?(?:generate|create|fine-?tune|train|ask|prompt|query|call|use (?:this|the) model)\b[^.;,]{0,60}$"
)
WRITTEN_BY = Pattern(
    rf"\b{THINGS}\s+(?:\w+\s+){{0,2}}(?:generated|written|produced|created|synthesi[sz]ed|answered)\s+(?:by|from|with|using)\W{{0,4}}$"
)
OF_THE_PAGE = Pattern(
    r"\b(?:model ?card|readme|logo|cover(?: image| art)?|banner|header image|avatar|thumbnail|icon)\s+(?:(?:was|is|were|has been)\s+)?"
    r"(?:partly\s+)?(?:generated|written|created|made|drawn)\s+(?:by|with|using)\b[^.;,]{0,20}$"
)
DETECTED = Pattern(
    r"\b(?:detect\w*|distinguish\w*|identif(?:y|ies|ying)|classif(?:y|ies|ying)|discriminat\w+|recogni[sz]\w+)\b[^.;]{0,30}$"
)
RATED_BEFORE = Pattern(
    r"\b(?:rat(?:ed|ings?)|rank(?:ed|ings?)|preferences?|scor(?:ed|ing|es)|feedback|critiques?|reward\w*|judg(?:ed|e?ments?)|annotat\w+|"
    r"binari[sz]ed)\b[^.;|]{0,40}\b(?:by|from|with|using|of|via)\b[^.;|]{0,24}$"
)
RATED_AFTER = Pattern(
    r"^[\w.\-]{0,12}[`*_\])\"']{0,3}(?:'s|’s)?[- ](?:\w+[- ]){0,2}?(?:rat(?:ed|ings?)|rank(?:ed|"
    r"ings?)|preferences?|scor(?:ed|es|ing)|feedback|critiques?|"
    r"judg(?:ed|e?ments?))\b"
)
EVALUATION = Pattern(
    r"\b(?:evaluat\w+|benchmark\w*|mt[- ]?bench|alpaca ?eval|arena|leaderboard|"
    r"win[- ]?rate|as (?:a |the )?judge|llm-as-a-judge|"
    r"human ?eval|test set|metrics?|accuracy|detect\w*|mmlu|average scores?|compatible|client|sdk)\b"
)
TRAINING = Pattern(
    r"\b(?:train\w*|tun\w+|fine-?tun\w+|finetun\w+|sft|dpo|rlhf|ppo|data ?sets?|data|"
    r"corpus|corpora|mixture|mix|samples|examples|"
    r"instruct\w*|distil\w+|curated|source[sd]?|merged?|pretrain\w*|learn\w*|built|based|aligned?|preference)\b|训练|数据|微调|学習|データ"
)
DATA_HEADING = Pattern(
    r"train|data|sft|dpo|tun|source|mixture|corpus|method|recipe|detail|procedure|descri|about|overview|summary|intro|训练|数据"
)
DATA_OF = Pattern(
    r"\b(?:conversations?|cleaned|filtered|subset|translat\w+|versions?|derived|dialogues?|collected|extracted|prompts|pairs|turns|combin\w+|split)\b"
)
DATA_NOT = Pattern(
    r"^[\W_]{0,3}(?:'s |[- _]?(?:like |style[d]? )?)?(?:prompt|format|template|"
    r"style[d]?\b|eval|chat template|bench|syntax|tokens?|"
    r"instruct(?:ion)? (?:format|template|prompt)|(?:[- ]lora)?(?:['’]s)?[\s\w]{0,12}\b(?:code|codebase|scripts?|repo|repository|trainer)\b)|^\W{0,3}(?:models?|7b|13b|arena|ui\b|webui|vicuna prompt)\b"
)


def trained_on_outputs(reading: Reading) -> Iterator[Statement]:
    """Statements that training text was written (or rated) by a hosted model."""
    body = reading.body
    for word in (*GENERATORS, *OTHERS):
        for start, end in spans(body, word):
            place = body.place(start, end)
            if says_no(place):
                continue
            topic = how_used(place, word)
            if topic is not None and not is_about_another(reading, place):
                yield Statement(topic, word, place)
                if topic == "outputs":
                    break


def spans(body: Body, word: str) -> Iterator[tuple[int, int]]:
    """Spans of a generator's name, versions behind it included; at most so many a card."""
    at, seen = body.low.find(word), 0
    while at >= 0 and seen < MAX_SPANS:
        end = at + len(word)
        left = body.low[at - 1] if at else " "
        right = body.low[end : end + 1]
        if right == "." and body.low[end + 1 : end + 2].isdigit():
            right = "x"
        if (
            not (left.isascii() and left.isalnum())
            and left not in "/_"
            and not (right.isascii() and right.isalpha() and right not in "ov")
        ):
            seen += 1
            yield at, end
        at = body.low.find(word, end)


def how_used(place: Place, word: str) -> Topic | None:
    """Whether the sentence tells of outputs used as training text, of ratings, or of neither."""
    before, after, sentence = place.before[-160:], place.after[:140], place.sentence
    if (
        SUPPOSED.search(before)
        or OF_THE_PAGE.search(before)
        or compares(place)
        or (EVALUATION.search(sentence) and not re.search(r"train|tun|dataset|distil|synthetic", sentence))
    ):
        return None
    if word in COMPANIES:
        return "outputs" if MADE_BY.search(before) and "webtext" not in sentence else None
    if DETECTED.search(before):
        return None
    if WRITTEN_BY.search(before):
        return "outputs"
    if RATED_BEFORE.search(before) or RATED_AFTER.match(after):
        return "ratings"
    if word in ("gpt-generated", "gpt-assisted"):
        return "outputs"
    told = (
        MADE_BEFORE.search(before)
        or MADE_AFTER.match(after)
        or USED_AFTER.match(after)
        or TRAINED_BEFORE.search(before)
        or (ASKED_BEFORE.search(before) and (TO_MAKE.match(after) or ASKED_FOR.match(after)))
        or (ITS_THINGS.match(after) and LEARNS.search(sentence))
        or WRITTEN_BEFORE.search(before)
        or WRITTEN_AFTER.match(after)
    )
    return "outputs" if told else None


SERVICE_TERMS = Pattern(
    r"\b(?:subject to|follow\w*|compl(?:y|ies) with|inherits?|adheres? to|governed by|"
    r"abides? by|respects?)\b[^.\n]{0,90}\bopenai\b"
    r"[^.\n]{0,30}\b(?:terms|polic)|\bterms of (?:use|service)\b[^.\n]{0,50}\bopenai\b"
)


def service_terms(reading: Reading) -> Iterator[Statement]:
    """The card puts the model under the terms of a hosted service, as those do whose data came from it."""
    for match in reading.body.search_near(SERVICE_TERMS, ("openai",)):
        place = reading.body.place(match.start(), match.end())
        if not says_no(place):
            yield Statement("outputs", "openai terms", place)
            return


def named_data(reading: Reading) -> Iterator[Statement]:
    """Data sets known for what went into them, named where training is told of or linked to."""
    body = reading.body
    for word, known, longer, tokens in reading.catalogue.words["datasets"]:
        if not (known.made_with or known.licenses) or not tokens <= body.tokens:
            continue
        for start, end in body.find_words(word, longer):
            place = body.place(start, end)
            if says_no(place) or DATA_NOT.match(place.after) or compares(place) or is_about_another(reading, place):
                continue
            linked = re.search(r"huggingface\.co/datasets/[\w./-]*$", place.before) is not None
            context = f"{place.sentence} {body.table_head(start)}"
            is_of = reading.is_dataset and DATA_OF.search(context) is not None
            if linked or is_of or TRAINING.search(context) or DATA_HEADING.search(body.heading(start)):
                yield Statement("data", word, place, known)
                break


DATA_LINK = Pattern(r"(?:huggingface\.co|hf\.co)/datasets/([\w.-]+(?:/[\w.-]+)?)")
DATA_ID = Pattern(r"(?<![\w./:@-])[a-z0-9][\w.-]{1,60}/[\w.-]{2,80}(?![\w/])")
DATA_NAME = Pattern(r"(?<![\w./:@-])[a-z0-9]{3,30}(?:_[a-z0-9.]{1,30}){2,8}(?![\w/(=])")
"""A bare name that only a file or data set has: ``wizard_vicuna_70k_unfiltered``."""
MAX_IDS = 60


def linked_data(reading: Reading) -> Iterator[Statement]:
    """Data sets known by their ids, linked to or named as ``owner/name`` where training is told of."""
    body = reading.body
    seen: set[str] = {reading.name}
    for pattern, is_link in ((DATA_LINK, True), (DATA_ID, False), (DATA_NAME, False)):
        for count, match in enumerate(pattern.finditer(body.low) if "/" in body.low or "_" in body.low else ()):
            name = (match[1] if is_link else match[0]).rstrip(".")
            if count >= MAX_IDS or name in seen:
                continue
            seen.add(name)
            known = [one for one in reading.catalogue.lookup("datasets", name) if one.made_with or one.licenses]
            if known:
                yield from _told_of(reading, match.start(), match.end(), name, known[0], is_link=is_link)


def _told_of(reading: Reading, start: int, end: int, name: str, known: Known, *, is_link: bool) -> Iterator[Statement]:
    """The statement, unless the place denies it, compares, or tells of something else than training."""
    place = reading.body.place(start, end)
    if says_no(place) or compares(place) or is_about_another(reading, place) or EVALUATION.search(place.sentence):
        return
    heading = DATA_HEADING.search(reading.body.heading(start))
    if TRAINING.search(place.sentence) or (is_link and heading):
        yield Statement("data", name, place, known)
