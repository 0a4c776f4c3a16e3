"""The record of a run: one chained ledger line a step, and the closing record over all of it."""

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from curate.artifact import Artifact, Value, canonical_json, sha256_text

LEDGER = "ledger.jsonl"
RECORD = "run.json"
CLOSING = "run.json.part"
"""The record while it is not in force: written before the closing line, or set aside by a run that goes on."""
ATTESTATION = "attestation.dsse.json"
"""The signature over the record: the one file that the record cannot list."""
BOM = "bom.cdx.json"
"""The bill of materials, CycloneDX 1.6."""
SPDX = "bom.spdx.json"
"""The same, SPDX 3.0.1."""
LICENSE_TEXTS = "license_texts.json"
"""Which publishers' texts travel with the student, and which duties they keep."""
CLOSE = "close"
GENESIS = "0" * 64

StepStatus = Literal["ok", "reused", "denied", "review", "failed", "interrupted", "restarted"]
RunStatus = Literal["finished", "gates passed", "denied", "review", "failed", "interrupted"]


class LedgerLine(Value):
    """One step as it ended, bound to the line before."""

    sequence: int
    step: str
    status: StepStatus
    started_at: str
    """ISO time, UTC."""
    wall_s: float
    inputs: dict[str, str] = {}
    """Name to digest of everything the step read."""
    artifacts: dict[str, str] = {}
    """Path (relative to the run folder) to SHA-256 of everything it left."""
    message: str = ""
    previous_sha256: str = GENESIS

    def to_line(self) -> str:
        """The line as it stands in the ledger, without the newline."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of the line, which the next one carries."""
        return sha256_text(self.to_line())


def recorded_files(lines: Sequence[LedgerLine]) -> dict[str, str]:
    """Path to digest of what the steps left: of each step its last line counts, of closings only a final one."""
    by_step: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if line.step != CLOSE or number == len(lines):
            by_step[line.step] = line.artifacts
    return {path: digest for artifacts in by_step.values() for path, digest in artifacts.items()}


class StepRecord(Value):
    """A step as the closing record tells it."""

    name: str
    status: StepStatus
    wall_s: float
    message: str = ""


class RunRecord(Artifact):
    """What a run was and how it ended; closes over the ledger's head and every file."""

    DATED: ClassVar[tuple[str, ...]] = ("started_at", "machine")

    kind: Literal["curate/run@1"] = "curate/run@1"
    run_id: str
    status: RunStatus
    exit_code: int
    message: str = ""
    config_sha256: str
    steps: tuple[StepRecord, ...]
    files: dict[str, str]
    """Every file of the folder but this one, with its SHA-256."""
    ledger_head: str
    started_at: str
    machine: dict[str, str] = {}
    versions: dict[str, str] = {}
    curate_version: str
    seal_sha256: str = ""
    """SHA-256 of this record's canonical form with this field empty: one changed byte shows."""

    def sealed(self) -> "RunRecord":
        """The same record with its seal."""
        return self.model_copy(update={"seal_sha256": self.seal()})

    def seal(self) -> str:
        """What the seal must be."""
        return sha256_text(canonical_json({**self.model_dump(mode="json"), "seal_sha256": ""}))
