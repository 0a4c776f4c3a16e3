"""A training report as rows and plain text: quality before, while and after, by domain, and what it costs."""

from collections.abc import Mapping, Sequence

from curate.distillation.results import ExamPoint, Quality, TrainingReport
from curate.report.measures import QUALITIES
from curate.report.numbers import format_bytes, format_count, format_number, format_ratio, format_seconds
from curate.report.text import bound_text, table

TERM_NAMES = {"total": "weighted total", "kd": "KD", "feature": "hidden states", "attention": "attention maps"}
"""How the loss terms are called by people; any other goes by its own name."""


def quality_rows(models: Mapping[str, Quality]) -> list[list[str]]:
    """One row a measure that was taken on any model, one cell a model."""
    rows = []
    for field, (label, spell) in QUALITIES.items():
        values = [getattr(quality, field) for quality in models.values()]
        if any(value is not None for value in values):
            rows.append([label, *map(spell, values)])
    return rows


def compared_models(report: TrainingReport, baseline: TrainingReport | None = None) -> dict[str, Quality]:
    """The models of a before/after table by heading."""
    models = {"teacher": report.teacher, "before": report.before, "after": report.after}
    return {**models, "without KD": baseline.after} if baseline else models


def footprint_rows(report: TrainingReport) -> list[list[str]]:
    """What teacher and student cost, and how many times less the student does."""
    teacher, student = report.footprints.get("teacher"), report.footprints.get("student")
    rows = []
    for label, field, spell in (
        ("parameters", "parameters", format_count),
        ("size", "bytes", format_bytes),
        ("ms a token", "ms_per_token", format_number),
        ("peak memory", "peak_memory_bytes", format_bytes),
    ):
        values = [getattr(footprint, field, None) for footprint in (teacher, student)]
        if any(value is not None for value in values):
            rows.append([label, *(spell(value) for value in values), format_ratio(values[1], values[0])])
    return rows


def domain_rows(models: Mapping[str, Quality]) -> list[list[str]]:
    """One row a measure and domain of the held-out prompts, where they come from several."""
    rows = []
    for domain in dict.fromkeys(name for quality in models.values() for name in quality.domains):
        parts = {model: quality.domains.get(domain, Quality()) for model, quality in models.items()}
        rows += [[bound_text(domain, 60), *row] for row in quality_rows(parts)]
    return rows


def exam_rows(exams: Sequence[ExamPoint]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the examinations while training: the step, then every measure that was taken."""
    taken = {
        field: told
        for field, told in QUALITIES.items()
        if any(getattr(exam.quality, field) is not None for exam in exams)
    }
    rows = [
        [f"{exam.step:,}", *(spell(getattr(exam.quality, field)) for field, (_, spell) in taken.items())]
        for exam in exams
    ]
    return ["step", *(label for label, _ in taken.values())], rows


def balance_line(balance: Mapping[str, float]) -> str:
    """What the weights of terms were multiplied by, so that no gradient drowns the others; nothing for none."""
    factors = ", ".join(
        f"{TERM_NAMES.get(term, term)} × {format_number(factor)}" for term, factor in sorted(balance.items())
    )
    return f"weights balanced by gradient norms: {bound_text(factors, 300)}" if factors else ""


def training_text(report: TrainingReport, baseline: TrainingReport | None = None, *, width: int = 100) -> str:
    """What the distillation did: quality before, while and after, by domain, and size and speed against the teacher.

    ``baseline`` is the same student trained without the teacher's distributions, where one was trained.
    """
    models = compared_models(report, baseline)
    took = f" in {format_seconds(report.wall_s)}" if report.wall_s is not None else ""
    head = [
        f"{bound_text(report.teacher_ref, 80)} → {bound_text(report.config.student.name, 80)}",
        f"{report.steps:,} steps on {report.prompts_trained:,} prompts, {report.tokens:,} answer tokens{took}",
        balance_line(report.balance),
    ]
    held_out = f"on {report.prompts_held_out:,} held-out prompts"
    headers, exams = exam_rows(report.exams)
    tables = [
        ([held_out, *models], quality_rows(models)),
        (["domain", "measure", *models], domain_rows(models)),
        ([f"exam at {headers[0]}", *headers[1:]], exams),
        (["cost", "teacher", "student", "smaller by"], footprint_rows(report)),
    ]
    parts = ["\n".join(line for line in head if line)]
    parts += [table(rows, heads, width=width) for heads, rows in tables if rows]
    return "\n\n".join(parts)
