"""A subset to a budget, the same for one seed: by coverage or by importance, with quotas by source or cluster."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from curate.errors import PromptsError
from curate.progress import Progress, silent
from curate.prompts.neighbors import find_centers, top_neighbors
from curate.prompts.work import Gone, Work

if TYPE_CHECKING:
    import numpy as np

Method = Literal["coverage", "importance"]
Quota = Literal["", "source", "cluster"]

MOST_CANDIDATES = 10_000
MOST_TARGETS = 2_000
MOST_PICKS = 20_000
"""More are not picked one by one: the targets are long covered, and what is left to fill is spread over clusters."""


def select_to_budget(
    work: Work, budget: int, *, method: Method = "coverage", quota: Quota = "", seed: int = 0
) -> Iterable[Gone]:
    """The rows that a budget leaves out.

    Args:
        work: the job.
        budget: rows to keep, at most.
        method: ``coverage`` (facility location) or ``importance`` (resampling towards the reference).
        quota: ``source`` or ``cluster``: each gets an equal share of the budget, as far as it has rows.
        seed: of every draw.

    Raises:
        PromptsError: ``importance`` without a reference, or quotas by source where no column names one.
    """
    if budget >= len(work.prompts):
        return []
    groups = quota_groups(work, budget, quota, seed)
    if method == "importance":
        if work.reference is None:
            raise PromptsError("importance: no reference was given", hint="give --reference, or select by coverage")
        from curate.prompts.importance import importance_order

        order = importance_order(work.prompts.texts, work.reference.texts, seed=seed)
        kept = first_with_room(order, budget, groups)
    else:
        reference = None if work.reference is None else work.vectors(work.reference)
        vectors = work.vectors(work.prompts)
        kept = select_rows(vectors, budget, reference=reference, groups=groups, seed=seed, progress=work.progress)
    inside = set(kept)
    reason = f"not among the {budget} selected by {method}" + (f" with a quota by {quota}" if quota else "")
    return (Gone(row, reason) for row in range(len(work.prompts)) if row not in inside)


def quota_groups(work: Work, budget: int, quota: Quota, seed: int) -> Sequence[str] | None:
    """Each row's group: its source, or its cluster of about √budget; None without a quota."""
    if quota == "source":
        if work.prompts.sources is None:
            raise PromptsError("quota by source: no column names a source", hint="add a source column")
        return work.prompts.sources
    if quota == "cluster":
        vectors = work.vectors(work.prompts)
        centers = find_centers(vectors, min(len(vectors), max(2, round(budget**0.5))), seed=seed)
        return [str(number) for number in top_neighbors(vectors, centers, 1)[1][:, 0].tolist()]
    return None


