"""Decisions as a CycloneDX 1.6 bill of materials: models with their model cards, ancestors and data, licenses as
declared by the card and as concluded by the gate.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote

from curate import __version__
from curate.gate import Finding, is_path
from curate.licenses.decision import Decision, LineageNode
from curate.licenses.expression import is_spdx_id
from curate.licenses.facts import Catalogue, load_catalogue
from curate.report.text import bound_text
from curate.report.views import case_line, verdict_sentence

MAX_FINDINGS = 100
"""Told of each model; the decision's own file has them all."""

Json = dict[str, Any]


def bill_of_materials(
    decisions: Sequence[Decision], *, problems: Sequence[tuple[str, str]] = (), catalogue: Catalogue | None = None
) -> str:
    """One BOM over all decisions: every model and data set once, those that were asked about with their verdict.

    The same decisions give the same bytes, serial number included.
    """
    inventory = Inventory(catalogue or load_catalogue())
    for decision in decisions:
        inventory.add(decision)
    digests = " ".join(decision.digest() for decision in decisions)
    return inventory.render(digests, _metadata(decisions, problems))


@dataclass
class Inventory:
    """The members of a BOM, each once, and what each was made from."""

    catalogue: Catalogue
    components: dict[str, Json] = field(default_factory=dict)
    depends: dict[str, list[str]] = field(default_factory=dict)

    def add(self, decision: Decision) -> str:
        """Take in everything a decision looked at; returns the place of what was asked about."""
        nodes = {node.ref: node for node in decision.lineage.nodes}
        root = decision.lineage.nodes[0]
        for node in nodes.values():
            key = key_of(node)
            is_root = node.ref == root.ref
            if key not in self.components or is_root:
                self.components[key] = _component(node, decision, self.catalogue, is_root=is_root)
        for link in decision.lineage.links:
            child, parent = nodes.get(link.child), nodes.get(link.parent)
            if child and parent:
                self.link(key_of(child), key_of(parent))
        return key_of(root)

    def link(self, child: str, parent: str) -> None:
        """Note that one member was made from another."""
        if parent not in self.depends.setdefault(child, []):
            self.depends[child].append(parent)

    def render(self, seed: str, metadata: Json) -> str:
        """The whole BOM; the same seed gives the same serial number. ``metadata.component`` is no other component."""
        subject = [metadata["component"]["bom-ref"]] if "component" in metadata else []
        bom: Json = {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'curate {seed}')}",
            "version": 1,
            "metadata": metadata,
            "components": list(self.components.values()),
            "dependencies": [
                {"ref": key, **({"dependsOn": self.depends[key]} if self.depends.get(key) else {})}
                for key in (*subject, *self.components)
            ],
        }
        return json.dumps(bom, indent=2) + "\n"


def _metadata(decisions: Sequence[Decision], problems: Sequence[tuple[str, str]]) -> Json:
    """The tool, the day, and what is missing."""
    told = tool_and_day(max((decision.decided_on for decision in decisions), default=None))
    if problems:
        told["properties"] = properties(("curate:not-judged", f"{ref}: {reason}") for ref, reason in problems)
    return told


def tool_and_day(day: date | None) -> Json:
    """What made the BOM, and for which day; the same day gives the same bytes."""
    told: Json = {"tools": {"components": [{"type": "application", "name": "curate", "version": __version__}]}}
    return {**told, "timestamp": f"{day.isoformat()}T00:00:00Z"} if day else told


def _component(node: LineageNode, decision: Decision, catalogue: Catalogue, *, is_root: bool) -> Json:
    """A model or data set with what is known of it."""
    is_data = node.kind == "dataset"
    component: Json = {"type": "data" if is_data else "machine-learning-model", "bom-ref": key_of(node), **_named(node)}
    if is_root and decision.revision and not node.revision:
        component["version"] = bound_text(decision.revision, 100)
    laundered = any(one.rule == "license-laundering" and one.subject == node.ref for one in decision.findings)
    if licenses := licenses_of(node.license, catalogue, conclude=not laundered):
        component["licenses"] = licenses
    if is_data:
        component["data"] = [{"type": "dataset", "name": bound_text(node.ref.removeprefix("dataset:"), 300)}]
    else:
        ancestors = [ancestor(one) for one in _behind(node, decision, data=False)]
        if ancestors:
            component["pedigree"] = {"ancestors": ancestors}
        component["modelCard"] = _model_card(node, decision, is_root=is_root)
    told = [("curate:verdict", node.verdict.value), ("curate:status", node.status), ("curate:card:sha256", node.sha256)]
    if is_root:
        told[0] = ("curate:verdict", decision.verdict.value)
        told += [
            ("curate:policy", decision.policy.name),
            ("curate:policy:sha256", decision.policy.sha256),
            ("curate:catalogue:sha256", decision.catalogue_sha256),
            ("curate:decision:sha256", decision.digest()),
            ("curate:version", decision.curate_version),
            *(("curate:finding", _finding_line(finding)) for finding in decision.findings[:MAX_FINDINGS]),
        ]
    component["properties"] = properties(told)
    return component


