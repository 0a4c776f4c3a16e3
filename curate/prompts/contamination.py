"""Overlap with what the student is tested on: benchmark items, and the rows of the reference itself.

Three looks, each cheaper and surer than the next: the item's word n-grams inside the row (verbatim, edited, embedded in
longer text); the same wording after typing errors (short items); the embedding together with the numbers (rephrased).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from curate.prompts.engines import ranges
from curate.prompts.forms import guarded_parts, loose_form, spelt
from curate.prompts.minhash import Banded, jaccard, shingles
from curate.prompts.promptset import PromptSet
from curate.prompts.wording import bare_form, same_wording
from curate.prompts.work import Gone, Work

if TYPE_CHECKING:
    import numpy as np

GRAM = 3
FEWEST_GRAMS = 6
"""Benchmark items with fewer word 3-grams are compared whole: their pieces are everyday phrases."""
FEWEST_GRAMS_OF_A_PROMPT = 18
"""The same for rows of the reference, which share their everyday phrases with every prompt on the topic."""
ROWS_AT_ONCE = 16_384
FIRST_SENTENCE = re.compile(r"^.{0,120}?[.?!:\n]\s+(?=\S)", re.DOTALL)


@dataclass(frozen=True)
class Hit:
    """What a row has in common with a protected item."""

    item: str
    how: str
    score: float


@dataclass(frozen=True)
class Protected:
    """Items that must not be asked, with their forms."""

    name: str
    prompts: PromptSet
    forms: list[str]

    def called(self, item: int) -> str:
        """``set:id``."""
        return f"{self.name}:{self.prompts.ids[item]}"


def contamination(
    work: Work,
    *,
    contained: float = 0.5,
    jaccard_at_least: float = 0.4,
    rephrased: float = 0.6,
    rephrased_without_numbers: float = 0.9,
    reference: bool = True,
) -> Iterator[Gone]:
    """Rows that hold a benchmark item or a row of the reference: verbatim, edited, embedded or rephrased.

    Args:
        work: the job, with its benchmarks and reference.
        contained: least share of an item's word 3-grams that a row must hold.
        jaccard_at_least: least character 4-gram Jaccard similarity for the same wording (short items).
        rephrased: least cosine where row and item have the same numbers (two or more); belongs to the embedder.
        rephrased_without_numbers: least cosine where there are no numbers to compare.
        reference: protect the reference's rows as well (in wording, not in meaning: they are what is aimed at).
    """
    guarded = work.once(f"contamination {reference}", lambda: Guarded(work, reference=reference))
    if not guarded.indexes:
        work.notes.append("contamination: skipped, no benchmark and no reference was given")
        return
    forms, texts = work.forms(), work.prompts.texts
    items = [(kept, work.vectors(kept.prompts)) for kept in guarded.benchmarks]
    rows = work.vector_rows(work.prompts) if items else None
    for block in ranges(len(texts), ROWS_AT_ONCE):
        asked, written, hits = texts[block], forms[block], dict[int, Hit]()
        found = [held_grams(guarded, written, contained), held_wording(guarded, written, asked, jaccard_at_least)]
        if rows is not None:
            part = rows[block]
            found += [held_meaning(*item, asked, part, rephrased, rephrased_without_numbers) for item in items]
        for row, hit in chain.from_iterable(found):
            hits.setdefault(row, hit)
        for row in sorted(hits):
            yield Gone(block.start + row, hits[row].how, score=hits[row].score, because_of=hits[row].item)
        work.progress("contamination", block.stop, len(texts))


def protect(name: str, prompts: PromptSet) -> Protected:
    """A protected set under the name of its file."""
    from pathlib import Path

    return Protected(Path(prompts.place).stem or name, prompts, [loose_form(text) for text in prompts.texts])


def grams(form: str) -> set[tuple[str, ...]]:
    """The word 3-grams of a loose form."""
    words = form.split(" ")
    return {tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)}


class Index:
    """Which items of a protected set hold a word 3-gram."""

    def __init__(self, kept: Protected, *, whole: bool) -> None:
        self.kept = kept
        self.whole = whole
        self.fewest = FEWEST_GRAMS_OF_A_PROMPT if whole else FEWEST_GRAMS
        self.items: dict[tuple[str, ...], list[int]] = {}
        self.sizes: dict[int, int] = {}
        for item, form in enumerate(kept.forms):
            found = grams(form)
            if len(found) >= self.fewest:
                self.sizes[item] = len(found)
                for gram in found:
                    self.items.setdefault(gram, []).append(item)

    def hit(self, form: str, known: set[tuple[str, ...]], size: int, contained: float) -> Hit | None:
        """What a row of ``size`` 3-grams, these of them known, holds of an item; of a reference row, little else."""
        known = known & self.items.keys()
        if not known:
            return None
        shared = Counter(item for gram in known for item in self.items[gram])
        item, count = min(shared.items(), key=lambda pair: (-pair[1], pair[0]))
        share = count / self.sizes[item]
        held = share >= contained and (not self.whole or count >= contained * size)
        if not held and (self.whole or count < FEWEST_GRAMS or count < 0.8 * size):
            return None
        what = "verbatim" if self.kept.forms[item] == form else "embedded" if share > 0.9 else "edited"
        return Hit(self.kept.called(item), f"holds an item of {self.kept.name}, {what}", share)


class Guarded:
    """All that must not be asked, and what rows are held against; made once for all parts of the rows."""

    def __init__(self, work: Work, *, reference: bool) -> None:
        self.benchmarks = [protect(f"benchmark {place + 1}", bench) for place, bench in enumerate(work.benchmarks)]
        leaks = [protect("reference", work.reference)] if reference and work.reference is not None else []
        self.indexes = [Index(kept, whole=kept in leaks) for kept in (*self.benchmarks, *leaks)]
        self.owners = [(index.kept, item) for index in self.indexes for item in range(len(index.kept.forms))]
        self.bare = [bare_form(kept.forms[item]) for kept, item in self.owners]
        self.banded = Banded(self.bare)
        self.grams = frozenset(gram for index in self.indexes for gram in index.items)


def held_grams(guarded: Guarded, forms: Sequence[str], contained: float) -> Iterator[tuple[int, Hit]]:
    """Rows that hold enough of an item's 3-grams."""
    fewest = min(FEWEST_GRAMS, *(contained * index.fewest for index in guarded.indexes))
    for row, form in enumerate(forms):
        mine = grams(form)
        known = mine & guarded.grams
        if len(known) < fewest:
            continue
        for index in guarded.indexes:
            hit = index.hit(form, known, len(mine), contained)
            if hit is not None:
                yield row, hit
                break


