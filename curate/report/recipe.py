"""How a student was taught and what came of it, in words and rows for people."""

from collections.abc import Mapping

from curate.distillation.config import LossConfig
from curate.distillation.results import Quality, TeacherRecord, TrainingReport
from curate.report.measures import QUALITIES
from curate.report.numbers import format_number
from curate.report.text import bound_text

Rows = tuple[tuple[str, ...], ...]


MODEL_PHRASES = {
    "after": "after",
    "before": "before",
    "without KD": "when taught without KD",
    "teacher": "for the teacher",
}


def quality_sentence(models: Mapping[str, Quality]) -> str:
    """What came of it, in the measure that says most and was taken on every model."""
    order = ("accuracy", "kl_to_teacher", "perplexity", "top1_agreement")
    for field in order:
        label, spell = QUALITIES[field]
        values = {model: getattr(models[model], field) for model in MODEL_PHRASES if model in models}
        if values.get("after") is not None:
            said = ", ".join(f"{spell(value)} {MODEL_PHRASES[model]}" for model, value in values.items())
            return f"{label[0].upper()}{label[1:]}: {said}."
    return ""


def loss_terms(losses: LossConfig, balance: Mapping[str, float]) -> Rows:
    """Name, weight, what balancing multiplied it by, and settings of each term of the loss; a weight of 0 is off."""
    kd, feature, attention = losses.kd, losses.feature, losses.attention
    terms = (
        ("task", "task", losses.task, "next token of the answer"),
        (
            "kd",
            "KD (α)",
            kd.weight,
            f"{kd.divergence.replace('_', ' ').replace('kl', 'KL')}, temperature {kd.temperature:g}",
        ),
        ("feature", "hidden states (β)", feature.weight, f"{feature.distance} distance, {_paired(feature.layers)}"),
        (
            "attention",
            "attention maps (γ)",
            attention.weight,
            f"{attention.distance.replace('kl', 'KL')} distance, {_paired(attention.layers)}",
        ),
    )
    return tuple(
        (name, f"{weight:g}", format_number(balance.get(term) if weight else None), told if weight else "off")
        for term, name, weight, told in terms
    )


def _paired(layers: object) -> str:
    """How layers of student and teacher were paired."""
    return f"layers paired by {layers}" if isinstance(layers, str) else f"layers {layers}"


def settings(report: TrainingReport) -> Rows:
    """Label and value of what else decided the result."""
    config, student = report.config, report.config.student
    kept = ", ".join(map(str, student.keep_layers))
    origin = student.base or (f"the teacher's layers {kept}" if kept else "nothing")
    rows = {
        "student made from": origin,
        "student's license": student.license,
        "signals": "read from the teacher at every step" if config.signals == "live" else "kept before training",
        "epochs": str(config.epochs),
        "learning rate": f"{config.learning_rate:g}, warmed up over {config.warmup_fraction:.0%} of the steps",
        "batch": f"{config.batch_tokens:,} tokens",
        "precision": config.precision if config.precision != "auto" else "",
        "seed": str(config.seed),
        **{f"answers of {bound_text(one.ref, 80)}": answered(one) for one in report.teachers if one.answers},
        "speed": f"{format_number(report.tokens_per_s)} tokens a second" if report.tokens_per_s is not None else "",
        "machine": "; ".join(f"{key} {value}" for key, value in sorted(report.machine.items())),
        "versions": "; ".join(f"{key} {value}" for key, value in sorted(report.versions.items())),
    }
    return tuple((label, value) for label, value in rows.items() if value)


def answered(teacher: TeacherRecord) -> str:
    """How a teacher's answers were made, and what came of them."""
    gone = ", ".join(f"{count:,} {bound_text(reason, 60)}" for reason, count in teacher.dropped.items())
    used = teacher.prompt_tokens + teacher.completion_tokens
    how = [
        f"{teacher.share:.0%} of the prompts" if teacher.share < 1 else "",
        f"through {teacher.decoding.get('through', '')}",
        f"served as {bound_text(', '.join(teacher.served_as), 80)}" if teacher.served_as else "",
        *(f"started by curate: {bound_text(' '.join([one.title, *one.arguments]), 400)}" for one in teacher.servings),
        f"{teacher.answers:,} answers",
        f"{teacher.cut:,} cut at the bound" if teacher.cut else "",
        f"dropped: {gone}" if gone else "",
        f"{used:,} tokens as the server counted" if used else "",
        f"about {teacher.lost_tokens:,} tokens lost" if teacher.lost_tokens else "",
    ]
    return "; ".join(part for part in how if part)


def training_digests(report: TrainingReport) -> Rows:
    """The student, and the two decisions that let it be taught."""
    return (
        ("student", report.student_sha256),
        ("teacher's decision", report.teacher_decision_sha256),
        ("prompts' decision", report.dataset_decision_sha256),
        ("this report", report.digest()),
    )
