"""What a pool of any size costs: coefficients fitted to measured stages, held against a size they have not seen.

    python bench/cost_model.py [--price 0.05] [--cores 64] [--efficiency 0.75] [--hours 24]
    python bench/cost_model.py --add FILE          also measurements that ``bench/scale.py --keep FILE`` has left
    CURATE_CORPUS=<folder> python bench/cost_model.py --measure     bytes and shares measured again

A stage's CPU seconds are a sum of powers of the rows read, each with a coefficient of its own, none negative, fitted by
least squares of relative errors. What is measured lies in ``bench/results/cost_model.json``, so that the tables can be
made again in a second. Prices, cores and efficiency are yours to state; the defaults are assumptions and no offer.
"""

import argparse
import json
import sys

import numpy as np
from cost_parts import SIZES, measure_parts
from machine import RESULTS, in_a_child, markdown, version, write_table

KNOWN = RESULTS / "cost_model.json"
COMMANDS = "filter-prompts", "analyze-prompts"
LINEAR, CLUSTERED = (0.0, 1.0), (1.0, 1.5)
"""Exponents of the rows: a start and so much a row; so much a row and a search in about √n clusters."""
LAWS = {"near": CLUSTERED, "semantic": CLUSTERED}
POOLS = 10**5, 10**6, 10**7, 10**8, 10**9
BOUND = 10**6
"""Pool size beyond which a search in clusters of bounded size costs a row no more."""


def law_of(stage):
    return LAWS.get(stage, LINEAR)


def fit(rows, seconds, exponents):
    """Coefficients of the powers of the rows, none negative, by least squares of relative errors."""
    from scipy.optimize import nnls

    rows, seconds = np.asarray(rows, dtype=float), np.maximum(np.asarray(seconds, dtype=float), 1e-3)
    terms = np.stack([rows**exponent for exponent in exponents], axis=1) / seconds[:, None]
    scale = np.abs(terms).max(axis=0)
    return nnls(terms / scale, np.ones(len(rows)))[0] / scale


def predict(found, exponents, rows):
    return float(sum(one * float(rows) ** exponent for one, exponent in zip(found, exponents, strict=True)))


def stages_of(runs):
    return list(dict.fromkeys(name for run in runs for name in run["stages"]))


def fit_stages(runs):
    """Coefficients by stage, of runs of one command."""
    rows = [run["rows"] for run in runs]
    return {name: fit(rows, [run["stages"].get(name, 0.0) for run in runs], law_of(name)) for name in stages_of(runs)}


def coefficient_table(runs):
    found, last = fit_stages(runs), runs[-1]
    head = ["stage", "law", "at the start, s", "CPU s per 10⁶ rows", "per 10⁹ rows^1.5", "measured per 10⁶ rows"]
    lines = []
    for name, coefficients in found.items():
        parts = dict(zip(law_of(name), coefficients, strict=True))
        law = "linear" if law_of(name) is LINEAR else "n and n^1.5"
        cells = [parts.get(0.0), parts[1.0] * 1e6, parts[1.5] * 1e9 if 1.5 in parts else None]
        told = ["–" if cell is None else f"{cell:.1f}" for cell in cells]
        lines.append(
            [name, law, *told, f"{last['stages'].get(name, 0.0) / last['rows'] * 1e6:.1f} at {last['rows']:,}"]
        )
    return markdown(head, lines)


def held_out_table(runs):
    """The largest size, from coefficients fitted to the smaller ones alone."""
    *before, last = runs
    found = fit_stages(before)
    lines, sums = [], [0.0, 0.0]
    for name, coefficients in found.items():
        told, seen = predict(coefficients, law_of(name), last["rows"]), last["stages"].get(name, 0.0)
        sums = [sums[0] + told, sums[1] + seen]
        lines.append([name, f"{told:.1f}", f"{seen:.1f}", f"{told / seen - 1:+.0%}" if seen > 0.05 else "–"])
    lines.append(["sum", *(f"{one:.1f}" for one in sums), f"{sums[0] / sums[1] - 1:+.0%}"])
    sizes = ", ".join(f"{run['rows']:,}" for run in before)
    return f"Fitted to {sizes} rows.\n\n" + markdown(
        ["stage", f"predicted for {last['rows']:,}, CPU s", "measured", "error"], lines
    )


