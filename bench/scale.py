"""The default policy's whole chain at growing sizes: CPU seconds a stage, growth, peak memory, share of peak FLOP/s.

    CURATE_CORPUS=<folder> python bench/scale.py [--rows 100000 --rows 1000000]

Each size in its own process on one thread. Prompts are made from real templates and real prompts, by seed; a tenth are
copies with other case, a greeting or a typing error.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from time import process_time as clock

import numpy as np
from corpora import corpus, made_prompts
from machine import describe, in_a_child, markdown, peak_gib, write_table


def scale_part(count):
    """The whole chain of the default policy, stage by stage."""
    from curate.licenses.rows import row_judge
    from curate.policy import load_policy
    from curate.prompts import filters
    from curate.prompts.reading import read_prompts

    stages = {}
    with tempfile.TemporaryDirectory() as folder:
        file, known = Path(folder) / "p.jsonl", Path(folder) / "r.jsonl"
        write_rows(file, made_prompts(count), source="made", license="Apache-2.0")
        write_rows(known, made_prompts(1000, seed=7))
        base = peak_gib()
        started = clock()
        prompts = read_prompts(file)
        stages["read"] = clock() - started
        reference = read_prompts(known)
        benchmarks = [read_prompts(path) for path in sorted((corpus() / "benchmarks").glob("*.jsonl"))]
    real = filters.run_filter

    def timed(work, name, options):
        before = clock()
        done = real(work, name, options)
        stages[name] = clock() - before
        print(f"{name}: {stages[name]:.1f} s, {peak_gib():.2f} GiB", file=sys.stderr, flush=True)
        return done

    filters.run_filter = timed
    policy = load_policy("default")
    kept, report = filters.filter_prompts(
        prompts,
        chain=policy.prompts.filters,
        reference=reference,
        benchmarks=benchmarks,
        judge=row_judge(policy),
        policy_chain=policy.prompts.filters,
    )
    rows_in = {one.name: one.rows_in for one in report.filters}
    return {
        "rows": count,
        "stages": stages,
        "rows_in": rows_in,
        "kept": len(kept),
        "peak_gib": peak_gib(),
        "made_gib": base,
        "gflops": peak_gflops(),
    }


def write_rows(path, texts, **columns):
    with path.open("w", encoding="utf-8") as stream:
        for row, text in enumerate(texts):
            stream.write(json.dumps({"id": f"r{row}", "prompt": text, **columns}) + "\n")


def peak_gflops():
    """What one thread's matrix product reaches here and now."""
    one = np.ones((2048, 2048), dtype=np.float32)
    one @ one
    started = clock()
    for _ in range(4):
        one @ one
    return 4 * 2 * 2048**3 / (clock() - started) / 1e9


def matrix_gflop(name, rows):
    """Multiply-adds of the matrix products of a stage, in GFLOP; 0 where it has none."""
    clusters = rows**0.5
    if name == "semantic":
        return 2 * 2 * 256 * (rows * clusters + rows * 4 * (4 * clusters) / 2) / 1e9
    return 2 * 256 * rows * 1000 / 1e9 if name == "off_domain" else 0.0


def scale_table(found):
    rows = []
    for name in found[0]["stages"]:
        line = [name]
        for one in found:
            took, size = one["stages"][name], one["rows_in"].get(name, one["rows"])
            share = matrix_gflop(name, size) / took / one["gflops"] if took else 0.0
            line += [f"{took:.1f}", f"{share:.0%}" if share else "–"]
        if len(found) > 1:
            line.append(f"{found[-1]['stages'][name] / max(found[0]['stages'][name], 1e-3):.1f} ×")
        rows.append(line)
    rows.append(["sum", *(cell for one in found for cell in (f"{sum(one['stages'].values()):.1f}", ""))])
    rows.append(["peak memory, GiB", *(cell for one in found for cell in (f"{one['peak_gib']:.2f}", ""))])
    rows.append(["kept", *(cell for one in found for cell in (f"{one['kept']:,}", ""))])
    head = ["stage"]
    for one in found:
        head += [f"{one['rows']:,} rows, CPU s", f"share of {one['gflops']:.0f} GFLOP/s"]
    return markdown(head + (["growth"] if len(found) > 1 else []), rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", action="append", type=int)
    parser.add_argument("--child", type=int)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(scale_part(given.child)))
        return
    found = [in_a_child(__file__, "--child", size) for size in given.rows or [100_000, 1_000_000]]
    about = describe("rensa", "tokenizers")
    write_table("prompts_scale", f"# The default policy's whole chain\n\n{about}\n\n{scale_table(found)}\n")


if __name__ == "__main__":
    main()
