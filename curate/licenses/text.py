"""What the body of a card says beside its tags: clauses, each with the sentence that says so.

Detectors can only make a verdict stricter. Each is a function from a card's body to statements; ``DETECTORS`` names them.
Negation, comparison, citation and sentences about other models are told apart by the words around a hit.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from curate.licenses.body import Body, Place
from curate.licenses.facts import Catalogue, Known

Topic = Literal["outputs", "ratings", "data", "parent", "restriction", "advice", "license"]


@dataclass(frozen=True)
class Statement:
    """One thing the prose says."""

    topic: Topic
    detail: str
    """The generator, data set, parent, license id or wording that is spoken of."""
    place: Place
    known: Known | None = None


@dataclass(frozen=True)
class Reading:
    """What a detector is given: the prose, the facts, and whose card it is."""

    body: Body
    catalogue: Catalogue
    name: str
    """The card's own id, lower case."""
    is_dataset: bool = False


NEGATION = re.compile(
    r"\b(?:no|not|never|without|none|neither|nor|cannot|isn't|wasn't|aren't|weren't|doesn't|didn't|don't|free of|free from|"
    r"rather than|instead of|unlike|except|excluding|exclude[sd]?|avoid(?:s|ed|ing)?|remov(?:ed|ing)|filter(?:ed|ing)? out)\b[^.;:]{0,60}$"
)
COMPARISON = re.compile(
    r"\b(?:compar\w+|outperform\w*|surpass\w*|beat(?:s|ing)?|better|worse|versus|vs|on par|rival\w*|close to|exceed\w*|match(?:es|ing)?|"
    r"competitive|evaluat\w+|benchmark\w*|leaderboard|win rate|score[sd]?|judged?|similar(?:ly)? to|same as|like|alternative to|"
    r"inspired by|such as|more than|less than|than|equivalent to|comparable|known as|aka|reproduc\w+ of|perform\w*)\b[^.;]{0,90}$"
)
GENERATORS = ("gpt-4", "gpt4", "gpt 4", "gpt-3.5", "gpt3.5", "gpt 3.5", "chatgpt", "chat-gpt", "gpt-3", "gpt3", "openai",
              "text-davinci", "davinci-003", "gpt-4o", "gpt-3.5-turbo", "gpt4o", "gpt-4-turbo")  # fmt: skip
OTHERS = ("claude", "gemini", "bard", "palm 2", "palm-2", "bing chat", "copilot")
MADE = (
    r"(?:generat\w+|creat\w+|writ(?:ten|ing|e)|wrote|produc\w+|synthes\w+|distil\w+|collect\w+|gather\w+|sampl\w+|scrap\w+|"
    r"answered|annotat\w+|labell?ed|translat\w+|augment\w+|rewr\w+|rephras\w+|paraphras\w+|refin\w+|prompt\w+|obtain\w+|"
    r"construct\w+|built|deriv\w+|extract\w+|curat\w+|enhanc\w+|summari[sz]ed|caption\w*|evolv\w+|simulat\w+|improv\w+)"
)
THINGS = (
    r"(?:outputs?|responses?|answers?|completions?|conversations?|dialogues?|dialogs?|chats?|generations?|instructions?|data(?:sets?)?|"
    r"samples?|examples?|texts?|stories|explanations?|traces|labels|captions|entries|queries|questions|prompts?|descriptions?|corpus)"
)
LINK = r"(?:by|from|with|using|via|through|of|on|to|involving|leveraging|employing)"
MADE_BEFORE = re.compile(rf"\b{MADE}\b[^.;|]{{0,70}}?\b(?:{LINK})\b[^.;|]{{0,40}}$|\b{THINGS}\s+(?:\w+\s+){{0,3}}{LINK}\b[^.;|]{{0,30}}$")
TRAINED_BEFORE = re.compile(r"\b(?:train\w*|tun\w+|fine-?tun\w+|distil\w+|sft|learn\w*)\b[^.;|]{0,60}\b(?:on|with|from|using|of)\b[^.;|]{0,60}$")
MADE_AFTER = re.compile(
    rf"^(?:[-\w. ]{{0,14}}(?:'s)?)[- ](?:(?:api|model|turbo|based|vision|0\d{{3}}|was used|is used|were used)\W{{0,2}}(?:to)?\s*)?"
    rf"(?:\w+[- ]){{0,2}}?(?:{MADE}\b|{THINGS}\b)"
)
USED_AFTER = re.compile(rf"^[^.;|]{{0,40}}\b(?:was|were|is|are|been)\s+(?:then\s+)?(?:used|prompted|asked|employed|leveraged)\s+(?:to|for|as)\s+(?:\w+\s+){{0,2}}{MADE}")
GENERATES = re.compile(
    rf"\b(?:us(?:e|ed|ing)|prompt(?:ed|ing)?|ask(?:ed|ing)?|leverag(?:e|ed|ing)|employ(?:ed|ing)?|utili[sz](?:e|ed|ing)|with|via|"
    rf"call(?:ed|ing)?|quer(?:y|ied|ying))\b[^.;|]{{0,50}}$"
)
TO_MAKE = re.compile(rf"^[^.;|]{{0,40}}\b(?:to|for|and|that|which)\s+(?:\w+\s+){{0,2}}{MADE}")
RATED = re.compile(
    r"\b(?:rat(?:ed|ings?)|rank(?:ed|ings?)|prefer\w*|scor(?:ed|ing) (?:by|with|using)|feedback|critiques?|reward|judg(?:ed|e?ments?)|ai feedback|rlaif)\b"
)
EVALUATION = re.compile(
    r"\b(?:evaluat\w+|benchmark\w*|mt[- ]bench|alpaca ?eval|arena|leaderboard|win[- ]?rate|as (?:a |the )?judge|llm-as-a-judge|human ?eval|"
    r"test set|metric|accuracy|performance|results?|detect\w*|mmlu|average score|scored?)\b"
)
TRAINING = re.compile(
    r"\b(?:train\w*|tun\w+|fine-?tun\w+|finetun\w+|sft|dpo|rlhf|ppo|data ?sets?|data|corpus|corpora|mixture|mix|samples|examples|instruct\w*|"
    r"distil\w+|curated|source[sd]?|merged?|pretrain\w*|learn\w*|built|based|aligned?|preference|chat)\b"
)
DATA_HEADING = re.compile(r"train|data|sft|dpo|tun|source|mixture|corpus|method|recipe|detail|procedure|credit|thank|acknowledg|description|about|overview|summary|intro")
DATA_NOT = re.compile(r"^[\W_]{0,3}(?:'s |[- _]?(?:like |style[d]? )?)?(?:prompt|format|template|style[d]?\b|eval|chat template|instruct(?:ion)? (?:format|template|prompt)|bench|prompting|syntax|tokens?)|^\W{0,3}(?:models?|7b|13b|arena)\b")


