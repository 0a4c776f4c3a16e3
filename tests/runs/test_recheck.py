import contextlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from curate.errors import Denied, InputError, NeedsReview, PolicyError, TamperedError
from curate.gate import Verdict
from curate.licenses.check import check_license
from curate.licenses.sources import make_source
from curate.policy import Waiver, load_policy, policies_folder
from curate.runs.recheck import recheck
from tests.runs.conftest import EXAMPLES, TODAY, run_example

LATER = TODAY + timedelta(days=30)


@pytest.fixture
def cards(tmp_path):
    return Path(shutil.copytree(EXAMPLES / "cards", tmp_path / "today"))


def run_of(teacher, reports, policy=None):
    assignments = (f"teacher={teacher}",)
    with contextlib.suppress(Denied, NeedsReview):
        run_example("run-denied.yaml", reports, *assignments, policy=policy, only_gates=True)
    return next(reports.iterdir())


def again(place, cards, *, policy=None, today=LATER):
    return recheck(place, policy=policy, source=make_source(cards=[cards], offline=True), today=today)


def changed(found, what):
    return {change.subject for one in found.decisions for change in one.changes if change.what == what}


@pytest.fixture(scope="module")
def allowed(tmp_path_factory):
    return run_of("google/flan-t5-base", tmp_path_factory.mktemp("allowed"))


def test_where_nothing_changed_nothing_is_told_and_the_verdict_stands(allowed, cards):
    found = again(allowed, cards)
    assert found.exit_code == 0
    assert {one.changes for one in found.decisions} == {()}
    assert found.decisions[0].now is Verdict.ALLOW


@pytest.mark.parametrize(
    ("text", "verdict", "code"),
    [
        ("---\nlicense: cc-by-nc-4.0\n---\n", Verdict.DENY, 3),
        ("---\nlicense: nobody-knows\n---\n", Verdict.REVIEW, 4),
        ("---\nlicense: mit\n---\n", Verdict.ALLOW, 0),
    ],
)
def test_a_changed_card_is_named_and_the_exit_code_follows_the_new_verdict(allowed, cards, text, verdict, code):
    (cards / "models" / "google__flan-t5-base" / "README.md").write_text(text)
    found = again(allowed, cards)
    assert found.decisions[0].now is verdict
    assert found.exit_code == code
    assert "google/flan-t5-base" in changed(found, "card")
    assert "google/flan-t5-base" in changed(found, "license")


def test_a_license_text_that_came_beside_the_card_is_named(allowed, cards):
    (cards / "models" / "google__flan-t5-base" / "LICENSE").write_text("All rights reserved. " * 40)
    found = again(allowed, cards)
    assert changed(found, "license file") == {"google/flan-t5-base/LICENSE"}
    assert found.exit_code == 4


def test_another_policy_is_named(allowed, cards):
    strict = load_policy("default")
    licenses = strict.licenses.model_copy(update={"by_kind": {**strict.licenses.by_kind, "permissive": Verdict.DENY}})
    found = again(allowed, cards, policy=strict.model_copy(update={"licenses": licenses}))
    assert changed(found, "policy") == {"default"}
    assert found.exit_code == 3


def test_a_waiver_that_ended_is_told_and_the_review_is_back(tmp_path, cards):
    waiver = Waiver(
        rule="missing-license", subject="example/no-license", reason="asked the owner", signed_by="Ada Example",
        signed_on=TODAY, until=TODAY + timedelta(days=7),
    )  # fmt: skip
    policy = load_policy("default").model_copy(update={"waivers": (waiver,)})
    folder = run_of("example/no-license", tmp_path / "reports", policy)
    assert again(folder, cards, policy=policy, today=waiver.until).exit_code == 0
    found = again(folder, cards, policy=policy, today=date(2027, 6, 1))
    assert changed(found, "waiver") == {"missing-license: example/no-license"}
    assert found.exit_code == 4


def test_a_verdict_that_became_more_lenient_is_exit_0(tmp_path, cards):
    folder = run_of("example/no-license", tmp_path / "reports")
    (cards / "models" / "example__no-license" / "README.md").write_text("---\nlicense: mit\n---\n")
    found = again(folder, cards)
    assert (found.decisions[0].before, found.decisions[0].now, found.exit_code) == (Verdict.REVIEW, Verdict.ALLOW, 0)


def test_a_parent_that_is_new_is_told(allowed, cards):
    (cards / "models" / "google__flan-t5-base" / "README.md").write_text(
        "---\nlicense: mit\nbase_model: meta-llama/Llama-2-7b-hf\n---\n"
    )
    found = again(allowed, cards)
    assert "meta-llama/Llama-2-7b-hf" in changed(found, "lineage")
    assert found.exit_code == 3


def test_a_card_that_is_gone_from_the_source_is_told(allowed, tmp_path):
    (tmp_path / "empty" / "models").mkdir(parents=True)
    assert "google/flan-t5-base" in changed(again(allowed, tmp_path / "empty"), "lineage")


def test_a_ticket_is_judged_again(tmp_path, cards):
    source = make_source(cards=[EXAMPLES / "cards"], offline=True)
    decision = check_license("google/flan-t5-base", policy=load_policy("default"), source=source, today=TODAY)
    decision.write(tmp_path / "decision.json")
    decision.approve().write(tmp_path / "teacher.json")
    assert again(tmp_path / "teacher.json", cards).exit_code == 0
    (cards / "models" / "google__flan-t5-base" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    assert again(tmp_path / "teacher.json", cards).exit_code == 3
    (tmp_path / "decision.json").write_text("{}")
    with pytest.raises(TamperedError):
        again(tmp_path / "teacher.json", cards)


def test_a_ticket_under_a_policy_file_asks_for_that_file(tmp_path, cards):
    copy = tmp_path / "ours.yaml"
    copy.write_bytes((policies_folder() / "default.yaml").read_bytes())
    source = make_source(cards=[cards], offline=True)
    decision = check_license("google/flan-t5-base", policy=load_policy(str(copy)), source=source, today=TODAY)
    decision.write(tmp_path / "decision.json")
    decision.approve().write(tmp_path / "teacher.json")
    with pytest.raises(PolicyError, match="policy file, ours"):
        again(tmp_path / "teacher.json", cards)


def test_a_folder_that_was_changed_is_not_judged_again(denied, cards):
    (denied / "policy.json").write_text("{}")
    with pytest.raises(TamperedError):
        again(denied, cards)


@pytest.mark.parametrize("content", ["{}", "[]", '{"kind": "curate/approved-dataset@1"}'])
def test_what_is_neither_run_nor_ticket_is_a_wrong_input(tmp_path, cards, content):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(InputError):
        again(tmp_path / "file.json", cards)


def test_the_result_is_an_artifact(allowed, cards):
    payload = json.loads(again(allowed, cards).to_json())
    assert payload["kind"] == "curate/recheck@1"
    assert payload["decisions"][0]["now"] == "allow"
