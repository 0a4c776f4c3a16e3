"""The prose of a card as places: which line, sentence, block and heading a word stands in."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from curate.licenses.lazy import Pattern

MAX_CHARS = 1 << 20
MAX_SENTENCE = 500
MAX_BLOCK = 4000
TOKEN = Pattern(r"[a-z0-9]+")
WORD_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
ASCII_LOWER = (
    {code: code + 32 for code in range(65, 91)} | dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013), 45) | {0xA0: 32}
)
"""Lower case, and one kind of hyphen and blank, one character for one."""
CODE = Pattern(
    r"```[ \t]*(?:python|py|bash|sh|shell|console|bibtex|bib|latex|tex|cpp|c\+\+|js|"
    r"javascript|java|html|powershell|cmd|rust|go)\b"
    r"[\s\S]{0,60000}?(?:```|\Z)",
    re.I,
)
FENCE = Pattern(r"```[^\n]{0,80}\n[\s\S]{0,60000}?(?:```|\Z)")
CITATION = Pattern(
    r"@(?:article|misc|inproceedings|software|techreport|online|book|dataset|unpublished|phdthesis)\s{0,3}\{[\s\S]{0,6000}?(?:\n\s{0,4}\}|\n\n|\Z)",
    re.I,
)
COMMENT = Pattern(r"<!--[\s\S]{0,20000}?-->")
LOOKS_LIKE_CODE = Pattern(
    r"(?m)^\s*(?:import |from \w+(?:\.\w+)* import|def |pip3? install|python3? |git clone|\./|\$ )"
)
HEADING = Pattern(
    r"(?m)^[ \t]{0,3}(?:#{1,6}[ \t]*|<h[1-6][^>\n]{0,200}>|\*\*(?=[^*\n]{1,80}\*\*:?[ \t]*$))([^\n]{1,200})$"
)
SENTENCE_END = Pattern(
    r"(?<=[.!?。!?])[)\"'*_]{0,3}(?=\s)|\n[ \t]*(?=[-*+•>|#\d])|\n[ \t]*\n|。|<br\s?/?>|<li>|</?p>|<td>|</td>"
)
BLOCK_START = Pattern(r"\n[ \t]*\n|\n(?=[-*+][ \t])|\n(?=\|)|\n(?=#)|\n(?=\d+\.[ \t])|<tr>|</tr>")


@dataclass(frozen=True)
class Place:
    """A span of prose with its surroundings."""

    start: int
    end: int
    sentence: str
    """Lower case, ends trimmed."""
    at: int
    """Where the span starts within the sentence."""
    quote: str
    """The sentence as written, bounded."""
    line: int

    @property
    def before(self) -> str:
        """The sentence up to the span."""
        return self.sentence[: self.at]

    @property
    def after(self) -> str:
        """The sentence from the span's end."""
        return self.sentence[self.at + self.end - self.start :]


