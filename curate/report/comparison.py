"""Two prompt sets, or two runs, side by side: what was compared, as a value."""

from typing import Literal

from curate.artifact import Artifact, Value
from curate.prompts.results import Metric

Group = Literal["diversity", "shift", "teacher", "student before", "student after", "without KD"]


class MetricPair(Value):
    """One number of both."""

    group: Group
    name: str
    a: Metric
    b: Metric
    difference: float | None = None
    """b − a, where both were measured."""
    intervals_overlap: bool | None = None
    """Whether the 95 % intervals overlap; None where one of them has none."""


class CountPair(Value):
    """How many rows of both; None where it does not apply."""

    name: str
    a: int | None
    b: int | None


class TextPair(Value):
    """Something that differs and is no number."""

    group: Literal["verdict", "finding", "configuration", "provenance"]
    name: str
    a: str
    b: str


class Comparison(Artifact):
    """Two prompt sets or two runs, side by side; nothing here says which is better."""

    kind: Literal["curate/comparison@1"] = "curate/comparison@1"
    of: Literal["prompts", "runs"]
    a: str
    b: str
    metrics: tuple[MetricPair, ...] = ()
    counts: tuple[CountPair, ...] = ()
    differences: tuple[TextPair, ...] = ()
    notes: tuple[str, ...] = ()
    """What may not be read into it, a sentence each."""
