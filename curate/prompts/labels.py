"""Texts of which few differ, such as the licenses of rows: the different ones, and a number a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from curate.prompts.rows import BATCH, Lines

if TYPE_CHECKING:
    import numpy as np


class Labels(Lines):
    """One text a row; equal to any sequence of the same texts."""

    def __init__(self, names: list[str], codes: np.ndarray) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, texts: Iterable[str]) -> Labels:
        """Labels packed from an iterator."""
        import numpy as np

        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(text, len(known)) for text in texts), dtype=np.uint32)
        return cls(list(known), codes.astype(np.min_scalar_type(len(known))))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self.names[code] for code in self.codes[place].tolist()]
        return self.names[int(self.codes[place])]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BATCH):
            yield from self[start : start + BATCH]

    def __repr__(self) -> str:
        return f"Labels of {len(self)}: {self[:3]!r}"

    def take(self, rows: Sequence[int] | np.ndarray) -> Labels:
        """The labels of some rows, in their order."""
        import numpy as np

        return Labels(self.names, self.codes[np.asarray(rows, dtype=np.int64)])