class Body:
    """Prose with code, citations and comments blanked out, so that offsets stay true."""

    def __init__(self, text: str, *, first_line: int = 1) -> None:
        self.first_line = first_line
        self.is_cut = len(text) > MAX_CHARS
        self.raw = text[:MAX_CHARS]
        self.text = _blanked(self.raw)
        self.low = self.text.translate(ASCII_LOWER)
        headings = [(m.start(), m.end(), m[1].strip(" #*:_").lower()) for m in HEADING.finditer(self.text)]
        self.heading_starts = [start for start, _, _ in headings]
        self.heading_ends = [end for _, end, _ in headings]
        self.headings = [words for _, _, words in headings]

    @cached_property
    def tokens(self) -> frozenset[str]:
        """Every run of letters and digits in the prose."""
        return frozenset(TOKEN.findall(self.low))

    def find_words(self, word: str, longer: tuple[str, ...] = ()) -> Iterator[tuple[int, int]]:
        """Spans where a lower-case word or phrase stands alone and is not the beginning of a longer one."""
        low, size = self.low, len(word)
        at = low.find(word)
        while at >= 0:
            end = at + size
            alone = not (at and low[at - 1] in WORD_CHARS) and not (end < len(low) and low[end] in WORD_CHARS)
            if alone and not (longer and low.startswith(longer, at)):
                yield at, end
            at = low.find(word, end)

    def windows(self, stems: tuple[str, ...], margin: int = 90) -> Iterator[tuple[int, int]]:
        """Merged spans around every place where one of some letter sequences stands; the rest need not be searched."""
        hits = []
        for stem in stems:
            at = self.low.find(stem)
            while at >= 0:
                hits.append(at)
                at = self.low.find(stem, at + len(stem) + margin // 2)
        begin = finish = -1
        for hit in sorted(hits):
            if hit - margin > finish:
                if finish >= 0:
                    yield begin, finish
                begin = max(0, hit - margin)
            finish = min(len(self.low), hit + 2 * margin)
        if finish >= 0:
            yield begin, finish

    def search_near(self, pattern: Pattern, stems: tuple[str, ...]) -> Iterator[re.Match[str]]:
        """Matches of a pattern, searched for only near its stems."""
        for begin, finish in self.windows(stems):
            yield from pattern.finditer(self.low, begin, finish)

    def place(self, start: int, end: int) -> Place:
        """The sentence around a span."""
        left_bound = max(0, start - MAX_SENTENCE)
        begin = left_bound
        for stop in SENTENCE_END.finditer(self.low, left_bound, start):
            begin = stop.end()
        stop_after = SENTENCE_END.search(self.low, end, min(len(self.low), end + MAX_SENTENCE))
        finish = stop_after.start() if stop_after else min(len(self.low), end + MAX_SENTENCE)
        above = bisect_right(self.heading_starts, start) - 1
        if above >= 0:
            edge = self.heading_ends[above]
            begin, finish = (max(begin, edge), finish) if edge <= start else (begin, max(end, min(finish, edge)))
        while begin < start and self.low[begin].isspace():
            begin += 1
        quote = " ".join(self.raw[begin:finish].split())[:400]
        line = self.first_line + self.raw.count("\n", 0, start)
        return Place(start, end, self.low[begin:finish], start - begin, quote, line)

    def block(self, at: int) -> str:
        """The paragraph, bullet or table row around an offset, lower case."""
        left_bound = max(0, at - MAX_BLOCK)
        begin = left_bound
        for stop in BLOCK_START.finditer(self.low, left_bound, at):
            begin = stop.end()
        stop_after = BLOCK_START.search(self.low, at, min(len(self.low), at + MAX_BLOCK))
        return self.low[begin : stop_after.start() if stop_after else min(len(self.low), at + MAX_BLOCK)]

    def table_head(self, at: int) -> str:
        """The first row of the table an offset lies in; empty outside of tables."""
        begin = self.low.rfind("\n", 0, at) + 1
        head = ""
        while begin > 0 and self.low.startswith("|", begin):
            head = self.low[begin : self.low.find("\n", begin)]
            begin = self.low.rfind("\n", 0, begin - 1) + 1
        if begin == 0 and self.low.startswith("|"):
            head = self.low[: self.low.find("\n")]
        return head[:300]

    def heading(self, at: int) -> str:
        """The nearest heading above an offset, lower case; empty if there is none."""
        index = bisect_right(self.heading_starts, at) - 1
        return self.headings[index] if index >= 0 else ""


def _blanked(text: str) -> str:
    """The text with code, citations and comments as spaces, line ends kept."""
    if "```" in text:
        text = CODE.sub(_blank, text)
        text = FENCE.sub(lambda match: _blank(match) if LOOKS_LIKE_CODE.search(match[0]) else match[0], text)
    if "@" in text:
        text = CITATION.sub(_blank, text)
    if "<!--" in text:
        text = COMMENT.sub(_blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    """Spaces of the same length and lines."""
    return re.sub(r"[^\n]", " ", match[0])
