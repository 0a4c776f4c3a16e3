"""The bill of materials of a run: against the official schema, strictly, and against what lies in the folder."""

import io
import json
import unicodedata

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from curate.artifact import sha256_file
from curate.distillation.config import StudentConfig
from curate.report.run_bom import RunParts, run_bom
from curate.report.spdx import spdx_document
from curate.runs.record import BOM, SPDX, RunRecord
from tests.report.values import denied_decision, prompt_decision, training_report

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e=cmd()"


def read(text):
    """The BOM, once it holds against the schema and its own references."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    subject = [bom["metadata"]["component"]] if "component" in bom["metadata"] else []
    refs = [one["bom-ref"] for one in (*subject, *bom["components"])]
    named = [one for entry in bom["dependencies"] for one in (entry["ref"], *entry.get("dependsOn", ()))]
    assert len(refs) == len(set(refs))
    assert set(named) == set(refs)
    return bom


def read_spdx(text):
    """The elements of an SPDX document, once SPDX's own bindings read it and write it again."""
    from spdx_python_model import v3_0_1 as spdx

    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.StringIO(text), found)
    assert found.missing_ids == set()
    spdx.JSONLDSerializer().write(found, io.BytesIO())  # what is required and missing is found here
    return {one["spdxId"]: one for one in json.loads(text)["@graph"] if "spdxId" in one}


def values(component, name):
    return [one["value"] for one in component["properties"] if one["name"] == name]


def test_the_bom_of_a_run_names_student_teacher_lineage_data_licenses_and_figures(made_once):
    bom = read((made_once / BOM).read_text())
    student = bom["metadata"]["component"]
    training = json.loads((made_once / "training.json").read_text())
    assert (student["type"], student["name"]) == ("machine-learning-model", "intent-student")
    assert student["hashes"][0]["content"] == sha256_file(made_once / "student" / "model.safetensors")
    assert student["version"] == training["student_sha256"]
    assert [one["license"]["acknowledgement"] for one in student["licenses"]] == ["declared", "concluded"]
    assert student["licenses"][1]["license"]["id"] == "Apache-2.0"
    assert [one["name"] for one in student["pedigree"]["ancestors"]] == ["embedded"]
    metrics = student["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    after = [one for one in metrics if one["slice"].startswith("student after") and one["type"] == "perplexity"]
    assert float(after[0]["value"]) == pytest.approx(training["after"]["perplexity"], rel=1e-2)
    assert any(one["slice"].startswith("student on the task term alone") for one in metrics)
    (prompts,) = [one for one in bom["components"] if one["bom-ref"] == "prompts"]
    assert prompts["hashes"][0]["content"] == sha256_file(made_once / "prompts.parquet")
    (source,) = [one for one in bom["components"] if one["bom-ref"].startswith("source:")]
    assert source["name"] == "curate/demo-prompts"
    assert [one["license"].get("id") for one in source["licenses"]] == [None, "Apache-2.0"]
    depends = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    assert depends["student"] == ["model:embedded", "prompts"]
    assert depends["prompts"] == [source["bom-ref"]]
    (teacher,) = [one for one in bom["components"] if one["bom-ref"] == "model:embedded"]
    assert values(teacher, "curate:decision:sha256") == [sha256_file(made_once / "decision.json")]
    assert values(bom["metadata"], "curate:verdict:prompts") == ["allow"]


def test_the_record_seals_both_boms(made_once):
    for name in (BOM, SPDX):
        assert RunRecord.read(made_once / "run.json").files[name] == sha256_file(made_once / name)


def test_the_spdx_form_says_the_same(made_once):
    elements = read_spdx((made_once / SPDX).read_text())
    student = next(one for one in elements.values() if one.get("name") == "intent-student")
    assert student["type"] == "ai_AIPackage"
    assert student["verifiedUsing"][0]["hashValue"] == sha256_file(made_once / "student" / "model.safetensors")
    assert any(one["key"].startswith("perplexity (student after") for one in student["ai_metric"])
    said = [one for one in elements.values() if one["type"] == "Relationship" and one["from"] == student["spdxId"]]
    told = {(one["relationshipType"], elements[one["to"][0]]["name"]) for one in said}
    assert told == {
        ("descendantOf", "embedded"), ("trainedOn", "prompts.parquet"),
        ("hasDeclaredLicense", "LicenseRef-apache-2.0"), ("hasConcludedLicense", "Apache-2.0"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"), [("ai_metric", "ai_metrik"), ('"trainedOn"', '"taughtOn"'), ('"specVersion": "3.0.1",', "")]
)
def test_what_is_no_spdx_is_found(made_once, old, new):
    text = (made_once / SPDX).read_text()
    assert old in text
    with pytest.raises((KeyError, ValueError)):
        read_spdx(text.replace(old, new))


def test_a_denied_run_has_a_bom_of_what_was_looked_at_and_no_student(denied):
    bom = read((denied / BOM).read_text())
    assert read_spdx((denied / SPDX).read_text())
    assert "component" not in bom["metadata"]
    assert values(bom["metadata"], "curate:verdict:teacher") == ["deny"]
    assert "Llama-2-7b-hf" in [one["name"] for one in bom["components"]]
    assert "prompts" not in [one["bom-ref"] for one in bom["components"]]


def test_hostile_names_stay_text_and_break_nothing():
    student = StudentConfig(name=HOSTILE, license=HOSTILE)
    text = run_bom(
        RunParts(
            run_id=HOSTILE, student=student, teacher=denied_decision(), prompts=prompt_decision(),
            sources={HOSTILE: {HOSTILE: 3}}, training=training_report(), files={HOSTILE: "0" * 64},
        )
    )  # fmt: skip
    assert read_spdx(spdx_document(json.loads(text)))
    told = json.dumps(read(text), ensure_ascii=False)
    assert "<script>" in told
    assert not [char for char in told if unicodedata.category(char) in {"Cc", "Cf", "Cs"}]


def test_the_same_run_gives_the_same_bytes():
    parts = RunParts(run_id="r", student=StudentConfig(name="s"), teacher=denied_decision(), training=training_report())
    assert run_bom(parts.model_copy(update={"prompts": prompt_decision()})) == run_bom(
        parts.model_copy(update={"prompts": prompt_decision()})
    )
