"""What the prompt wing leaves behind: metrics, drops, reports and the decision over a prompt set."""

from collections.abc import Collection, Iterator
from datetime import date
from typing import ClassVar, Literal

from curate.artifact import Artifact, Value, canonical_json
from curate.gate import ApprovedDataset, Finding, Verdict, refuse
from curate.prompts.drops import Drops


class Metric(Value):
    """A measured number; None where it cannot be measured, with the note saying why."""

    value: float | None
    low: float | None = None
    """Lower end of the 95 % interval, where one is given."""
    high: float | None = None
    note: str = ""


class EmbedderRef(Value):
    """Which embedder made the vectors; numbers of two embedders do not compare."""

    spec: str
    """As asked for: default, minilm, a path, owner/name."""
    name: str
    sha256: str
    dimensions: int


class FilterCount(Value):
    """What one filter did."""

    name: str
    options: dict[str, bool | int | float | str | list[str]] = {}
    rows_in: int
    dropped: int


class FilterReport(Artifact):
    """What went in, what every filter dropped, what came out."""

    DATED: ClassVar[tuple[str, ...]] = ("wall_s",)

    kind: Literal["curate/filter-report@1"] = "curate/filter-report@1"
    prompts_sha256: str
    """Digest of the file (or files) that went in."""
    reference_sha256: str = ""
    benchmark_sha256: tuple[str, ...] = ()
    embedder: EmbedderRef | None = None
    rows_read: int
    rows_unreadable: int = 0
    rows_kept: int
    filters: tuple[FilterCount, ...]
    drops: Drops
    """Every dropped row."""
    policy_sha256: str = ""
    whole_chain: bool = False
    """The policy's whole chain ran, so the result may be approved."""
    skipped: tuple[str, ...] = ()
    """Filters of the chain that had nothing to work with, such as ``off_domain`` without a reference."""
    notes: tuple[str, ...] = ()
    """What a reader should know of this run, a sentence each."""
    unreadable: tuple[str, ...] = ()
    """The first unreadable lines, with their numbers and why."""
    budget: int | None = None
    seed: int = 0
    wall_s: float | None = None

    def pieces(self, *, without: Collection[str] = ()) -> Iterator[str]:
        """The canonical form, the dropped rows a block at a time."""
        others = self.model_copy(update={"drops": Drops()}).model_dump(mode="json", exclude=set(without))
        start, mark, end = canonical_json(others).partition('\n  "drops": []')
        yield start
        if mark:
            yield mark.removesuffix("[]")
            yield from self.drops.canonical()
        yield end


class Sample(Value):
    """A point of the prompt map: for drawing, never for counting."""

    x: float
    y: float
    text: str
    group: str
    """kept, reference, or the filter that dropped it."""


class Cluster(Value):
    """A cluster of the set against the reference."""

    words: tuple[str, ...]
    """Words that name it."""
    share: float
    reference_share: float | None = None


class DiversityReport(Artifact):
    """How varied a prompt set is."""

    DATED: ClassVar[tuple[str, ...]] = ("wall_s",)

    kind: Literal["curate/diversity-report@1"] = "curate/diversity-report@1"
    prompts_sha256: str
    embedder: EmbedderRef
    rows: int
    subsample: int
    """Rows the metrics were taken on, so that sets of different size compare."""
    seed: int
    metrics: dict[str, Metric]
    clusters: tuple[Cluster, ...] = ()
    similarity_histogram: tuple[int, ...] = ()
    """Counts of nearest-neighbour cosine similarity in 20 equal bins from 0 to 1."""
    quality_histogram: tuple[int, ...] = ()
    """Counts of the rows' quality score in 20 equal bins from 0 to 1."""
    notes: tuple[str, ...] = ()
    """Where a number above is blind to what was found beside it, a sentence each."""
    map: tuple[Sample, ...] = ()
    wall_s: float | None = None


class ShiftReport(Artifact):
    """How far a prompt set lies from the reference."""

    DATED: ClassVar[tuple[str, ...]] = ("wall_s",)

    kind: Literal["curate/shift-report@1"] = "curate/shift-report@1"
    prompts_sha256: str
    reference_sha256: str
    embedder: EmbedderRef
    rows: int
    reference_rows: int
    subsample: int
    seed: int
    metrics: dict[str, Metric]
    clusters: tuple[Cluster, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know of these numbers, such as what a small reference costs."""
    wall_s: float | None = None


class PromptAnalysis(Artifact):
    """What ``analyze-prompts`` says: how many, how varied, how far, what is wrong."""

    DATED: ClassVar[tuple[str, ...]] = ("wall_s",)

    kind: Literal["curate/prompt-analysis@1"] = "curate/prompt-analysis@1"
    rows: int
    rows_unreadable: int = 0
    diversity: DiversityReport
    shift: ShiftReport | None = None
    filters: tuple[FilterCount, ...] = ()
    """What the policy's chain would drop."""
    answers: dict[str, int] = {}
    """Of a column of answers, rows that are empty, refused, cut off, looping, in the wrong language, or repeated."""
    findings: tuple[Finding, ...] = ()
    """The policy's bounds against the set as it is."""
    notes: tuple[str, ...] = ()
    policy_sha256: str = ""
    wall_s: float | None = None


class PromptDecision(Artifact):
    """May these prompts be asked? Bounds of the policy against what was measured on what was kept."""

    DATED: ClassVar[tuple[str, ...]] = ("decided_on",)

    kind: Literal["curate/prompt-decision@1"] = "curate/prompt-decision@1"
    file_sha256: str
    """Digest of the kept prompts' file (Parquet)."""
    rows: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    obligations: tuple[str, ...] = ()
    """Duties of the rows' licenses, such as attributions."""
    filter_sha256: str
    diversity_sha256: str
    shift_sha256: str = ""
    policy_sha256: str
    decided_on: date
    curate_version: str

    def approve(self, *, path: str, decision_path: str = "prompt_decision.json") -> ApprovedDataset:
        """The ticket a trainer asks for; ``path`` is the kept file relative to the ticket's folder.

        Raises:
            Denied: the verdict is deny.
            NeedsReview: the verdict is review.
        """
        refuse("prompts", self.verdict, self.findings)
        return ApprovedDataset(
            path=path,
            file_sha256=self.file_sha256,
            rows=self.rows,
            decision_path=decision_path,
            decision_sha256=self.digest(),
            policy_sha256=self.policy_sha256,
            obligations=self.obligations,
        )
