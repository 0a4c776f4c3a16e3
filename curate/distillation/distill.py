"""From two tickets to a student: open, answer, train, measure, export, record."""

import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from curate.artifact import canonical_json, sha256_text
from curate.distillation.admission import preflight
from curate.distillation.batches import Encoder, Example
from curate.distillation.cache import TeacherCache
from curate.distillation.caching import cache_teacher
from curate.distillation.config import DistillConfig
from curate.distillation.earlier import check_fresh, find_finished
from curate.distillation.evaluate import Exam
from curate.distillation.faculty import Teacher, appoint
from curate.distillation.footprint import measure_footprints
from curate.distillation.leaving import leave
from curate.distillation.lesson import AnswerCheck, Lesson, make_encoder, prepare_lesson
from curate.distillation.loading import check_world, load_model, place_model
from curate.distillation.lora import add_lora
from curate.distillation.questions import Questions
from curate.distillation.record import make_report
from curate.distillation.results import Quality, TeacherRecord, TrainingReport
from curate.distillation.shards import is_sharded, share_out
from curate.distillation.shared_folder import check_shared
from curate.distillation.signals import find_head
from curate.distillation.stack import LossStack, needs_teacher
from curate.distillation.student import make_student
from curate.distillation.teacher import find_weights, load_teacher
from curate.distillation.trainer import Trainer
from curate.distillation.vocabulary import check_pair, choose_vocabulary, read_alike
from curate.distillation.world import World, choose_device, join_world
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
    more_teachers: Sequence[tuple[ApprovedTeacher, Path]] = (),
    check: AnswerCheck | None = None,
) -> TrainingReport:
    """Teach a student and measure it; nothing is read before all tickets were opened.

    Leaves ``out/student`` (a plain transformers folder), ``out/signals`` (teachers' answers), ``out/steps.jsonl`` and
    ``out/training.json``; checkpoints lie in ``out/checkpoints`` until the export.

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
        more_teachers: further tickets, each with its folder, where the config names several teachers.
        check: says of a teacher's answer why it must not teach.

    Raises:
        TamperedError: a ticket, decision, prompt file or teacher is not what was approved.
        Denied, NeedsReview: the config goes beyond what a teacher was approved for, or its route is not clear.
        ConfigError, ModelNotFound, HubUnreachable, RunError: as their names say.
    """
    teachers = appoint([(teacher_ticket, root), *more_teachers], config)
    prompts = dataset_ticket.open(dataset_root or root)
    folder = "" if config.answers_alone else find_weights(teacher_ticket)
    preflight(config, teacher=folder, anchor=anchor, asks=not resume)
    world = join_world(config.sharding)
    check_world(world, config.loading)
    check_shared(out, world)
    run = _Run(teachers, dataset_ticket, config, out, anchor, progress, check, offline, world)
    if resume and (report := find_finished(out, config, [one.ticket for one in teachers], dataset_ticket)) is not None:
        return report
    if not resume:
        check_fresh(out)
    world.wait()  # nobody writes before everybody has looked
    return run.go(prompts)


