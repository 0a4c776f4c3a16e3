"""What a signature says of a run: an in-toto Statement whose predicate names teacher, student, policy and verdicts."""

from pathlib import Path
from typing import Any

from curate.artifact import sha256_file
from curate.distillation.results import TrainingReport
from curate.gate import ApprovedTeacher, is_path
from curate.licenses.decision import Decision
from curate.licenses.passing_on import LicenseTexts
from curate.prompts.results import FilterReport, PromptDecision
from curate.runs.config import RunConfig, read_run_config
from curate.runs.record import LICENSE_TEXTS, RECORD, RunRecord
from curate.runs.student_license import STUDENT_DECISION, StudentDecision
from curate.runs.teachers import DECISION, TICKET, found_files, own_files

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:x-curate:gated-distillation:v1"
"""Of our own, and under nobody's domain; a changed meaning makes v2, a new optional key does not."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def make_statement(root: Path, *, public_key: str) -> dict[str, Any]:
    """The statement over a closed run, made from what lies in its folder."""
    record = RunRecord.read(root / RECORD)
    weights = sorted(name for name in record.files if name.startswith("student/") and name.endswith(".safetensors"))
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": RECORD, "digest": {"sha256": sha256_file(root / RECORD)}},
            *({"name": name, "digest": {"sha256": record.files[name]}} for name in weights),
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {**_run(record), **_gates(root), **_student(root), "signer_public_key": public_key},
    }


def _run(record: RunRecord) -> dict[str, Any]:
    """Which run, and how it ended."""
    return {
        "run_id": record.run_id,
        "status": record.status,
        "started_at": record.started_at,
        "config_sha256": record.config_sha256,
        "ledger_head": record.ledger_head,
        "curate_version": record.curate_version,
    }


def _gates(root: Path) -> dict[str, Any]:
    """Teacher, policy, data and what the gates said; a gate that was not reached is left out."""
    said: dict[str, Any] = {}
    verdicts: dict[str, str] = {}
    if (root / DECISION).is_file():
        decision = Decision.read(root / DECISION)
        several = found_files(root, DECISION)
        if several:
            tickets = own_files(TICKET, len(several))
            taught = [_teacher(root, *names) for names in zip(several, tickets, strict=True)]
            said["teachers"] = taught
            said["together_decision_sha256"] = sha256_file(root / DECISION)
        else:
            said["teacher"] = _teacher(root, DECISION, TICKET)
        said["policy"] = {"name": decision.policy.name, "sha256": decision.policy.sha256}
        said["catalogue_sha256"] = decision.catalogue_sha256
        said["obligations"] = list(decision.obligations)
        said["waived"] = [f"{one.rule}: {one.subject}: {one.waived_by}" for one in decision.findings if one.waived_by]
        verdicts["teacher"] = decision.verdict.value
    if (root / "base_decision.json").is_file():
        verdicts["base"] = Decision.read(root / "base_decision.json").verdict.value
    if (root / STUDENT_DECISION).is_file():
        verdicts["student_license"] = StudentDecision.read(root / STUDENT_DECISION).verdict.value
    if (root / "filter.json").is_file():
        filtered = FilterReport.read(root / "filter.json")
        said["dataset"] = {"source_sha256": filtered.prompts_sha256, "rows_read": filtered.rows_read}
    if (root / "prompt_decision.json").is_file():
        prompts = PromptDecision.read(root / "prompt_decision.json")
        said["dataset"] = {**said.get("dataset", {}), "sha256": prompts.file_sha256, "rows": prompts.rows}
        verdicts["prompts"] = prompts.verdict.value
    return {**said, "verdicts": verdicts}


def _teacher(root: Path, name: str, ticket: str) -> dict[str, Any]:
    """One teacher, how it was reached and what was decided about it."""
    decision = Decision.read(root / name)
    told: dict[str, Any] = {
        "ref": decision.ref,
        "revision": decision.revision,
        "route": _route(decision),
        "signals": list(decision.case.signals),
        "decision_sha256": sha256_file(root / name),
        "content_sha256": ApprovedTeacher.read_ticket(root / ticket).content_sha256
        if (root / ticket).is_file()
        else "",
    }
    if (root / "training.json").is_file():
        records = TrainingReport.read(root / "training.json").teachers
        for one in (one for one in records if one.decision_sha256 == told["decision_sha256"]):
            told |= {"share": one.share, "answers": one.answers, "through": one.decoding.get("through", "")}
            if one.servings:
                told["started"] = [serving.model_dump(mode="json") for serving in one.servings]
    return told


def _route(decision: Decision) -> str:
    """How the teacher is reached: the same weights by another route are another teacher."""
    kind = decision.lineage.nodes[0].kind if decision.lineage.nodes else "model"
    if kind == "api":
        return "api"
    if decision.ref == "embedded":
        return "embedded"
    return "folder" if is_path(decision.ref) else "weights"


def _student(root: Path) -> dict[str, Any]:
    """The student as it was planned, and its digest if it was made."""
    if not (root / "run.yaml").is_file():
        return {}
    config: RunConfig = read_run_config(root / "run.yaml")
    made = root / "training.json"
    return {
        **_license_texts(root),
        "student": {
            "name": config.student.name,
            "license": config.student.license,
            "base": config.student.base,
            "sha256": TrainingReport.read(made).student_sha256 if made.is_file() else "",
        },
    }


def _license_texts(root: Path) -> dict[str, Any]:
    """The publishers' texts that travel with the student, and the duties to ship a text that are still open."""
    if not (root / LICENSE_TEXTS).is_file():
        return {}
    texts = LicenseTexts.read(root / LICENSE_TEXTS)
    return {
        "license_texts": {f"student/{one.path}": one.sha256 for one in texts.texts},
        "open_text_duties": [one.text for one in texts.duties if not one.kept],
    }
