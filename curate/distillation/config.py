"""How a student is made and taught: everything that changes the result, and nothing else. Loads no torch."""

from typing import Literal

from pydantic import Field, model_validator

from curate.artifact import Value

Layers = Literal["stitch", "uniform", "last-n", "embedding+last"] | tuple[tuple[int, int, float], ...]
"""A preset, or explicit (student layer, teacher layer, weight) triples."""


class KdTerm(Value):
    """Response-based term: T²·D(teacher ‖ student) over softened distributions (Hinton et al., 2015)."""

    weight: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    divergence: str = "forward_kl"
    """forward_kl, reverse_kl, jsd:β, skew_kl:λ."""


class FeatureTerm(Value):
    """Feature-based term: hidden states through learned projections over a layer map (FitNets, Romero et al., 2015)."""

    weight: float = Field(0.0, ge=0)
    distance: Literal["mse", "rms_mse", "cosine"] = "cosine"
    layers: Layers = "stitch"


class AttentionTerm(Value):
    """Attention-based term: attention maps of paired layers (Zagoruyko and Komodakis, 2017; Jiao et al., 2020)."""

    weight: float = Field(0.0, ge=0)
    distance: Literal["mse", "kl", "cosine"] = "kl"
    layers: Layers = "uniform"


class LossConfig(Value):
    """L = task·L_task + α·L_KD + β·L_feat + γ·L_att."""

    task: float = Field(1.0, ge=0)
    kd: KdTerm = KdTerm()
    feature: FeatureTerm = FeatureTerm()
    attention: AttentionTerm = AttentionTerm()

    @model_validator(mode="before")
    @classmethod
    def _weights_alone(cls, payload: object) -> object:
        """``kd: 0.5`` is short for ``kd: {weight: 0.5}``."""
        if not isinstance(payload, dict):
            return payload
        terms = {"kd", "feature", "attention"}
        return {
            key: {"weight": value} if key in terms and isinstance(value, int | float) else value
            for key, value in payload.items()
        }


class StudentConfig(Value):
    """Where the student comes from: kept layers of the teacher, or a model of its own."""

    name: str = "student"
    license: str = "apache-2.0"
    keep_layers: tuple[int, ...] = ()
    """Teacher layers that are copied, in order; with it ``base`` must be empty."""
    base: str = ""
    """``owner/name[@revision]`` or a folder."""


class EvaluationConfig(Value):
    """What before and after are measured on."""

    fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the approved prompts held out when no file is given."""
    file: str = ""
    """Prompts with answers, for accuracy; neither teacher nor student may have seen them."""
    max_prompts: int = Field(2000, gt=0)


class DistillConfig(Value):
    """One distillation."""

    student: StudentConfig = StudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    losses: LossConfig = LossConfig()
    signals: Literal["live", "cached"] = "live"
    answers: str = ""
    """Column of true answers, if any; elsewhere the teacher's answers are the target."""
    epochs: int = Field(3, gt=0)
    max_steps: int = Field(0, ge=0)
    """Stop after so many optimizer steps; 0 is no bound."""
    learning_rate: float = Field(1e-3, gt=0)
    warmup_fraction: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    batch_tokens: int = Field(2048, gt=0)
    """Tokens of a length-grouped batch, padding included."""
    max_prompt_tokens: int = Field(512, gt=0)
    max_answer_tokens: int = Field(64, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_every: int = Field(200, gt=0)
    """Optimizer steps between checkpoints."""
    seed: int = 0
