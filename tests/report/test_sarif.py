"""SARIF: against a schema of our own for the part we write, the official one where it is at hand, and by structure."""

import json
import os
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.validators import validator_for

from curate.gate import Evidence, Finding, Verdict
from curate.report.sarif import Place, message, rule_help, sarif_log
from curate.report.text import bound_text

from .values import HOSTILE, allowed_decision, denied_decision

SUBSET = Path(__file__).with_name("sarif_subset.schema.json")


@cache
def validator(path: Path) -> Draft7Validator:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=FormatChecker())


def read(text: str) -> dict:
    """The log, once it holds against the schema and its own references."""
    assert text.isascii()
    log = json.loads(text)
    assert [error.message for error in validator(SUBSET).iter_errors(log)] == []
    run = log["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        ids = [location["id"] for location in result.get("relatedLocations", ())]
        assert len(ids) == len(set(ids))
        for location in [*result["locations"], *result.get("relatedLocations", ())]:
            base = location["physicalLocation"]["artifactLocation"].get("uriBaseId")
            assert base is None or base in run["originalUriBaseIds"]
    return run


def unescaped(text: str) -> str:
    """A message as a SARIF reader shows it."""
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]]", text), "a bracket that may begin a link"
    assert "{" not in text.replace("{{", "")
    assert "}" not in text.replace("}}", "")
    return re.sub(r"\\([\\\[\]])", r"\1", text.replace("{{", "{").replace("}}", "}"))


def test_every_finding_that_does_not_allow_is_a_result_by_its_verdict():
    run = read(sarif_log([denied_decision(), allowed_decision()]))
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("license-denied", "error"), ("license-mismatch", "warning"), ("generated-data", "warning"),
    ]  # fmt: skip
    assert [one["verdict"] for one in run["properties"]["decisions"]] == ["deny", "allow"]


def test_a_waived_finding_is_suppressed_with_the_signer_and_the_reason():
    waived = [one for one in read(sarif_log([denied_decision()]))["results"] if "suppressions" in one]
    assert [one["ruleId"] for one in waived] == ["generated-data"]
    assert waived[0]["suppressions"][0]["kind"] == "external"
    assert "R. Muster" in waived[0]["suppressions"][0]["justification"]


def test_a_result_stands_in_its_file_and_line_and_names_its_node_of_the_lineage():
    first = read(sarif_log([denied_decision()]))["results"][0]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "meta-llama__Llama-3.1-8B/README.md", "uriBaseId": "CARDS"}
    assert place["region"] == {"startLine": 12}
    assert first["locations"][0]["logicalLocations"] == [
        {
            "name": "meta-llama/Llama-3.1-8B", "kind": "model",
            "fullyQualifiedName": "acme/Helper-8B-Instruct <- meta-llama/Llama-3.1-8B",
        }
    ]  # fmt: skip


def test_a_reference_from_a_list_is_shown_at_its_line_there():
    places = {denied_decision().ref: Place(file="ci/my teachers.txt", line=7)}
    for result in read(sarif_log([denied_decision()], places=places))["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert (place["artifactLocation"]["uri"], place["region"]) == ("ci/my%20teachers.txt", {"startLine": 7})


def test_a_finding_without_a_file_still_has_a_place():
    finding = Finding(rule="hosted-terms", subject="api:x/y", verdict=Verdict.DENY, message="no")
    decision = denied_decision().model_copy(update={"ref": "api:x/y", "findings": (finding,)})
    place = read(sarif_log([decision]))["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "pkg:huggingface/api%3Ax/y"


def test_what_could_not_be_judged_makes_the_run_unsuccessful():
    run = read(sarif_log([allowed_decision()], problems=[("a/b", "a/b: [the hub] gave no answer")]))
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is False
    told = run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert unescaped(told) == "a/b: [the hub] gave no answer"
    read(sarif_log([]))


def test_every_rule_comes_with_help_even_one_nobody_described():
    assert all(rule_help().values())
    for rule in read(sarif_log([denied_decision()]))["tool"]["driver"]["rules"]:
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]


def test_the_same_finding_has_the_same_fingerprint_and_others_have_others():
    prints = [one["partialFingerprints"]["curateFinding/v1"] for one in read(sarif_log([denied_decision()]))["results"]]
    assert len(set(prints)) == 3
    assert sarif_log([denied_decision()]) == sarif_log([denied_decision()])


@given(st.text())
def test_any_message_reads_back_as_itself_and_hides_nothing(text: str):
    shown = message(text)
    assert unescaped(shown) == bound_text(text, 1000)
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs"}]


@settings(max_examples=80, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_no_card_breaks_the_log(text: str, source: str, ref: str):
    evidence = (
        Evidence(source=source, quote=text, section=text, line=1), Evidence(source=f"https://x.y/{source}: {text}"),
        Evidence(source=f"models/{ref}/README.md: license", line=3, quote=HOSTILE),
    )  # fmt: skip
    finding = Finding(rule=source, subject=ref, verdict=Verdict.DENY, message=text, evidence=evidence, waived_by=text)
    decision = denied_decision().model_copy(update={"ref": ref, "findings": (finding,), "obligations": (text,)})
    run = read(sarif_log([decision], problems=[(ref, text)], places={ref: Place(file=source, line=1)}))
    unescaped(run["results"][0]["message"]["text"])
    read(sarif_log([decision]))


def test_a_log_holds_against_the_official_schema_where_it_is_at_hand():
    path = os.environ.get("CURATE_SARIF_SCHEMA", "")
    if not Path(path).is_file():
        pytest.skip("CURATE_SARIF_SCHEMA names no file: npm @microsoft/sarif-multitool-linux has sarif-2.1.0.json")
    log = json.loads(sarif_log([denied_decision(), allowed_decision()], problems=[("a/b", "gone")]))
    schema = json.loads(Path(path).read_text(encoding="utf-8"))
    assert [error.message for error in validator_for(schema)(schema).iter_errors(log)] == []
