"""The run file: one YAML that names teacher, policy, prompts, student and losses; paths are relative to it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from curate.artifact import Artifact, first_problem
from curate.distillation.config import DistillConfig, EvaluationConfig, StudentConfig, override
from curate.distillation.teacher_config import TeacherConfig
from curate.errors import ConfigError
from curate.policy import Option
from curate.prompts.select import Method, Quota
from curate.safeyaml import read_yaml

OWN_KEYS = ("student", "evaluation", "answers", "teachers")
"""Parts of ``DistillConfig`` that a run file gives at its top level."""


class RunConfig(Artifact):
    """A gated run, as resolved: what the file, the environment and the flags came to."""

    kind: Literal["curate/run-config@1"] = "curate/run-config@1"
    teacher: str = ""
    """embedded, smollm2, owner/name[@revision], a folder, or api:provider/model; several stand under ``teachers``."""
    teachers: tuple[TeacherConfig, ...] = ()
    """Instead of ``teacher``: several, each with its share of the prompts."""
    policy: str = "default"
    prompts: str
    reference: str = ""
    benchmarks: tuple[str, ...] = ()
    embedder: str = ""
    """Empty: the policy's. A run may not change what the policy's thresholds were measured with."""
    filters: dict[str, dict[str, Option]] = {}
    """May only tighten the policy's chain."""
    column: str = ""
    answers: str = ""
    """Column of true answers, if any."""
    cards: tuple[str, ...] = ()
    offline: bool = False
    budget: int = Field(0, ge=0)
    """Select so many prompts, the most telling ones; 0 keeps all."""
    select: Method = "coverage"
    """How the budget is filled: the rows that cover most, or those most like the reference by resampling."""
    quota: Quota = ""
    """An equal share of the budget for each source or cluster."""
    evaluation: EvaluationConfig = EvaluationConfig()
    student: StudentConfig = StudentConfig()
    baseline: bool = False
    """Also train the same student on the task term alone, to show what distillation adds."""
    distill: DistillConfig = DistillConfig()
    """The whole distillation; its student, evaluation, answers and teachers are those above."""

    @field_validator("benchmarks", "cards", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        """A single path may be given without a list."""
        return (value,) if isinstance(value, str) else value

    @field_validator("evaluation", mode="before")
    @classmethod
    def _file_alone(cls, value: object) -> object:
        """``evaluation: test.jsonl`` is short for ``evaluation: {file: test.jsonl}``."""
        return {"file": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, payload: object) -> object:
        """Hand the top-level parts down into ``distill``; there they may not be given a second time."""
        if not isinstance(payload, dict):
            return payload
        section = payload.get("distill", {})
        if not isinstance(section, dict):
            return payload
        repeated = [key for key in OWN_KEYS if key in section]
        if repeated:
            raise ValueError(f"distill.{repeated[0]} is given at the top level of a run file")
        evaluation = cls._file_alone(payload.get("evaluation", {}))
        handed = {
            "student": payload.get("student", {}),
            "answers": payload.get("answers", ""),
            "teachers": payload.get("teachers", ()),
            "evaluation": evaluation,
        }
        return {**payload, "distill": {**section, **handed}}

    @model_validator(mode="after")
    def _one_or_several(self) -> "RunConfig":
        """A teacher, or teachers."""
        if bool(self.teacher) == bool(self.teachers):
            raise ValueError("give teacher, or teachers with a share each" + (", not both" if self.teacher else ""))
        return self

    @model_validator(mode="after")
    def _selection_has_what_it_needs(self) -> "RunConfig":
        """Ways to select need a budget; importance needs a reference."""
        if not self.budget and (self.quota or self.select != "coverage"):
            raise ValueError("select and quota need a budget")
        if self.select == "importance" and not self.reference:
            raise ValueError("select: importance needs a reference")
        return self

    @property
    def taught_by(self) -> str:
        """Every teacher's name, for people."""
        return self.teacher or " + ".join(one.teacher for one in self.teachers)

    def to_file(self) -> dict[str, Any]:
        """The mapping a run file would hold for this configuration."""
        payload = self.model_dump(mode="json", exclude={"kind", "teachers" if self.teacher else "teacher"})
        payload["distill"] = {key: value for key, value in payload["distill"].items() if key not in OWN_KEYS}
        return payload


def read_run_config(path: Path, *, assignments: tuple[str, ...] = ()) -> RunConfig:
    """Read a run file and apply ``--set`` assignments.

    Raises:
        ConfigError: the file is missing or malformed; the message names file, line or field.
    """
    payload = read_yaml(path, error=ConfigError)
    if not isinstance(payload, dict):
        raise ConfigError(f"{path}: not a run file: a mapping is expected", hint="compare with examples/run.yaml")
    if "kind" in payload:
        raise ConfigError(f"{path}: kind: is set by curate, not in the file", hint="leave it out")
    for assignment in assignments:
        payload = override(payload, assignment)
    try:
        return RunConfig.model_validate(payload)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}", hint="see docs/trail.md for the run file") from error