def held_wording(
    guarded: Guarded, forms: Sequence[str], texts: Sequence[str], jaccard_at_least: float
) -> Iterator[tuple[int, Hit]]:
    """Rows whose wording, or that after their first sentence, is an item's but for typing errors and courtesy."""
    for row, item, similar in same_worded(guarded, forms, texts, jaccard_at_least):
        kept, number = guarded.owners[item]
        yield row, Hit(kept.called(number), f"the wording of an item of {kept.name}", similar)


def same_worded(
    guarded: Guarded, forms: Sequence[str], texts: Sequence[str], jaccard_at_least: float
) -> Iterator[tuple[int, int, float]]:
    """Rows, the item whose wording they have, and the Jaccard similarity."""
    items = guarded.bare
    tails = {
        row: bare_form(loose_form(text[found.end() :]))
        for row, text in enumerate(texts)
        if (found := FIRST_SENTENCE.match(text[:4000]))
    }
    tails = {row: tail for row, tail in tails.items() if tail.count(" ") >= 2}
    rows = [*range(len(forms)), *tails]
    written = [*(bare_form(form) for form in forms), *tails.values()]
    for place, item in sorted(guarded.banded.pairs(written)):
        if not items[item] or not written[place]:
            continue
        same = items[item] == written[place]
        similar = 1.0 if same else jaccard(shingles(items[item]), shingles(written[place]))
        is_phrase = items[item].count(" ") >= 2
        if same or (is_phrase and similar >= jaccard_at_least and same_wording(items[item], written[place])):
            yield rows[place], item, similar


def held_meaning(
    kept: Protected, items: np.ndarray, texts: Sequence[str], rows: np.ndarray, numbered: float, plain: float
) -> Iterator[tuple[int, Hit]]:
    """Rows near an item in meaning: with the same numbers, or so near that numbers are not needed."""
    import numpy as np

    from curate.prompts.neighbors import ROUNDING, cosines_of, top_neighbors

    best = top_neighbors(rows, items, 1)[0]
    close = np.flatnonzero((best >= min(numbered, plain) - ROUNDING).any(axis=1))
    near = top_neighbors(rows[close], items, 5)[1]
    cosines = np.stack([cosines_of(rows[close], items[one]) for one in near.T], axis=1)
    for place, row in enumerate(close.tolist()):
        found = same_thing(texts[row], kept.prompts.texts, near[place], cosines[place], numbered, plain)
        if found is not None:
            item, cosine = found
            yield row, Hit(kept.called(item), f"rephrases an item of {kept.name} (uncertain)", cosine)


def same_thing(
    text: str, items: Sequence[str], near: np.ndarray, cosines: np.ndarray, numbered: float, plain: float
) -> tuple[int, float] | None:
    """The nearest item that a text rephrases, with its cosine."""
    if not len(cosines) or cosines[0] < min(numbered, plain):
        return None
    mine = tuple(spelt(guarded_parts(text)[0]))
    for item, cosine in zip(near.tolist(), cosines.tolist(), strict=True):
        if cosine >= plain and tuple(spelt(guarded_parts(items[item])[0])) == mine:
            return item, cosine
        if cosine >= numbered and len(mine) >= 2 and share_numbers(mine, tuple(spelt(guarded_parts(items[item])[0]))):
            return item, cosine
    return None


def share_numbers(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two lists of numbers agree in all but a fifth; small ones alone are chance."""
    shared = sum((Counter(first) & Counter(second)).values())
    telling = any(len(number) > 1 for number in first) or shared >= 3
    return telling and shared * 5 >= 4 * max(len(first), len(second))
