"""Agreement with labelled real cards, where the corpus is at hand (CURATE_CORPUS)."""

import csv
import time
from datetime import date

import pytest

from curate.licenses.check import check_license
from curate.licenses.sources import CardFolder
from curate.policy import load_policy

TODAY = date(2026, 11, 26)


def read(path):
    """Rows of a label table."""
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def disagreements(rows, folder, prefix=""):
    """What was decided otherwise, as (ref, verdict, expected)."""
    source, policy = CardFolder(folder), load_policy("default")
    wrong = []
    for row in rows:
        expected = (row.get("acceptable_verdicts") or row["verdict"]).split(";")
        started = time.process_time()
        verdict = check_license(prefix + row["repo_id"], policy=policy, source=source, today=TODAY).verdict.value
        assert time.process_time() - started < 2, row["repo_id"]
        if verdict not in expected:
            wrong.append((row["repo_id"], verdict, expected))
    return wrong


def test_real_model_cards_agree_and_none_is_wrongly_allowed(corpus):
    rows = read(corpus / "cards/labels_models.csv")
    wrong = disagreements(rows, corpus / "cards")
    assert not [one for one in wrong if one[1] == "allow"], wrong
    assert len(wrong) <= 0.03 * len(rows), wrong


def test_real_data_set_cards_agree_and_none_is_wrongly_allowed(corpus):
    rows = read(corpus / "cards/labels_datasets.csv")
    wrong = disagreements(rows, corpus / "cards", prefix="dataset:")
    assert not [one for one in wrong if one[1] == "allow"], wrong
    assert len(wrong) <= 0.05 * len(rows), wrong


def test_hostile_cards_get_their_expected_verdict(corpus):
    folder = corpus / "cards/adversarial"
    if not folder.is_dir():
        pytest.skip("the corpus holds no hostile cards")
    assert disagreements(read(folder / "expected.csv"), folder) == []
