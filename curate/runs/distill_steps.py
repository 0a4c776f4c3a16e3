"""The training of a run: the student, and beside it the same student without its teacher's signals."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from curate.artifact import atomic_file, canonical_json, sha256_file, sha256_text
from curate.distillation.answer_file import read_fingerprint
from curate.distillation.config import DistillConfig, without_teacher
from curate.distillation.results import TrainingReport
from curate.gate import ApprovedDataset, ApprovedTeacher
from curate.runs.papers import withdraw_student_papers
from curate.runs.teachers import TICKET, found_files, resolved
from curate.runs.workshop import Workshop


def distill(shop: Workshop) -> TrainingReport:
    """Teach the student, and the same student on the task term alone where the run file asks for it."""
    inputs = {
        **_tickets(shop.root),
        "config": sha256_text(canonical_json(shop.config.distill.what_teaches())),
        "evaluation": _evaluation_sha256(shop),
    }
    if line := shop.trail.reusable("distill", inputs):
        shop.trail.reuse(line)
        return TrainingReport.read(shop.root / "training.json")
    withdraw_student_papers(shop)
    goes_on = shop.trail.last_inputs("distill") == inputs
    with shop.trail.step("distill", inputs) as step:
        kept = goes_on or _clear(shop)
        report = _teach(shop, shop.config.distill, out=shop.root, resume=kept)
        if shop.config.baseline:
            _teach_baseline(shop, goes_on=goes_on)
            step.add(shop.root / "baseline.json")
        for name in ("student", "signals", "training.json", "steps.jsonl", "tensorboard"):
            if (shop.root / name).exists():
                step.add(shop.root / name)
        gone = sum(count for one in report.teachers for count in one.dropped.values())
        step.message = f"{report.steps:,} steps, {report.tokens:,} answer tokens" + (
            f"; {gone:,} answers dropped" if gone else ""
        )
    return report


def _tickets(root: Path) -> dict[str, str]:
    """Digests of the tickets, by file."""
    names = found_files(root, TICKET) or [TICKET]
    found = {name.removesuffix(".json"): ApprovedTeacher.read_ticket(root / name).digest() for name in names}
    return {**found, "dataset": ApprovedDataset.read_ticket(root / "dataset.json").digest()}


def _teach(shop: Workshop, config: DistillConfig, *, out: Path, resume: bool) -> TrainingReport:
    """One distillation with the tickets of the run."""
    from curate.distillation.distill import distill as teach
    from curate.runs.answer_check import answer_check

    root = shop.root
    tickets = [(ApprovedTeacher.read_ticket(root / name), root) for name in found_files(root, TICKET) or [TICKET]]
    return teach(
        tickets[0][0],
        ApprovedDataset.read_ticket(root / "dataset.json"),
        resolved(config, [ticket.ref for ticket, _ in tickets]),
        root=root,
        out=out,
        anchor=shop.where,
        resume=resume,
        offline=shop.config.offline,
        progress=shop.progress,
        more_teachers=tickets[1:],
        check=answer_check(config),
    )


def _clear(shop: Workshop) -> bool:
    """Remove what an earlier attempt under other inputs left in the run folder; its digests stay in the ledger.

    Answers that were paid for and still belong to the same teacher and settings stay; True if there are any.
    """
    root = shop.root
    paid = {path: path.read_bytes() for path in _paid_answers(shop)}
    for name in ("student", "signals", "checkpoints", "baseline", "tensorboard"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("training.json", "steps.jsonl", "baseline.json"):
        (root / name).unlink(missing_ok=True)
    for path, content in paid.items():
        with atomic_file(path) as stream:
            stream.write(content)
    return bool(paid)


def _paid_answers(shop: Workshop) -> Iterator[Path]:
    """Answer files of servers that this attempt would go on with."""
    from curate.distillation.faculty import answers_path, appoint

    names = found_files(shop.root, TICKET) or [TICKET]
    tickets = [(ApprovedTeacher.read_ticket(shop.root / name), shop.root) for name in names]
    config = resolved(shop.config.distill, [ticket.ref for ticket, _ in tickets])
    for place, teacher in enumerate(appoint(tickets, config)):
        path = answers_path(shop.root / "signals", place, len(tickets))
        if teacher.endpoint and path.is_file() and read_fingerprint(path) == teacher.asked_sha256(config, ""):
            yield path


def _evaluation_sha256(shop: Workshop) -> str:
    """Digest of the evaluation file, if there is one."""
    name = shop.config.evaluation.file
    return sha256_file(shop.path(name)) if name else ""


def _teach_baseline(shop: Workshop, *, goes_on: bool) -> None:
    """The same student, steps, data and answers by L_task alone; only its measurements are kept."""
    place, work = shop.root / "baseline.json", shop.root / "baseline"
    if goes_on and place.is_file():
        return
    if not (work / "signals").exists():
        (work / "signals").mkdir(parents=True)
        for path in (shop.root / "signals").glob("answers*.jsonl"):
            shutil.copy(path, work / "signals" / path.name)
    report = _teach(shop, without_teacher(shop.config.distill), out=work, resume=True)
    report.write(place)
    shutil.rmtree(work)
