"""Where work on parts of a prompt set runs: here, one part after the other, or on the workers of Ray.

An engine does one thing: it applies a function to many parts and gives the results in the order of the parts. What the
parts are, what is gathered from them and what is decided between them stands once, in the filters and in ``kernels``;
``filters_on_parts`` runs the filters that look at each row by itself. So both engines run the same code on the same
rows, and keep and drop the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Engine(Protocol):
    """Applies functions to parts."""

    rows_a_part: int
    """Rows that go to a worker at once; 0 where rows stay together."""
    at_once: int
    """Parts that are under way at the same time."""

    def map(
        self,
        function: Callable[..., Result],
        parts: Iterable[tuple[Any, ...]],
        *,
        shared: Any = None,  # noqa: ANN401 – whatever the function wants
        on_gpu: bool = False,
    ) -> Iterator[Result]:
        """``function(shared, *part)`` of each part, in order; ``parts`` is drawn from as results are taken.

        ``on_gpu``: the function runs a model, so a part has a GPU to itself where workers have any.
        """


class Local:
    """This process, part after part."""

    rows_a_part = 0
    at_once = 1

    def map(
        self,
        function: Callable[..., Result],
        parts: Iterable[tuple[Any, ...]],
        *,
        shared: Any = None,  # noqa: ANN401 – whatever the function wants
        on_gpu: bool = False,  # noqa: ARG002 – the protocol; a model here finds its device by itself
    ) -> Iterator[Result]:
        """``function(shared, *part)`` of each part, in order."""
        return (function(shared, *part) for part in parts)


LOCAL = Local()


def each(engine: Engine, function: Callable[[str], Result], texts: Iterable[str]) -> Iterator[Result]:
    """A function of each text, in order."""
    if not engine.rows_a_part:
        return map(function, texts)
    parts = ((batch,) for batch in batches(texts, engine.rows_a_part))
    return chain.from_iterable(engine.map(apply_to_all, parts, shared=function))


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items, ``size`` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def apply_to_all(function: Callable[[str], Result], texts: list[str]) -> list[Result]:
    """The function of every text of a part."""
    return [function(text) for text in texts]


def ranges(rows: int, size: int) -> Iterator[slice]:
    """The rows in runs of ``size``; in one run where it is 0."""
    step = size or max(rows, 1)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