@dataclass
class _Run:
    """One call of ``distill``."""

    teachers: tuple[Teacher, ...]
    dataset_ticket: ApprovedDataset
    config: DistillConfig
    out: Path
    anchor: Path
    progress: Progress
    check: AnswerCheck | None = None
    offline: bool = False
    world: World = field(default_factory=World)
    started: float = field(default_factory=time.perf_counter)

    @property
    def teacher_ticket(self) -> ApprovedTeacher:
        """The first teacher's, which is the only one's where signals beside answers are used."""
        return self.teachers[0].ticket

    @property
    def fingerprint(self) -> str:
        """What checkpoints belong to."""
        who = [[one.ticket.ref, one.ticket.content_sha256, one.ticket.revision] for one in self.teachers]
        return sha256_text(canonical_json([self.config.what_teaches(), who, self.dataset_ticket.file_sha256]))

    def go(self, prompts: Path) -> TrainingReport:
        """All of it."""
        config, device = self.config, choose_device()
        torch.manual_seed(config.seed)
        teacher, tokenizer = self._teacher_in_memory(device)
        student, student_tokenizer = self._student(teacher, tokenizer)
        aligned = teacher is not None and read_alike((teacher, tokenizer), (student, student_tokenizer))
        vocabulary = choose_vocabulary(tokenizer, _rows(teacher), _rows(student)) if aligned else 0
        self._stack(student, teacher, vocabulary).close()  # what cannot be wired is refused before anybody is asked
        reads = make_encoder(tokenizer if aligned else student_tokenizer, config, student, teacher if aligned else None)
        share_out(self.world, student, teacher)
        questions = self._questions(teacher, reads if aligned else None, tokenizer, reads)
        with self.world.first_alone(together=questions.together):
            lesson = prepare_lesson(
                config,
                prompts,
                questions.ask,
                reads,
                folder=questions.folder,
                anchor=self.anchor,
                check=self.check,
                teacher_reads=None if aligned else questions.teacher_reads(needs_teacher(config.losses)),
            )
        student = student if self.world.sharded else student.to(device)  # a server had the card to itself until here
        exam = Exam(teacher if aligned else None, lesson.held_out, reads, vocabulary, self.progress)
        # Without a shared tokenizer the answers are not encoded for the teacher, and it is not examined.
        quality = {"teacher": Quality(), "before": Quality()}
        if self.world.is_first or self.world.sharded:
            quality = {"teacher": exam.take(teacher, "teacher") if aligned else Quality()}
            quality["before"] = exam.take(student, "before")
        trainer = self._train(student, teacher, lesson.examples, reads, vocabulary, exam)
        folder = self.out / "student"
        leave(student, tokenizer if aligned else student_tokenizer, folder, self.config.student, self.world)
        if self.world.is_first or self.world.sharded:
            student = self._read_back(folder, device)
            quality["after"] = exam.take(student, "after")
        if not self.world.is_first:
            self.world.wait()
            return TrainingReport.read(self.out / "training.json")
        report = self._close(trainer, lesson, quality, questions.records(lesson.dropped), teacher, student)
        self.world.wait()
        return report

    def _read_back(self, folder: Path, device: str) -> Any:  # noqa: ANN401
        """The student as it was saved."""
        student = load_model(str(folder))[0]
        share_out(self.world, student)
        return student if self.world.sharded else student.to(device)

    def _teacher_in_memory(self, device: str) -> tuple[Any, Any]:
        """The one teacher whose signals are read while the student learns; none where answers alone teach."""
        if self.config.answers_alone:
            return None, None
        teacher, tokenizer = load_teacher(
            self.teacher_ticket, self.teachers[0].root, offline=self.offline, loading=self.config.loading
        )
        if not self.world.sharded:  # where it is, it goes to its device a layer at a time, once the student is made
            place_model(teacher, device)
        return teacher, tokenizer

    def _questions(self, teacher: Any, teacher_reads: Encoder | None, tokenizer: Any, reads: Encoder) -> Questions:  # noqa: ANN401
        """Whom to ask and how; a teacher that is in memory is asked there."""
        there = teacher is not None
        in_memory = (teacher, teacher_reads or make_encoder(tokenizer, self.config, teacher)) if there else None
        return Questions(
            self.config,
            self.teachers,
            self.out / "signals",
            self.dataset_ticket.file_sha256,
            reads,
            choose_device(),
            self.offline,
            self.progress,
            self.anchor,
            in_memory,
            self.world,
        )

    def _student(self, teacher: Any, tokenizer: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """The student; where signals are compared, its tokenizer must be the teacher's."""
        config = self.config.student
        if config.base and (self.anchor / config.base).is_dir():
            config = config.model_copy(update={"base": str(self.anchor / config.base)})
        student, student_tokenizer = make_student(config, teacher, tokenizer, offline=self.offline)
        if config.lora:
            add_lora(student, config.lora)
        if teacher is not None:
            check_pair((teacher, tokenizer), (student, student_tokenizer), self.config.losses)
        return student, student_tokenizer

    def _stack(self, student: Any, teacher: Any, vocabulary: int, cache: TeacherCache | None = None) -> LossStack:  # noqa: ANN401
        kept = {"kept": self.config.student.keep_layers, "kept_encoder": self.config.student.keep_encoder_layers}
        teacher = student if teacher is None else teacher  # never run: every weight of its signals is 0
        stack = LossStack(student, teacher, self.config.losses, vocabulary=vocabulary, cache=cache, **kept)
        if is_sharded(student) and stack.features is not None:
            share_out(self.world, *stack.features.values())
        return stack

    def _train(
        self,
        student: Any,  # noqa: ANN401
        teacher: Any,  # noqa: ANN401
        examples: tuple[Example, ...],
        reads: Encoder,
        vocabulary: int,
        exam: Exam,
    ) -> Trainer:
        torch.manual_seed(self.config.seed)
        with closing(self._stack(student, teacher, vocabulary)) as stack:
            cache = cache_teacher(
                stack,
                self.teacher_ticket,
                examples,
                reads,
                self.config,
                vocabulary=vocabulary,
                folder=self.out / "signals" / "cache",
                progress=self.progress,
                world=self.world,
            )
        stack = self._stack(student, teacher, vocabulary, cache)
        try:
            trainer = Trainer(
                stack,
                examples,
                reads.pad,
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

    def _close(
        self,
        trainer: Trainer,
        lesson: Lesson,
        quality: dict[str, Quality],
        teachers: tuple[TeacherRecord, ...],
        teacher: Any,  # noqa: ANN401
        student: Any,  # noqa: ANN401
    ) -> TrainingReport:
        """Weigh both models, write ``training.json``; the checkpoints have done their work."""
        prompt, folder = lesson.examples[0].prompt, self.out / "student"
        if is_sharded(student):
            student = load_model(str(folder))[0].to(choose_device())
        models: dict[str, tuple[Any, Path | None]] = {"student": (student, folder)}
        if teacher is not None:
            weights = Path(find_weights(self.teacher_ticket))
            models = {"teacher": (teacher, weights if weights.is_dir() else None), **models}
        report = make_report(
            (self.teacher_ticket, self.dataset_ticket),
            trainer,
            lesson,
            quality,
            measure_footprints(models, prompt),
            teachers=teachers,
            student=folder,
            wall_s=time.perf_counter() - self.started,
        )
        report.write(self.out / "training.json")
        shutil.rmtree(self.out / "checkpoints", ignore_errors=True)
        return report


def _rows(model: Any) -> int:  # noqa: ANN401
    return int(find_head(model).weight.shape[0])
