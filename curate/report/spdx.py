"""A run's bill of materials as SPDX 3.0.1 (JSON-LD): the same members as its CycloneDX file, AI and data set packages.

No conformance to the AI and Dataset profiles is claimed: they ask for suppliers and release times that no card tells.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
CREATION = "_:creation"
KINDS = {"data": "dataset_DatasetPackage", "machine-learning-model": "ai_AIPackage"}
LICENSED = {"declared": "hasDeclaredLicense", "concluded": "hasConcludedLicense"}

Json = dict[str, Any]


def spdx_document(bom: Json) -> str:
    """The SPDX form of a CycloneDX BOM of ours, as ``run_bom`` makes it; the same BOM gives the same bytes."""
    place = bom["serialNumber"]
    subject = bom["metadata"].get("component")
    members = [*([subject] if subject else []), *bom["components"]]
    elements = [_agent(place)]
    for member in members:
        elements.append(_package(place, member))
        elements += _licenses(place, member)
    kinds = {member["bom-ref"]: member["type"] for member in members}
    for entry in bom["dependencies"]:
        elements += _made_from(place, entry, kinds)
    elements = list({one["spdxId"]: one for one in elements}.values())
    document = {
        "type": "SpdxDocument",
        "spdxId": _id(place, "document"),
        "creationInfo": CREATION,
        "name": "what a curate run was made from",
        "profileConformance": ["core", "software", "simpleLicensing"],
        "rootElement": [_id(place, "member", members[0]["bom-ref"])],
        "element": [one["spdxId"] for one in elements],
    }
    creation = {
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        "created": bom["metadata"]["timestamp"],
        "createdBy": [_id(place, "curate")],
    }
    return json.dumps({"@context": CONTEXT, "@graph": [creation, document, *elements]}, indent=2) + "\n"


def _id(place: str, *parts: str) -> str:
    """The IRI of an element of one document."""
    return f"{place}#{'/'.join(quote(part, safe='') for part in parts)}"


def _agent(place: str) -> Json:
    """What made the document."""
    return {"type": "SoftwareAgent", "spdxId": _id(place, "curate"), "creationInfo": CREATION, "name": "curate"}


def _package(place: str, member: Json) -> Json:
    """A model or a data set, with its digests and what was measured of it."""
    told = {one["name"]: one["value"] for one in member.get("properties", ())}
    package: Json = {
        "type": KINDS[member["type"]],
        "spdxId": _id(place, "member", member["bom-ref"]),
        "creationInfo": CREATION,
        "name": "/".join(part for part in (member.get("group"), member["name"]) if part),
        "software_primaryPurpose": "model" if member["type"] == "machine-learning-model" else "data",
    }
    if member.get("hashes"):
        package["verifiedUsing"] = [
            {"type": "Hash", "algorithm": "sha256", "hashValue": one["content"]} for one in member["hashes"]
        ]
    if member.get("version"):
        package["software_packageVersion"] = member["version"]
    if member.get("purl"):
        package["software_packageUrl"] = member["purl"]
    if "curate:verdict" in told:
        package["comment"] = f"curate's verdict: {told['curate:verdict']}"
    if member["type"] == "data":
        return {**package, "dataset_datasetType": ["text"]}
    return {**package, **_model(member)}


def _model(member: Json) -> Json:
    """The AI fields that a model card fills."""
    card = member.get("modelCard", {})
    metrics = card.get("quantitativeAnalysis", {}).get("performanceMetrics", ())
    fields: Json = {}
    if metrics:
        fields["ai_metric"] = [
            {"type": "DictionaryEntry", "key": f"{one['type']} ({one['slice']})", "value": one["value"]}
            for one in metrics
        ]
    if notes := member.get("pedigree", {}).get("notes"):
        fields["ai_informationAboutTraining"] = notes
    considered = card.get("considerations", {})
    if limits := considered.get("technicalLimitations"):
        fields["ai_limitation"] = "; ".join(limits)
    if uses := considered.get("useCases"):
        fields["ai_informationAboutApplication"] = "; ".join(uses)
    return fields


def _licenses(place: str, member: Json) -> Iterator[Json]:
    """Each license as an expression of its own, and how the member has it."""
    for number, entry in enumerate(member.get("licenses", ()), start=1):
        stated = entry["license"]
        expression = stated.get("id") or _reference(stated["name"])
        target = _id(place, "license", expression)
        yield {
            "type": "simplelicensing_LicenseExpression",
            "spdxId": target,
            "creationInfo": CREATION,
            "name": expression,
            "simplelicensing_licenseExpression": expression,
        }
        kind = LICENSED[stated["acknowledgement"]]
        yield _relationship(place, member["bom-ref"], kind, [target], str(number))


def _reference(name: str) -> str:
    """What a license without an SPDX id is called in an expression."""
    return f"LicenseRef-{'-'.join(re.findall(r'[A-Za-z0-9.]+', name)) or 'unnamed'}"


def _made_from(place: str, entry: Json, kinds: dict[str, str]) -> Iterator[Json]:
    """What a member was trained on, and which models it descends from; a data set depends on others."""
    is_model = kinds[entry["ref"]] == "machine-learning-model"
    for number, parent in enumerate(entry.get("dependsOn", ()), start=1):
        on_data = "trainedOn" if kinds[parent] == "data" else "descendantOf"
        target = _id(place, "member", parent)
        yield _relationship(place, entry["ref"], on_data if is_model else "dependsOn", [target], str(number))


def _relationship(place: str, member: str, kind: str, to: list[str], number: str) -> Json:
    """One statement about a member."""
    return {
        "type": "Relationship",
        "spdxId": _id(place, "relationship", member, kind, number),
        "creationInfo": CREATION,
        "from": _id(place, "member", member),
        "relationshipType": kind,
        "to": to,
    }