def _named(node: LineageNode) -> Json:
    """Group, name, version and package URL."""
    owner, _, name = (node.ref if node.kind == "model" else node.ref.partition(":")[2]).rpartition("/")
    owner = "" if is_path(node.ref) else owner
    told: Json = {"group": bound_text(owner, 200)} if owner else {}
    told["name"] = bound_text(name or node.ref, 200)
    if node.revision:
        told["version"] = bound_text(node.revision, 100)
    if node.kind == "model" and owner:
        place = "/".join(quote(bound_text(part, 200), safe="") for part in (*owner.split("/"), name))
        told["purl"] = f"pkg:huggingface/{place}" + (f"@{quote(node.revision, safe='')}" if node.revision else "")
    return told


def ancestor(node: LineageNode) -> Json:
    """A model in a pedigree; it stands in full among the components."""
    return {"type": "machine-learning-model", **_named(node), "properties": properties([("curate:ref", key_of(node))])}


def licenses_of(declared: str, catalogue: Catalogue, *, conclude: bool = True) -> list[Json]:
    """What is declared; what the gate took that for, unless it found the tag to be laundered."""
    parts = [part for part in declared.split(", ") if part.strip()]
    entries = [{"name": bound_text(part, 300), "acknowledgement": "declared"} for part in parts]
    for part in parts if conclude else ():
        meant = catalogue.find(part)
        if len(meant) == 1:
            facts = meant[0]
            concluded = {"id": facts.spdx} if is_spdx_id(facts.spdx) else {"name": bound_text(facts.name, 300)}
            address = {"url": facts.url} if facts.url else {}
            entries.append({**concluded, **address, "acknowledgement": "concluded"})
    return [{"license": entry} for entry in entries]


def _behind(node: LineageNode, decision: Decision, *, data: bool) -> list[LineageNode]:
    """Everything of a kind that a member was made from, nearest first."""
    nodes = {one.ref: one for one in decision.lineage.nodes}
    below: dict[str, list[str]] = {}
    for link in decision.lineage.links:
        below.setdefault(link.child, []).append(link.parent)
    order = list(dict.fromkeys(below.get(node.ref, ())))
    for ref in order:  # grows while it is walked
        if not data:
            order.extend(parent for parent in below.get(ref, ()) if parent not in order)
    return [nodes[ref] for ref in order if ref in nodes and ref != node.ref and (nodes[ref].kind == "dataset") is data]


def _model_card(node: LineageNode, decision: Decision, *, is_root: bool) -> Json:
    """The model card that CycloneDX asks for: the data a model was made from and what the gate says of its use."""
    card: Json = {}
    data = _behind(node, decision, data=True)
    if data:
        card["modelParameters"] = {"datasets": [{"ref": key_of(one)} for one in data]}
    if is_root:
        use = f"{verdict_sentence(decision)} The case: {case_line(decision.case)}."
        card["considerations"] = {"useCases": [bound_text(use, 500)]}
        if decision.obligations:
            card["properties"] = properties(("curate:obligation", duty) for duty in decision.obligations)
    return card


def _finding_line(finding: Finding) -> str:
    """A finding in a line."""
    waived = f" (waived by {finding.waived_by})" if finding.waived_by else ""
    return f"{finding.verdict.value} {finding.rule} {finding.subject}: {finding.message}{waived}"


def properties(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    """Names and values, the values from cards made harmless."""
    return [{"name": name, "value": bound_text(value, 1000)} for name, value in pairs if value]


def key_of(node: LineageNode) -> str:
    """A member's place in the BOM."""
    return f"{node.kind}:{bound_text(node.ref, 300)}" if node.kind == "model" else bound_text(node.ref, 300)
