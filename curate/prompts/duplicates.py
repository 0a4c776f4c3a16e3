"""Duplicates: exact, near and semantic. Of each group one row stays: the one whose license is allowed, then the first.

Greedy keep-first, not connected components: a row goes only because of a row that stays, so chains of ever less
similar rows do not pull each other out.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from curate.prompts.alike import Wordings
from curate.prompts.engines import each
from curate.prompts.forms import differ_in_figures, differ_in_guarded, exact_form
from curate.prompts.kernels import (
    PERMUTATIONS,
    candidate_pairs,
    keep_first,
    likely_pairs,
    signatures,
    similar_pairs,
)
from curate.prompts.keys import first_places, keys_of
from curate.prompts.minhash import jaccard, shingles
from curate.prompts.scratch import gathered
from curate.prompts.texts import Texts
from curate.prompts.wording import bare_form, same_wording, words_changed_places
from curate.prompts.work import Gone, Work

if TYPE_CHECKING:
    import numpy as np

Reason = tuple[str, float]

FIGURES = re.compile(r"\d+")
SURE = 0.7
"""Least Jaccard similarity where the letters alone must tell."""
STANDARD_ERROR = (SURE * (1 - SURE) / PERMUTATIONS) ** 0.5
"""Of a Jaccard similarity of ``SURE`` estimated from signatures."""
ALIGNED_CHARACTERS = 800
"""Longer texts are compared by their letters and guarded parts alone; aligning their words costs too much."""


def exact(work: Work) -> list[Gone]:
    """Rows whose exact form (NFKC, casefold, no invisible characters or sentence punctuation) another row has."""
    import numpy as np

    rank = work.rank()
    keys = keys_of(each(work.engine, exact_form, (work.prompts.texts[row] for row in rank)))
    first = first_places(keys)
    drops = []
    for place in np.flatnonzero((first != np.arange(len(first))) & (keys != keys_of([""])).any(axis=1)).tolist():
        row, kept = rank[place], rank[first[place]]
        same = work.prompts.texts[kept] == work.prompts.texts[row]
        reason = "the same text" if same else "the same text after normalisation"
        drops.append(Gone(row, reason, score=1.0, because_of=work.prompts.ids[kept]))
    return drops


def near(work: Work, *, jaccard_at_least: float = 0.3, number_guard: bool = True, wording: bool = True) -> list[Gone]:
    """Rows that differ from a kept row in typing, courtesy, emoji, case or spacing only.

    Args:
        work: the job.
        jaccard_at_least: least Jaccard similarity of character 4-grams for a candidate pair.
        number_guard: a different number, negation or code identifier makes another prompt.
        wording: a different word (typing errors and courtesy aside), or another order of words, makes another prompt.
    """
    import numpy as np

    texts = work.prompts.texts
    loose = work.forms()
    forms = Texts.of(each(work.engine, bare_form, loose))
    wordings = Wordings(forms)
    counts = wordings.rows_with()

    def alike(one: str, two: str, first: int, second: int) -> bool:
        if same_wording(one, two, counts):
            return True
        whole = loose[first], loose[second]
        return whole != (one, two) and same_wording(*whole, counts)

    def judge(first: int, second: int, estimate: float) -> Reason | None:
        one, two = forms[first], forms[second]
        same = one == two
        by_letters = not wording or max(len(texts[first]), len(texts[second])) > ALIGNED_CHARACTERS
        if by_letters and not same and estimate < SURE - 4 * STANDARD_ERROR:
            return None
        if not by_letters and not same and not alike(one, two, first, second):
            return None
        if number_guard and (differ_in_guarded if by_letters else differ_in_figures)(texts[first], texts[second]):
            return None
        similar = 1.0 if same else jaccard(shingles(one), shingles(two))
        if similar < (max(SURE, jaccard_at_least) if by_letters else jaccard_at_least):
            return None
        return ("the same but for case, spacing or symbols" if same else "nearly the same wording"), similar

    rank = work.rank()
    signed = signatures(forms.take(rank), engine=work.engine, progress=work.progress)
    rows = np.asarray(rank, dtype=np.int64)
    aligned = np.array(
        [
            wording and len(text) <= ALIGNED_CHARACTERS and one == two
            for text, one, two in zip(texts, forms, loose, strict=True)
        ],
        dtype=bool,
    )

    def find(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mine = signed if len(places) == len(signed) else gathered(signed, places)
        pairs, similar = likely_pairs(mine, candidate_pairs(mine, engine=work.engine), jaccard_at_least)
        first, second = rows[places[pairs[:, 0]]], rows[places[pairs[:, 1]]]
        open_ones = ~(aligned[first] & aligned[second])
        open_ones[~open_ones] = wordings.may_be_alike(first[~open_ones], second[~open_ones])
        return pairs[open_ones], similar[open_ones]

    return drop_until_none(work, rank, find, judge)


def semantic(work: Work, *, threshold: float = 0.92, cells: int = 4, number_guard: bool = True) -> list[Gone]:
    """Rows whose vector has at least this cosine with that of a kept row.

    Args:
        work: the job.
        threshold: least cosine; belongs to the embedder.
        cells: clusters each row joins; more find more pairs.
        number_guard: a different number, negation, code identifier, or the same words in another order (which an
            embedder that averages words cannot see) makes another prompt.
    """
    texts, forms = work.prompts.texts, work.forms()
    rank = contrasts_first(work, forms) if number_guard else work.rank()

    def judge(first: int, second: int, cosine: float) -> Reason | None:
        if number_guard:
            if differ_in_guarded(texts[first], texts[second]):
                return None
            if words_changed_places(forms[first], forms[second]):
                return None
        return "the same meaning", cosine

    store = work.vector_store()
    where = store.places(texts, progress=work.progress)[rank]

    def find(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return similar_pairs(
            store.at(where[places]), threshold, cells=cells, engine=work.engine, progress=work.progress
        )

    return drop_until_none(work, rank, find, judge)


def contrasts_first(work: Work, forms: Sequence[str]) -> Sequence[int]:
    """The ranking with, of equal licenses, rows before others that have a twin with another number.

    Two prompts that differ in a number alone tell what the number does; a paraphrase of either goes before them.
    """
    import numpy as np

    masks = keys_of(FIGURES.sub("0", form) for form in forms)
    numbered = np.flatnonzero([FIGURES.search(form) is not None for form in forms])
    masks = masks[numbered]
    mask = first_places(masks)
    whole = first_places(np.concatenate([masks, keys_of(forms[row] for row in numbered.tolist())], axis=1))
    different = np.bincount(mask[whole == np.arange(len(whole))], minlength=len(mask))
    has_twin = np.zeros(len(forms), dtype=bool)
    has_twin[numbered] = different[mask] > 1
    severity = np.frombuffer(work.severities(), dtype=np.uint8)
    return array("q", np.lexsort((~has_twin, severity)).tobytes())


def drop_until_none(
    work: Work,
    rank: Sequence[int],
    find: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    judge: Callable[[int, int, float], Reason | None],
) -> list[Gone]:
    """Search what is left again until nothing goes, so that a second run of the filter finds nothing either.

    Args:
        work: the job.
        rank: the row at each place of the ranking.
        find: candidate pairs among some places of the ranking, and how similar they are.
        judge: the reason and score of a pair of rows; a pair is asked once.
    """
    import numpy as np

    refused = array("q")
    rows = np.asarray(rank, dtype=np.int64)
    places = np.arange(len(rank))
    gone: list[Gone] = []

    def asked(first: int, second: int, similar: float) -> Reason | None:
        found = judge(rank[first], rank[second], similar)
        if found is None:
            refused.append(rank[first] * len(rank) + rank[second])
        return found

    while True:
        pairs, similar = find(places)
        pairs = places[pairs]
        is_new = ~np.isin(rows[pairs[:, 0]] * len(rank) + rows[pairs[:, 1]], np.array(refused, dtype=np.int64))
        more = keep_first(pairs[is_new], similar[is_new], asked)
        if not more:
            return gone
        for later, (earlier, (reason, score)) in more.items():
            gone.append(Gone(rank[later], reason, score=score, because_of=work.prompts.ids[rank[earlier]]))
        places = places[~np.isin(places, list(more))]