def says_no(place: Place) -> bool:
    """Whether what stands before the span denies it."""
    return NEGATION.search(place.before[-90:]) is not None


def compares(place: Place) -> bool:
    """Whether the span is only something to be measured against."""
    return COMPARISON.search(place.before[-110:]) is not None


def trained_on_outputs(reading: Reading) -> Iterator[Statement]:
    """Statements that training text was written (or rated) by a hosted model."""
    body = reading.body
    for word in (*GENERATORS, *OTHERS):
        if word not in body.low:
            continue
        for start, end in _spans(body, word):
            place = body.place(start, end)
            if says_no(place):
                continue
            topic = _how_used(place)
            if topic is not None and not _about_another(reading, place):
                yield Statement(topic, word, place)
                if topic == "outputs":
                    break


def _spans(body: Body, word: str) -> Iterator[tuple[int, int]]:
    """Spans of a generator's name; ``text-davinci`` also as the head of longer names; at most 60 a card."""
    at, seen = body.low.find(word), 0
    while at >= 0 and seen < 60:
        end = at + len(word)
        if not (at and (body.low[at - 1].isalnum() or body.low[at - 1] in "/_")) and not body.low[end : end + 1].isalpha():
            seen += 1
            yield at, end
        at = body.low.find(word, end)


def _how_used(place: Place) -> Topic | None:
    """Whether the sentence tells of outputs used as training text, of ratings, or of neither."""
    before, after, sentence = place.before[-160:], place.after[:140], place.sentence
    made = (
        MADE_BEFORE.search(before)
        or MADE_AFTER.match(after)
        or USED_AFTER.match(after)
        or (GENERATES.search(before) and TO_MAKE.match(after))
        or TRAINED_BEFORE.search(before)
    )
    if RATED.search(sentence) and (made or RATED.search(before[-60:]) or RATED.search(after[:60])):
        return None if EVALUATION.search(sentence) and not TRAINING.search(sentence) else "ratings"
    if not made or compares(place):
        return None
    if EVALUATION.search(sentence) and not re.search(r"train|tun|data|distil", sentence):
        return None
    return "outputs"


def named_data(reading: Reading) -> Iterator[Statement]:
    """Data sets known for what went into them, named where training is told of or linked to."""
    body = reading.body
    for word, known in reading.catalogue.words("datasets"):
        if not (known.made_with or known.licenses) or word not in body.low:
            continue
        for start, end in body.find_words(word):
            place = body.place(start, end)
            if says_no(place) or DATA_NOT.match(place.after) or compares(place) or _about_another(reading, place):
                continue
            linked = re.search(r"huggingface\.co/datasets/[\w./-]*$", place.before) is not None
            if linked or TRAINING.search(place.sentence) or DATA_HEADING.search(body.heading(start)):
                yield Statement("data", word, place, known)
                break


