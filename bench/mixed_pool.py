"""Recall of every filter on a pool with injected faults, and what it drops wrongly; each filter alone, then the chain.

    CURATE_CORPUS=<folder> python bench/mixed_pool.py

The folder holds ``prompts/mixed_pool`` (pool.jsonl, pool_truth.csv, pool_labels.csv, natural_near_pairs.csv,
target.jsonl) and ``prompts/benchmarks``. A pair counts as found when one of its two rows is dropped. Wrong drops are
counted among rows that were not injected and, for duplicates, are in no known natural pair and were not dropped
because of an injected row.
"""

import csv
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from curate.gate import Finding, Verdict
from curate.policy import load_policy
from curate.prompts.embed import load_embedder
from curate.prompts.filters import filter_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.store import VectorStore

PAIRS = (
    "near_case",
    "near_punct",
    "near_whitespace",
    "near_unicode",
    "near_emoji",
    "near_typo",
    "near_polite",
    "near_chain",
)
ALONE = {
    "exact": ("exact_dup", "exact_dup_other_licence", *PAIRS),
    "near": (*PAIRS, "paraphrase_rule", "paraphrase_human"),
    "semantic": (*PAIRS, "paraphrase_rule", "paraphrase_human"),
    "garbage": ("garbage", "empty", "emoji_only"),
    "length": ("very_long", "empty"),
    "language": ("non_english", "non_english_on_topic"),
    "pii": ("pii",),
    "injection": ("prompt_injection",),
    "contamination": (
        "contam_verbatim",
        "contam_edited",
        "contam_embedded",
        "contam_rephrased",
        "target_leak_verbatim",
        "target_leak_edited",
    ),
    "license": ("licence_missing", "simulated_licence", "licence_conflict", "exact_dup_other_licence"),
}
PAIRED = {"exact", "near", "semantic"}
KEPT_BOTH = ("hard_negative_number", "hard_negative_human")


def main() -> None:
    corpus = os.environ.get("CURATE_CORPUS", "")
    if not corpus:
        sys.exit("CURATE_CORPUS names no folder")
    place = Path(corpus) / "prompts" / os.environ.get("CURATE_POOL", "mixed_pool")
    prompts = read_prompts(place / "pool.jsonl")
    reference = read_prompts(place / "target.jsonl")
    benchmarks = [read_prompts(path) for path in sorted((Path(corpus) / "prompts" / "benchmarks").glob("*.jsonl"))]
    truth = defaultdict(list)
    for row in csv.DictReader((place / "pool_truth.csv").open(encoding="utf-8")):
        truth[row["kind"]].append(row)
    labels = {row["row_id"]: row for row in csv.DictReader((place / "pool_labels.csv").open(encoding="utf-8"))}
    natural = set()
    for row in csv.DictReader((place / "natural_near_pairs.csv").open(encoding="utf-8")):
        natural |= {row["row_a"], row["row_b"]}
    clean = [one for one in prompts.ids if labels[one]["injected"] == "0"]
    policy = load_policy("default")
    judge = row_judge(policy)
    store = VectorStore(load_embedder(policy.prompts.embedder))
    together = set()

    def run(chain):
        return filter_prompts(
            prompts, chain=chain, reference=reference, benchmarks=benchmarks, judge=judge, store=store
        )

    print(f"{len(prompts)} rows, {len(clean)} not injected; embedder {store.embedder.ref.sha256[:12]}")
    for name in [*ALONE, "off_domain"]:
        started = time.monotonic()
        _, report = run({name: policy.prompts.filters.get(name, {})})
        gone = {drop.id: drop for drop in report.drops}
        together |= set(gone) if name in ("near", "semantic") else set()
        wrong = [
            drop
            for drop in report.drops
            if labels[drop.id]["injected"] == "0"
            and not (name in PAIRED and (drop.id in natural or labels[drop.because_of]["injected"] == "1"))
        ]
        share, took = len(wrong) / len(clean), time.monotonic() - started
        print(f"\n{name}: {len(gone)} dropped, {len(wrong)} wrongly ({share:.2%}), {took:.1f} s")
        for kind in ALONE.get(name, ()):
            print(line(kind, truth[kind], gone, paired=name in PAIRED))
        if name in PAIRED:
            for kind in KEPT_BOTH:
                both = sum(row["row_id"] not in gone and row["of_row"] not in gone for row in truth[kind])
                print(f"  {kind:<26} both kept {both / len(truth[kind]):.3f}")
        if name == "off_domain":
            for topic, count in Counter(labels[one]["on_topic"] for one in clean).items():
                kept = sum(one not in gone for one in clean if labels[one]["on_topic"] == topic)
                print(f"  on_topic={topic:<17} kept {kept / count:.3f} of {count}")
    print("\nnear and semantic together")
    for kind in PAIRS:
        print(line(kind, truth[kind], together, paired=True))
    started = time.monotonic()
    kept, report = run(policy.prompts.filters)
    print(f"\nwhole chain: {len(kept)} kept, {time.monotonic() - started:.1f} s")
    print("  " + "  ".join(f"{one.name} {one.dropped}" for one in report.filters))


def line(kind, rows, gone, *, paired):
    """Recall of one kind of fault."""
    found = sum(row["row_id"] in gone or (paired and row["of_row"] in gone) for row in rows)
    return f"  {kind:<26} {found / max(1, len(rows)):.3f} of {len(rows)}"


def row_judge(policy):
    """The license wing's judge; a stand-in where it is not there yet."""
    try:
        from curate.licenses.rows import row_judge as real
    except ImportError:
        print("stand-in row judge: curate.licenses.rows is not there")
        return stand_in
    return real(policy)


def stand_in(claimed, source):
    """Permissive names are allowed, the rest is not."""
    free = claimed.lower().startswith(("apache", "mit", "cc-by-3", "cc-by-4", "cc0", "licenseref-paws"))
    verdict = Verdict.ALLOW if free else Verdict.DENY if claimed not in ("", "unknown") else Verdict.REVIEW
    return Finding(rule="row-license", subject=source or "row", verdict=verdict, message=claimed or "no license")


if __name__ == "__main__":
    main()
