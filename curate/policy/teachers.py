"""What an organisation accepts of a teacher's licenses and lineage."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import field_validator

from curate.artifact import Value
from curate.gate import Verdict, worst

NotAllow = Literal["review", "deny"]
"""What may be said of the unknown: never allow."""


class LicensePolicy(Value):
    """Verdicts by license id, then by the strictest of kind and conditions.

    ``by_id`` wins over the rest: it names catalogue ids, ``*`` as wildcard, the longest match first. A license that
    neither ``by_id`` nor ``by_kind`` nor ``by_condition`` mentions is ``unknown``. Conditions that
    ``accept_conditions`` covers are looked at in the case: they hold, hold as a duty, fail, or hang on a fact that
    nobody stated.
    """

    by_id: dict[str, Verdict] = {}
    by_kind: dict[str, Verdict] = {}
    by_condition: dict[str, Verdict] = {}
    accept_conditions: tuple[str, ...] = ()
    """Conditions to be kept rather than refused, by name or with their parameter, ``*`` as wildcard. ``by_condition``
    is stronger; without any entry conditions are not looked at in the case."""
    by_source: dict[str, Verdict] = {}
    """Statuses of known models and data sets in the catalogue, such as ``openai-outputs``."""
    same_family: Verdict = Verdict.REVIEW
    """A student declared to be of the teacher's own restricted family."""
    unknown: NotAllow = "review"
    """A license, claim or text nobody knows."""
    missing: NotAllow = "review"
    """No license at all."""
    unread_parent: NotAllow = "review"
    """A base model that is neither readable nor in the catalogue."""
    unreadable_card: NotAllow = "review"
    """Front matter that cannot be trusted."""

    @field_validator("by_kind")
    @classmethod
    def _undetermined_is_no_grant(cls, kinds: dict[str, Verdict]) -> dict[str, Verdict]:
        if kinds.get("undetermined") is Verdict.ALLOW:
            raise ValueError("undetermined: a license that nobody knows cannot be allowed")
        return kinds

    def judge_license(self, license_id: str, kind: str, conditions: Iterable[str]) -> tuple[Verdict, str]:
        """The verdict on one license, and the line of the policy that gave it."""
        named = [pattern for pattern in self.by_id if fnmatchcase(license_id, pattern)]
        if named:
            pattern = max(named, key=len)
            return self.by_id[pattern], f"by_id: {pattern}"
        found: list[tuple[Verdict, str]] = []
        if kind in self.by_kind:
            found.append((self.by_kind[kind], f"by_kind: {kind}"))
        for condition in conditions:
            name = condition.split(":")[0]
            if name in self.by_condition:
                found.append((self.by_condition[name], f"by_condition: {name}"))
        if not found:
            return Verdict(self.unknown), "unknown"
        strictest = worst(verdict for verdict, _ in found)
        return next(line for line in found if line[0] is strictest)

    def accepts(self, condition: str) -> bool:
        """Whether the organisation takes on a condition and so wants it looked at in the case."""
        names = (condition, condition.split(":")[0])
        return any(fnmatchcase(name, pattern) for pattern in self.accept_conditions for name in names)

    def judge_source(self, source: str) -> tuple[Verdict, str]:
        """The verdict on what went into a model, and the line of the policy that gave it."""
        if source in self.by_source:
            return self.by_source[source], f"by_source: {source}"
        return Verdict(self.unknown), "unknown"
