"""Agreement of the license gate with labelled cards: ``CURATE_CORPUS=… python bench/license_cards.py [--time]``.

Reads ``cards/labels_models.csv``, ``cards/labels_datasets.csv`` and ``cards/adversarial/expected.csv`` below the corpus
and prints every disagreement with the finding that decided.
"""

import csv
import os
import sys
import time
from datetime import date
from pathlib import Path

from curate.errors import CurateError
from curate.licenses.check import check_license
from curate.licenses.decision import Case
from curate.licenses.sources import CardFolder, FirstOf, ModelFolder
from curate.policy import load_policy

TODAY = date(2026, 11, 26)


def judge(rows, folder, prefix=""):
    """Print agreement and disagreements for one table of labels; returns (n, agreed, false allows)."""
    policy = load_policy("default")
    source = FirstOf([ModelFolder(), CardFolder(folder)])
    agreed = false_allows = 0
    slowest = (0.0, "")
    for row in rows:
        expected = (row.get("acceptable_verdicts") or row["verdict"]).split(";")
        started = time.perf_counter()
        try:
            decision = check_license(prefix + row["repo_id"], policy=policy, source=source, case=Case(), today=TODAY)
            verdict, findings = decision.verdict.value, decision.findings
        except CurateError as error:
            verdict, findings = f"error {error}", ()
        slowest = max(slowest, (time.perf_counter() - started, row["repo_id"]))
        if verdict in expected:
            agreed += 1
            continue
        false_allows += verdict == "allow"
        print(f"- {prefix}{row['repo_id']}: {verdict}, expected {'|'.join(expected)} ({row.get('reason', '')})")
        for found in findings:
            if found.effective.value == verdict:
                quote = found.evidence[0].quote if found.evidence else ""
                print(f"    {found.rule} {found.subject}: {found.message[:140]} | {quote[:200]!r}")
    print(f"slowest: {slowest[0] * 1000:.0f} ms ({slowest[1]})")
    return len(rows), agreed, false_allows


def read(path):
    """Rows of a label table."""
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def main():
    """All three tables, then the rate."""
    corpus = os.environ.get("CURATE_CORPUS")
    if not corpus:
        print("skipped: CURATE_CORPUS names no folder of labelled cards")
        sys.exit(0)
    cards = Path(corpus) / "cards"
    for name, rows, folder, prefix in (
        ("models", read(cards / "labels_models.csv"), cards, ""),
        ("data sets", read(cards / "labels_datasets.csv"), cards, "dataset:"),
        ("adversarial", read(cards / "adversarial/expected.csv"), cards / "adversarial", ""),
    ):
        print(f"== {name}")
        started = time.perf_counter()
        count, agreed, false_allows = judge(rows, folder, prefix)
        seconds = time.perf_counter() - started
        rate = f"{agreed}/{count} = {agreed / count:.1%}, false allows {false_allows}"
        print(f"{name}: {rate}, {count / seconds:.0f} cards/s")


if __name__ == "__main__":
    main()
