"""Ids against many ``*`` patterns: those with a literal owner are looked up by it, the rest are tried in turn."""

from collections.abc import Iterable
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


def matches(name: str, pattern: str) -> bool:
    """Whether a name is covered by a pattern whose only wildcard is ``*``."""
    if "*" not in pattern:
        return name == pattern
    first, *middle, last = pattern.split("*")
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, stop = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, stop)
        if found < 0:
            return False
        at = found + len(part)
    return True


class PatternIndex(Generic[Entry]):
    """Entries by the patterns of their ids."""

    def __init__(self, entries: Iterable[tuple[tuple[str, ...], tuple[str, ...], Entry]]) -> None:
        self.owned: dict[str, list[tuple[str, tuple[str, ...], Entry]]] = {}
        self.betraying: list[tuple[str, str, tuple[str, ...], Entry]] = []
        """With the longest literal part of each pattern, which a name must hold to be looked at closer."""
        self.answers: dict[str, tuple[Entry, ...]] = {}
        for patterns, unless, entry in entries:
            for pattern in patterns:
                if pattern.startswith("*"):
                    self.betraying.append((max(pattern.split("*"), key=len), pattern, unless, entry))
                else:
                    self.owned.setdefault(pattern.split("/")[0] if "/" in pattern else "", []).append(
                        (pattern, unless, entry)
                    )

    def find(self, name: str) -> tuple[Entry, ...]:
        """The entry whose own pattern is closest, then every entry whose ``*…*`` pattern the name betrays."""
        if name not in self.answers:
            if len(self.answers) > 50_000:
                self.answers.clear()
            self.answers[name] = self._find(name)
        return self.answers[name]

    def _find(self, name: str) -> tuple[Entry, ...]:
        owner = name.split("/")[0] if "/" in name else ""
        closest: tuple[int, Entry] | None = None
        for pattern, unless, entry in self.owned.get(owner, ()):
            size = len(pattern) - pattern.count("*") * 2
            if (closest is None or size > closest[0]) and _covered(name, pattern, unless):
                closest = (size, entry)
        found = [] if closest is None else [closest[1]]
        for literal, pattern, unless, entry in self.betraying:
            if literal in name and not any(entry is one for one in found) and _covered(name, pattern, unless):
                found.append(entry)
        return tuple(found)


def _covered(name: str, pattern: str, unless: tuple[str, ...]) -> bool:
    """Whether the pattern takes the name and no exception lets it go."""
    return matches(name, pattern) and not any(matches(name, exception) for exception in unless)
