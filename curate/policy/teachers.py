"""What an organisation accepts of a teacher's licenses and lineage."""

from typing import Literal

from curate.artifact import Value
from curate.gate import Verdict

NotAllow = Literal["review", "deny"]
"""What may be said of the unknown: never allow."""


class LicensePolicy(Value):
    """Verdicts by license id, then by the strictest of kind and conditions.

    ``by_id`` wins over the rest: it names catalogue ids, ``*`` as wildcard, the longest match first. A license that
    neither ``by_id`` nor ``by_kind`` nor ``by_condition`` mentions is ``unknown``.
    """

    by_id: dict[str, Verdict] = {}
    by_kind: dict[str, Verdict] = {}
    by_condition: dict[str, Verdict] = {}
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
