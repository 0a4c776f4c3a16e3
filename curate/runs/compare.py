"""Two prompt sets, or two runs, side by side: metrics with their difference, verdicts, counts, configuration."""

import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from curate.artifact import Artifact, read_json
from curate.distillation.results import Quality, TrainingReport
from curate.errors import InputError
from curate.gate import Finding, Verdict
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, Metric, PromptAnalysis, PromptDecision, ShiftReport
from curate.report.comparison import Comparison, CountPair, Group, MetricPair, TextPair
from curate.runs.config import read_run_config
from curate.runs.record import LEDGER
from curate.runs.student_license import STUDENT_DECISION, StudentDecision
from curate.runs.trail import read_lines
from curate.runs.verify import verify_run

Kind = TypeVar("Kind", bound=Artifact)


def is_run(place: Path) -> bool:
    """Whether a place is a run folder."""
    return (place / LEDGER).is_file()


def read_analysis(place: Path) -> PromptAnalysis | None:
    """What ``analyze-prompts -f json`` wrote, if a file is that."""
    if place.suffix != ".json" or not place.is_file():
        return None
    payload = read_json(place)
    is_analysis = isinstance(payload, dict) and payload.get("kind") == "curate/prompt-analysis@1"
    return PromptAnalysis.read(place) if is_analysis else None


def compare_analyses(a: PromptAnalysis, b: PromptAnalysis, *, names: tuple[str, str]) -> Comparison:
    """Two prompt sets as they were analyzed."""
    metrics, notes = compare_measured((a.diversity, a.shift), (b.diversity, b.shift))
    counts = [
        CountPair(name="rows", a=a.rows, b=b.rows),
        CountPair(name="unreadable lines", a=a.rows_unreadable, b=b.rows_unreadable),
        *_dropped(a, b, "would drop: "),
    ]
    if a.policy_sha256 != b.policy_sha256:
        notes.append("the two were held against different policies: findings and would-be drops follow from those too")
    return Comparison(
        of="prompts",
        a=names[0],
        b=names[1],
        metrics=tuple(metrics),
        counts=tuple(counts),
        differences=tuple(_findings(a.findings, b.findings)),
        notes=tuple(notes),
    )


def compare_measured(
    a: tuple[DiversityReport, ShiftReport | None], b: tuple[DiversityReport, ShiftReport | None]
) -> tuple[list[MetricPair], list[str]]:
    """Metrics of two sets, unless two embedders measured them or two references were meant."""
    notes = []
    if a[0].embedder.sha256 != b[0].embedder.sha256:
        return [], [
            f"not compared: one set was measured with {a[0].embedder.name}, the other with {b[0].embedder.name}; "
            "numbers of two embedders say nothing about each other"
        ]
    if a[0].subsample != b[0].subsample:
        notes.append(
            f"taken on {a[0].subsample:,} and {b[0].subsample:,} rows: what counts variety grows with the rows it sees"
        )
    pairs = list(_pairs("diversity", a[0].metrics, b[0].metrics))
    if a[1] and b[1]:
        if a[1].reference_sha256 == b[1].reference_sha256:
            pairs += _pairs("shift", a[1].metrics, b[1].metrics)
        else:
            notes.append("shift is not compared: the two were measured against different references")
    elif a[1] or b[1]:
        notes.append("shift is not compared: only one was measured against a reference")
    return pairs, notes


def compare_runs(a: Path, b: Path) -> Comparison:
    """Two run folders that verify: verdicts, counts, metrics, students, configuration.

    Raises:
        TamperedError: one of them is not what was recorded.
    """
    for place in (a, b):
        verify_run(place)
    metrics: list[MetricPair] = []
    notes: list[str] = []
    measured = [
        (_read(DiversityReport, one / "diversity.json"), _read(ShiftReport, one / "shift.json")) for one in (a, b)
    ]
    (diversity_a, shift_a), (diversity_b, shift_b) = measured
    if diversity_a and diversity_b:
        metrics, notes = compare_measured((diversity_a, shift_a), (diversity_b, shift_b))
    filtered = [_read(FilterReport, one / "filter.json") for one in (a, b)]
    students = list(_students(a, b))
    if students and not _same_questions(a, b):
        notes.append("the students were asked different held-out questions: their numbers do not compare strictly")
    return Comparison(
        of="runs",
        a=str(a),
        b=str(b),
        metrics=(*metrics, *students),
        counts=tuple(_counts(*filtered)),
        differences=(*_verdicts(a, b), *_configurations(a, b)),
        notes=tuple(notes),
    )


def _pairs(group: Group, a: Mapping[str, Metric], b: Mapping[str, Metric]) -> Iterator[MetricPair]:
    """Every metric that either has."""
    absent = Metric(value=None)
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name, absent), b.get(name, absent)
        difference = None
        if one.value is not None and other.value is not None and math.isfinite(other.value - one.value):
            difference = other.value - one.value
        yield MetricPair(
            group=group, name=name, a=one, b=other, difference=difference, intervals_overlap=_overlap(one, other)
        )