DERIVED = re.compile(
    r"\b(?:fine[- ]?tun\w*|train\w*|built|build\w*|bas(?:ed|ing)|base|initiali[sz]\w*|deriv\w+|merg\w+|adapt\w*|extend\w*|continu\w+|quanti[sz]\w+|"
    r"distill?\w*|convert\w*|conversion|versions?|variants?|upgrade\w*|modif\w+|lora|qlora|adapters?|deltas?|weights?|checkpoints?|start\w*|"
    r"prun\w+|compress\w+|abliterat\w+|tuned|power\w*|backbone|foundation|parent|initial|original model|merge of|slerp|instruct\w*|further)\b"
    r"[^.;!?|]{0,70}$"
)
JOINED = re.compile(r"\b(?:on|of|from|upon|with|to|by|top|using|over|is|are|model|for|a|the|in|and|both|base|between|version|released?)\b[\W_]{0,6}(?:\w+['’]s |the |an? |our |official |original |pre-?trained |meta(?:ai)?(?:'s)? |\[|`|\*|base |model |models |\(|huggingface\.co/|https?://|[\w.-]+/|meta-){0,7}[\W_]{0,4}$|[:=/,|]\s{0,3}[\W_]{0,6}(?:[\w.-]+/)?$|\b(?:original|base|finetuned|fine-tuned|tuned|trained)\s+(?:\w+\s)?$")
NOT_PARENT = re.compile(
    r"architect\w*|tokeni[sz]er|vocab\w*|format|template|style|prompt|licen[sc]e|compatible|\.cpp|cpp\b|index\b|factory|file\b|llamafied|\bollama|paper|report|recipe|eval|benchmark|implementation|codebase|repo\b|loader|inference|attention|structure|design|config"
)
PARENT_AFTER = re.compile(
    r"^[\w .\-)\]*`]{0,24}\b(?:as (?:the |our |its |a )?(?:base|backbone|foundation|llm|language)|fine-?tun\w+|finetun\w+|based\b|derivative|weights? (?:fine|delta|are)|as a starting)"
)
PARENT_LABEL = re.compile(r"(?:base[ _-]?model|backbone|llm|parent|finetuned from(?: model)?|fine-tuned from|language model|foundation model|model type|base llm|trained from|original model)[^.;\n]{0,12}[:=|][^.;\n]{0,50}$")


def named_parents(reading: Reading) -> Iterator[Statement]:
    """Models known to bring terms of their own, named as what this one was made from."""
    body = reading.body
    for word, known in reading.catalogue.words("models"):
        if word not in body.low:
            continue
        for count, (start, end) in enumerate(body.find_words(word)):
            place = body.place(start, end)
            if count > 25:
                break
            if _is_parent(place, body.heading(start)) and not _about_another(reading, place):
                yield Statement("parent", word, place, known)
                break


def _is_parent(place: Place, heading: str) -> bool:
    """Whether the sentence says that the model was made from what the span names."""
    before, after = place.before[-130:], place.after[:60]
    if says_no(place) or NOT_PARENT.search(after[:26]) or re.search(r"citation|reference|acknowledg|related|compar", heading):
        return False
    if PARENT_LABEL.search(before) or PARENT_AFTER.match(after):
        return not compares(place)
    match = DERIVED.search(before)
    if match is None or JOINED.search(before) is None or compares(place):
        return False
    return NOT_PARENT.search(match[0]) is None


RESTRICTED = re.compile(
    r"\b(?:non[- ]?commercial(?:ly)?|noncommercial)\b|\bresearch(?: and \w+)?(?: use| uses| purposes?| preview)? only\b|\bonly (?:be )?(?:used |available |intended |released |permitted |allowed )?for (?:\w+ ){0,3}?(?:research|academic|scientific)\b|"
    r"\bsolely for (?:\w+ ){0,2}?(?:research|academic|scientific)\b|\bfor (?:academic |scientific )?research (?:purposes? )?only\b|\bacademic (?:use|research|purposes?) only\b|\b(?:prohibit\w*|forbid\w*|not (?:be )?(?:allow\w*|permit\w*|licensed|intended|used|available|for|suitable))\s+(?:\w+\s){0,4}?commercial(?:ly| use| purposes?)?\b|"
    r"\bcommercial (?:use|usage|purposes?) (?:is|are) (?:strictly )?(?:not|prohibited|forbidden)\b|\bno commercial (?:use|usage)\b|\bcan ?not be used (?:for )?commercial\w*|\bfor research purposes?\b|\bresearch purposes only\b|\bresearch use only\b|仅供(?:学术)?研究|不得用于商业|非商用|非商业"
)
BOTH = re.compile(r"(?:\bcommercial\w* (?:use )?(?:and|or|/|as well as|&) ?non|non-?commercial\w*[,\w ]{0,24}(?:and|or|/|as well as|&) ?(?:for )?commercial|both (?:research|academic|non))|research and commercial|commercial and research")
LICENSE_WORDS = re.compile(r"licen[sc]\w*|terms|permitted|allowed|prohibit|restrict|must not|may not|cannot|can not|cc[- ]by|copyright|comply|agreement|only\b|usage")


