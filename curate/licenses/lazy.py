"""Patterns that are compiled when they are first searched for; most cards need few of them."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property


class Pattern:
    """As ``re.compile`` gives it, later."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self.flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern itself."""
        return re.compile(self.pattern, self.flags)

    def search(self, text: str, *bounds: int) -> re.Match[str] | None:
        """The first match anywhere."""
        return self.compiled.search(text, *bounds)

    def match(self, text: str, *bounds: int) -> re.Match[str] | None:
        """The match at the beginning."""
        return self.compiled.match(text, *bounds)

    def finditer(self, text: str, *bounds: int) -> Iterator[re.Match[str]]:
        """All matches."""
        return self.compiled.finditer(text, *bounds)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """The match of the whole."""
        return self.compiled.fullmatch(text)

    def findall(self, text: str) -> list[str]:
        """Every match as text (of the group, where there is one)."""
        return self.compiled.findall(text)

    def split(self, text: str) -> list[str]:
        """What stands between the matches."""
        return self.compiled.split(text)

    def sub(self, by: str | Callable[[re.Match[str]], str], text: str) -> str:
        """The text with every match replaced."""
        return self.compiled.sub(by, text)
