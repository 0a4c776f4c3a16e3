"""What the reports draw: clusters with the words that name them, a map, a histogram. For looking, never for judging."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from curate.prompts.diversity import Seen
from curate.prompts.drops import Drops
from curate.prompts.engines import batches
from curate.prompts.lexicon import wordlist
from curate.prompts.neighbors import find_centers, top_neighbors
from curate.prompts.results import Cluster, Sample

if TYPE_CHECKING:
    import numpy as np

    from curate.prompts.promptset import PromptSet
    from curate.prompts.store import VectorStore

CLUSTERS = 12
WORDS = 4
MAP_ROWS = 300
MAP_DROPS = 50
"""Of each filter."""
MAP_TEXT = 90
AT_ONCE = 8192
WORD = re.compile(r"[^\W\d_]{2,}")


def cluster_shares(
    seen: Seen, *, reference_texts: Sequence[str] | None, reference: np.ndarray | None
) -> tuple[Cluster, ...]:
    """Clusters by their share of the set, or by how far that is from their share of the reference."""
    import numpy as np

    if len(seen.vectors) < 2:
        return ()
    both = seen.vectors if reference is None else np.concatenate([seen.vectors, reference])
    texts = [*seen.texts, *(reference_texts or ())]
    centers = find_centers(both, min(CLUSTERS, max(1, len(both) // 5)), seed=seen.seed)
    cluster = top_neighbors(both, centers, 1)[1][:, 0]
    own = len(seen.vectors)
    named = name_clusters(texts, cluster, len(centers))
    shares = np.bincount(cluster[:own], minlength=len(centers)) / own
    if reference is None:
        found = [Cluster(words=words, share=float(share)) for words, share in zip(named, shares, strict=True) if share]
        return tuple(sorted(found, key=lambda one: -one.share))
    known = np.bincount(cluster[own:], minlength=len(centers)) / len(reference)
    compared = [
        Cluster(words=words, share=float(share), reference_share=float(other))
        for words, share, other in zip(named, shares, known, strict=True)
        if share or other
    ]
    return tuple(sorted(compared, key=lambda one: -abs(one.share - (one.reference_share or 0.0))))


def name_clusters(texts: Sequence[str], cluster: np.ndarray, clusters: int) -> list[tuple[str, ...]]:
    """The words that are most typical of each cluster: frequent in it, rare elsewhere."""
    light = wordlist("light_words")
    inside: list[Counter[str]] = [Counter() for _ in range(clusters)]
    overall: Counter[str] = Counter()
    for text, number in zip(texts, cluster.tolist(), strict=True):
        words = {word for word in WORD.findall(text[:2000].lower()) if word not in light}
        inside[number].update(words)
        overall.update(words)
    total = max(1, len(texts))
    named = []
    for counts in inside:
        scored = {
            word: count * math.log(1 + total / overall[word]) * count / overall[word] for word, count in counts.items()
        }
        best = sorted(scored, key=lambda word: (-scored[word], word))[:WORDS]
        named.append(tuple(best))
    return named


def similarity_histogram(vectors: np.ndarray) -> tuple[int, ...]:
    """Counts of each row's cosine to its nearest other row, in 20 equal bins from 0 to 1."""
    import numpy as np

    if len(vectors) < 2:
        return ()
    best = top_neighbors(vectors, vectors, 1, skip_self=True)[0][:, 0]
    return tuple(np.histogram(np.clip(best, 0, 1), bins=20, range=(0, 1))[0].tolist())


def dropped_texts(source: PromptSet, drops: Drops) -> dict[str, list[str]]:
    """Some of the texts that each filter dropped, spread evenly over the file.

    Ids are found by their hashes, 20 bytes each; two among 10⁷ are taken for one with a chance of 10⁻⁵.
    """
    import numpy as np

    filters: dict[str, int] = {}
    numbers = np.fromiter((filters.setdefault(row[1], len(filters)) for row in drops.rows()), np.uint32, len(drops))
    hashes = np.fromiter((hash(row[0]) for row in drops.rows()), np.int64, len(drops))
    order = np.argsort(hashes, kind="stable")
    hashes, numbers = hashes[order], numbers[order]
    rows = {name: array("q") for name in sorted(filters)}
    names = list(filters)
    start = 0
    for batch in batches(source.ids, AT_ONCE) if len(drops) else ():
        asked = np.fromiter(map(hash, batch), np.int64, len(batch))
        places = np.searchsorted(hashes, asked, side="right") - 1
        for row in np.flatnonzero(hashes[places] == asked).tolist():
            rows[names[numbers[places[row]]]].append(start + row)
        start += len(batch)
    return {name: [source.texts[row] for row in spread(found, MAP_DROPS)] for name, found in rows.items() if found}


def spread(rows: Sequence[int], limit: int) -> list[int]:
    """At most so many of the rows, from all over the file."""
    if len(rows) <= limit:
        return list(rows)
    return [rows[place * len(rows) // limit] for place in range(limit)]


def map_samples(
    seen: Seen,
    reference_texts: Sequence[str] | None,
    *,
    kept: Sequence[int],
    dropped: Mapping[str, Sequence[str]],
    store: VectorStore,
) -> tuple[Sample, ...]:
    """Some prompts, reference rows and dropped rows on the two axes on which the prompts and the reference differ most.

    Args:
        seen: the subsample that was measured.
        reference_texts: of the rows behind ``seen.reference``.
        kept: places in ``seen`` of the rows that no filter dropped.
        dropped: some texts of each filter.
        store: where vectors of dropped texts come from.
    """
    import numpy as np

    if len(seen.vectors) < 3:
        return ()
    chosen = spread(kept, MAP_ROWS)
    groups = [("kept", seen.vectors[chosen], [seen.texts[row] for row in chosen])]
    if seen.reference is not None and reference_texts is not None and len(reference_texts) == len(seen.reference):
        known = spread(range(len(reference_texts)), MAP_ROWS)
        groups.append(("reference", seen.reference[known], [reference_texts[row] for row in known]))
    fitted = np.concatenate([vectors for _, vectors, _ in groups]).astype(np.float64)
    if len(fitted) < 3:
        fitted = seen.vectors.astype(np.float64)
    axes = np.linalg.eigh(np.cov(fitted, rowvar=False))[1][:, ::-1][:, :2]
    groups += [(name, store(texts), list(texts)) for name, texts in dropped.items() if texts]
    both = np.concatenate([vectors for _, vectors, _ in groups]).astype(np.float64)
    places = (both - fitted.mean(axis=0)) @ axes
    labels = [(group, text) for group, _, texts in groups for text in texts]
    return tuple(
        Sample(x=round(float(x), 4), y=round(float(y), 4), text=" ".join(text[:MAP_TEXT].split()), group=group)
        for (x, y), (group, text) in zip(places, labels, strict=True)
    )
