"""Sentences that stand beside numbers which cannot see what was found next to them, or rest on too little."""

from __future__ import annotations

from collections.abc import Mapping

from curate.prompts.domain import FEW_ROWS
from curate.prompts.results import Metric

TWINS = 0.95
"""A row with a neighbour of this cosine has a twin; the bound of the default policy on ``mean_nn_similarity``."""
MANY_TWINS = 0.1
OFF_TOPIC = 0.05


def diversity_notes(
    metrics: Mapping[str, Metric], histogram: tuple[int, ...], shift: Mapping[str, Metric] | None
) -> tuple[str, ...]:
    """What the diversity metrics do not see in this very set.

    Args:
        metrics: the diversity metrics.
        histogram: counts of the rows' cosine to their nearest other row, in 20 bins from 0 to 1.
        shift: the distances from a reference, if there is one.
    """
    notes = []
    rows = sum(histogram)
    twins = sum(histogram[int(TWINS * len(histogram)) :]) / rows if rows else 0.0
    apart = metrics["mean_pairwise_distance"].value
    if twins >= MANY_TWINS and apart is not None:
        notes.append(
            f"{twins:.0%} of the rows have a twin (cosine ≥ {TWINS:g}), which mean_pairwise_distance ({apart:.2f}) "
            "cannot see; go by mean_nn_similarity and the counts of exact, near and semantic"
        )
    off = None if shift is None else shift["off_target_share"].value
    if off is not None and off >= OFF_TOPIC:
        notes.append(
            f"at least {off:.0%} of the rows lie off the reference, and vendi and effective_rank cannot tell them from "
            "variety; go by reference_coverage and cluster_entropy"
        )
    elif shift is None:
        notes.append(
            "without a reference nobody can tell off-topic text from variety: vendi and effective_rank count it as such"
        )
    return tuple(notes)


def shift_notes(metrics: Mapping[str, Metric], reference_rows: int) -> tuple[str, ...]:
    """What a small reference costs in this very comparison, and which distances have a blind side that matters here."""
    notes = []
    if reference_rows < FEW_ROWS:
        notes.append(small_reference(metrics, reference_rows))
    mmd, coverage = metrics["sqrt_mmd"].value, metrics["prdc_coverage"].value
    if mmd is not None and coverage is not None and mmd > 0.1 and coverage > 0.5:
        notes.append("prdc_coverage does not see what was added beside the reference; sqrt_mmd does")
    return tuple(notes)


def small_reference(metrics: Mapping[str, Metric], rows: int) -> str:
    """One sentence on a reference under 300 rows, with this run's interval and the measured cost of such a size."""
    mmd = metrics["sqrt_mmd"]
    width = "" if mmd.low is None or mmd.high is None else f" (sqrt_mmd here: {mmd.low:.2f} to {mmd.high:.2f})"
    size, dropped, area = next((cost for cost in COSTS if rows <= cost[0]), COSTS[-1])
    return (
        f"the reference has {rows} rows; under {FEW_ROWS} intervals are wide{width}, and on CLINC150 with {size} rows "
        f"off_domain dropped {dropped} of on-topic rows where 10 % were meant, at an out-of-scope AUROC of {area}"
    )


COSTS = (
    (30, "1 to 27 %", "0.74"),
    (50, "1 to 14 %", "0.76"),
    (100, "1 to 15 %", "0.80"),
    (200, "3 to 11 %", "0.83"),
    (300, "4 to 14 %", "0.86"),
)
"""Reference rows, range of the on-topic share that ``off_domain`` drops, AUROC: ``bench/bounds.py``, 40 draws."""
