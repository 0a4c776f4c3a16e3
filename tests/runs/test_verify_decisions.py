import json

import pytest

from curate.artifact import canonical_json, sha256_file
from curate.errors import NeedsReview, TamperedError
from curate.licenses.card_index import CardIndex, FetchedCard, FetchedFile
from curate.licenses.sources import CardFolder
from curate.policy import Waiver, load_policy
from curate.runs.recheck import recheck
from curate.runs.verify import verify_run
from tests.runs.conftest import TODAY, run_example
from tests.runs.forging import rehash


def rewrite(path, change):
    payload = json.loads(path.read_text())
    change(payload)
    path.write_text(canonical_json(payload))


def test_a_verdict_that_does_not_follow_from_the_findings_is_found_though_all_was_hashed_again(denied):
    rewrite(denied / "decision.json", lambda decision: decision.update(verdict="allow"))
    rehash(denied)
    with pytest.raises(TamperedError, match="says allow, but its findings come to deny"):
        verify_run(denied)


def test_a_finding_that_was_taken_out_is_found_from_the_cards(denied):
    def soften(decision):
        decision["findings"] = [one for one in decision["findings"] if one["verdict"] == "allow"]
        decision["verdict"] = "allow" if decision["findings"] else "review"

    rewrite(denied / "decision.json", soften)
    rehash(denied)
    with pytest.raises(TamperedError, match="which it leaves out"):
        verify_run(denied)


def test_a_waiver_that_no_policy_holds_is_found(denied):
    def waive(decision):
        for finding in decision["findings"]:
            finding["waived_by"] = "A. Person on 2026-11-01, until 2027-01-01: because I say so"
        decision["verdict"] = "allow"

    rewrite(denied / "decision.json", waive)
    rehash(denied)
    with pytest.raises(TamperedError, match="waived, but by no waiver"):
        verify_run(denied)


def test_a_policy_that_was_exchanged_is_found(denied):
    rewrite(denied / "policy.json", lambda policy: policy.update(description="kinder"))
    rehash(denied)
    with pytest.raises(TamperedError, match="under another policy"):
        verify_run(denied)


def test_another_catalogue_is_a_note_and_no_error(denied):
    rewrite(denied / "decision.json", lambda decision: decision.update(catalogue_sha256="0" * 64))
    rehash(denied)
    assert "judged by catalogue 0000" in verify_run(denied).notes[0]


def test_a_waived_run_verifies(tmp_path):
    policy = load_policy("default")
    waiver = Waiver(
        rule="missing-license", subject="example/no-license", reason="a test that looks at the record",
        signed_by="A. Person", signed_on=TODAY, until=TODAY,
    )  # fmt: skip
    waived = policy.model_copy(update={"waivers": (waiver,)})
    run_example("run-denied.yaml", tmp_path, "teacher=example/no-license", policy=waived, only_gates=True)
    assert verify_run(next(tmp_path.iterdir())).status == "gates passed"


def test_a_gate_of_the_hub_is_kept_with_the_card_and_judged_again_from_it(tmp_path):
    card = tmp_path / "cards" / "models" / "some__gated"
    card.mkdir(parents=True)
    (card / "README.md").write_text("---\nlicense: mit\n---\n")
    entry = FetchedCard(
        ref="some/gated", kind="model", folder="models/some__gated", revision="c" * 40, gated="manual", tags=("x",),
        files=(FetchedFile(name="README.md", sha256=sha256_file(card / "README.md")),),
    )  # fmt: skip
    index = CardIndex(cards=(entry,), fetched_on=TODAY, curate_version="1")
    index.write(tmp_path / "cards" / "index.json")
    with pytest.raises(NeedsReview, match="gated-repository"):
        run_example("run-denied.yaml", tmp_path / "runs", "teacher=some/gated", f"cards={tmp_path / 'cards'}")
    (folder,) = (tmp_path / "runs").iterdir()
    (kept,) = CardIndex.read(folder / "cards" / "index.json").cards
    assert (kept.gated, kept.tags, kept.revision) == ("manual", ("x",), "c" * 40)
    verified = verify_run(folder)
    assert (verified.status, verified.notes) == ("review", ())
    again = recheck(folder, policy=None, source=CardFolder(folder / "cards"), today=TODAY)
    assert (again.exit_code, again.decisions[0].changes) == (0, ())


def test_a_card_in_this_machines_cache_changes_nothing_about_a_run(denied, monkeypatch):
    def hub_cache(*given):
        raise AssertionError("only the kept cards are read")

    monkeypatch.setattr("curate.licenses.hub_cache.HubCache.fetch", hub_cache)
    assert verify_run(denied).status == "denied"
