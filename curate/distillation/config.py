"""How a student is made and taught: everything that changes the result, and nothing else. Loads no torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from curate.artifact import Value, first_problem
from curate.distillation.teacher_config import OPERATION, EndpointConfig, TeacherConfig
from curate.errors import ConfigError
from curate.safeyaml import parse_yaml, read_yaml

Pairs = Literal["stitch", "uniform", "last-n", "embedding+last"] | tuple[tuple[int, int, float], ...]
"""A preset, or explicit (student layer, teacher layer, weight) triples; see ``layers`` for how they are counted."""
Layers = Pairs | dict[Literal["encoder", "decoder", "cross"], Pairs]
"""By side where the models have an encoder; ``cross`` is the decoder's attention to it."""


ULD = "uld"
"""The divergence that needs no common vocabulary; see ``uld``."""


class KdTerm(Value):
    """Response-based term: T²·D(teacher ‖ student) over softened distributions (Hinton et al., 2015)."""

    weight: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    divergence: str = "forward_kl"
    """forward_kl, reverse_kl, jsd:β, skew_kl:λ; uld for a teacher with another tokenizer."""


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

    balance: Literal["off", "auto"] = "auto"
    """auto: feature and attention terms are scaled, over the warm-up, until each pulls as hard as task and kd."""
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
        plain = {
            key: {"weight": value} if key in terms and isinstance(value, int | float) else value
            for key, value in payload.items()
        }
        if plain.get("balance") is False:  # YAML reads off as a boolean
            plain["balance"] = "off"
        return plain


class LoraSettings(Value):
    """Low-rank matrices that learn while the student's weights stay (LoRA, Hu et al., 2021)."""

    rank: int = Field(8, gt=0)
    alpha: float = Field(16.0, gt=0)
    """The matrices' product is scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of linear layers, such as q_proj; none: all but the head."""


class StudentConfig(Value):
    """Where the student comes from: kept layers of the teacher, or a model of its own."""

    name: str = "student"
    license: str = "apache-2.0"
    keep_layers: tuple[int, ...] = ()
    """Teacher layers that are copied, in order (the decoder's, where there is an encoder); ``base`` must be empty."""
    keep_encoder_layers: tuple[int, ...] = ()
    """The encoder's, where there is one; none: all of them, for the encoder reads a prompt once and costs little."""
    base: str = ""
    """``owner/name[@revision]`` or a folder."""
    lora: LoraSettings | None = None
    """Train low-rank matrices instead of the weights; they are folded in at export."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What the student is saved in; auto: as the model it was made from is stored. Training keeps fp32 weights."""


class LoadingConfig(Value):
    """How the teacher is put into memory; a teacher larger than a card needs one of these."""

    dtype: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """auto: as it is stored."""
    device_map: Literal["", "auto", "balanced", "balanced_low_0", "sequential", "cpu"] = ""
    """Spread over the devices of this machine, through accelerate; empty: on one."""
    quantize: Literal["", "8bit", "4bit"] = ""
    """LLM.int8 or NF4, through bitsandbytes. Its answers and logits are those of the rounded model."""