def restricted_use(reading: Reading) -> Iterator[Statement]:
    """Wording that bars commercial use or allows research alone; mere advice is told apart."""
    body = reading.body
    for count, match in enumerate(RESTRICTED.finditer(body.low)):
        if count > 40:
            return
        place = body.place(match.start(), match.end())
        around = place.sentence
        if BOTH.search(around) or _about_another(reading, place) or re.search(r"\bcode\b.{0,30}\blicen", around):
            continue
        denied = NEGATION.search(place.before[-40:]) if "commercial" in match[0] and not match[0].startswith("no") else None
        if denied or re.search(r"\bif you\b|\bunless\b", place.before):
            continue
        hard = "commercial" in match[0] or LICENSE_WORDS.search(around.replace(match[0], " ")) or "研究" in match[0]
        yield Statement("restriction" if hard else "advice", match[0], place)


NAMED_LICENSE = re.compile(
    r"\bcc[- ]?by[- ]?nc[- ]?(?P<nc>sa|nd)?\b|\bcc[- ]?by[- ]?(?P<sd>sa|nd)\b|creative commons[\w\s-]{0,20}attribution[- ]non-?commercial|attribution-noncommercial|attribution[- ]sharealike|"
    r"\b(?P<agpl>a?gpl)(?:[- ]?v?[23](?:\.0)?)?\b|\b(?P<llama>llama[- ]?(?P<v>[1234](?:\.\d)?)?[- ](?:community )?licen[sc]e)|(?P<gemma>gemma (?:terms of use|licen[sc]e))|(?P<rail>open ?rail(?:\+\+)?(?:-m)?)\b|(?P<yi>yi (?:series )?(?:models )?(?:community )?licen[sc]e)|(?P<qwen>tongyi qianwen|qwen licen[sc]e|qianwen licen[sc]e)"
)
GRANTS = re.compile(r"licen[sc]e|released under|distributed under|available under|terms|subject to|governed")
OF_CODE = re.compile(r"\b(?:code|repository|repo|source|script|library|software|data ?set|data|corpus|images?|photo|documentation)\b[^.;|]{0,60}$")


def named_licenses(reading: Reading) -> Iterator[Statement]:
    """Licenses that prose names for the model itself."""
    body = reading.body
    for count, match in enumerate(NAMED_LICENSE.finditer(body.low)):
        if count > 30:
            return
        place = body.place(match.start(), match.end())
        if not (GRANTS.search(place.sentence) or "licen" in body.heading(match.start())):
            continue
        if says_no(place) or _about_another(reading, place):
            continue
        if OF_CODE.search(place.before[-90:]) and not reading.is_dataset:
            continue
        yield Statement("license", _license_id(match), place)


def _license_id(match: re.Match[str]) -> str:
    """The catalogue entry that a license named in prose stands for."""
    groups = match.groupdict()
    if groups["llama"]:
        return {"1": "llama1", "2": "llama2", "3": "llama3", "4": "llama4"}.get(groups["v"] or "2", f"llama{groups['v']}")
    for key, entry in (("gemma", "gemma"), ("rail", "openrail"), ("yi", "yi-license"), ("qwen", "tongyi-qianwen")):
        if groups[key]:
            return entry
    if groups["agpl"]:
        return "agpl-3.0" if groups["agpl"].startswith("a") else "gpl"
    if groups["sd"]:
        return f"cc-by-{groups['sd']}-4.0"
    if "sharealike" in match[0]:
        return "cc-by-sa-4.0"
    return f"cc-by-nc-{groups['nc']}-4.0" if groups["nc"] else "cc-by-nc-4.0"


OTHER_MODEL = re.compile(r"\]\((?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/|papers/|docs/|blog/|collections/)([\w.-]+/[\w.-]+)")


def _about_another(reading: Reading, place: Place) -> bool:
    """Whether the bullet or row around a span is headed by a link to some other model, or names a sibling first."""
    block = reading.body.block(place.start).lstrip("-*+•| \t\n")
    own = reading.name
    link = OTHER_MODEL.search(block[:220])
    if link and link.start() < 90 and block[:2].lstrip("*").startswith("[") and link[1].rstrip(".") != own:
        return True
    return False


DETECTORS: dict[str, Callable[[Reading], Iterator[Statement]]] = {
    function.__name__: function
    for function in (trained_on_outputs, named_data, named_parents, restricted_use, named_licenses)
}
