"""How a student was taught, in rows for people: the terms of the loss, the settings, the digests."""

from curate.distillation.config import LossConfig
from curate.distillation.results import TrainingReport
from curate.report.numbers import format_number

Rows = tuple[tuple[str, ...], ...]


def loss_terms(losses: LossConfig) -> Rows:
    """Name, weight and settings of each term of the loss; a weight of 0 is off."""
    terms = (
        ("task", losses.task, "next token of the answer"),
        ("KD (α)", losses.kd.weight, f"{losses.kd.divergence}, temperature {losses.kd.temperature:g}"),
        ("hidden states (β)", losses.feature.weight, f"{losses.feature.distance}, layers {losses.feature.layers}"),
        ("attention maps (γ)", losses.attention.weight, f"{losses.attention.distance}, layers {losses.attention.layers}"),
    )  # fmt: skip
    return tuple((name, format_number(weight), told if weight else "off") for name, weight, told in terms)


def settings(report: TrainingReport) -> Rows:
    """Label and value of what else decided the result."""
    config, student = report.config, report.config.student
    kept = ", ".join(map(str, student.keep_layers))
    origin = student.base or (f"the teacher's layers {kept}" if kept else "nothing")
    rows = {
        "student made from": origin,
        "student's license": student.license,
        "signals": config.signals,
        "epochs": str(config.epochs),
        "learning rate": f"{config.learning_rate:g}, warmed up over {config.warmup_fraction:.0%} of the steps",
        "batch": f"{config.batch_tokens:,} tokens",
        "precision": config.precision,
        "seed": str(config.seed),
        "speed": f"{format_number(report.tokens_per_s)} tokens a second" if report.tokens_per_s is not None else "",
        "machine": "; ".join(f"{key} {value}" for key, value in sorted(report.machine.items())),
        "versions": "; ".join(f"{key} {value}" for key, value in sorted(report.versions.items())),
    }
    return tuple((label, value) for label, value in rows.items() if value)


def training_digests(report: TrainingReport) -> Rows:
    """The student, and the two decisions that let it be taught."""
    return (
        ("student", report.student_sha256),
        ("teacher's decision", report.teacher_decision_sha256),
        ("prompts' decision", report.dataset_decision_sha256),
        ("this report", report.digest()),
    )
