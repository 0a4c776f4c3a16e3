"""How long functions say where they are, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """A listener: ``progress("embed", done=120, total=4000)``; ``total`` is None where it is not known."""

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Take one report; must be cheap and must not raise."""


def silent(stage: str, done: int, total: int | None = None, note: str = "") -> None:
    """The listener of tests and of callers that do not care."""
