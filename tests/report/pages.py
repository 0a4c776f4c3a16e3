"""What a reader's browser would make of a page, as far as the standard library's parser tells."""

from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "input", "br", "hr", "img", "link", "wbr"})


class Page(HTMLParser):
    """A parsed page: its tags in order, its attributes, its text; an unclosed or misnested tag is an error."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def ids(self) -> list[str]:
        return [value for _, key, value in self.attributes if key == "id"]

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag in self.tags if tag in {"h1", "h2", "h3", "h4", "h5"}]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)


def assert_self_contained(source: str) -> Page:
    """No script, no handler, no reference out of the page, a strict policy, ids once, headings in order."""
    page = Page(source)
    assert "script" not in page.tags
    assert not {"iframe", "object", "embed", "link", "base", "form", "img", "image", "use", "foreignobject"} & set(
        page.tags
    )
    for _, key, value in page.attributes:
        assert not key.startswith("on")
        assert key not in {"src", "srcset", "action", "style", "xlink:href", "xmlns"}
        if key == "href":
            assert value[0] == "#"
            assert value[1:] in page.ids
    assert len(page.ids) == len(set(page.ids))
    policy = next(value for tag, key, value in page.attributes if tag == "meta" and value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "url(" not in source.replace("url(#", "")
    assert "@import" not in source
    assert page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(page.headings))
    assert page.tags.count("table") == page.tags.count("caption")
    assert page.tags.count("th") == sum(1 for tag, key, _ in page.attributes if tag == "th" and key == "scope")
    return page
