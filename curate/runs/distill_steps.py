"""The training of a run: the student, and beside it the same student without its teacher's signals."""

import shutil
from pathlib import Path

from curate.artifact import canonical_json, sha256_file, sha256_text
from curate.distillation.config import without_teacher
from curate.distillation.results import TrainingReport
from curate.gate import ApprovedDataset, ApprovedTeacher
from curate.runs.workshop import Workshop


def distill(shop: Workshop) -> TrainingReport:
    """Teach the student, and the same student on the task term alone where the run file asks for it."""
    from curate.distillation.distill import distill as teach

    teacher = ApprovedTeacher.read_ticket(shop.root / "teacher.json")
    dataset = ApprovedDataset.read_ticket(shop.root / "dataset.json")
    inputs = {
        "teacher": teacher.digest(),
        "dataset": dataset.digest(),
        "config": sha256_text(canonical_json(shop.config.distill.model_dump(mode="json"))),
        "evaluation": _evaluation_sha256(shop),
    }
    if line := shop.trail.reusable("distill", inputs):
        shop.trail.reuse(line)
        return TrainingReport.read(shop.root / "training.json")
    goes_on = shop.trail.last_inputs("distill") == inputs
    with shop.trail.step("distill", inputs) as step:
        if not goes_on:
            _clear(shop.root)
        report = teach(
            teacher,
            dataset,
            shop.config.distill,
            root=shop.root,
            out=shop.root,
            anchor=shop.where,
            resume=goes_on,
            offline=shop.config.offline,
            progress=shop.progress,
        )
        if shop.config.baseline:
            _teach_baseline(shop, teacher, dataset, goes_on=goes_on)
            step.add(shop.root / "baseline.json")
        for name in ("student", "signals", "training.json"):
            if (shop.root / name).exists():
                step.add(shop.root / name)
        step.message = f"{report.steps} steps, {report.tokens} answer tokens"
    return report


def _clear(root: Path) -> None:
    """Remove what an earlier attempt under other inputs left in the run folder; its digests stay in the ledger."""
    for name in ("student", "signals", "checkpoints", "baseline", "tensorboard"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("training.json", "steps.jsonl", "baseline.json"):
        (root / name).unlink(missing_ok=True)


def _evaluation_sha256(shop: Workshop) -> str:
    """Digest of the evaluation file, if there is one."""
    name = shop.config.evaluation.file
    return sha256_file(shop.path(name)) if name else ""


def _teach_baseline(shop: Workshop, teacher: ApprovedTeacher, dataset: ApprovedDataset, *, goes_on: bool) -> None:
    """The same student, steps, data and answers by L_task alone; only its measurements are kept."""
    from curate.distillation.distill import distill as teach

    place, work = shop.root / "baseline.json", shop.root / "baseline"
    if goes_on and place.is_file():
        return
    if not (work / "signals").exists():
        (work / "signals").mkdir(parents=True)
        shutil.copy(shop.root / "signals" / "answers.jsonl", work / "signals" / "answers.jsonl")
    report = teach(
        teacher,
        dataset,
        without_teacher(shop.config.distill),
        root=shop.root,
        out=work,
        anchor=shop.where,
        resume=True,
        offline=shop.config.offline,
        progress=shop.progress,
    )
    report.write(place)
    shutil.rmtree(work)
