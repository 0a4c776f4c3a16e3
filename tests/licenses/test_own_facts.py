"""An organisation's own licenses, models, data sets, texts and agreements, in a folder beside its policy."""

# ruff: noqa: E501 – rows of a table stand whole

import shutil
from datetime import date

import pytest

from curate.errors import PolicyError
from curate.licenses.facts import load_catalogue
from curate.licenses.rows import row_judge
from curate.policy import load_policy, policies_folder, read_policy

LICENSE = """
licenses:
  house-1.0:
    name: House License 1.0
    kind: permissive
    terms: {train_on_outputs: granted, distill_from_weights: granted, derivatives: granted, commercial_use: granted,
            redistribute: granted}
    conditions: [attribution]
    section: s.1
    note: Everything within the house.
    confidence: text
    read_on: 2026-11-01
"""
MODELS = """
models:
- {ids: [house/*], licenses: [house-1.0], basis: made in the house, confidence: high, read_on: 2026-11-01}
datasets:
- {ids: [house/tickets*], made_with: noncommercial-data, basis: rented for research, confidence: high, read_on: 2026-11-01}
"""
AGREEMENT = """
agreements:
  agreed-2026:
    name: Agreement with the owner of Llama
    covers: [meta-llama/*]
    section: s.4
    note: Outputs and weights may be distilled by the house.
    signed_by: A. Person
    signed_on: 2026-03-01
    until: 2026-12-31
    document_sha256: 'DIGEST'
""".replace("DIGEST", "a" * 64)


@pytest.fixture
def policy(tmp_path):
    """The default policy with a folder of own facts, given as files."""

    def make(files, more=""):
        folder = tmp_path / "facts"
        shutil.rmtree(folder, ignore_errors=True)
        load_catalogue.cache_clear()
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        text = (policies_folder() / "default.yaml").read_text()
        text = text.replace("    undetermined: review", f"    undetermined: review\n{more}", 1)
        (tmp_path / "mine.yaml").write_text(f"{text}\ncatalogue: facts\n")
        return read_policy(tmp_path / "mine.yaml")

    yield make
    load_catalogue.cache_clear()


def test_an_own_license_and_an_own_model_are_judged_like_ours(judge, policy):
    mine = policy({"a.yaml": LICENSE, "b.yaml": MODELS})
    assert judge("house/one", policy=mine).verdict.value == "allow"
    assert judge("x/y", {"x/y": {"license": "house-1.0"}}, policy=mine).verdict.value == "allow"
    assert judge("x/y", {"x/y": {"license": "house-1.0"}}).verdict.value == "review"
    with_data = {"x/y": {"license": "mit", "datasets": ["house/tickets-2"]}}
    assert judge("x/y", with_data, policy=mine).verdict.value == "deny"


def test_rows_are_judged_with_own_facts(policy):
    judge = row_judge(policy({"a.yaml": LICENSE, "b.yaml": MODELS}))
    assert judge("house-1.0", "wiki").verdict.value == "allow"
    assert judge("mit", "house/tickets").verdict.value == "deny"


def test_the_digest_covers_both_and_does_not_depend_on_where_the_folder_lies(judge, policy):
    mine = policy({"a.yaml": LICENSE})
    first = judge("a/b", {"a/b": {"license": "mit"}}, policy=mine)
    assert first.catalogue_sha256 != judge("a/b", {"a/b": {"license": "mit"}}).catalogue_sha256
    again = policy({"a.yaml": LICENSE.replace("Everything", "All")})
    assert judge("a/b", {"a/b": {"license": "mit"}}, policy=again).catalogue_sha256 != first.catalogue_sha256
    assert mine.digest() == again.digest()
    assert "facts" in mine.to_json()
    assert str(mine.catalogue_folder()) not in mine.to_json()


def test_the_shipped_policies_name_no_folder():
    assert load_policy("default").catalogue_folder() is None


def test_an_agreement_in_force_stands_instead_of_the_license(judge, policy):
    cards = {
        "meta-llama/Llama-3.1-8B": {"license": "llama3.1"},
        "a/b": {"license": "mit", "base_model": "meta-llama/Llama-3.1-8B"},
    }
    mine = policy({"a.yaml": AGREEMENT}, more="    agreement: allow")
    decision = judge("meta-llama/Llama-3.1-8B", cards, policy=mine)
    assert decision.verdict.value == "allow"
    assert {found.rule for found in decision.findings} == {"signed-agreement"}
    assert decision.findings[0].evidence[0].sha256 == "a" * 64
    assert judge("a/b", cards, policy=mine).verdict.value == "allow"


