"""The bill of materials of a run (CycloneDX 1.6): the student with its model card, its ancestors, and the data."""

from collections.abc import Mapping
from typing import Any

from curate.artifact import Value
from curate.distillation.config import StudentConfig
from curate.distillation.results import Quality, TrainingReport
from curate.gate import Verdict
from curate.licenses.decision import Decision
from curate.licenses.facts import Catalogue, load_catalogue
from curate.licenses.passing_on import LicenseTexts, PassedText
from curate.prompts.results import FilterReport, PromptDecision
from curate.report.cyclonedx import Inventory, Json, licenses_of, properties, tool_and_day
from curate.report.numbers import format_number
from curate.report.text import bound_text

STUDENT = "student"
PROMPTS = "prompts"
MEASURED = ("perplexity", "kl_to_teacher", "reverse_kl", "top1_agreement", "accuracy")
MAX_SOURCES = 200
"""Sources of prompts that are listed one by one."""


class RunParts(Value):
    """What a run came to, as far as it came."""

    run_id: str
    student: StudentConfig
    teacher: Decision
    base: Decision | None = None
    license_verdict: Verdict | None = None
    """Whether the student may carry its license."""
    filters: FilterReport | None = None
    prompts: PromptDecision | None = None
    sources: dict[str, dict[str, int]] = {}
    """Approved rows by source, then by the license they name."""
    training: TrainingReport | None = None
    baseline: TrainingReport | None = None
    texts: LicenseTexts | None = None
    """The publishers' license files in the student's folder, and the duties that ask for them."""
    files: dict[str, str] = {}
    """The student's files below the run folder with their SHA-256."""


def run_bom(parts: RunParts, *, catalogue: Catalogue | None = None) -> str:
    """The BOM of a run; it names the student once there is one, else what was looked at and with which verdict.

    The same run gives the same bytes.
    """
    catalogue = catalogue or load_catalogue()
    inventory = Inventory(catalogue)
    makers = [inventory.add(parts.base)] if parts.base else []
    makers.append(inventory.add(parts.teacher))  # last: of one model that is both, the teacher's verdict is told
    if parts.prompts is not None:
        _add_prompts(inventory, parts, parts.prompts)
    metadata = tool_and_day(max(one.decided_on for one in (parts.teacher, parts.base) if one))
    told = [("curate:run", parts.run_id), ("curate:verdict:teacher", parts.teacher.verdict.value)]
    if parts.base:
        told.append(("curate:verdict:base", parts.base.verdict.value))
    if parts.license_verdict is not None:
        told.append(("curate:verdict:student-license", parts.license_verdict.value))
    if parts.prompts is not None:
        told.append(("curate:verdict:prompts", parts.prompts.verdict.value))
    metadata["properties"] = properties(told)
    if parts.training is not None:
        metadata["component"] = _student(inventory, parts, parts.training, makers)
        for made_from in (*dict.fromkeys(reversed(makers)), PROMPTS):
            inventory.link(STUDENT, made_from)
    seed = [parts.run_id, parts.teacher.digest(), parts.training.student_sha256 if parts.training else ""]
    return inventory.render(" ".join(seed), metadata)


def _add_prompts(inventory: Inventory, parts: RunParts, approved: PromptDecision) -> None:
    """The approved prompts as a data set, and the sources that their rows name with the licenses they name."""
    told = [
        ("curate:rows", str(approved.rows)),
        ("curate:verdict", approved.verdict.value),
        ("curate:decision:sha256", approved.digest()),
        *((("curate:source:sha256", parts.filters.prompts_sha256),) if parts.filters else ()),
        *(("curate:obligation", duty) for duty in approved.obligations),
    ]
    licenses = sorted({name for named in parts.sources.values() for name in named if name})
    inventory.components[PROMPTS] = {
        "type": "data",
        "bom-ref": PROMPTS,
        "name": "prompts.parquet",
        "description": "the prompts that were approved",
        "hashes": [{"alg": "SHA-256", "content": approved.file_sha256}],
        **_licensed(licenses, inventory.catalogue),
        "data": [{"type": "dataset", "name": "prompts.parquet"}],
        "properties": properties(told),
    }
    for number, (source, named) in enumerate(sorted(parts.sources.items())[:MAX_SOURCES], start=1):
        if not source:
            continue
        key = f"source:{number}"
        inventory.components[key] = {
            "type": "data",
            "bom-ref": key,
            "name": bound_text(source, 200),
            **_licensed(sorted(name for name in named if name), inventory.catalogue),
            "data": [{"type": "dataset", "name": bound_text(source, 200)}],
            "properties": properties([("curate:rows", str(sum(named.values())))]),
        }
        inventory.link(PROMPTS, key)


