"""Decisions as SARIF 2.1.0, for code scanning: one run, a result for every finding that does not allow.

SARIF reads ``{0}`` and ``[text](1)`` in a message as its own; everything from a card is escaped (sections 3.11.5 and
3.11.6 of the standard), bounded, and freed of characters that nobody sees.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from curate import __version__
from curate.artifact import Value
from curate.gate import Evidence, Finding, Verdict
from curate.licenses.decision import Decision
from curate.report.text import bound_text
from curate.report.views import VERDICT_WORDS
from curate.safeyaml import parse_yaml

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Verdict.DENY: "error", Verdict.REVIEW: "warning"}
CARDS = "CARDS"
MAX_RESULTS = 5000
"""GitHub shows no more of one run."""
MAX_EVIDENCE = 12
_FILE = re.compile(r"(?P<path>(?:[^:]|:(?=//))+?)(?:: .*)?\Z", re.DOTALL)
_SPECIAL = re.compile(r"[\\\[\]]")

Json = dict[str, Any]


class Place(Value):
    """Where a reference was asked for: a list and a line."""

    file: str
    line: int


def sarif_log(
    decisions: Sequence[Decision],
    *,
    problems: Sequence[tuple[str, str]] = (),
    places: Mapping[str, Place] | None = None,
) -> str:
    """One SARIF log.

    Args:
        decisions: what was decided.
        problems: references that could not be judged, each with the reason.
        places: by reference, where it stands in the list it came from; a result is then shown there.
    """
    results = [
        _result(decision, finding, (places or {}).get(decision.ref))
        for decision in decisions
        for finding in decision.findings
        if finding.verdict is not Verdict.ALLOW
    ]
    rules = list(dict.fromkeys(result["ruleId"] for result in results))
    for result in results:
        result["ruleIndex"] = rules.index(result["ruleId"])
    told = [
        {"level": "error", "message": {"text": message(reason if reason.startswith(ref) else f"{ref}: {reason}")}}
        for ref, reason in problems
    ]
    run: Json = {
        "tool": {
            "driver": {
                "name": "curate",
                "version": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "automationDetails": {"id": "curate/check-license/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {CARDS: {"description": {"text": "The folder of cards that the gate was given."}}},
        "invocations": [{"executionSuccessful": not problems, "toolExecutionNotifications": told}],
        "results": results[:MAX_RESULTS],
        "properties": {"decisions": [_summary(decision) for decision in decisions]},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def message(text: str, limit: int = 1000) -> str:
    """Hostile text as the text of a SARIF message: no placeholder, no link, nothing hidden."""
    escaped = _SPECIAL.sub(lambda char: f"\\{char[0]}", bound_text(text, limit))
    return escaped.replace("{", "{{").replace("}", "}}")


@cache
def rule_help() -> Mapping[str, str]:
    """Rule to the sentence that tells what it looks for."""
    source = files("curate.report") / "rule_help.yaml"
    told: dict[str, str] = parse_yaml(source.read_text(encoding="utf-8"), where=source.name)
    return told


def _rule(rule: str) -> Json:
    """A rule with its help."""
    told = rule_help().get(rule, "A rule of curate's license gate; its findings say what it saw.")
    more = "docs/licenses.md tells how the gate reads; a waiver in the policy names the rule by this id."
    return {
        "id": rule,
        "shortDescription": {"text": rule.replace("-", " ")},
        "fullDescription": {"text": told},
        "help": {"text": f"{told} {more}", "markdown": f"{told}\n\n{more}"},
        "defaultConfiguration": {"level": "warning"},
    }


def _result(decision: Decision, finding: Finding, place: Place | None) -> Json:
    """A finding: what, how grave, where it was asked, where it stands, who waived it."""
    subject = "" if finding.subject == decision.ref else f" (through {finding.subject})"
    evidence = [_evidence(one) for one in finding.evidence[:MAX_EVIDENCE]]
    written = [one for one in evidence if one]
    if place is None and not written:
        written = [{"physicalLocation": _address(decision)}]
    first, *related = [_asked(place), *written] if place else written
    for number, location in enumerate(related, start=1):
        location["id"] = number
    result: Json = {
        "ruleId": bound_text(finding.rule, 100),
        "level": LEVELS[finding.verdict],
        "message": {
            "text": message(f"{decision.ref}{subject}: {VERDICT_WORDS[finding.verdict].lower()}: {finding.message}")
        },
        "locations": [{**first, "logicalLocations": [_node(decision, finding.subject)]}],
        "partialFingerprints": {"curateFinding/v1": _fingerprint(decision, finding)},
        "properties": {"ref": bound_text(decision.ref, 300), "subject": bound_text(finding.subject, 300)},
    }
    if related:
        result["relatedLocations"] = related
    if finding.waived_by:
        waiver = {"kind": "external", "status": "accepted", "justification": bound_text(finding.waived_by, 1000)}
        result["suppressions"] = [waiver]
    return result


def _asked(place: Place) -> Json:
    """The line that asked for it."""
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": {"startLine": place.line}}}


def _fingerprint(decision: Decision, finding: Finding) -> str:
    """What makes a finding the same one in the next scan."""
    told = json.dumps([decision.ref, finding.rule, finding.subject, finding.message])
    return hashlib.sha256(told.encode()).hexdigest()


def _evidence(evidence: Evidence) -> Json | None:
    """Where evidence stands, if it stands in a file or at an address."""
    found = _FILE.match(evidence.source)
    path = found["path"].strip() if found else ""
    is_address = path.startswith(("https://", "http://"))
    if not path or not (is_address or PurePosixPath(path).suffix or "/" in path):
        return None
    artifact: Json = {"uri": _uri(path)} if is_address else {"uri": _uri(path), "uriBaseId": CARDS}
    physical: Json = {"artifactLocation": artifact}
    if evidence.line:
        physical["region"] = {"startLine": evidence.line}
    told = evidence.section or evidence.quote or evidence.source
    return {"physicalLocation": physical, "message": {"text": message(told, 300)}}


def _uri(path: str) -> str:
    """A path or address as a URI reference: whatever may not stand in one is percent-encoded."""
    kept = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", bound_text(path, 500))
    return quote(kept, safe="/:?&=#~+,;@!$'()*%" if "://" in kept else "/~+,@!$'()*")


def _address(decision: Decision) -> Json:
    """A package URL, where nothing nearer is known: some consumers refuse a result without a place."""
    return {"artifactLocation": {"uri": f"pkg:huggingface/{quote(bound_text(decision.ref, 300), safe='/')}"}}


def _node(decision: Decision, subject: str) -> Json:
    """The member of the lineage, with the way that leads to it from what was asked about."""
    child_of = {link.parent: link.child for link in reversed(decision.lineage.links)}
    way = [subject]
    while way[-1] in child_of and len(way) < MAX_EVIDENCE and child_of[way[-1]] not in way:
        way.append(child_of[way[-1]])
    kind = next((node.kind for node in decision.lineage.nodes if node.ref == subject), "model")
    full = " <- ".join(bound_text(ref, 200) for ref in reversed(way))
    return {"name": bound_text(subject, 200), "fullyQualifiedName": full, "kind": kind}


def _summary(decision: Decision) -> Json:
    """The verdict with what it was judged by."""
    return {
        "ref": bound_text(decision.ref, 300),
        "revision": bound_text(decision.revision, 64),
        "verdict": decision.verdict.value,
        "policy": bound_text(decision.policy.name, 100),
        "policySha256": decision.policy.sha256,
        "catalogueSha256": decision.catalogue_sha256,
        "decisionSha256": decision.digest(),
        "obligations": [bound_text(duty, 500) for duty in decision.obligations],
    }
