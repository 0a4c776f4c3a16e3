"""Recall of every filter on a pool with injected faults, and what it drops wrongly; each filter alone, then the chain.

    CURATE_CORPUS=<folder> python bench/mixed_pool.py

The folder holds ``prompts/mixed_pool`` (pool.jsonl, pool_truth.csv, pool_labels.csv, natural_near_pairs.csv,
target.jsonl) and ``prompts/benchmarks``; CURATE_POOL names another pool. A pair counts as found when one of its two
rows is dropped. Wrong drops are counted among rows that were not injected and, for duplicates, are in no known natural
pair and were not dropped because of an injected row.
"""

import csv
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from corpora import corpus
from machine import describe, markdown, write_table

from curate.licenses.rows import row_judge
from curate.policy import load_policy
from curate.prompts.embed import load_embedder
from curate.prompts.filters import filter_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.store import VectorStore

SAME = ("near_case", "near_punct", "near_whitespace", "near_unicode", "near_emoji")
LOOSE = ("near_typo", "near_polite", "near_chain")
PARAPHRASES = ("paraphrase_rule", "paraphrase_human")
KEPT_BOTH = ("hard_negative_number", "hard_negative_human")
LEAKS = ("target_leak_verbatim", "target_leak_edited")
LICENSES = ("licence_missing", "simulated_licence", "licence_conflict", "exact_dup_other_licence")
PAIRED = {"exact", "near", "semantic", "near and semantic"}
FOUND = {
    "exact": {"exact_dup": 1.0, "exact_dup_other_licence": None, **dict.fromkeys((*SAME, *LOOSE))},
    "near": {**dict.fromkeys(SAME, 0.98), **dict.fromkeys(LOOSE, 0.8), **dict.fromkeys(PARAPHRASES)},
    "semantic": dict.fromkeys((*SAME, *LOOSE, *PARAPHRASES)),
    "near and semantic": dict.fromkeys(LOOSE, 0.9),
    "contamination": {
        "contam_verbatim": 0.99,
        "contam_edited": 0.95,
        "contam_embedded": 0.95,
        "contam_rephrased": 0.5,
        **dict.fromkeys(LEAKS),
    },
    "garbage": dict.fromkeys(("garbage", "empty", "emoji_only"), 0.95),
    "length": {"very_long": 1.0, "empty": None},
    "language": {"non_english": 0.95, "non_english_on_topic": None},
    "pii": {"pii": 0.95},
    "injection": {"prompt_injection": 0.9},
    "license": {**dict.fromkeys(LICENSES), "licence_missing": 0.99, "simulated_licence": 0.96},
}
"""Least recall of each fault by each filter; None where none is asked."""
WRONG = {
    **dict.fromkeys(("exact", "near", "contamination", "pii", "injection"), 0.005),
    **dict.fromkeys(("garbage", "language"), 0.015),
}
"""Most rows wrongly dropped."""
BOTH = {"hard_negative_number": 0.97, "hard_negative_human": 0.6}
"""Least share of pairs that are no duplicates of which both stay."""
ON_TOPIC = {"kept, on the topic": 0.9, "dropped, off the topic": 0.75}
PAIRS_FOUND = 0.99


class Pool:
    """The pool, what is known of it, and what filters are held against."""

    def __init__(self, place: Path) -> None:
        self.prompts = read_prompts(place / "pool.jsonl")
        self.reference = read_prompts(place / "target.jsonl")
        self.benchmarks = [read_prompts(path) for path in sorted((place.parent / "benchmarks").glob("*.jsonl"))]
        self.truth = defaultdict(list)
        for row in read_rows(place / "pool_truth.csv"):
            self.truth[row["kind"]].append(row)
        self.labels = {row["row_id"]: row for row in read_rows(place / "pool_labels.csv")}
        pairs = read_rows(place / "natural_near_pairs.csv")
        self.natural = {row[side] for row in pairs for side in ("row_a", "row_b")}
        self.clean = [one for one in self.prompts.ids if self.labels[one]["injected"] == "0"]
        self.policy = load_policy("default")
        self.store = VectorStore(load_embedder(self.policy.prompts.embedder))

    def run(self, chain):
        """What a chain keeps, and its report."""
        return filter_prompts(
            self.prompts,
            chain=chain,
            reference=self.reference,
            benchmarks=self.benchmarks,
            judge=row_judge(self.policy),
            store=self.store,
        )

    def options(self, name):
        """A filter's options in the policy."""
        return self.policy.prompts.filters.get(name, {})

    def recall(self, kind, gone, *, paired):
        """How much of one kind of fault is gone."""
        rows = self.truth[kind]
        return sum(row["row_id"] in gone or (paired and row["of_row"] in gone) for row in rows) / len(rows)

    def both_kept(self, kind, gone):
        """Of pairs that are no duplicates, how many kept both rows."""
        rows = self.truth[kind]
        return sum(row["row_id"] not in gone and row["of_row"] not in gone for row in rows) / len(rows)

    def wrong(self, name, drops):
        """Share of the rows not injected that are dropped for nothing."""
        wrong = [
            drop
            for drop in drops
            if self.labels[drop.id]["injected"] == "0"
            and not (name in PAIRED and (drop.id in self.natural or self.labels[drop.because_of]["injected"] == "1"))
        ]
        return len(wrong) / len(self.clean)

    def topics(self, gone):
        """Of the rows not injected: kept on the topic, dropped off it."""
        on = [one in gone for one in self.clean if self.labels[one]["on_topic"] == "1"]
        off = [one in gone for one in self.clean if self.labels[one]["on_topic"] == "0"]
        return {"kept, on the topic": 1 - sum(on) / len(on), "dropped, off the topic": sum(off) / len(off)}


