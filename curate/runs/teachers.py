"""The teachers of a run, one or several: their names, files and decisions, and what they owe together."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.distillation.teacher_config import EndpointConfig
from curate.errors import ConfigError, Denied, NeedsReview, TamperedError
from curate.gate import ApprovedTeacher, refuse
from curate.licenses.decision import Decision
from curate.licenses.duties import combine_decisions
from curate.policy import Policy
from curate.runs.config import RunConfig

if TYPE_CHECKING:
    from curate.distillation.config import DistillConfig

DECISION = "decision.json"
"""On the teacher, or on several together."""
TICKET = "teacher.json"
TOGETHER = "together_decision.json"
"""On several teachers together, as ``curate distill`` leaves it beside the student."""


def teachers_of(config: RunConfig) -> tuple[tuple[str, EndpointConfig | None], ...]:
    """Name and endpoint of every teacher of a run file."""
    if config.teachers:
        return tuple((one.teacher, one.endpoint) for one in config.teachers)
    return ((config.teacher, config.distill.endpoint),)


def numbered(name: str, place: int) -> str:
    """The file of one of several teachers: ``decision-1.json``."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{place + 1}{dot}{ending}"


def own_files(name: str, count: int) -> list[str]:
    """The files of so many teachers; a single one has no number."""
    return [name] if count == 1 else [numbered(name, place) for place in range(count)]


def found_files(root: Path, name: str) -> list[str]:
    """The numbered files in a run folder, in order; none where there is one teacher."""
    return list(_count(root, name))


def _count(root: Path, name: str) -> Iterator[str]:
    place = 0
    while (root / numbered(name, place)).is_file():
        yield numbered(name, place)
        place += 1


def unite(decisions: Sequence[Decision], policy: Policy | None = None) -> Decision:
    """One decision on several teachers of one student: every finding, every duty, and duties that clash.

    Raises:
        ConfigError: they were made for different cases or under different policies.
    """
    try:
        return combine_decisions(decisions, policy)
    except ValueError as error:
        raise ConfigError(
            f"teachers: {error}", hint="ask the license gate about each under one policy and for one student"
        ) from error


def judge_together(tickets: Sequence[tuple[ApprovedTeacher, Path]], policy: Policy | None = None) -> Decision:
    """Hold several tickets, each with its folder, against one another before anything is read.

    With the policy that they were made under, its waivers hold for duties that clash.

    Raises:
        Denied, NeedsReview: each may teach, but a student cannot keep the duties of all.
        TamperedError: a ticket's decision is not what it was made from.
        ConfigError: they were made for different cases or under different policies, or not under the one given.
    """
    decisions = []
    for ticket, root in tickets:
        ticket.open_decision(root)
        decisions.append(Decision.read(root / ticket.decision_path))
        if policy is not None and ticket.policy_sha256 != policy.digest():
            raise ConfigError(
                f"{root / ticket.decision_path}: made under another policy than {policy.name}, {policy.digest()}",
                hint="make every ticket under it: curate check-license REF -p FILE --ticket",
            )
    united = unite(decisions, policy)
    try:
        refuse(united.ref, united.verdict, united.findings)
    except (Denied, NeedsReview) as refusal:
        # each may teach by itself, so what is left is a clash
        waive = f"waive it in a policy (subject {united.ref!r}), make the tickets under it, give -p"
        raise type(refusal)(refusal.message, hint=f"choose other teachers, or {waive}") from refusal
    return united


def check_united(root: Path, decision: Decision, parts: Sequence[Decision], policy: Policy) -> None:
    """Hold the decision on several teachers against the decisions on each.

    Raises:
        TamperedError: it is not what they come to.
    """
    if unite(parts, policy).resume_digest() != decision.resume_digest():
        raise TamperedError(f"{root / DECISION}: not what the decisions on each teacher come to")


def resolved(config: "DistillConfig", refs: Sequence[str]) -> "DistillConfig":
    """The distillation with every teacher under the name on its ticket."""
    named = tuple(
        one.model_copy(update={"teacher": ref}) for one, ref in zip(config.teachers, refs, strict=bool(config.teachers))
    )
    return config.model_copy(update={"teachers": named})
