"""What an organisation accepts of a prompt set: its chain of filters and the bounds on its metrics."""

from typing import Literal

from pydantic import Field

from curate.artifact import Value

Option = bool | int | float | str | list[str]


class PromptPolicy(Value):
    """The chain every approved prompt set goes through, and what must hold of what is left."""

    filters: dict[str, dict[str, Option]] = Field(default_factory=dict)
    """Filter name to its options; they run in the order of cost, whatever the order here."""
    embedder: str = "default"
    """The embedder whose space the thresholds below belong to."""
    at_least: dict[str, float] = Field(default_factory=dict)
    """Metric name to the least acceptable value."""
    at_most: dict[str, float] = Field(default_factory=dict)
    """Metric name to the greatest acceptable value."""
    outside: Literal["review", "deny"] = "deny"
    """What a metric outside its bounds means."""