def read_rows(path):
    """The rows of a CSV file."""
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def measure(pool):
    """(filter, what, value, bar, whether more is better) of every filter alone."""
    lines, drops = [], {}
    for name in [*FOUND, "off_domain"]:
        if name == "near and semantic":
            continue
        drops[name] = pool.run({name: pool.options(name)})[1].drops
    drops["near and semantic"] = [*drops["near"], *drops["semantic"]]
    for name, kinds in FOUND.items():
        gone = {drop.id for drop in drops[name]}
        for kind, bar in kinds.items():
            lines.append((name, kind, pool.recall(kind, gone, paired=name in PAIRED), bar, True))
        if name in PAIRED:
            lines += [(name, f"{kind}, both kept", pool.both_kept(kind, gone), BOTH[kind], True) for kind in KEPT_BOTH]
        if name not in ("license", "near and semantic"):
            lines.append((name, "wrongly dropped", pool.wrong(name, drops[name]), WRONG.get(name), False))
    topics = pool.topics({drop.id for drop in drops["off_domain"]})
    lines += [("off_domain", what, value, ON_TOPIC[what], True) for what, value in topics.items()]
    lines.append(("semantic", "pairs at 0.92 found, no number guard", pairs_found(pool), PAIRS_FOUND, True))
    return lines


def pairs_found(pool):
    """Of the pairs that exact search finds at the policy's bound: those of which ``semantic`` drops a row."""
    options = pool.options("semantic")
    gone = {drop.id for drop in pool.run({"semantic": {**options, "number_guard": False}})[1].drops}
    dropped = np.array([one in gone for one in pool.prompts.ids])
    vectors = pool.store(pool.prompts.texts)
    found = pairs = 0
    for start in range(0, len(vectors), 2000):
        one, two = np.nonzero(vectors[start : start + 2000] @ vectors.T >= options["threshold"])
        above = two > one + start
        hit = dropped[one[above] + start] | dropped[two[above]]
        found, pairs = found + int(hit.sum()), pairs + len(hit)
    return found / pairs


def whole_chain(pool):
    """What the policy's whole chain does: rows each filter drops, then what became of each fault."""
    started = time.process_time()
    kept, report = pool.run(pool.policy.prompts.filters)
    took = time.process_time() - started
    gone = {drop.id for drop in report.drops}
    steps = [[one.name, f"{one.rows_in:,}", f"{one.dropped:,}"] for one in report.filters]
    kinds = [
        [kind, len(rows), f"{pool.recall(kind, gone, paired=kind.startswith(('near', 'exact', 'para'))):.3f}"]
        for kind, rows in sorted(pool.truth.items())
        if kind not in KEPT_BOTH
    ]
    head = f"{len(kept):,} of {len(pool.prompts):,} rows kept, {took:.1f} CPU seconds"
    return (
        f"## The whole chain\n\n{head}\n\n"
        + markdown(["filter", "rows in", "dropped"], steps)
        + "\n\nFaults of which a row is gone, whatever took it\n\n"
        + markdown(["fault", "rows", "gone"], kinds)
    )


def trade_offs(pool):
    """Typing errors and rewordings found against pairs that are no duplicates, at other bounds."""
    lines = []
    tried = [("near", {"jaccard_at_least": bound}) for bound in (0.3, 0.4, 0.5, 0.6)]
    tried += [("near", {"jaccard_at_least": 0.7, "wording": False})]
    tried += [("semantic", {"threshold": bound}) for bound in (0.9, 0.92, 0.94, 0.96)]
    for name, options in tried:
        drops = pool.run({name: options})[1].drops
        gone = {drop.id for drop in drops}
        values = [pool.recall(kind, gone, paired=True) for kind in ("near_typo", *PARAPHRASES)]
        values += [pool.both_kept("hard_negative_human", gone), pool.wrong(name, drops)]
        said = ", ".join(f"{key} {value}" for key, value in options.items())
        lines.append([name, said, *(f"{value:.3f}" for value in values)])
    head = ["filter", "options", "near_typo", *PARAPHRASES, "hard_negative_human, both kept", "wrongly dropped"]
    return "## Trade-offs\n\n" + markdown(head, lines)


def holds(value, bar, more):
    """Whether a value meets its bar."""
    return value >= bar - 1e-9 if more else value <= bar + 1e-9


def table(lines):
    """The figures with their bars."""
    rows = []
    for name, what, value, bar, more in lines:
        asked = "" if bar is None else f"{'≥' if more else '≤'} {bar:g}"
        rows.append(
            [name, what, f"{value:.4f}", asked, "" if bar is None else "yes" if holds(value, bar, more) else "no"]
        )
    return markdown(["filter alone", "what", "value", "bar", "holds"], rows)


def main() -> None:
    pool = Pool(corpus() / os.environ.get("CURATE_POOL", "mixed_pool"))
    head = (
        f"{len(pool.prompts):,} rows, {len(pool.clean):,} not injected; embedder {pool.store.embedder.ref.sha256[:12]}"
    )
    parts = [describe(), head, table(measure(pool)), whole_chain(pool), trade_offs(pool)]
    write_table("mixed_pool", "# A pool with injected faults\n\n" + "\n\n".join(parts))


if __name__ == "__main__":
    main()
