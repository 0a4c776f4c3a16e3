"""License texts beside a card: what they are, what they cover, and that none passes for a more permissive one."""

# ruff: noqa: E501 – rows of a table stand whole

import copy
import random
import re
from pathlib import Path

import pytest
import yaml

from curate.licenses.facts import load_catalogue
from curate.licenses.texts import recognize

HERE = Path(__file__).parent
NOTICE = r"Copyright (?:\[yyyy\] \[name of copyright owner\]|\d{4}[^\n]*)"
APACHE = (HERE.parents[1] / "LICENSE").read_text(encoding="utf-8")
EXPECTED = yaml.safe_load((HERE / "license_texts.yaml").read_text())
RIDERS = (
    "You may not use the Work for commercial purposes.",
    "Pals only.",
    "Outputs shall not be used to train other models.",
    "This License does not apply in Ohio.",
    "If you have more than 100 million monthly active users, you must request a license.",
)
CLAUSES = {
    "no-output-training": "You may not use the outputs of the Model to train any other model.",
    "student-must-be-same-family": "You will not use the Materials or any output or results to improve any other large language model.",
    "no-competing-model": "You shall not develop a model that competes with the Licensor.",
    "noncommercial-only": "The Model may be used solely for non-commercial purposes.",
    "research-only": "The license is granted for research purposes only.",
    "non-production-only": "Use is limited to non-production environments.",
    "mau-limit": "Products with more than 700 million monthly active users need another license.",
    "name-prefix": "You shall include “Foo” at the beginning of any such AI model name.",
    "display": "You shall prominently display the name.",
    "territory-excluded": "This agreement does not apply in the European Union.",
}


@pytest.fixture
def catalogue():
    return load_catalogue()


@pytest.fixture
def beside(judge, tmp_path):
    """Judge a folder with a card and files beside it."""

    def run(card, files, **case):
        (tmp_path / "README.md").write_text(card)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return judge(str(tmp_path), **case)

    return run


def without_fingerprints(catalogue):
    bare = copy.copy(catalogue)
    bare.fingerprints = {key: one for key, one in catalogue.fingerprints.items() if one.kind == "margin"}
    return bare


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_known_text_is_what_it_is_or_not_known(corpus, catalogue, name):
    identity = recognize((corpus / "license_texts" / name).read_text(encoding="utf-8"), catalogue)
    assert identity.license == EXPECTED[name]
    assert identity.is_certain == bool(EXPECTED[name]), identity


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_text_whose_fingerprint_is_not_known_is_never_taken_for_a_more_permissive_one(corpus, catalogue, name):
    text = (corpus / "license_texts" / name).read_text(encoding="utf-8")
    identity = recognize(text, without_fingerprints(catalogue))
    assert identity.license == EXPECTED[name] or not identity.is_certain


def test_every_fingerprint_names_its_source_and_a_license_of_the_catalogue(catalogue):
    for printed in catalogue.fingerprints.values():
        assert printed.source
        assert printed.kind == "margin" or printed.license in catalogue.licenses
        assert printed.kind == "margin" or printed.read_on


@pytest.mark.parametrize("rider", RIDERS)
def test_a_rider_anywhere_makes_a_permissive_text_another_text(catalogue, rider):
    places = random.Random(0)
    words = re.split(r"( |\n)", APACHE)
    for at in (0, len(words), *(places.randrange(len(words)) for _ in range(6))):
        changed = f"{''.join(words[:at])} {rider} {''.join(words[at:])}"
        assert not recognize(changed, catalogue).is_certain, changed[max(0, at - 40) : at + 40]


@pytest.mark.parametrize(
    "owner", ["2024 Example Corp", "2019-2024 A. Person and contributors", "[yyyy] [name of copyright owner]"]
)
def test_the_holder_of_the_rights_changes_nothing(catalogue, owner):
    text = re.sub(NOTICE, f"Copyright {owner}", APACHE)
    assert recognize(text, catalogue).is_certain


def test_a_rider_that_hides_in_the_notice_of_copyright_is_seen(catalogue):
    notice = "Copyright 2024 Example Corp. You may not use the Work for training models."
    text = re.sub(NOTICE, notice, APACHE)
    assert not recognize(text, catalogue).is_certain


@pytest.mark.parametrize(
    "layout", [str.upper, lambda text: " ".join(text.split()), lambda text: text.replace("\n", "\r\n")]
)
def test_layout_changes_nothing(catalogue, layout):
    assert recognize(layout(APACHE), catalogue).is_certain