def allot(groups: Sequence[str], budget: int) -> dict[str, int]:
    """Rows each group may give: equal shares, what small groups leave over going to the others."""
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    room, left = {}, budget
    order = sorted(sizes, key=lambda group: (sizes[group], group))
    for place, group in enumerate(order):
        room[group] = min(sizes[group], -(-left // (len(order) - place)))
        left -= room[group]
    return room


def first_with_room(order: Sequence[int], budget: int, groups: Sequence[str] | None) -> list[int]:
    """The first rows of an order whose groups still have room, in file order."""
    if groups is None:
        return sorted(order[:budget])
    room = allot(groups, budget)
    kept = []
    for row in order:
        if room[groups[row]] > 0:
            room[groups[row]] -= 1
            kept.append(row)
    return sorted(kept)


def select_rows(
    vectors: np.ndarray,
    budget: int,
    *,
    reference: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[int]:
    """Rows to keep, in file order: half the budget covers the reference, the rest covers the pool.

    Each pick is the row that raises the summed best similarity of the targets most (facility location; the lazy greedy
    choice of Minoux 1978 gives the same picks as the full one). With groups, a pick must come from one that has room
    left (greedy under a partition matroid: Fisher, Nemhauser and Wolsey 1978). Above ``MOST_CANDIDATES`` rows, those
    nearest to the centers of a clustering stand for the rest; above ``MOST_PICKS``, they are taken as they are.
    """
    import numpy as np

    if budget >= len(vectors):
        return list(range(len(vectors)))
    names = groups if groups is not None else [""] * len(vectors)
    room = allot(names, budget)
    picks = min(budget, MOST_PICKS)
    candidates = thin_out_by_group(vectors, names, room, max(MOST_CANDIDATES, 2 * picks), seed=seed)
    owner = [names[row] for row in candidates]
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    if reference is not None and len(reference):
        targets = sample(reference, generator)
        chosen = facility_location(vectors[candidates], targets, picks // 2, [], owner, room, progress)
    targets = sample(vectors, generator)
    chosen = facility_location(vectors[candidates], targets, picks - len(chosen), chosen, owner, room, progress)
    kept = {int(candidates[row]) for row in chosen}
    if len(kept) < budget:
        rest = np.array([row for row in range(len(vectors)) if row not in kept])
        order = spread_order(vectors[rest], budget - len(kept), seed=seed)
        for row in rest[order].tolist():
            if len(kept) < budget and room[names[row]] > 0:
                room[names[row]] -= 1
                kept.add(row)
    return sorted(kept)


def sample(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """At most ``MOST_TARGETS`` rows."""
    import numpy as np

    if len(vectors) <= MOST_TARGETS:
        return vectors
    return vectors[np.sort(generator.choice(len(vectors), MOST_TARGETS, replace=False))]


def thin_out_by_group(
    vectors: np.ndarray, names: Sequence[str], room: dict[str, int], most: int, *, seed: int
) -> np.ndarray:
    """Row numbers of about ``most`` rows, each group thinned out by itself in proportion to its room."""
    import numpy as np

    if len(vectors) <= most:
        return np.arange(len(vectors))
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name, []).append(row)
    total = sum(room.values())
    parts = []
    for name, members in rows_of.items():
        rows = np.array(members)
        share = -(-most * room[name] // total)
        parts.append(rows if len(rows) <= share else rows[spread_order(vectors[rows], share, seed=seed)[:share]])
    kept: np.ndarray = np.sort(np.concatenate(parts))
    return kept


def spread_order(vectors: np.ndarray, wanted: int, *, seed: int) -> np.ndarray:
    """Row numbers, every cluster's turn in proportion to its size, those nearest to its center first.

    Its first ``wanted`` rows spread over about √wanted clusters.
    """
    import numpy as np

    centers = find_centers(vectors, max(2, min(1000, round(wanted**0.5))), seed=seed)
    cosine, cluster = top_neighbors(vectors, centers, 1)
    order = np.lexsort((-cosine[:, 0], cluster[:, 0]))
    place = np.arange(len(order)) - np.searchsorted(cluster[order, 0], cluster[order, 0], side="left")
    size = np.bincount(cluster[:, 0])[cluster[order, 0]]
    spread: np.ndarray = order[np.argsort(place / size, kind="stable")]
    return spread


def facility_location(
    candidates: np.ndarray,
    targets: np.ndarray,
    budget: int,
    picked: list[int],
    owner: Sequence[str],
    room: dict[str, int],
    progress: Progress,
) -> list[int]:
    """Add ``budget`` candidates to ``picked``, greedily raising the mean best similarity of the targets.

    ``owner`` names each candidate's group, ``room`` what the groups have left; it is used up.
    """
    import numpy as np

    similar = (candidates @ targets.T).astype(np.float32)
    covered = similar[picked].max(axis=0) if picked else np.full(len(targets), -1.0, dtype=np.float32)
    gains = np.zeros(len(candidates), dtype=np.float64)
    for start in range(0, len(candidates), 1024):
        gains[start : start + 1024] = np.maximum(similar[start : start + 1024] - covered, 0).sum(axis=1)
    taken = set(picked)
    queue = [(-gain, row) for row, gain in enumerate(gains.tolist()) if row not in taken]
    heapq.heapify(queue)
    chosen = list(picked)
    while queue and len(chosen) < len(picked) + budget:
        _, row = heapq.heappop(queue)
        if room[owner[row]] <= 0:
            continue
        gain = float(np.maximum(similar[row] - covered, 0).sum())
        if queue and -gain > queue[0][0] + 1e-9:
            heapq.heappush(queue, (-gain, row))
            continue
        chosen.append(row)
        room[owner[row]] -= 1
        covered = np.maximum(covered, similar[row])
        progress("select", len(chosen), len(picked) + budget)
    return chosen
