"""What the distillation wing leaves behind. Loads no torch."""

from pathlib import PurePath
from typing import ClassVar, Literal

from pydantic import JsonValue

from curate.artifact import Artifact, Value
from curate.distillation.config import DistillConfig


class Quality(Value):
    """A model on held-out prompts; None where it does not apply (KL of the teacher to itself is 0)."""

    perplexity: float | None = None
    """exp of the mean negative log-likelihood of answer tokens."""
    kl_to_teacher: float | None = None
    """Mean forward KL per answer token, nats, temperature 1."""
    top1_agreement: float | None = None
    """Share of answer tokens whose most likely token is the teacher's."""
    accuracy: float | None = None
    """Exact match of greedy answers, where the evaluation file has true ones."""
    reverse_kl: float | None = None
    """Mean KL(student ‖ teacher) per answer token, nats, temperature 1."""
    domains: "dict[str, Quality]" = {}
    """The same by the ``domain`` (else ``source``) of the held-out rows, where they come from several."""


class Footprint(Value):
    """What a model costs."""

    parameters: int
    bytes: int
    ms_per_token: float | None = None
    """Median milliseconds a greedy token, batch of one, on the recorded machine."""
    peak_memory_bytes: int | None = None


class LossPoint(Value):
    """One logged step: every term unweighted, and the weighted total."""

    step: int
    total: float
    terms: dict[str, float]
    learning_rate: float
    tokens_per_s: float


class ExamPoint(Value):
    """An examination while training, without accuracy."""

    step: int
    quality: Quality


class Serving(Value):
    """One start of a server by curate."""

    program: str
    version: str
    """What the program answers to ``--version``."""
    model: str
    """A folder, or a name on the hub."""
    revision: str = ""
    arguments: tuple[str, ...] = ()
    """Beside address and port, which differ from start to start."""

    @property
    def title(self) -> str:
        """``vllm 0.33.0``."""
        return " ".join([PurePath(self.program).name, self.version]).strip()


class TeacherRecord(Value):
    """What one teacher was asked and how it answered."""

    ref: str
    revision: str = ""
    decision_sha256: str
    obligations: tuple[str, ...] = ()
    """The duties on its ticket."""
    share: float = 1.0
    """Of the prompts without a true answer, as planned."""
    decoding: dict[str, JsonValue] = {}
    """How it answered, as in the first line of its answer file."""
    answers: int
    """Held-out prompts included."""
    cut: int = 0
    """Of these, cut at the bound; they teach without an end."""
    dropped: dict[str, int] = {}
    """Of these, not fit to teach, by reason."""
    served_as: tuple[str, ...] = ()
    """What a server called the model."""
    servings: tuple[Serving, ...] = ()
    """Servers that curate started for these answers, the same ones told once."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """As a server counted them, for the answers above."""
    estimated_tokens: int = 0
    """Of answers for which it counted nothing."""
    lost_tokens: int = 0
    """Estimated, for replies that never came whole."""


class TrainingReport(Artifact):
    """One distillation, measured."""

    DATED: ClassVar[tuple[str, ...]] = ("wall_s", "tokens_per_s", "machine", "curve", "balance", "footprints")

    kind: Literal["curate/training-report@1"] = "curate/training-report@1"
    config: DistillConfig
    teacher_ref: str
    teacher_decision_sha256: str
    dataset_decision_sha256: str
    prompts_trained: int
    prompts_held_out: int
    answers_from_file: int
    answers_from_teacher: int
    steps: int
    tokens: int
    """Answer tokens the student learned from, over all epochs."""
    teachers: tuple[TeacherRecord, ...] = ()
    """Everybody who answered; empty where every answer came from the file."""
    curve: tuple[LossPoint, ...]
    balance: dict[str, float] = {}
    """Factors on the weights of feature and attention terms, where ``losses.balance`` asked for them."""
    exams: tuple[ExamPoint, ...] = ()
    """What ``evaluation.every`` asked for."""
    teacher: Quality
    before: Quality
    after: Quality
    footprints: dict[str, Footprint]
    """teacher, student."""
    student_sha256: str
    """``sha256_folder`` of the exported student."""
    tokens_per_s: float | None = None
    wall_s: float | None = None
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
