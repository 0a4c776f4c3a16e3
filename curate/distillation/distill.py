"""From two tickets to a student: open, answer, train, measure, export, record."""

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from curate.artifact import canonical_json, sha256_folder, sha256_text
from curate.distillation.admission import check_leave, preflight
from curate.distillation.batches import Example
from curate.distillation.cache import TeacherCache, build_cache, fingerprint_cache
from curate.distillation.checkpoint import writing
from curate.distillation.config import DistillConfig
from curate.distillation.evaluate import Exam
from curate.distillation.footprint import measure_footprints
from curate.distillation.lesson import Lesson, make_encoder, prepare_lesson
from curate.distillation.lora import add_lora, merge_lora
from curate.distillation.record import make_report
from curate.distillation.results import Quality, TrainingReport
from curate.distillation.signals import find_head
from curate.distillation.stack import LossStack, needs_teacher
from curate.distillation.student import export_student, make_student
from curate.distillation.teacher import find_weights, load_model, load_teacher
from curate.distillation.trainer import Trainer, choose_device
from curate.distillation.vocabulary import check_same_vocabulary, choose_vocabulary, find_difference
from curate.distillation.world import World, join_world
from curate.errors import ConfigError
from curate.gate import ApprovedDataset, ApprovedTeacher
from curate.progress import Progress, silent

log = logging.getLogger(__name__)


def distill(
    teacher_ticket: ApprovedTeacher,
    dataset_ticket: ApprovedDataset,
    config: DistillConfig,
    *,
    root: Path,
    out: Path,
    dataset_root: Path | None = None,
    anchor: Path = Path(),
    resume: bool = False,
    offline: bool = False,
    progress: Progress = silent,
) -> TrainingReport:
    """Teach a student and measure it; nothing is read before both tickets were opened.

    Leaves ``out/student`` (a plain transformers folder), ``out/signals/answers.jsonl``, ``out/steps.jsonl`` and
    ``out/training.json``; checkpoints lie in ``out/checkpoints`` until the student is exported.

    Args:
        teacher_ticket: leave to learn from a teacher.
        dataset_ticket: leave to ask these prompts.
        config: how.
        root: the folder of the teacher's ticket.
        out: where the results go.
        dataset_root: the folder of the prompts' ticket, where it is another.
        anchor: what relative paths in the config are relative to.
        resume: go on from what an earlier call left in ``out``; without it, ``out`` must hold none of the above.
        offline: keep to what is on this machine.
        progress: hears of answers, training and evaluation.

    Raises:
        TamperedError: a ticket, decision, prompt file or teacher is not what was approved.
        Denied: the config goes beyond what the teacher was approved for.
        ConfigError, ModelNotFound, HubUnreachable, RunError: as their names say.
    """
    decision = teacher_ticket.open(root)
    prompts = dataset_ticket.open(dataset_root or root)
    check_leave(decision, config)
    preflight(config, teacher=find_weights(teacher_ticket), anchor=anchor)
    world = join_world()
    run = _Run(teacher_ticket, dataset_ticket, config, out, anchor, progress, offline, world)
    if resume and (report := run.finished()) is not None:
        return report
    if not resume:
        run.check_fresh()
    world.wait()  # nobody writes before everybody has looked
    return run.go(prompts, root)


