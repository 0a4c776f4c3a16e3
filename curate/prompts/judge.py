"""Judge a measured prompt set against the policy, and write the approved prompts with their decision and ticket."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from curate import __version__
from curate.artifact import sha256_file
from curate.errors import PolicyError
from curate.gate import ApprovedDataset, Evidence, Finding, Verdict, settle
from curate.policy import Policy, apply_waivers
from curate.prompts.diversity import METRICS
from curate.prompts.promptset import PromptSet, write_prompts
from curate.prompts.results import DiversityReport, FilterReport, Metric, PromptDecision, ShiftReport
from curate.prompts.rows import Rows
from curate.prompts.shift import DISTANCES
from curate.prompts.texts import Texts

KEPT_FILE = "prompts.parquet"
DECISION_FILE = "prompt_decision.json"


def judge_prompts(
    policy: Policy,
    *,
    filter_report: FilterReport,
    diversity: DiversityReport,
    shift: ShiftReport | None,
    file_sha256: str,
    rows: int,
    today: date,
    obligations: tuple[str, ...] = (),
) -> PromptDecision:
    """May these prompts be asked? The policy's bounds against what was measured on what was kept.

    Raises:
        PolicyError: the policy bounds a metric that does not exist.
    """
    findings = [*chain_findings(policy, filter_report), *bound_findings(policy, diversity, shift, rows)]
    waived = apply_waivers(findings, policy.waivers, waivable_denials=policy.waivable_denials, today=today)
    return PromptDecision(
        file_sha256=file_sha256,
        rows=rows,
        verdict=settle(waived),
        findings=waived,
        obligations=obligations,
        filter_sha256=filter_report.digest(),
        diversity_sha256=diversity.digest(),
        shift_sha256="" if shift is None else shift.digest(),
        policy_sha256=policy.digest(),
        decided_on=today,
        curate_version=__version__,
    )


def finding(rule: str, verdict: Verdict, message: str, source: str = "") -> Finding:
    """A finding about the prompt set."""
    evidence = (Evidence(source=source),) if source else ()
    return Finding(rule=rule, subject="prompts", verdict=verdict, message=message, evidence=evidence)


def chain_findings(policy: Policy, report: FilterReport) -> list[Finding]:
    """Whether the policy's whole chain ran, and had what it needs."""
    wants = {
        "off_domain": ("no-reference", "no reference was given: nobody can say whether these prompts are on the task"),
        "contamination": ("no-benchmark", "neither benchmark nor reference was given: overlap with tests is unknown"),
        "license": ("row-license", "no column names a license or a source: the rights in these prompts are unknown"),
    }
    found = [
        finding(*(wants[name][0], Verdict.REVIEW, wants[name][1]))
        for name in report.skipped
        if name in wants and name in policy.prompts.filters
    ]
    if not report.whole_chain:
        found.append(finding("whole-chain", Verdict.DENY, "not every filter of the policy ran at least as strictly"))
    return found


def bound_findings(policy: Policy, diversity: DiversityReport, shift: ShiftReport | None, rows: int) -> list[Finding]:
    """Every bound of the policy against its metric: allow inside, the policy's word outside, review unmeasured."""
    measured = {"rows": Metric(value=float(rows)), **diversity.metrics, **({} if shift is None else shift.metrics)}
    bounds = [*((name, least, True) for name, least in policy.prompts.at_least.items())]
    bounds += [(name, most, False) for name, most in policy.prompts.at_most.items()]
    found = []
    for name, bound, is_least in bounds:
        if name not in ("rows", *METRICS, *DISTANCES):
            known = ", ".join(("rows", *METRICS, *DISTANCES))
            raise PolicyError(f"policy {policy.name}: no metric called {name!r}", hint=f"known: {known}")
        metric = measured.get(name)
        if metric is not None and metric.value is not None:
            found.append(judge_bound(policy, name, metric.value, bound, is_least))
        elif shift is not None:
            found.append(finding(MEANING.get(name, name), Verdict.REVIEW, f"{name} could not be measured"))
        elif "off_domain" not in policy.prompts.filters and not any(one.rule == "no-reference" for one in found):
            found.append(finding("no-reference", Verdict.REVIEW, f"{name} needs a reference, and none was given"))
    asked, used = policy.prompts.embedder, diversity.embedder.spec
    if asked != used:
        message = f"measured with embedder {used}; the policy's bounds belong to {asked}"
        found.append(finding("embedder", Verdict.REVIEW, message))
    return found