def peak_line(runs):
    rows, peaks = [run["rows"] for run in runs], [run["peak_gib"] for run in runs]
    found = fit(rows, peaks, LINEAR)
    a_row = found[1] * 2**30
    told = ", ".join(f"{peak:.2f} GiB at {size:,}" for size, peak in zip(rows, peaks, strict=True))
    held = ""
    if len(runs) > 2:
        guess = predict(fit(rows[:-1], peaks[:-1], LINEAR), LINEAR, rows[-1])
        held = f" Fitted without the largest: {guess:.2f} GiB for it ({guess / peaks[-1] - 1:+.0%})."
    reach = (24 - found[0]) / found[1]
    return (
        f"Peak memory of one process: {told}. Fitted: {found[0]:.2f} GiB and {a_row:,.0f} bytes a row.{held} "
        f"24 GiB are full at {reach:,.0f} rows."
    )


def plan_seconds(found, rows, plan):
    """CPU seconds of a whole command under a plan for the two stages that may grow faster than the pool."""
    total = {}
    for name, coefficients in found.items():
        exponents = law_of(name)
        if exponents is CLUSTERED and plan == "bounded" and rows > BOUND:
            total[name] = predict(coefficients, exponents, BOUND) * rows / BOUND
        else:
            total[name] = predict(coefficients, exponents, rows)
    return total


def hours_table(runs):
    found = fit_stages(runs)
    head = ["core-hours", *(f"{pool:,} rows" for pool in POOLS)]
    lines = []
    plans = {pool: plan_seconds(found, pool, "whole") for pool in POOLS}
    bounded = {pool: plan_seconds(found, pool, "bounded") for pool in POOLS}
    for name in found:
        lines.append([name, *(tell(plans[pool][name] / 3600) for pool in POOLS)])
        if law_of(name) is CLUSTERED:
            lines.append([f"{name}, clusters of bounded size", *(tell(bounded[pool][name] / 3600) for pool in POOLS)])
    for title, plan in (("sum, as it is", plans), ("sum, bounded", bounded)):
        lines.append([title, *(tell(sum(plan[pool].values()) / 3600) for pool in POOLS)])
    return markdown(head, lines)


def money_table(runs, given):
    found = fit_stages(runs)
    head = ["pool", "plan", "core-hours", f"hours on {given.cores} cores", f"cores for {given.hours:g} h", "money"]
    lines = []
    for pool in POOLS[1:]:
        for plan in ("whole", "bounded") if pool > BOUND else ("whole",):
            paid = sum(plan_seconds(found, pool, plan).values()) / 3600 / given.efficiency
            name = "as it is" if plan == "whole" else "bounded"
            cores = max(1, round(paid / given.hours + 0.5))
            lines.append(
                [f"{pool:,}", name, tell(paid), tell(paid / given.cores), f"{cores:,}", tell(paid * given.price)]
            )
    return markdown(head, lines)


def tell(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.3f}"


def bytes_table(parts):
    head = ["bytes a row", *(f"{part['rows']:,} rows" for part in parts), "10⁹ rows, TB"]
    lines = []
    for name in parts[-1]["bytes"]:
        values = [part["bytes"][name] for part in parts]
        lines.append([name, *(f"{value:,.0f}" for value in values), f"{values[-1] * 1e9 / 1e12:.2f}"])
    return markdown(head, lines)


