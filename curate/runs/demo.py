"""The demo's own run files, policy and cards: the whole job on what ships with curate."""

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from curate.distillation.config import (
    AttentionTerm,
    DistillConfig,
    EvaluationConfig,
    FeatureTerm,
    KdTerm,
    LossConfig,
    StudentConfig,
)
from curate.policy import Policy, Waiver, load_policy
from curate.runs.config import OWN_KEYS, RunConfig
from curate.runs.workshop import SMOLLM2, demo_folder, package_folder

DemoTeacher = Literal["embedded", "smollm2"]

TEACHERS = ("demo/mit-over-llama", SMOLLM2, "embedded")
"""The three that the demo asks about: denied, under review, allowed."""


QUICK_PROMPTS, QUICK_HELD_OUT = 240, 200


def demo_config(teacher: DemoTeacher, *, quick: bool = False) -> RunConfig:
    """The run file of the demo; ``quick`` asks fewer prompts, once, and examines on fewer."""
    folder = demo_folder()
    shared = {
        "prompts": str(folder / "prompts.jsonl"),
        "reference": str(folder / "reference.jsonl"),
        "benchmarks": (str(folder / "benchmark.jsonl"),),
        "cards": (str(folder / "cards"),),
        "baseline": True,
    }
    if teacher == "embedded":
        distill = DistillConfig(
            student=StudentConfig(name="intent-student", license="apache-2.0", keep_layers=(0, 3)),
            evaluation=EvaluationConfig(file=str(official_test()), max_prompts=4000),
            losses=_four_terms(temperature=2.0),
            epochs=4,
            learning_rate=1e-3,
            warmup_fraction=0.06,
            weight_decay=0.01,
            batch_tokens=1024,
            max_answer_tokens=16,
            seed=77,
        )
    else:
        distill = DistillConfig(
            student=StudentConfig(name="smol-student", license="apache-2.0", keep_layers=(0, 10, 20, 29)),
            losses=_four_terms(temperature=1.0),
            epochs=2,
            learning_rate=3e-4,
            batch_tokens=1024,
            max_answer_tokens=24,
            max_prompt_tokens=96,
            seed=77,
        )
        shared["budget"] = 240
    if quick:
        shared["budget"] = QUICK_PROMPTS
        examined = distill.evaluation.model_copy(update={"max_prompts": QUICK_HELD_OUT})
        distill = distill.model_copy(update={"epochs": 1, "evaluation": examined})
    return RunConfig.model_validate(
        {
            "teacher": teacher,
            **shared,
            "student": distill.student,
            "evaluation": distill.evaluation,
            "distill": distill.model_dump(exclude=set(OWN_KEYS)),
        }
    )


def _four_terms(*, temperature: float) -> LossConfig:
    """All four terms, attention at a tenth: at weight one it swamps the rest (docs/distillation.md)."""
    return LossConfig(
        task=1.0,
        kd=KdTerm(weight=1.0, temperature=temperature),
        feature=FeatureTerm(weight=1.0, distance="cosine", layers="stitch"),
        attention=AttentionTerm(weight=0.1, distance="kl", layers="uniform"),
    )


def demo_policy(teacher: DemoTeacher, *, signer: str, today: date) -> Policy:
    """The default policy; for SmolLM2 with one signed waiver of the finding that keeps it under review."""
    policy = load_policy("default")
    if teacher == "embedded":
        return policy
    waiver = Waiver(
        rule="openai-ratings",
        subject="*",
        reason="curate demo: a small experiment on this machine that is not published and not sold",
        signed_by=f"{signer} (ran curate demo --teacher smollm2)",
        signed_on=today,
        until=today + timedelta(days=1),
    )
    return policy.model_copy(update={"waivers": (*policy.waivers, waiver)})


def official_test() -> Path:
    """BANKING77's official test split, which neither teacher nor student saw."""
    return package_folder() / "embedded" / "banking77_test.jsonl"


def demo_cards() -> Path:
    """The demo's cards, written for the project, true in what they say of real models."""
    return demo_folder() / "cards"