MEANING = {
    "rows": "too-few",
    "vendi": "too-narrow",
    "cluster_entropy": "too-narrow",
    "reference_coverage": "too-narrow",
    "effective_rank": "too-narrow",
    "mean_pairwise_distance": "too-narrow",
    "distinct_2": "too-narrow",
    "mean_nn_similarity": "too-narrow",
    "compression_ratio": "too-narrow",
    "sqrt_mmd": "too-far",
    "sqrt_energy": "too-far",
    "frechet": "too-far",
    "c2st_auc": "too-far",
    "off_target_share": "too-far",
    "prdc_precision": "too-far",
    "prdc_coverage": "too-narrow",
    "usable_share": "low-quality",
    "quality": "low-quality",
}
"""What a metric outside its bound says of the set; the finding's rule."""


def judge_bound(policy: Policy, name: str, value: float, bound: float, is_least: bool) -> Finding:
    """One bound against one value."""
    inside = value >= bound if is_least else value <= bound
    verdict = Verdict.ALLOW if inside else Verdict(policy.prompts.outside)
    side = "at least" if is_least else "at most"
    message = f"{name} is {plain(value)}; the policy wants {side} {plain(bound)}"
    return finding(MEANING.get(name, name), verdict, message, f"policy {policy.name}: prompts.{side.replace(' ', '_')}")


def plain(value: float) -> str:
    """A number without an exponent: whole ones with separators, others with four digits or one decimal place."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def row_obligations(prompts: PromptSet) -> tuple[str, ...]:
    """The duties the rows' licenses leave, one sentence for each license and source that is not public domain."""
    free = ("cc0", "pddl", "unlicense", "public-domain", "public domain", "0bsd")
    counts: dict[tuple[str, str], int] = {}
    if prompts.licenses is None:
        return ()
    for row, name in enumerate(prompts.licenses):
        if name and not name.casefold().startswith(free):
            pair = (name, prompts.sources[row] if prompts.sources else "")
            counts[pair] = counts.get(pair, 0) + 1
    return tuple(
        f"{name}: keep the notices and attribution of {source or 'these prompts'} ({count:,} prompts)"
        for (name, source), count in sorted(counts.items())
    )


def write_kept(folder: Path, prompts: PromptSet) -> tuple[Path, str]:
    """Write the kept prompts as Parquet, ``id`` and ``prompt`` beside every input column; path and digest."""
    import pyarrow as pa

    table = prompts.table.gathered() if isinstance(prompts.table, Rows) else prompts.table
    for name, values in (("id", prompts.ids), ("prompt", prompts.texts)):
        place = table.schema.get_field_index(name)
        is_there = place >= 0 and table.schema.field(place).equals(pa.field(name, pa.string()), check_metadata=True)
        if is_there and isinstance(values, Texts) and values.name == name:
            continue
        column = values.gathered().cast(pa.string()) if isinstance(values, Texts) else pa.array(values, pa.string())
        table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
    path = folder / KEPT_FILE
    write_prompts(path, replace(prompts, table=table))
    return path, sha256_file(path)


def approve_prompts(
    folder: Path,
    kept: PromptSet,
    *,
    policy: Policy,
    filter_report: FilterReport,
    diversity: DiversityReport,
    shift: ShiftReport | None,
    today: date,
) -> tuple[PromptDecision, ApprovedDataset]:
    """Write ``prompts.parquet`` and ``prompt_decision.json`` into a folder; returns the decision and the ticket.

    Raises:
        Denied: the policy denies; both files are there.
        NeedsReview: a person must look; both files are there.
    """
    path, digest = write_kept(folder, kept)
    decision = judge_prompts(
        policy,
        filter_report=filter_report,
        diversity=diversity,
        shift=shift,
        file_sha256=digest,
        rows=len(kept),
        today=today,
        obligations=row_obligations(kept),
    )
    decision.write(folder / DECISION_FILE)
    return decision, decision.approve(path=path.name, decision_path=DECISION_FILE)
