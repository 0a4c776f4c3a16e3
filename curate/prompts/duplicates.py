"""Duplicates: exact, near and semantic. Of each group one row stays: the one whose license is allowed, then the first.

Greedy keep-first, not connected components: a row goes only because of a row that stays, so chains of ever less
similar rows do not pull each other out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from curate.prompts.forms import differ_in_guarded, exact_form, loose_form
from curate.prompts.minhash import candidate_pairs, jaccard, shingles, signatures
from curate.prompts.neighbors import similar_pairs
from curate.prompts.wording import bare_form, same_wording, words_changed_places
from curate.prompts.work import Gone, Work

Reason = tuple[str, float]


def exact(work: Work) -> list[Gone]:
    """Rows whose exact form (NFKC, casefold, no invisible characters or sentence punctuation) another row has."""
    first: dict[str, int] = {}
    drops = []
    for row in work.rank():
        form = exact_form(work.prompts.texts[row])
        kept = first.setdefault(form, row)
        if kept != row and form:
            same = work.prompts.texts[kept] == work.prompts.texts[row]
            reason = "the same text" if same else "the same text after normalisation"
            drops.append(Gone(row, reason, score=1.0, because_of=work.prompts.ids[kept]))
    return drops


def near(work: Work, *, jaccard_at_least: float = 0.4, number_guard: bool = True, wording: bool = True) -> list[Gone]:
    """Rows that differ from a kept row in typing, courtesy, emoji, case or spacing only.

    Args:
        work: the job.
        jaccard_at_least: least Jaccard similarity of character 4-grams for a candidate pair.
        number_guard: a different number, negation or code identifier makes another prompt.
        wording: a different word (typing errors and courtesy aside), or another order of words, makes another prompt.
    """
    texts = work.prompts.texts
    forms = [bare_form(loose_form(text)) for text in texts]
    sets: dict[int, frozenset[str]] = {}

    def judge(first: int, second: int, _: float) -> Reason | None:
        one, two = sets.setdefault(first, shingles(forms[first])), sets.setdefault(second, shingles(forms[second]))
        similar = jaccard(one, two)
        same = forms[first] == forms[second]
        if similar < jaccard_at_least or (number_guard and differ_in_guarded(texts[first], texts[second])):
            return None
        if not same and wording and not same_wording(forms[first], forms[second]):
            return None
        return ("the same but for case, spacing or symbols" if same else "nearly the same wording"), similar

    rank = work.rank()
    ordered = [forms[row] for row in rank]
    pairs = candidate_pairs(signatures(ordered, progress=work.progress))
    return keep_first(work, rank, ((int(a), int(b), 0.0) for a, b in pairs), judge)


def semantic(work: Work, *, threshold: float = 0.92, cells: int = 4, number_guard: bool = True) -> list[Gone]:
    """Rows whose vector has at least this cosine with that of a kept row.

    Args:
        work: the job.
        threshold: least cosine; belongs to the embedder.
        cells: clusters each row joins; more find more pairs.
        number_guard: a different number, negation, code identifier, or the same words in another order (which an
            embedder that averages words cannot see) makes another prompt.
    """
    texts = work.prompts.texts
    rank = work.rank()
    vectors = work.vectors(work.prompts)[rank]
    pairs, cosines = similar_pairs(vectors, threshold, cells=cells, progress=work.progress)

    def judge(first: int, second: int, cosine: float) -> Reason | None:
        if number_guard:
            if differ_in_guarded(texts[first], texts[second]):
                return None
            if words_changed_places(loose_form(texts[first]), loose_form(texts[second])):
                return None
        return "the same meaning", cosine

    ordered = ((int(a), int(b), float(c)) for (a, b), c in zip(pairs, cosines, strict=True))
    return keep_first(work, rank, ordered, judge)


def keep_first(
    work: Work,
    rank: list[int],
    pairs: Iterable[tuple[int, int, float]],
    judge: Callable[[int, int, float], Reason | None],
) -> list[Gone]:
    """Walk the pairs by the later row: it goes if a row before it that stays is its duplicate.

    Args:
        work: the job.
        rank: the row at each place of the ranking.
        pairs: (earlier place, later place, similarity).
        judge: the reason and score of a pair of rows, None if they are no duplicates.
    """
    gone: dict[int, Gone] = {}
    for earlier, later, similar in sorted(pairs, key=lambda pair: (pair[1], -pair[2], pair[0])):
        if earlier in gone or later in gone:
            continue
        found = judge(rank[earlier], rank[later], similar)
        if found is not None:
            because_of = work.prompts.ids[rank[earlier]]
            gone[later] = Gone(rank[later], found[0], score=found[1], because_of=because_of)
    return [gone[place] for place in sorted(gone)]