def _overlap(a: Metric, b: Metric) -> bool | None:
    """Whether two intervals share a number."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.low <= b.high and b.low <= a.high


def _students(a: Path, b: Path) -> Iterator[MetricPair]:
    """Teachers and students of two runs on their held-out prompts."""
    one, other = (_read(TrainingReport, place / "training.json") for place in (a, b))
    if one and other:
        yield from _pairs("teacher", _measures(one.teacher), _measures(other.teacher))
        yield from _pairs("student before", _measures(one.before), _measures(other.before))
        yield from _pairs("student after", _measures(one.after), _measures(other.after))
    one, other = (_read(TrainingReport, place / "baseline.json") for place in (a, b))
    if one and other:
        yield from _pairs("without KD", _measures(one.after), _measures(other.after))


def _measures(quality: Quality, prefix: str = "") -> dict[str, Metric]:
    """A model's numbers, then those by domain, without what was not taken."""
    taken = quality.model_dump(exclude={"domains"})
    measures = {f"{prefix}{name}": Metric(value=value) for name, value in taken.items() if value is not None}
    for domain, part in quality.domains.items():
        measures |= _measures(part, f"{prefix}{domain}: ")
    return measures


def _same_questions(a: Path, b: Path) -> bool:
    """Whether both students were asked the same: one evaluation file, or one part of one prompt set by one seed."""
    inputs = [_inputs(place) for place in (a, b)]
    if any(one.get("evaluation") for one in inputs):
        return inputs[0].get("evaluation") == inputs[1].get("evaluation")
    configs = [read_run_config(place / "run.yaml") for place in (a, b)]
    drawn = [(one.evaluation, one.distill.seed) for one in configs]
    prompts = [_read(PromptDecision, place / "prompt_decision.json") for place in (a, b)]
    return drawn[0] == drawn[1] and [one.file_sha256 for one in prompts[:1] if one] == [
        one.file_sha256 for one in prompts[1:] if one
    ]


def _inputs(place: Path) -> dict[str, str]:
    """What the last distillation of a run read."""
    lines = read_lines((place / LEDGER).read_text(encoding="utf-8"), where=place / LEDGER)
    return next((line.inputs for line in reversed(lines) if line.step == "distill"), {})


def _counts(a: FilterReport | None, b: FilterReport | None) -> Iterator[CountPair]:
    """Rows read, dropped by each filter, and kept."""
    yield CountPair(name="rows read", a=a.rows_read if a else None, b=b.rows_read if b else None)
    yield from _dropped(a, b, "dropped: ")
    yield CountPair(name="rows kept", a=a.rows_kept if a else None, b=b.rows_kept if b else None)


def _dropped(
    a: FilterReport | PromptAnalysis | None, b: FilterReport | PromptAnalysis | None, prefix: str
) -> Iterator[CountPair]:
    """What each filter of either dropped."""
    one, other = ({count.name: count.dropped for count in report.filters} if report else {} for report in (a, b))
    for name in dict.fromkeys([*one, *other]):
        yield CountPair(name=f"{prefix}{name}", a=one.get(name), b=other.get(name))


def _findings(a: tuple[Finding, ...], b: tuple[Finding, ...]) -> Iterator[TextPair]:
    """Findings other than allow that only one has."""
    sides = [[f for f in found if f.effective is not Verdict.ALLOW] for found in (a, b)]
    told = [{(f.rule, f.subject, f.message) for f in side} for side in sides]
    lone = [
        [f for f in side if (f.rule, f.subject, f.message) not in other]
        for side, other in zip(sides, reversed(told), strict=True)
    ]
    for name in dict.fromkeys(f"{f.rule}: {f.subject}" for side in lone for f in side):
        shown = [[f"{f.verdict}: {f.message}" for f in side if f"{f.rule}: {f.subject}" == name] for side in lone]
        for before, after in zip_longest(*shown, fillvalue="nothing"):
            yield TextPair(group="finding", name=name, a=before, b=after)


def _verdicts(a: Path, b: Path) -> Iterator[TextPair]:
    """How each run ended at each gate, equal or not, and what its findings were."""
    kinds: dict[str, tuple[str, type[Decision | PromptDecision | StudentDecision]]] = {
        "teacher": ("decision.json", Decision),
        "student's base": ("base_decision.json", Decision),
        "student's license": (STUDENT_DECISION, StudentDecision),
        "prompts": ("prompt_decision.json", PromptDecision),
    }
    for name, (file, kind) in kinds.items():
        one, other = _read(kind, a / file), _read(kind, b / file)
        if one or other:
            shown = [decision.verdict.value if decision else "not reached" for decision in (one, other)]
            yield TextPair(group="verdict", name=name, a=shown[0], b=shown[1])
            yield from _findings(one.findings if one else (), other.findings if other else ())


def _configurations(a: Path, b: Path) -> Iterator[TextPair]:
    """Keys of the run files, and digests of policies and facts, that differ."""
    one, other = (dict(_flat(read_run_config(place / "run.yaml").to_file())) for place in (a, b))
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key):
            yield TextPair(group="configuration", name=key, a=one.get(key, "–"), b=other.get(key, "–"))
    decisions = [_read(Decision, place / "decision.json") for place in (a, b)]
    if decisions[0] and decisions[1]:
        for name, before, after in (
            ("policy", decisions[0].policy.sha256, decisions[1].policy.sha256),
            ("catalogue", decisions[0].catalogue_sha256, decisions[1].catalogue_sha256),
            ("curate", decisions[0].curate_version, decisions[1].curate_version),
        ):
            if before != after:
                yield TextPair(group="provenance", name=name, a=before, b=after)


def _flat(payload: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and their values as text."""
    for key, value in payload.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _setting(value)


def _setting(value: object) -> str:
    """A value of a run file as one would write it there."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else "none" if value in (None, "") else str(value)


def _read(kind: type[Kind], path: Path) -> Kind | None:
    """An artifact, if the run came so far."""
    try:
        return kind.read(path) if path.is_file() else None
    except InputError as error:
        raise InputError(
            f"{path}: written by another version: {error.message}", hint="compare with that one"
        ) from error
