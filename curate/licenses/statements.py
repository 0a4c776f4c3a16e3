"""What detectors are given and give back; how denial, comparison and talk of other models are told apart."""

from dataclasses import dataclass
from typing import Literal

from curate.licenses.body import Body, Place
from curate.licenses.facts import Catalogue, Known
from curate.licenses.lazy import Pattern

Topic = Literal["outputs", "ratings", "data", "parent", "restriction", "advice", "license", "leak"]


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


NEGATION = Pattern(
    r"\b(?:no|not|never|without|none|neither|nor|cannot|isn't|wasn't|aren't|weren't|"
    r"doesn't|didn't|don't|free of|free from|"
    r"rather than|instead of|differ(?:s|ent)? from|unlike|"
    r"except|excluding|exclude[sd]?|avoid(?:s|ed|ing)?|remov(?:e|ed|ing)|"
    r"filter(?:ed|ing)? (?:out|for|by))\b(?! only)[^.;:]{0,60}$"
)
IN_THE = Pattern(r"\b(?<=d[oa] )n[oa]s?\b|\bnot only\b")
"""``baseado no`` is Portuguese for based on the."""
COMPARISON = Pattern(
    r"\b(?:compar\w+|outperform\w*|surpass\w*|beat(?:s|ing)?|better|worse|versus|vs|on par|rival\w*|close to|exceed\w*|"
    r"match(?:es|ing)?|competitive|evaluat\w+|benchmark\w*|leaderboard|win rate|scores?|"
    r"judged?|similar(?:ly)? to|same\b[^.;]{0,40}\bas|"
    r"like|alternatives? to|replacements? (?:of|for)|counterparts?|inspired by|such as|more than|less than|than|"
    r"equivalent to|comparable|known as|aka|(?:reproduc\w+|recreation|replica\w*) of|perform\w*|including|e\.g|"
    r"identical to|resembl\w+|akin to|preferred (?:over|to)|popular|plugged?)\b[^.;]{0,90}$"
)
OTHER_MODEL = Pattern(
    r"(?:\]\(|href=[\"']?)(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/"
    r"(?!datasets/|spaces/|papers/|docs/|blog/|collections/)([\w.-]+/[\w.-]+)"
)


def says_no(place: Place) -> bool:
    """Whether what stands before the span denies it."""
    return NEGATION.search(IN_THE.sub(" ", place.before[-90:])) is not None


def compares(place: Place) -> bool:
    """Whether the span is only something to be measured against."""
    return COMPARISON.search(place.before[-110:]) is not None


def is_about_another(reading: Reading, place: Place) -> bool:
    """Whether the bullet or row around a span is headed by a link to some other model."""
    block = reading.body.block(place.start).lstrip("-*+•| \t\n")
    link = OTHER_MODEL.search(block[:220])
    if link is None or link.start() >= 90 or block[:1] not in "[<":
        return False
    return link[1].rstrip(".") != reading.name
