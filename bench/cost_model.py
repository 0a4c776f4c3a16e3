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
import math
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
SHARE = 10**6
"""Rows of one share of a larger pool, searched by itself."""


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
    """Peak memory as a straight line through the two largest sizes, held against the line through the two before."""
    runs = [run for run in runs if "own_gib" in run]
    if len(runs) < 2:
        return "Memory was not measured again."
    rows, peaks = [run["rows"] for run in runs], [run["own_gib"] for run in runs]

    def line(last):
        slope = (peaks[last] - peaks[last - 1]) / (rows[last] - rows[last - 1])
        return peaks[last] - slope * rows[last], slope

    start, slope = line(len(runs) - 1)
    told = ", ".join(f"{peak:.2f} GiB at {size:,}" for size, peak in zip(rows, peaks, strict=True))
    held = ""
    if len(runs) > 2:
        before = line(len(runs) - 2)
        guess = before[0] + before[1] * rows[-1]
        held = f" The line through the two before says {guess:.2f} GiB for the largest ({guess / peaks[-1] - 1:+.0%})."
    return (
        f"Own memory of one process at most, mapped files not counted: {told}. The line through the two largest: "
        f"{start:.2f} GiB and {slope * 2**30:,.0f} bytes a row; 24 GiB are full at {(24 - start) / slope:,.0f} rows."
        f"{held}"
    )


def full_buckets(parts):
    """Rows beyond which `near` looks at no more pairs a row: every bucket gives each row all the neighbours it may."""
    from curate.prompts.minhash import BANDS, LAGS

    last = parts[-1]
    return last["rows"] * (BANDS * LAGS / last["bands"]["bounded_pairs_a_row"]) ** 2


def plan_seconds(found, rows, plan, full):
    """CPU seconds of a whole command.

    ``near`` grows as its pairs do until its buckets are full. ``shares``: beyond ``SHARE`` rows each row joins two of
    rows ÷ ``SHARE`` shares, which costs what ``off_domain`` costs against as many rows of 1,000 of a reference, and
    ``semantic`` searches every share by itself.
    """
    total = {name: predict(coefficients, law_of(name), rows) for name, coefficients in found.items()}
    flat, steep = found["near"]
    total["near"] = rows * (flat + steep * min(rows, full) ** 0.5)
    if plan == "shares" and rows > SHARE:
        joining = found["off_domain"][1] * rows * (rows / SHARE) / 1000
        total["semantic"] = 2 * predict(found["semantic"], CLUSTERED, SHARE) * rows / SHARE + joining
    return total


def hours_table(runs, full):
    found = fit_stages(runs)
    head = ["core-hours", *(f"{pool:,} rows" for pool in POOLS)]
    whole, shared = ([plan_seconds(found, pool, plan, full) for pool in POOLS] for plan in ("whole", "shares"))
    lines = []
    for name in found:
        lines.append([name, *(tell(one[name] / 3600) for one in whole)])
        if name == "semantic":
            lines.append(["semantic, in shares", *(tell(one[name] / 3600) for one in shared)])
    for title, plan in (("sum", whole), ("sum, semantic in shares", shared)):
        lines.append([title, *(tell(sum(one.values()) / 3600) for one in plan)])
    return markdown(head, lines)


def money_table(runs, given, full):
    found = fit_stages(runs)
    head = ["pool", "semantic", "core-hours", f"hours on {given.cores} cores", f"cores for {given.hours:g} h", "money"]
    lines = []
    for pool in POOLS[1:]:
        for plan in ("whole", "shares") if pool > SHARE else ("whole",):
            paid = sum(plan_seconds(found, pool, plan, full).values()) / 3600 / given.efficiency
            name = "as it is" if plan == "whole" else "in shares"
            lines.append([
                f"{pool:,}", name, tell(paid), tell(paid / given.cores), f"{math.ceil(paid / given.hours):,}",
                tell(paid * given.price),
            ])  # fmt: skip
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
        ["semantic whole: CPU s of one search", *(f"{part['searches']['whole_s']:.2f}" for part in parts)],
        ["semantic in shares: shares", *(part["searches"]["shares"] for part in parts)],
        ["semantic in shares: CPU s", *(f"{part['searches']['shares_s']:.2f}" for part in parts)],
        ["semantic in shares: pairs found of the whole's", *(f"{part['searches']['found']:.2%}" for part in parts)],
        ["semantic in shares: largest ÷ mean", *(f"{part['searches']['largest']:.2f}" for part in parts)],
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
    first, full = runs["filter-prompts"], full_buckets(known["parts"])
    text += [
        "## filter-prompts: extrapolated",
        f"Fitted to all measured sizes. `near` looks at no more pairs a row beyond {full:,.0f} rows. *In shares* is a "
        f"plan for `semantic` that is not built: beyond {SHARE:,} rows each row joins two shares of about as many.",
        hours_table(first, full),
        "## Machines and money",
        money_table(first, given, full),
    ]
    text += ["## Bytes", bytes_table(known["parts"]), "## Buckets, clusters, shares", shares_table(known["parts"])]
    return "\n\n".join(text)


def add_runs(known, files):
    """Measurements of ``bench/scale.py`` put beside those known; a newer one of a size takes the older one's place."""
    for path in files:
        for run in json.loads(path.read_text(encoding="utf-8")):
            if run.get("workers"):
                continue
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