@pytest.mark.parametrize(("condition", "sentence"), CLAUSES.items())
def test_a_clause_is_found_with_its_sentence(catalogue, condition, sentence):
    text = f"Example License\n\nBe kind. {sentence} Be kind again."
    found = {clause.condition: clause for clause in recognize(text, catalogue).clauses}
    assert found[condition].quote == sentence
    assert found[condition].line == 3


def test_the_clauses_of_permissive_texts_are_none(catalogue):
    assert recognize(APACHE, catalogue).clauses == ()


def test_an_unknown_text_with_a_clause_that_the_policy_denies_is_denied_by_its_sentence(beside):
    text = "Example License\n\nYou may use it. " + "More words. " * 40 + CLAUSES["noncommercial-only"]
    decision = beside("---\nlicense: apache-2.0\n---\n", {"LICENSE": text})
    found = next(one for one in decision.findings if one.rule == "license-clause")
    assert (decision.verdict.value, found.evidence[0].quote) == ("deny", CLAUSES["noncommercial-only"])


def test_apache_with_a_paragraph_more_is_a_review_under_an_apache_tag(beside):
    files = {"LICENSE": f"{APACHE}\n\nSection 10. The name must be printed in red.\n"}
    assert beside("---\nlicense: apache-2.0\n---\n", files).verdict.value == "review"


def test_other_is_resolved_by_the_text_beside_the_card(beside):
    decision = beside("---\nlicense: other\n---\n", {"LICENSE": APACHE})
    assert decision.verdict.value == "allow"
    assert decision.lineage.nodes[0].license == "apache-2.0"


def test_other_with_a_name_nobody_knows_is_not_resolved_by_the_text(beside):
    card = "---\nlicense: other\nlicense_name: mine-1.0\n---\n"
    assert beside(card, {"LICENSE": APACHE}).verdict.value == "review"


def test_a_missing_tag_is_not_resolved_by_the_text(beside):
    assert beside("# a model\n", {"LICENSE": APACHE}).verdict.value == "review"


def test_a_tag_that_the_text_contradicts_is_a_finding(beside):
    decision = beside("---\nlicense: gemma\n---\n", {"LICENSE": APACHE})
    found = next(one for one in decision.findings if one.rule == "license-file")
    assert "which the tag does not say" in found.message
    assert decision.verdict.value == "review"


@pytest.mark.parametrize(
    ("code", "weights"),
    [("LICENSE-CODE", "LICENSE-MODEL"), ("LICENSE", "LICENSE_MODEL"), ("CODE_LICENSE", "MODEL_LICENSE"), ("LICENSE", "LICENSE-WEIGHTS.md")],
)  # fmt: skip
def test_of_several_texts_the_one_for_the_weights_is_judged(beside, code, weights):
    forbids = "Example Model License\n\n" + CLAUSES["noncommercial-only"] + " More words." * 40
    assert beside("---\nlicense: other\n---\n", {code: APACHE, weights: forbids}).verdict.value == "deny"


def test_a_license_of_the_code_says_nothing_of_the_weights(beside):
    files = {"LICENSE": f"This license applies to the source code only.\n\n{APACHE}"}
    decision = beside("---\nlicense: other\n---\n", files)
    assert decision.verdict.value == "review"
    assert any("names the code alone" in found.message for found in decision.findings)


def test_a_card_that_keeps_its_weights_apart_from_its_code_is_not_cleared_by_the_text_of_the_code(beside):
    card = "---\nlicense: other\n---\nThe code is licensed under Apache-2.0, the weights under our Model License.\n"
    assert beside(card, {"LICENSE": APACHE}).verdict.value == "review"


def test_one_name_with_three_texts_is_resolved_by_the_text(corpus, beside):
    text = (corpus / "license_texts/kimi-k2.txt").read_text(encoding="utf-8")
    card = "---\nlicense: other\nlicense_name: modified-mit\n---\n"
    decision = beside(card, {"LICENSE": text}, policy="conditional")
    assert decision.verdict.value == "allow"
    assert any("Kimi K2" in duty for duty in decision.obligations)


@pytest.mark.parametrize("tag", ["mit", "apache-2.0", "llama3.1"])
def test_a_llama_3_text_is_not_taken_for_3_1(corpus, beside, tag):
    text = (corpus / "license_texts/meta-llama3.txt").read_text(encoding="utf-8")
    decision = beside(f"---\nlicense: {tag}\n---\n", {"LICENSE": text}, policy="conditional")
    assert decision.verdict.value == "deny"
