"""What a finished training says of itself."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from curate import __version__
from curate.artifact import sha256_folder
from curate.distillation.lesson import Lesson
from curate.distillation.results import Footprint, Quality, TeacherRecord, TrainingReport
from curate.distillation.trainer import Trainer
from curate.gate import ApprovedDataset, ApprovedTeacher


def make_report(
    tickets: tuple[ApprovedTeacher, ApprovedDataset],
    trainer: Trainer,
    lesson: Lesson,
    quality: Mapping[str, Quality],
    footprints: dict[str, Footprint],
    *,
    teachers: tuple[TeacherRecord, ...],
    student: Path,
    wall_s: float,
) -> TrainingReport:
    """The report of a training; ``quality`` has teacher, before and after, ``student`` is the exported folder.

    ``tickets`` are the first teacher's and the prompts'; ``teachers`` tells of everybody who answered.
    """
    teacher_ticket, dataset_ticket = tickets
    speeds = sorted(point.tokens_per_s for point in trainer.curve)
    libraries = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    return TrainingReport(
        config=trainer.config,
        teacher_ref=" + ".join(one.ref for one in teachers) or teacher_ticket.ref,
        teacher_decision_sha256=teacher_ticket.decision_sha256,
        dataset_decision_sha256=dataset_ticket.decision_sha256,
        prompts_trained=len(lesson.examples),
        prompts_held_out=len(lesson.held_out.examples),
        answers_from_file=lesson.answers_from_file,
        answers_from_teacher=len(lesson.examples) - lesson.answers_from_file,
        teachers=teachers,
        steps=trainer.step,
        tokens=trainer.tokens,
        curve=tuple(trainer.curve),
        balance=dict(trainer.balance.factors),
        exams=tuple(trainer.exams),
        teacher=quality["teacher"],
        before=quality["before"],
        after=quality["after"],
        footprints=footprints,
        student_sha256=sha256_folder(student),
        tokens_per_s=speeds[len(speeds) // 2] if speeds else None,
        wall_s=wall_s,
        versions={"curate": __version__, **libraries},
        machine={
            "device": torch.cuda.get_device_name() if trainer.device == "cuda" else platform.machine(),
            "threads": str(torch.get_num_threads()),
            "precision": trainer.precision,
            **({"processes": str(trainer.world.size)} if trainer.world.size > 1 else {}),
            **({"sharding": "fsdp2"} if trainer.world.sharded else {}),
        },
    )
