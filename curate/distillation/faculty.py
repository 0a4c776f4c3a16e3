"""Those who teach: each with its own ticket, its route and its share of the prompts. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from curate.artifact import canonical_json, sha256_text
from curate.distillation.admission import check_leave
from curate.distillation.chat import Decoding
from curate.distillation.config import DistillConfig
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import ConfigError, NeedsReview
from curate.gate import ApprovedTeacher


@dataclass(frozen=True)
class Teacher:
    """One teacher, its ticket opened."""

    ticket: ApprovedTeacher
    root: Path
    """The folder of the ticket."""
    endpoint: EndpointConfig | None = None
    share: float = 1.0

    def decoding(self, config: DistillConfig) -> Decoding:
        """How it answers through its endpoint."""
        assert self.endpoint is not None  # noqa: S101 – for the type checker
        return Decoding.of(self.endpoint, self.ticket.ref, max_answer_tokens=config.max_answer_tokens, seed=config.seed)

    def asked_sha256(self, config: DistillConfig, prompts_sha256: str) -> str:
        """What its answers belong to: who is asked and within which limits; not how the student is taught.

        Answers through an endpoint carry a digest of their prompt each, so that a changed file costs only what changed.
        """
        who = [self.ticket.ref, self.ticket.content_sha256, self.ticket.revision]
        if self.endpoint is not None:
            how = vars(self.decoding(config))
            words = self.endpoint.serve.decisive() if self.endpoint.serve else []
            return sha256_text(canonical_json([how, config.max_prompt_tokens, *who, *words]))
        limits = {
            "max_prompt_tokens",
            "max_answer_tokens",
            "answers",
            "answer_temperature",
            "evaluation",
            "seed",
            "batch_tokens",
            "loading",
        }
        asked = config.model_dump(mode="json", include=limits)
        del asked["evaluation"]["every"]
        return sha256_text(canonical_json([asked, *who, prompts_sha256]))


def appoint(tickets: Sequence[tuple[ApprovedTeacher, Path]], config: DistillConfig) -> tuple[Teacher, ...]:
    """Open every ticket and find its place in the config; each is held against its case and its route.

    Args:
        tickets: each with the folder it lies in.
        config: names several teachers under ``teachers``, or none, and then there is one ticket.

    Raises:
        TamperedError: a decision or a local teacher's files are not those that were approved.
        Denied, NeedsReview: the config goes beyond a case, or nobody knows who runs a server.
        ConfigError: tickets and config do not name the same teachers, or a hosted model has no endpoint.
    """
    named = {one.teacher: one for one in config.teachers}
    held = [ticket.ref for ticket, _ in tickets]
    if config.teachers and sorted(held) != sorted(named):
        lacking = sorted(set(named) - set(held)) or sorted(set(held) - set(named)) or held
        raise ConfigError(
            f"teachers: tickets are for {', '.join(held)}; the config names {', '.join(named)}",
            hint=f"give one ticket for each; look at {lacking[0]}",
        )
    if not config.teachers and len(tickets) > 1:
        raise ConfigError(
            f"teachers: {len(tickets)} tickets, but the config names no teachers", hint="list them, each with its share"
        )
    found = []
    for ticket, root in tickets:
        decision = ticket.open(root)
        check_leave(decision, config)
        entry = named.get(ticket.ref)
        endpoint = entry.endpoint if entry else config.endpoint
        nodes = (decision.get("lineage") or {}).get("nodes") or [{}]
        check_route(ticket.ref, nodes[0].get("kind") == "api", endpoint)
        found.append(Teacher(ticket, root, endpoint, entry.share if entry else 1.0))
    return tuple(found)


def check_route(ref: str, hosted: bool, endpoint: EndpointConfig | None) -> None:
    """The same weights by another route are another teacher: a ticket for weights is for a server of one's own.

    Args:
        ref: the teacher.
        hosted: whether the license gate judged it as a service.
        endpoint: where it is asked; None where it is loaded here.

    Raises:
        ConfigError: a service without an endpoint, or one that curate would have to start.
        NeedsReview: weights behind a server that may be anybody's.
    """
    hosted = hosted or ref.startswith("api:")
    if endpoint is None:
        if hosted:
            raise ConfigError(
                f"{ref}: a hosted model has no weights to read",
                hint="choose a teacher with open weights, or give it an endpoint",
            )
        return
    if hosted and endpoint.serve:
        raise ConfigError(f"{ref}: a hosted model has no weights to serve", hint="set endpoint.base_url, without serve")
    if not (hosted or endpoint.is_near or endpoint.self_hosted):
        raise NeedsReview(
            f"endpoint: nobody knows who runs {urlsplit(endpoint.base_url).hostname}, and the ticket is for the "
            f"weights of {ref}, not for a service that hosts them",
            hint="ask the license gate about api:provider/model, or set endpoint.self_hosted if the server is yours",
        )


def answers_path(folder: Path, place: int, count: int) -> Path:
    """Where the answers of one of so many teachers lie."""
    return folder / (f"answers-{place + 1}.jsonl" if count > 1 else "answers.jsonl")


def deal(ids: Sequence[str], shares: Sequence[float], seed: int) -> list[int]:
    """Which teacher answers each prompt: shuffled by digest of seed and id, then cut by share.

    Counts follow the shares to the prompt (largest remainders); the file's order does not matter.
    """
    order = sorted(range(len(ids)), key=lambda place: sha256_text(f"{seed}\0{ids[place]}"))
    exact = [len(ids) * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_rest = sorted(range(len(shares)), key=lambda place: counts[place] - exact[place])
    for place in by_rest[: len(ids) - sum(counts)]:
        counts[place] += 1
    dealt = [0] * len(ids)
    hands = iter(place for place, count in enumerate(counts) for _ in range(count))
    for row, hand in zip(order, hands, strict=True):
        dealt[row] = hand
    return dealt
