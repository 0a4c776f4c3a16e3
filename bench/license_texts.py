"""Which license texts are known: ``CURATE_CORPUS=… python bench/license_texts.py``; ``--print FILE`` for a fingerprint.

For every text of the corpus: what it was taken for, how, and what it would be taken for without its fingerprint.
A text counts as wrong if it is taken for certain for another license.
"""

import copy
import os
import sys
import time
from pathlib import Path

import yaml

from curate.licenses.facts import load_catalogue
from curate.licenses.texts import fingerprint, recognize

EXPECTED = Path(__file__).parents[1] / "tests/licenses/license_texts.yaml"


def main():
    """The table, then the sums."""
    if sys.argv[1:2] == ["--print"]:
        print(fingerprint(Path(sys.argv[2]).read_text(encoding="utf-8")))
        return
    corpus = os.environ.get("CURATE_CORPUS")
    if not corpus:
        print("skipped: CURATE_CORPUS names no folder of license texts")
        return
    catalogue = load_catalogue()
    unprinted = copy.copy(catalogue)
    unprinted.fingerprints = {key: one for key, one in catalogue.fingerprints.items() if one.kind == "margin"}
    expected = yaml.safe_load(EXPECTED.read_text())
    right = unknown = wrong = wrong_unprinted = 0
    seconds = 0.0
    print(f"{'text':30} {'taken for':26} {'how':12} {'certain':8} without its fingerprint")
    for name, meant in expected.items():
        text = (Path(corpus) / "license_texts" / name).read_text(encoding="utf-8")
        started = time.perf_counter()
        found = recognize(text, catalogue)
        seconds += time.perf_counter() - started
        bare = recognize(text, unprinted)
        right += found.is_certain and found.license == meant
        unknown += not found.is_certain
        wrong += found.is_certain and found.license != meant
        wrong_unprinted += bare.is_certain and bare.license != meant
        how = f"{bare.license or '–'} ({'certain' if bare.is_certain else 'unsure'})"
        print(f"{name:30} {found.license or '–':26} {found.how or '–':12} {found.is_certain!s:8} {how}")
    print(
        f"{len(expected)} texts: {right} right, {unknown} not known, {wrong} wrong; "
        f"without fingerprints {wrong_unprinted} wrong"
    )
    print(f"{seconds / len(expected) * 1000:.1f} ms a text")


if __name__ == "__main__":
    main()