@pytest.mark.parametrize("today", [date(2026, 2, 28), date(2027, 1, 1)])
def test_an_agreement_out_of_force_changes_nothing(judge, policy, today):
    mine = policy({"a.yaml": AGREEMENT}, more="    agreement: allow")
    cards = {"meta-llama/Llama-3.1-8B": {"license": "llama3.1"}}
    assert judge("meta-llama/Llama-3.1-8B", cards, policy=mine, today=today).verdict.value == "deny"


def test_an_agreement_that_the_policy_does_not_speak_of_is_reviewed(judge, policy):
    decision = judge(
        "meta-llama/Llama-3.1-8B",
        {"meta-llama/Llama-3.1-8B": {"license": "llama3.1"}},
        policy=policy({"a.yaml": AGREEMENT}),
    )
    assert decision.verdict.value == "review"


def test_an_agreement_lifts_nothing_that_went_into_the_model(judge, policy):
    mine = policy({"a.yaml": AGREEMENT}, more="    agreement: allow")
    card = "---\nlicense: llama3.1\n---\nFine-tuned on outputs of GPT-4.\n"
    assert judge("meta-llama/Llama-Chat", {"meta-llama/Llama-Chat": card}, policy=mine).verdict.value == "deny"


def test_a_shipped_fact_is_replaced_only_where_the_entry_says_so(judge, policy):
    known = "models:\n- {ids: [openchat/*], licenses: [mit], basis: settled, confidence: high, read_on: 2026-11-01%s}\n"
    with pytest.raises(PolicyError, match="ships with curate"):
        judge("openchat/x", policy=policy({"a.yaml": known % ""}))
    decision = judge("openchat/x", policy=policy({"a.yaml": known % ", replaces: true"}))
    assert "settled" in decision.findings[0].message


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "holds no .yaml file"),
        ({"a.yaml": "- x\n"}, r"a.yaml:1: a mapping"),
        ({"a.yaml": "lisenses: {}\n"}, r"a.yaml:1: no section is called 'lisenses'"),
        ({"a.yaml": LICENSE.replace("    read_on: 2026-11-01\n", "")}, r"a.yaml:3: read_on"),
        ({"a.yaml": LICENSE.replace("permissive", "permisive")}, r"a.yaml:3: kind"),
        ({"a.yaml": LICENSE.replace("    section: s.1\n", "")}, r"a.yaml:3: section"),
        ({"a.yaml": LICENSE, "b.yaml": LICENSE}, r"b.yaml:3: 'house-1.0' was already given at .*a.yaml:3"),
        ({"a.yaml": LICENSE.replace("house-1.0:", "mit:")}, r"a.yaml:3: 'mit' ships with curate"),
        ({"a.yaml": LICENSE + "    replaces: true\n"}, r"replaces nothing"),
        ({"a.yaml": MODELS}, r"a.yaml:3: no license has the id 'house-1.0'"),
        ({"a.yaml": AGREEMENT.replace("a" * 64, "soon")}, r"a.yaml:3: document_sha256"),
        ({"a.yaml": AGREEMENT + "    until: 2027-01-01\n"}, r"a.yaml:12: the key 'until' was already given"),
        ({"a.yaml": "models:\n- house/one\n"}, r"a.yaml:2: models.0: a mapping"),
        ({"a.yaml": "models: {}\n"}, r"a.yaml:1: models holds a list"),
    ],
)
def test_errors_name_file_and_line(judge, policy, files, why):
    with pytest.raises(PolicyError, match=why):
        judge("a/b", {"a/b": {"license": "mit"}}, policy=policy(files))


def test_a_folder_that_is_not_there_is_refused(judge, policy, tmp_path):
    mine = policy({"a.yaml": LICENSE})
    shutil.rmtree(tmp_path / "facts")
    with pytest.raises(PolicyError, match="no such folder of facts"):
        judge("a/b", {"a/b": {"license": "mit"}}, policy=mine)


def test_an_own_text_is_known_by_its_fingerprint(judge, policy, tmp_path):
    from curate.licenses.texts import fingerprint

    text = "House License 1.0\n\nEverything within the house. " * 20
    printed = f"fingerprints:\n- {{sha256: {fingerprint(text)}, license: house-1.0, source: the house}}\n"
    mine = policy({"a.yaml": LICENSE, "b.yaml": printed})
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: other\n---\n")
    (model / "LICENSE").write_text(text)
    assert judge(str(model), policy=mine).verdict.value == "allow"
    assert judge(str(model)).verdict.value == "review"