class EvaluationConfig(Value):
    """What before and after are measured on."""

    fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the approved prompts held out when no file is given."""
    file: str = ""
    """Prompts with answers, for accuracy; neither teacher nor student may have seen them."""
    max_prompts: int = Field(2000, gt=0)
    every: int = Field(0, ge=0)
    """Examine the student every so many optimizer steps while it learns, too; 0: only before and after."""


class DistillConfig(Value):
    """One distillation."""

    student: StudentConfig = StudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    losses: LossConfig = LossConfig()
    loading: LoadingConfig = LoadingConfig()
    signals: Literal["live", "cached"] = "live"
    """live: the teacher reads every batch; cached: once, its likeliest tokens kept, for the KD term alone."""
    cache_top_k: int = Field(64, gt=0)
    """Tokens kept a position; all others share one bucket."""
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
    gradient_accumulation: int = Field(1, gt=0)
    """Batches of one optimizer step; the loss is normalised over all of them together."""
    sharding: Literal["none", "fsdp2"] = "none"
    """fsdp2: several processes hold a shard each of student and teacher; ``accelerate launch`` may ask for it, too."""
    gradient_checkpointing: bool = False
    """Compute the student's layers again in the backward pass instead of keeping what they gave."""
    endpoint: EndpointConfig | None = None
    """The teacher answers through a server; only its answers teach then."""
    teachers: tuple[TeacherConfig, ...] = ()
    """Several teachers, each with its own ticket; only their answers teach then."""
    answer_temperature: float = Field(0.0, ge=0, le=2)
    """How a teacher in memory answers: 0 is greedy; above, each token is drawn from its distribution softened so."""
    answer_checks: bool = True
    """Teachers' answers that are empty, refused, garbage or cut off do not teach."""
    compile: bool = False
    """Run the layers of student and teacher through torch.compile; the same losses to rounding."""
    max_prompt_tokens: int = Field(512, gt=0)
    max_answer_tokens: int = Field(64, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the hardware computes it natively; weights and optimizer stay in fp32."""
    checkpoint_every: int = Field(200, gt=0)
    """Optimizer steps between checkpoints."""
    tensorboard: bool = False
    """Write TensorBoard's event files beside ``steps.jsonl``, which every training writes."""
    seed: int = 0

    @property
    def answers_alone(self) -> bool:
        """Whether no teacher is in memory while the student learns."""
        return bool(self.endpoint or self.teachers)

    @property
    def endpoints(self) -> tuple[EndpointConfig | None, ...]:
        """The config's own, then those of several teachers, in order."""
        return (self.endpoint, *(one.endpoint for one in self.teachers))

    def what_teaches(self) -> dict[str, Any]:
        """Everything that changes the result: the config without saving, asking and compiling."""
        hidden = {
            "checkpoint_every": True,
            "compile": True,
            "tensorboard": True,
            "sharding": True,
            "endpoint": OPERATION,
            "teachers": {"__all__": {"endpoint": OPERATION}},
        }
        told = self.model_dump(mode="json", exclude=hidden)  # type: ignore[arg-type]
        for endpoint, dumped in zip(self.endpoints, (told, *told["teachers"]), strict=True):
            if endpoint and endpoint.serve and (words := endpoint.serve.decisive()):
                dumped["endpoint"]["serve"] = words
        return told


def without_teacher(config: DistillConfig) -> DistillConfig:
    """The same training by L_task alone: the yardstick that shows what the teacher's signals add."""
    losses = LossConfig(
        balance=config.losses.balance,
        task=config.losses.task or 1.0,
        kd=config.losses.kd.model_copy(update={"weight": 0.0}),
        feature=config.losses.feature.model_copy(update={"weight": 0.0}),
        attention=config.losses.attention.model_copy(update={"weight": 0.0}),
    )
    return config.model_copy(update={"losses": losses})


def load_config(path: Path, overrides: Iterable[str] = ()) -> DistillConfig:
    """Read a distillation file, with ``KEY=VALUE`` overrides on top.

    Raises:
        ConfigError: missing, malformed, or a field that does not exist or does not fit; the field is named.
    """
    payload = read_yaml(path, error=ConfigError)
    return parse_config({} if payload is None else payload, overrides, where=str(path))


def parse_config(payload: Any, overrides: Iterable[str] = (), *, where: str = "distill") -> DistillConfig:  # noqa: ANN401
    """A config from plain values; see ``load_config``."""
    if not isinstance(payload, Mapping):
        raise ConfigError(
            f"{where}: a mapping is expected, not {type(payload).__name__}", hint="write KEY: VALUE lines"
        )
    for item in overrides:
        payload = override(payload, item)
    try:
        return DistillConfig.model_validate(payload)
    except ValidationError as error:
        raise ConfigError(
            f"{where}: {first_problem(error)}", hint="see docs/distillation.md for every field"
        ) from error


def override(payload: Mapping[str, Any], item: str) -> dict[str, Any]:
    """A copy of nested settings with one of them set: ``override(payload, "losses.kd.weight=2")``; values are YAML.

    An empty value takes the field out, back to its default.

    Raises:
        ConfigError: no ``=``, an empty key, a value that is not YAML, or a key below something that has none.
    """
    key, equals, text = item.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {item}: not KEY=VALUE", hint="write for example --set losses.kd.weight=2")
    return _put(payload, parts, parse_yaml(text, where=f"--set {key}", error=ConfigError), item)


def _put(payload: Mapping[str, Any], parts: list[str], value: Any, item: str) -> dict[str, Any]:  # noqa: ANN401
    """A copy with one nested value replaced; a number where a term is expected counts as its weight."""
    if len(parts) == 1 and value is None:
        return {key: kept for key, kept in payload.items() if key != parts[0]}
    if len(parts) == 1:
        return {**payload, parts[0]: value}
    below = payload.get(parts[0])
    if isinstance(below, int | float) and not isinstance(below, bool):
        below = {"weight": below}
    if below is not None and not isinstance(below, Mapping):
        raise ConfigError(f"--set {item}: {parts[0]} is {below!r} and has nothing below it", hint="set it as a whole")
    return {**payload, parts[0]: _put(below or {}, parts[1:], value, item)}