@dataclass
class _Run:
    """One call of ``distill``."""

    teacher_ticket: ApprovedTeacher
    dataset_ticket: ApprovedDataset
    config: DistillConfig
    out: Path
    anchor: Path
    progress: Progress
    offline: bool = False
    world: World = field(default_factory=World)
    started: float = field(default_factory=time.perf_counter)

    @property
    def asked_sha256(self) -> str:
        """What the teacher's answers belong to: who was asked, what, and within which limits; not how it is taught."""
        limits = {"max_prompt_tokens", "max_answer_tokens", "answers", "evaluation", "seed", "batch_tokens"}
        asked = self.config.model_dump(mode="json", include=limits)
        del asked["evaluation"]["every"]
        tickets = [self.teacher_ticket.content_sha256, self.teacher_ticket.revision, self.dataset_ticket.file_sha256]
        return sha256_text(canonical_json([asked, self.teacher_ticket.ref, *tickets]))

    @property
    def fingerprint(self) -> str:
        """What checkpoints and answers belong to."""
        parts = [self.config.model_dump(mode="json", exclude={"checkpoint_every", "tensorboard"})]
        tickets = [self.teacher_ticket.content_sha256, self.teacher_ticket.revision, self.dataset_ticket.file_sha256]
        return sha256_text(canonical_json([*parts, self.teacher_ticket.ref, *tickets]))

    def check_fresh(self) -> None:
        """Refuse a folder in which an earlier call left something: it is neither mixed with this one's nor deleted."""
        for name in ("student", "signals", "checkpoints", "training.json", "steps.jsonl"):
            if (self.out / name).exists():
                raise ConfigError(
                    f"{self.out / name}: an earlier distillation left this", hint="resume it, or choose another folder"
                )

    def finished(self) -> TrainingReport | None:
        """The report of an earlier call, if it came to its end with the same inputs and its student is whole."""
        path = self.out / "training.json"
        if not path.exists() or not (self.out / "student").is_dir():
            return None
        report = TrainingReport.read(path)
        same = report.config == self.config and report.dataset_decision_sha256 == self.dataset_ticket.decision_sha256
        same = same and report.teacher_decision_sha256 == self.teacher_ticket.decision_sha256
        return report if same and report.student_sha256 == sha256_folder(self.out / "student") else None

    def go(self, prompts: Path, root: Path) -> TrainingReport:
        """All of it."""
        config, device = self.config, choose_device()
        torch.manual_seed(config.seed)
        teacher, tokenizer = load_teacher(self.teacher_ticket, root, offline=self.offline)
        teacher.to(device)
        student, student_tokenizer = self._student(teacher, tokenizer)
        student.to(device)
        aligned = not find_difference(tokenizer, student_tokenizer)
        vocabulary = choose_vocabulary(tokenizer, _rows(teacher), _rows(student)) if aligned else 0
        self._stack(
            student, teacher, vocabulary
        ).close()  # what cannot be wired is refused before answers are asked for
        teacher_reads = make_encoder(tokenizer, config, teacher, student if aligned else None)
        student_reads = teacher_reads if aligned else make_encoder(student_tokenizer, config, student, None)
        with self.world.first_alone():
            lesson = prepare_lesson(
                config,
                prompts,
                teacher,
                teacher_reads,
                student_reads,
                folder=self.out / "signals",
                fingerprint=self.asked_sha256,
                anchor=self.anchor,
                progress=self.progress,
            )
        exam = Exam(teacher if aligned else None, lesson.held_out, student_reads, vocabulary, self.progress)
        # Without a shared tokenizer the answers are not encoded for the teacher, and it is not examined.
        quality = {"teacher": Quality(), "before": Quality()}
        if self.world.is_first:
            quality = {"teacher": exam.take(teacher, "teacher") if aligned else Quality()}
            quality["before"] = exam.take(student, "before")
        trainer = self._train(student, teacher, lesson.examples, student_reads.pad, vocabulary, exam)
        if not self.world.is_first:
            self.world.wait()
            return TrainingReport.read(self.out / "training.json")
        folder = self.out / "student"
        self._export(student, tokenizer if aligned else student_tokenizer, folder)
        student = load_model(str(folder))[0].to(device)
        quality["after"] = exam.take(student, "after")
        report = self._close(trainer, lesson, quality, teacher, student)
        self.world.wait()
        return report

    def _student(self, teacher: Any, tokenizer: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """The student; where signals are compared, its tokenizer must be the teacher's."""
        config = self.config.student
        if config.base and (self.anchor / config.base).is_dir():
            config = config.model_copy(update={"base": str(self.anchor / config.base)})
        student, student_tokenizer = make_student(config, teacher, tokenizer, offline=self.offline)
        if config.lora:
            add_lora(student, config.lora)
        if needs_teacher(self.config.losses):
            check_same_vocabulary(tokenizer, student_tokenizer)
        return student, student_tokenizer

    def _stack(self, student: Any, teacher: Any, vocabulary: int, cache: TeacherCache | None = None) -> LossStack:  # noqa: ANN401
        kept = self.config.student.keep_layers
        return LossStack(student, teacher, self.config.losses, vocabulary=vocabulary, kept=kept, cache=cache)

    def _cache(self, teacher: Any, examples: tuple[Example, ...], pad: int, vocabulary: int) -> TeacherCache | None:  # noqa: ANN401
        """The teacher, read once, where the config asks for it."""
        kd, ticket = self.config.losses.kd, self.teacher_ticket
        if self.config.signals != "cached" or not kd.weight:
            return None
        who = ticket.content_sha256 or f"{ticket.ref}@{ticket.revision}"
        with self.world.first_alone():
            return build_cache(
                self.out / "signals" / "cache",
                fingerprint_cache(who, examples, top_k=self.config.cache_top_k, temperature=kd.temperature),
                examples,
                teacher,
                pad=pad,
                top_k=self.config.cache_top_k,
                temperature=kd.temperature,
                vocabulary=vocabulary,
                progress=self.progress,
            )

    def _train(
        self,
        student: Any,  # noqa: ANN401
        teacher: Any,  # noqa: ANN401
        examples: tuple[Example, ...],
        pad: int,
        vocabulary: int,
        exam: Exam,
    ) -> Trainer:
        torch.manual_seed(self.config.seed)
        cache = self._cache(teacher, examples, pad, vocabulary)
        stack = self._stack(student, teacher, vocabulary, cache)
        try:
            trainer = Trainer(
                stack,
                examples,
                pad,
                self.config,
                checkpoints=self.out / "checkpoints",
                fingerprint=self.fingerprint,
                progress=self.progress if self.world.is_first else silent,
                world=self.world,
                examine=lambda: exam.take(student, "during", ask=False),
                log_to=self.out,
            )
            trainer.resume()
            trainer.run()
        finally:
            stack.close()
        return trainer

    def _export(self, student: Any, tokenizer: Any, folder: Path) -> None:  # noqa: ANN401
        """Save beside, then rename: a student folder is whole or not there."""
        partial = folder.with_name(".student.partial")
        shutil.rmtree(partial, ignore_errors=True)
        if self.config.student.lora:
            merge_lora(student)
        with writing(folder):
            export_student(student, tokenizer, partial, dtype=self.config.student.dtype)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)

    def _close(
        self,
        trainer: Trainer,
        lesson: Lesson,
        quality: dict[str, Quality],
        teacher: Any,  # noqa: ANN401
        student: Any,  # noqa: ANN401
    ) -> TrainingReport:
        """Weigh both models, write ``training.json``; the checkpoints have done their work."""
        prompt, folder = lesson.examples[0].prompt, self.out / "student"
        weights = Path(find_weights(self.teacher_ticket))
        report = make_report(
            (self.teacher_ticket, self.dataset_ticket),
            trainer,
            lesson,
            quality,
            measure_footprints(
                {"teacher": (teacher, weights if weights.is_dir() else None), "student": (student, folder)}, prompt
            ),
            student=folder,
            wall_s=time.perf_counter() - self.started,
        )
        report.write(self.out / "training.json")
        shutil.rmtree(self.out / "checkpoints", ignore_errors=True)
        return report


def _rows(model: Any) -> int:  # noqa: ANN401
    return int(find_head(model).weight.shape[0])
