"""Street addresses by form: a house number beside a word that streets are called by, in the order of the country.

Street words are those of USPS Publication 28 and the usual ones of Britain, Germany, France, Italy, Spain and
Portugal. Where a text says whose address it is ("I live at", "deliver to"), any of them in any case will do; a bare
address needs capitals and one of the common words. Recall and false alarms: ``bench/personal.py``.
"""

from __future__ import annotations

import re

COMMON = (
    "street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|square|sq|terrace|way|close|crescent|highway"
    "|hwy|parkway|pkwy|circle|cir|place|pl|mews|row|trail|alley|grove|gardens|hill"
)
RARE = (
    "branch|bridge|brooks?|burgs?|bypass|camp|canyon|cape|causeway|centers?|centre|circles|cliffs?|club|common|corners?"
    "|course|courts|coves?|creek|crest|crossing|crossroad|curve|dale|dam|divide|drives|estates?|expressway|extensions?"
    "|falls?|ferry|fields?|flats?|fords?|forest|forges?|forks?|fort|freeway|garden|gateway|glens?|greens?|groves|harbors?"
    "|haven|heights|hills|hollow|inlet|islands?|isle|junctions?|keys?|knolls?|lakes?|land|landing|lights?|loaf|locks?"
    "|lodge|loop|mall|manors?|meadows?|mills?|mission|motorway|mount|mountains?|neck|orchard|oval|overpass|parks?"
    "|parkways|pass|passage|path|pike|pines?|plains?|plaza|points?|ports?|prairie|radial|ramp|ranch|rapids?|rest|ridges?"
    "|river|roads|route|rue|run|shoals?|shores?|skyway|springs?|spurs?|squares|station|stravenue|stream|streets|summit"
    "|throughway|trace|track|trafficway|tunnel|turnpike|underpass|unions?|valleys?|via|viaduct|views?|villages?|ville"
    "|vista|walks?|wall|ways|wells?|gate|lines?|circuit|circus|esplanade|parade|plaza|rise|reach|retreat|nagar|marg|chowk"
)
HOME = re.compile(
    r"\b(?:(?:i|we|he|she|they) (?:currently )?(?:live|lives|reside|resides|moved|stay) (?:at|in|to|on)|living at|staying at"
    r"|address(?: is| was|:)|home is|(?:ship|shipped|deliver|delivered|send|sent|mail|mailed|post|posted)\b.{0,25}? to)\s",
    re.IGNORECASE,
)
UNIT = (
    r"(?:(?:flat|apt|apartment|unit|suite|studio|level|house no\.?|h\.? ?no\.?)\.? ?#?\d{1,4}[a-z]?[,/]? ?(?:\n| )?)?"
)
AFTER_HOME = re.compile(
    rf".{{0,12}}?\b{UNIT}\d{{1,5}}[a-z]?(?:[/-]\d{{1,4}})?,? (?:[\w'’.-]+ ){{1,4}}?(?:{COMMON}|{RARE})\b"
    rf"|.{{0,12}}?\b(?:flat|apt|apartment|unit|suite|studio|house no\.?|h\.? ?no\.?)\.? ?\d{{1,4}}[a-z]?,? (?:[\w'’.-]+ ){{1,4}}?(?:{COMMON}|{RARE})\b",
    re.IGNORECASE,
)
CAPITAL = r"[A-ZÀ-Þ][\w'’.-]*"
BARE = re.compile(
    rf"(?<![\w.,$€£-])(?:\d{{1,5}}[A-Za-z]?(?:[/-]\d{{1,4}})?,?) (?:(?:[NSEW]\.?|North|South|East|West) )?(?:{CAPITAL} |\d{{1,3}}(?:st|nd|rd|th) ){{1,3}}(?i:{COMMON})\b"
)
GERMAN = re.compile(
    r"\b[A-ZÄÖÜ][\wäöüß.-]*(?:[ -][A-ZÄÖÜ]?[\wäöüß.-]+){0,2}?[ -]?(?i:straße|strasse|str\.|weg|platz|allee|gasse|ring|ufer|damm)"
    r" \d{1,4}(?:[/-]\d{1,3}|[a-z])?\b"
)
ROMANCE = re.compile(
    r"\b\d{1,4}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|impasse|chemin|place|quai|allée|cours)"
    rf" (?:(?:de la|de l[’']|de|du|des|la|le|les|l[’']) ?)?{CAPITAL}"
    rf"|\b(?i:calle|avenida|plaza|via|viale|piazza|corso|rua|travessa) (?:(?:de|del|della|dei|da|do|dos|la|los) ){{0,2}}{CAPITAL}(?: {CAPITAL}){{0,2}},? (?:n[.º°] ?)?\d{{1,4}}\b"
)


def holds_address(text: str) -> bool:
    """Whether a street address with a house number stands in it."""
    if BARE.search(text) or GERMAN.search(text) or ROMANCE.search(text):
        return True
    return any(AFTER_HOME.match(text, found.end()) for found in HOME.finditer(text))