def shares_table(parts):
    lines = [
        ["near: pairs in one bucket, a row", *(f"{part['bands']['pairs_a_row']:.1f}" for part in parts)],
        ["near: of them looked at, a row", *(f"{part['bands']['bounded_pairs_a_row']:.1f}" for part in parts)],
        ["near: largest bucket, rows", *(f"{part['bands']['largest_bucket']:,}" for part in parts)],
        ["near: fullest of 64 shares ÷ mean", *(f"{part['bands']['fullest_share']:.2f}" for part in parts)],
        ["semantic: largest cluster ÷ mean", *(f"{part['cells']['largest']:.1f}" for part in parts)],
        ["semantic: pairs ÷ those of even clusters", *(f"{part['cells']['pairs']:.2f}" for part in parts)],
    ]
    return markdown(["", *(f"{part['rows']:,} rows" for part in parts)], lines)


def runs_of(known, command):
    return sorted((run for run in known["runs"] if run["command"] == command), key=lambda run: run["rows"])


def report(known, given):
    runs = {command: found for command in COMMANDS if len(found := runs_of(known, command)) > 1}
    text = [
        "# What a pool costs",
        f"{known['machine']}; made by `python bench/cost_model.py`, scipy {version('scipy')}.",
        f"Assumed, and given on the command line: {given.price:g} of any currency a core-hour, {given.cores} cores a "
        f"machine, {given.efficiency:.0%} of the cores' time used for work, {given.hours:g} hours to be done in.",
    ]
    for command, found in runs.items():
        text += [f"## {command}: coefficients", coefficient_table(found), peak_line(found)]
        if len(found) > 2:
            text += [f"## {command}: a size that was not fitted", held_out_table(found)]
    first = runs["filter-prompts"]
    text += [
        "## filter-prompts: extrapolated",
        f"*Bounded*: beyond {BOUND:,} rows a row costs `near` and `semantic` no more than there, a plan that is "
        "not built (docs/scale.md). Fitted to all measured sizes.",
        hours_table(first),
        "## Machines and money",
        money_table(first, given),
    ]
    if known["parts"]:
        text += ["## Bytes", bytes_table(known["parts"]), "## Shares", shares_table(known["parts"])]
    return "\n\n".join(text)


def add_runs(known, files):
    """Measurements of ``bench/scale.py`` put beside those known; a newer one of a size takes the older one's place."""
    for path in files:
        for run in json.loads(path.read_text(encoding="utf-8")):
            same = [old for old in known["runs"] if (old["rows"], old["command"]) == (run["rows"], run["command"])]
            known["runs"] = [old for old in known["runs"] if old not in same] + [run]


def main():
    from pathlib import Path

    from machine import describe

    parser = argparse.ArgumentParser()
    parser.add_argument("--add", action="append", type=Path, default=[], help="what bench/scale.py --keep has left")
    parser.add_argument("--measure", action="store_true", help="bytes and shares again; needs CURATE_CORPUS")
    parser.add_argument("--price", type=float, default=0.05, help="of a core-hour")
    parser.add_argument("--cores", type=int, default=64)
    parser.add_argument("--efficiency", type=float, default=0.75, help="share of the cores' time that is work")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--child", type=int)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure_parts(given.child)))
        return
    known = json.loads(KNOWN.read_text()) if KNOWN.is_file() else {"machine": "", "runs": [], "parts": []}
    add_runs(known, given.add)
    if given.measure:
        known["parts"] = [in_a_child(__file__, "--child", size) for size in SIZES]
        if any("failed" in part for part in known["parts"]):
            sys.exit("bytes and shares could not be measured")
    if given.measure or given.add:
        known["machine"] = describe("rensa", "tokenizers", "pyarrow")
        KNOWN.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    if len(runs_of(known, "filter-prompts")) < 2:
        sys.exit(
            "at least two sizes are needed: bench/scale.py --rows 10000 --rows 100000 --keep FILE, then --add FILE"
        )
    write_table("cost_model", report(known, given))


if __name__ == "__main__":
    main()
