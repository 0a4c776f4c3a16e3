"""What an earlier distillation left in a folder: refused, gone on with, or only read back."""

from collections.abc import Sequence
from pathlib import Path

from curate.artifact import sha256_folder
from curate.distillation.config import DistillConfig
from curate.distillation.results import TrainingReport
from curate.errors import ConfigError
from curate.gate import ApprovedDataset, ApprovedTeacher


def check_fresh(out: Path) -> None:
    """Refuse a folder in which an earlier call left something: it is neither mixed with this one's nor deleted."""
    for name in ("student", "signals", "checkpoints", "training.json", "steps.jsonl"):
        if (out / name).exists():
            raise ConfigError(
                f"{out / name}: an earlier distillation left this", hint="resume it, or choose another folder"
            )


def find_finished(
    out: Path, config: DistillConfig, teachers: Sequence[ApprovedTeacher], dataset: ApprovedDataset
) -> TrainingReport | None:
    """The report of an earlier call, if it came to its end with the same inputs and its student is whole."""
    path = out / "training.json"
    if not path.exists() or not (out / "student").is_dir():
        return None
    report = TrainingReport.read(path)
    decisions = [report.teacher_decision_sha256, *(one.decision_sha256 for one in report.teachers[1:])]
    same = report.config.what_teaches() == config.what_teaches()
    same = same and report.dataset_decision_sha256 == dataset.decision_sha256
    same = same and decisions == [one.decision_sha256 for one in teachers]
    return report if same and report.student_sha256 == sha256_folder(out / "student") else None