def _licensed(names: list[str], catalogue: Catalogue) -> Json:
    """The licenses that rows name, where they name any."""
    entries = [entry for name in names for entry in licenses_of(name, catalogue)]
    return {"licenses": entries} if entries else {}


def _student(inventory: Inventory, parts: RunParts, training: TrainingReport, makers: list[str]) -> Json:
    """The student: its weights by digest, its license, its pedigree and its model card."""
    weights = [digest for name, digest in parts.files.items() if name.endswith(".safetensors")]
    named = {key: inventory.components[key] for key in reversed(makers)}
    pedigree = [
        {field: one[field] for field in ("type", "group", "name", "version", "purl") if field in one}
        for one in named.values()
    ]
    concluded = parts.license_verdict is Verdict.ALLOW
    told = [
        ("curate:student:sha256", training.student_sha256),
        *(("curate:file", f"{digest}  {name}") for name, digest in sorted(parts.files.items())),
        *(("curate:license-text", _text_line(one)) for one in (parts.texts.texts if parts.texts else ())),
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": STUDENT,
        "name": bound_text(parts.student.name, 200),
        "version": training.student_sha256,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in weights[:1] if len(weights) == 1],
        "licenses": licenses_of(parts.student.license, inventory.catalogue, conclude=concluded),
        "pedigree": {"ancestors": pedigree, "notes": _pedigree_note(parts)},
        "modelCard": _model_card(parts, training),
        "properties": properties(told),
    }


def _pedigree_note(parts: RunParts) -> str:
    """How the student came from its ancestors."""
    start = f"started from {parts.student.base}" if parts.student.base else "started from layers of its teacher"
    return bound_text(f"distilled from {parts.teacher.ref}; {start}", 500)


def _model_card(parts: RunParts, training: TrainingReport) -> Json:
    """What it was taught with and what was measured."""
    measured: dict[str, Quality] = {
        "teacher": training.teacher,
        "student before": training.before,
        "student after": training.after,
    }
    if parts.baseline is not None:
        measured["student on the task term alone"] = parts.baseline.after
    held_out = f"{training.prompts_held_out} held-out prompts"
    duties = (*parts.teacher.obligations, *(parts.prompts.obligations if parts.prompts else ()))
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text-generation",
            "datasets": [{"ref": PROMPTS}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                one for name, quality in measured.items() for one in _metrics(quality, f"{name}, {held_out}")
            ]
        },
        "considerations": {
            "technicalLimitations": [f"measured on {held_out} of this run alone; other uses were not measured"]
        },
        "properties": properties([*(("curate:obligation", duty) for duty in duties), *_text_duties(parts)]),
    }


def _text_line(text: PassedText) -> str:
    """A publisher's file in the student's folder: digest, path, and where it was read."""
    return f"{text.sha256}  student/{text.path}  {text.source}" + (f" at {text.revision}" if text.revision else "")


def _text_duties(parts: RunParts) -> list[tuple[str, str]]:
    """Duties to ship a text, those that the folder keeps told apart from those still open."""
    duties = parts.texts.duties if parts.texts else ()
    return [(f"curate:obligation:{'kept' if one.kept else 'open'}", one.text) for one in duties]


def _metrics(quality: Quality, where: str) -> list[dict[str, Any]]:
    """Every figure that was measured of one model."""
    figures: Mapping[str, float | None] = {name: getattr(quality, name) for name in MEASURED}
    return [
        {"type": name, "value": format_number(value), "slice": where}
        for name, value in figures.items()
        if value is not None
    ]
