"""CycloneDX: against the official 1.6 schema, strictly, as cyclonedx-python-lib ships it."""

import json
import subprocess
import sys
import unicodedata
from datetime import date
from functools import cache
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.schema._res import SPDX_JSON
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.gate import Finding, Verdict
from curate.licenses.check import check_license
from curate.licenses.decision import Lineage, LineageLink, LineageNode
from curate.licenses.expression import is_spdx_id
from curate.licenses.facts import load_catalogue
from curate.licenses.sources import make_source
from curate.policy import load_policy
from curate.report.cyclonedx import bill_of_materials

from .values import allowed_decision, denied_decision

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 26)


@cache
def validator() -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.V1_6)


def read(text: str) -> dict:
    """The BOM, once it holds against the schema and its own references."""
    assert text.isascii()
    assert validator().validate_str(text) is None
    bom = json.loads(text)
    refs = [component["bom-ref"] for component in bom["components"]]
    assert len(refs) == len(set(refs))
    named = [one for entry in bom["dependencies"] for one in (entry["ref"], *entry.get("dependsOn", ()))]
    for component in bom["components"]:
        named += [one["ref"] for one in component.get("modelCard", {}).get("modelParameters", {}).get("datasets", ())]
        assert ("modelCard" in component) == (component["type"] == "machine-learning-model")
    assert set(named) <= set(refs)
    return bom


def values(component: dict, name: str) -> list[str]:
    return [one["value"] for one in component["properties"] if one["name"] == name]


def test_a_model_comes_with_its_ancestors_its_data_and_its_verdict():
    bom = read(bill_of_materials([denied_decision()]))
    model, llama, chats, dolly, lost = bom["components"]
    assert (model["type"], model["group"], model["name"]) == (
        "machine-learning-model",
        "acme",
        "Helper-8B-Instruct",
    )
    assert model["version"] == denied_decision().revision
    assert [one["name"] for one in model["pedigree"]["ancestors"]] == ["Llama-3.1-8B", "lost-adapter"]
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "dataset:acme/helper-chats"}]
    assert values(model, "curate:verdict") == ["deny"]
    assert values(model, "curate:policy:sha256") == [denied_decision().policy.sha256]
    assert values(model, "curate:decision:sha256") == [denied_decision().digest()]
    assert chats["type"] == dolly["type"] == "data"
    assert chats["data"][0]["type"] == "dataset"
    assert values(lost, "curate:status") == ["missing"]
    assert llama["purl"] == "pkg:huggingface/meta-llama/Llama-3.1-8B"
    assert {"ref": "dataset:acme/helper-chats", "dependsOn": ["dataset:databricks/databricks-dolly-15k"]} in bom[
        "dependencies"
    ]


def test_licenses_are_told_apart_as_declared_and_as_concluded():
    model = read(bill_of_materials([allowed_decision()]))["components"][0]
    declared, concluded = (entry["license"] for entry in model["licenses"])
    assert (declared["name"], declared["acknowledgement"]) == ("apache-2.0", "declared")
    assert (concluded["id"], concluded["acknowledgement"]) == ("Apache-2.0", "concluded")


def test_a_laundered_tag_is_declared_and_nothing_is_concluded_from_it():
    laundered = Finding(rule="license-laundering", subject="acme/embedded-teacher", verdict=Verdict.DENY, message="no")
    decision = allowed_decision().model_copy(update={"findings": (laundered,)})
    model = read(bill_of_materials([decision]))["components"][0]
    assert [entry["license"]["acknowledgement"] for entry in model["licenses"]] == ["declared"]


def test_several_decisions_make_one_bom_with_each_member_once():
    bom = read(
        bill_of_materials([denied_decision(), allowed_decision(), denied_decision()], problems=[("a/b", "gone")])
    )
    assert len(bom["components"]) == 6
    assert values(bom["metadata"], "curate:not-judged") == ["a/b: gone"]
    read(bill_of_materials([]))


def test_the_same_decisions_give_the_same_bytes():
    assert bill_of_materials([denied_decision()]) == bill_of_materials([denied_decision()])


def test_a_circle_in_the_lineage_ends():
    nodes = tuple(LineageNode(ref=ref, kind="model") for ref in ("a/a", "b/b"))
    links = tuple(LineageLink(child=c, parent=p, relation="merge") for c, p in (("a/a", "b/b"), ("b/b", "a/a")))
    bom = read(bill_of_materials([denied_decision().model_copy(update={"lineage": Lineage(nodes=nodes, links=links)})]))
    assert [one["name"] for one in bom["components"][0]["pedigree"]["ancestors"]] == ["b"]


def test_every_id_of_the_catalogue_is_one_the_schema_knows():
    known = set(json.loads(Path(SPDX_JSON).read_text(encoding="utf-8"))["enum"])
    used = {facts.spdx for facts in load_catalogue().licenses.values() if facts.spdx and is_spdx_id(facts.spdx)}
    assert len(used) > 50
    assert used <= known
    assert not is_spdx_id("LicenseRef-mine")


def test_the_examples_make_valid_boms_down_to_hosted_routes_and_folders(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: [mit, apache-2.0]\nbase_model: google/flan-t5-base\n---\n")
    source = make_source(cards=[ROOT / "examples/cards"])
    refs = ["example/mit-over-llama", "api:openai/gpt-4o", "example/no-license", str(tmp_path), "dataset:x"]
    decisions = []
    for ref in refs[:4]:
        decisions.append(check_license(ref, policy=load_policy("default"), source=source, today=TODAY))
        read(bill_of_materials(decisions[-1:]))
    bom = read(bill_of_materials(decisions))
    assert str(tmp_path.parent) not in [component.get("group") for component in bom["components"]]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(["model", "dataset", "api"]))
def test_no_card_breaks_the_bom(text: str, ref: str, kind: str):
    named = ref if kind == "model" else f"{kind}:{ref}"
    finding = Finding(rule=text, subject=named, verdict=Verdict.DENY, message=text, waived_by=text)
    nodes = (
        LineageNode(ref=named, kind=kind, license=text, revision=text, sha256=text),
        LineageNode(ref="other/one", kind="model", license=text),
    )
    link = LineageLink(child=named, parent="other/one", relation=text)
    decision = denied_decision().model_copy(
        update={"ref": named, "findings": (finding,), "obligations": (text,), "revision": text,
                "lineage": Lineage(nodes=nodes if named != "other/one" else nodes[:1], links=(link,))}
    )  # fmt: skip
    bom = read(bill_of_materials([decision], problems=[(ref, text)]))
    told = json.dumps(bom, ensure_ascii=False)
    assert not [char for char in told if unicodedata.category(char) in {"Cc", "Cf", "Cs"}]


def test_other_formats_load_neither_this_one_nor_its_validator():
    code = (
        "import sys; from curate.cli.main import run_command; "
        "run_command(['check-license', 'google/flan-t5-base', '--offline', '-o', '/dev/null', '-f', 'sarif']); "
        "heavy = {'cyclonedx', 'curate.report.cyclonedx', 'jsonschema', 'license_expression'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
