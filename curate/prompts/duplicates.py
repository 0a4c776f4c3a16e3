"""Duplicates: exact, near and semantic. Of each group one row stays: the one whose license is allowed, then the first.

Greedy keep-first, not connected components: a row goes only because of a row that stays, so chains of ever less
similar rows do not pull each other out.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from curate.prompts.alike import Wordings
from curate.prompts.engines import batches, each
from curate.prompts.forms import differ_in_figures, differ_in_guarded, exact_form, guard_key
from curate.prompts.kernels import (
    PERMUTATIONS,
    keep_first,
    likely_pairs,
    met_any,
    signatures,
    similar_pairs,
)
from curate.prompts.keys import first_rows
from curate.prompts.minhash import jaccard, shingles
from curate.prompts.pairs import Refused
from curate.prompts.rows import BATCH, ordered
from curate.prompts.scratch import ArrayFile, gathered
from curate.prompts.texts import Texts
from curate.prompts.wording import bare_form, same_wording, words_changed_places
from curate.prompts.work import Gone, Work

if TYPE_CHECKING:
    import numpy as np

    from curate.prompts.pairs import Chunk

Reason = tuple[str, float]

FIGURES = re.compile(r"\d+")
SURE = 0.7
"""Least Jaccard similarity where the letters alone must tell."""
STANDARD_ERROR = (SURE * (1 - SURE) / PERMUTATIONS) ** 0.5
"""Of a Jaccard similarity of ``SURE`` estimated from signatures."""
ALIGNED_CHARACTERS = 800
"""Longer texts are compared by their letters and guarded parts alone; aligning their words costs too much."""


def exact(work: Work) -> Iterator[Gone]:
    """Rows whose exact form (NFKC, casefold, no invisible characters or sentence punctuation) another row has."""
    import numpy as np

    texts, ids = work.prompts.texts, work.prompts.ids
    severities = np.frombuffer(work.severities(), dtype=np.uint8)
    first = first_rows(each(work.engine, exact_form, texts), severities)
    gone = np.flatnonzero(first != np.arange(len(first), dtype=first.dtype))
    gone = gone[np.argsort(severities[gone], kind="stable")]
    for start in range(0, len(gone), BATCH):
        some = gone[start : start + BATCH]
        for row, kept in zip(some.tolist(), first[some].tolist(), strict=True):
            reason = "the same text" if texts[kept] == texts[row] else "the same text after normalisation"
            yield Gone(row, reason, score=1.0, because_of=ids[kept])


def near(
    work: Work, *, jaccard_at_least: float = 0.3, number_guard: bool = True, wording: bool = True
) -> Iterator[Gone]:
    """Rows that differ from a kept row in typing, courtesy, emoji, case or spacing only.

    Args:
        work: the job.
        jaccard_at_least: least Jaccard similarity of character 4-grams for a candidate pair.
        number_guard: a different number, negation or code identifier makes another prompt.
        wording: a different word (typing errors and courtesy aside), or another order of words, makes another prompt.
    """
    wordings = Worded(work, wording=wording)
    texts, forms = work.prompts.texts, wordings.forms

    def judge(first: int, second: int, estimate: float) -> Reason | None:
        one, two = forms[first], forms[second]
        same, by_letters = one == two, not (wordings.short[first] and wordings.short[second])
        if by_letters and not same and estimate < SURE - 4 * STANDARD_ERROR:
            return None
        if not by_letters and not same and not wordings.same(first, second):
            return None
        if number_guard and (differ_in_guarded if by_letters else differ_in_figures)(texts[first], texts[second]):
            return None
        similar = 1.0 if same else jaccard(shingles(one), shingles(two))
        if similar < (max(SURE, jaccard_at_least) if by_letters else jaccard_at_least):
            return None
        return ("the same but for case, spacing or symbols" if same else "nearly the same wording"), similar

    rank = work.rank()
    signed = signatures(forms.take(rank), engine=work.engine, progress=work.progress)
    return drop_until_none(work, rank, NearPairs(work, rank, signed, wordings, jaccard_at_least), judge)


class Worded:
    """The wording of every row: its words, without greetings and thanks and with them."""

    def __init__(self, work: Work, *, wording: bool) -> None:
        import numpy as np

        self.loose = work.forms()
        self.forms = Texts.of(each(work.engine, bare_form, self.loose))
        rows = len(self.forms)
        differ = (one != two for one, two in zip(self.forms, self.loose, strict=True))
        framed = np.fromiter(differ, dtype=bool, count=rows)
        self.words = Wordings(self.forms, self.loose.take(np.flatnonzero(framed)))
        self.counts = self.words.rows_with(rows)
        self.whole = np.arange(rows, dtype=np.uint32)
        """Where the words of each row's loose form are; those of its bare form are at its own number."""
        self.whole[framed] = rows + np.arange(framed.sum(), dtype=np.uint32)
        short = (wording and len(text) <= ALIGNED_CHARACTERS for text in work.prompts.texts)
        self.short = np.fromiter(short, dtype=bool, count=rows)
        """Which rows are compared word by word."""

    def same(self, first: int, second: int) -> bool:
        """Whether two rows have the same wording, without greetings and thanks or with them."""
        one, two = self.forms[first], self.forms[second]
        if same_wording(one, two, self.counts):
            return True
        whole = self.loose[first], self.loose[second]
        return whole != (one, two) and same_wording(*whole, self.counts)

    def may_be_same(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(pairs,) False where two rows certainly differ in wording."""
        import numpy as np

        found: np.ndarray = ~(self.short[first] & self.short[second])
        asked = np.flatnonzero(~found)
        found[asked] = self.words.may_be_alike(first[asked], second[asked])
        one, two = self.whole[first], self.whole[second]
        asked = np.flatnonzero(~found & ((one != first) | (two != second)))
        found[asked] = self.words.may_be_alike(one[asked], two[asked])
        return found


class NearPairs:
    """The pairs of rows that may be near duplicates; later searches look again only where something has gone."""

    def __init__(self, work: Work, rank: np.ndarray, signed: np.ndarray, wordings: Worded, least: float) -> None:
        import numpy as np

        self.engine, self.rank, self.signed, self.wordings, self.least = work.engine, rank, signed, wordings, least
        self.seen = np.arange(len(rank), dtype=rank.dtype)

    def __call__(self, places: np.ndarray) -> Iterator[Chunk]:
        """Pairs among some places of the ranking, and their estimated Jaccard similarity.

        A place whose candidates are all still there has been asked about each of them, so it is left out.
        """
        wanted = None
        if len(places) < len(self.seen):
            left = among(places, len(self.rank))[self.seen]
            wanted = met_any(self.signed, self.seen, ~left, engine=self.engine)[left]
        self.seen = places
        for pairs, similar in likely_pairs(self.signed, self.least, places=places, wanted=wanted, engine=self.engine):
            first, second = self.rank[places[pairs[:, 0]]], self.rank[places[pairs[:, 1]]]
            open_ones = self.wordings.may_be_same(first, second)
            yield pairs[open_ones], similar[open_ones]


def among(places: np.ndarray, count: int) -> np.ndarray:
    """(count,) bool: which numbers are among some places."""
    import numpy as np

    found = np.zeros(count, dtype=bool)
    found[places] = True
    return found


def semantic(work: Work, *, threshold: float = 0.92, cells: int = 6, number_guard: bool = True) -> Iterator[Gone]:
    """Rows whose vector has at least this cosine with that of a kept row.

    Args:
        work: the job.
        threshold: least cosine; belongs to the embedder.
        cells: most clusters a row is compared in; more find more pairs.
        number_guard: a different number, negation, code identifier, or the same words in another order (which an
            embedder that averages words cannot see) makes another prompt.
    """
    texts, forms = work.prompts.texts, work.forms()
    rank = contrasts_first(work, forms) if number_guard else work.rank()

    def judge(first: int, second: int, cosine: float) -> Reason | None:
        if number_guard and words_changed_places(forms[first], forms[second]):
            return None
        return "the same meaning", cosine

    store = work.vector_store()
    where = gathered(store.places(texts, progress=work.progress), rank)
    kinds = gathered(kinds_of(work), rank) if number_guard else None

    def find(places: np.ndarray) -> Iterator[Chunk]:
        return similar_pairs(
            store.vectors,
            threshold,
            rows=gathered(where, places),
            kinds=None if kinds is None else gathered(kinds, places),
            cells=cells,
            engine=work.engine,
            progress=work.progress,
        )

    return drop_until_none(work, rank, find, judge)


def kinds_of(work: Work) -> np.ndarray:
    """(rows,) a number for the figures, negations and code identifiers of each row."""
    import numpy as np

    found = ArrayFile(np.int64)
    for keys in batches(each(work.engine, guard_key, work.prompts.texts), BATCH):
        found.add(np.array(keys, dtype=np.int64))
    return found.array()


def contrasts_first(work: Work, forms: Texts) -> np.ndarray:
    """The ranking with, of equal licenses, rows before others that have a twin with another number.

    Two prompts that differ in a number alone tell what the number does; a paraphrase of either goes before them.
    """
    import numpy as np

    has_number = (FIGURES.search(form) is not None for form in forms)
    numbered = np.fromiter(has_number, dtype=bool, count=len(forms))
    some = forms.take(np.flatnonzero(numbered))
    alike = np.zeros(len(some), dtype=np.uint8)
    whole = first_rows(some, alike)
    mask = first_rows((FIGURES.sub("0", form) for form in some), alike)
    number = np.arange(len(some), dtype=whole.dtype)
    is_twin = (whole == number) & (mask != number)
    with_twins = np.zeros(len(some), dtype=bool)
    with_twins[mask[is_twin]] = True
    has_twin = np.zeros(len(forms), dtype=bool)
    has_twin[numbered] = with_twins[mask]
    return ordered(np.frombuffer(work.severities(), dtype=np.uint8) * np.uint8(2) + ~has_twin)


def drop_until_none(
    work: Work,
    rank: np.ndarray,
    find: Callable[[np.ndarray], Iterator[Chunk]],
    judge: Callable[[int, int, float], Reason | None],
) -> Iterator[Gone]:
    """Search what is left again until nothing goes, so that a second run of the filter finds nothing either.

    Args:
        work: the job.
        rank: (places,) the row at each place of the ranking.
        find: candidate pairs among some places of the ranking, and how similar they are.
        judge: the reason and score of a pair of rows; a pair is asked once.
    """
    import numpy as np

    refused = Refused(len(rank))
    places = np.arange(len(rank), dtype=rank.dtype)

    def asked(first: int, second: int, similar: float) -> Reason | None:
        found = judge(int(rank[first]), int(rank[second]), similar)
        if found is None:
            refused.add(first, second)
        return found

    def fresh(places: np.ndarray) -> Iterator[Chunk]:
        for pairs, similar in find(places):
            pairs = places[pairs].astype(np.int64)
            is_new = refused.are_new(pairs)
            yield pairs[is_new], similar[is_new]
            refused.end_range()

    while True:
        more = array("q")
        for later, earlier, (reason, score) in keep_first(fresh(places), asked):
            more.append(later)
            yield Gone(int(rank[later]), reason, score=score, because_of=work.prompts.ids[rank[earlier]])
        refused.end_round()
        if not more:
            return
        places = places[~among(np.frombuffer(more, dtype=np.int64), len(rank))[places]]
