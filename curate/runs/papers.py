"""What a run leaves for people: the student's card and NOTICE, the bill of materials, and the report page."""

import json
import shutil
from pathlib import Path
from typing import TypeVar

from curate.artifact import Artifact, atomic_file, folder_files, sha256_file, write_text
from curate.distillation.results import TrainingReport
from curate.licenses.decision import Decision
from curate.licenses.facts import catalogue_for
from curate.licenses.passing_on import FOLDER, LicenseTexts, pass_on
from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
from curate.runs.record import BOM, CLOSE, LICENSE_TEXTS, SPDX
from curate.runs.student_card import notice, student_card
from curate.runs.student_license import STUDENT_DECISION, StudentDecision
from curate.runs.workshop import Workshop

Kind = TypeVar("Kind", bound=Artifact)


def withdraw_student_papers(shop: Workshop) -> None:
    """Take back what an earlier attempt laid beside a student that is about to be taught anew."""
    shop.trail.set_aside("papers")
    _remove_papers(shop.root / "student")


def _remove_papers(folder: Path) -> None:
    """Card, NOTICE and publishers' texts of an earlier attempt."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    for name in ("README.md", "NOTICE"):
        (folder / name).unlink(missing_ok=True)


def write_student_papers(
    shop: Workshop, decision: Decision, approval: PromptDecision, training: TrainingReport
) -> None:
    """Lay the model card, publishers' license texts and, where there are duties, a NOTICE into the student's folder."""
    with shop.trail.step("papers") as step:
        folder = shop.root / "student"
        _remove_papers(folder)
        texts, contents = pass_on(shop.cards.read.values() if shop.cards else (), decision, catalogue_for(shop.policy))
        for name, content in contents.items():
            with atomic_file(folder / name) as stream:
                stream.write(content)
            step.add(folder / name)
        texts.write(shop.root / LICENSE_TEXTS)
        step.add(shop.root / LICENSE_TEXTS)
        sources = _sources(shop.root / "prompts.parquet")
        card = student_card(
            shop.config, decision, approval, training, run_id=shop.root.name, sources=sources, texts=texts
        )
        write_text(folder / "README.md", card)
        step.add(folder / "README.md")
        duties = (*decision.obligations, *approval.obligations)
        if duties:
            write_text(folder / "NOTICE", notice(shop.config, [texts.told(duty) for duty in duties]))
            step.add(folder / "NOTICE")


def write_bom(shop: Workshop) -> None:
    """The bills of materials of whatever the run came to; none before there is a decision about the teacher."""
    teacher = _read(Decision, shop.root / "decision.json")
    if teacher is None:
        return
    from curate.report.run_bom import RunParts, run_bom
    from curate.report.spdx import spdx_document

    student = _read(StudentDecision, shop.root / STUDENT_DECISION)
    folder, kept = shop.root / "student", shop.root / "prompts.parquet"
    with shop.trail.step("bom") as step:
        parts = RunParts(
            run_id=shop.root.name,
            student=shop.config.student,
            teacher=teacher,
            base=_read(Decision, shop.root / "base_decision.json"),
            license_verdict=student.verdict if student else None,
            filters=_read(FilterReport, shop.root / "filter.json"),
            prompts=_read(PromptDecision, shop.root / "prompt_decision.json"),
            sources=_sources(kept) if kept.is_file() else {},
            training=_read(TrainingReport, shop.root / "training.json"),
            baseline=_read(TrainingReport, shop.root / "baseline.json"),
            texts=_read(LicenseTexts, shop.root / LICENSE_TEXTS),
            files={file.relative_to(shop.root).as_posix(): sha256_file(file) for file in folder_files(folder)},
        )
        bom = run_bom(parts)
        for name, text in ((BOM, bom), (SPDX, spdx_document(json.loads(bom)))):
            write_text(shop.root / name, text)
            step.add(shop.root / name)


def _sources(kept: Path) -> dict[str, dict[str, int]]:
    """Approved rows by the source and then the license that they name."""
    import pyarrow.parquet as pq

    from curate.prompts.promptset import LICENSE_COLUMNS, SOURCE_COLUMNS

    names = pq.read_schema(kept).names
    columns = [next((name for name in known if name in names), "") for known in (SOURCE_COLUMNS, LICENSE_COLUMNS)]
    table = pq.read_table(kept, columns=[name for name in columns if name])
    rows = [table[name].to_pylist() if name else [""] * table.num_rows for name in columns]
    counted: dict[str, dict[str, int]] = {}
    for source, license_name in zip(*rows, strict=True) if any(columns) else ():
        named = counted.setdefault(str(source or ""), {})
        named[str(license_name or "")] = named.get(str(license_name or ""), 0) + 1
    return counted


def write_report(shop: Workshop) -> None:
    """The page for people over whatever the run came to."""
    from curate.report.html import StepLine, run_page

    with shop.trail.step("report") as step:
        lines = [
            StepLine(name=line.step, status=line.status, wall_s=line.wall_s, note=line.message)
            for line in shop.trail.lines
            if line.step != CLOSE and line.status != "restarted"
        ]
        page = run_page(
            title=f"{shop.config.student.name} from {shop.config.taught_by}",
            steps=lines,
            teacher=_read(Decision, shop.root / "decision.json"),
            base=_read(Decision, shop.root / "base_decision.json"),
            filters=_read(FilterReport, shop.root / "filter.json"),
            diversity=_read(DiversityReport, shop.root / "diversity.json"),
            shift=_read(ShiftReport, shop.root / "shift.json"),
            prompt_decision=_read(PromptDecision, shop.root / "prompt_decision.json"),
            training=_read(TrainingReport, shop.root / "training.json"),
            baseline=_read(TrainingReport, shop.root / "baseline.json"),
        )
        write_text(shop.root / "report.html", page)
        step.add(shop.root / "report.html")


def _read(kind: type[Kind], path: Path) -> Kind | None:
    """An artifact of the run, if the run came so far."""
    return kind.read(path) if path.is_file() else None
