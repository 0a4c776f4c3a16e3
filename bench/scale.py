"""``filter-prompts`` and ``analyze-prompts`` at growing sizes: CPU seconds and own memory a stage, growth.

    CURATE_CORPUS=<folder> python bench/scale.py [--rows 100000 --rows 1000000] [--threads 2] [--workers 1 --workers 2]

Each size and command in its own process. The commands run as on the command line, file in and files out: the default
policy's whole chain with the embedded embedder, a reference of 1,000 prompts, and (filter-prompts) the benchmarks.
Prompts are made from real templates and real prompts, by seed; a tenth are copies with other case, a greeting or a
typing error. With ``--workers`` filter-prompts runs on so many workers of Ray as well. What was measured is kept under
``--keep``, so that a later size can be added to a table.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from time import monotonic
from time import process_time as clock

import numpy as np
from corpora import corpus, made_prompts
from machine import Below, OwnMemory, describe, in_a_child, markdown, peak_gib, write_table

CLUSTERED = ("near", "semantic")
DIMENSIONS = 256
OUTLINE = 80
REFERENCE = 1000


class Stages:
    """CPU seconds and own memory of the stages of a command, told as they end; encoding counts its time by itself."""

    def __init__(self, memory):
        self.found, self.own, self.wall, self.memory = {}, {}, {}, memory

    def timed(self, function, name):
        def inner(*given, **named):
            before, inside, began = clock(), self.found.get("encode", 0.0), monotonic()
            done = function(*given, **named)
            stage = name or (given[1] if isinstance(given[1], str) else ", ".join(given[1]))
            inside = self.found.get("encode", 0.0) - inside if stage != "encode" else 0.0
            took = self.found.get(stage, 0.0) + clock() - before - inside
            self.found[stage] = took
            if stage == "encode":
                return done
            self.wall[stage] = self.wall.get(stage, 0.0) + monotonic() - began
            time.sleep(0.06)
            self.own[stage] = max(self.own.get(stage, 0.0), self.memory.most(began, monotonic()))
            told = f"{stage}: {took:.1f} s, {self.own[stage]:.2f} GiB own, {peak_gib():.2f} resident at most so far"
            print(told, file=sys.stderr, flush=True)
            return done

        return inner


def scale_part(count, command, workers):
    """One command from its arguments to its exit code, on so many workers; on none in this process alone."""
    from curate.cli import prompts as cli
    from curate.cli.main import run_command
    from curate.prompts import analyze, embed, filters, report_card

    memory = OwnMemory().__enter__()
    stages, seen = Stages(memory), {}
    embed.StaticEmbedder.encode = stages.timed(embed.StaticEmbedder.encode, "encode")
    cli.read_both = stages.timed(cli.read_both, "read")
    cli.write_rows = stages.timed(cli.write_rows, "write")
    filters.run_filter = stages.timed(filters.run_filter, None)
    filters.run_group = stages.timed(filters.run_group, None)
    report_card.analyze_prompts = stages.timed(analyze.analyze_prompts, "measure")
    real = filters.filter_prompts

    def chain(*given, **named):
        kept, seen["report"] = real(*given, **named)
        return kept, seen["report"]

    filters.filter_prompts = report_card.filter_prompts = chain
    with tempfile.TemporaryDirectory() as name, Below() as below:
        folder = Path(name)
        made(count, folder)
        benchmarks = [
            part for path in sorted((corpus() / "benchmarks").glob("*.jsonl")) for part in ("--benchmark", path)
        ]
        more = ["-o", folder / "kept.jsonl", "--dropped", folder / "dropped.jsonl", *benchmarks]
        given = [command, folder / "p.jsonl", "--reference", folder / "r.jsonl"]
        given += more if command == "filter-prompts" else []
        given += ["--engine", "ray", "--workers", workers] if workers else []
        started, cpu, before = monotonic(), clock(), below.look()
        code = run_command([*map(str, given)])
        wall, cpu, spent = monotonic() - started, clock() - cpu, below.look() - before
        report = seen["report"]
        if command == "filter-prompts":
            check_files(folder, report)
    own = memory.most(0, monotonic())
    memory.__exit__()
    stages.found["rest"] = cpu - sum(stages.found.values())
    return {
        "rows": count,
        "command": command,
        "workers": workers,
        "exit": code,
        "stages": stages.found,
        "rows_in": {one.name: one.rows_in for one in report.filters},
        "dropped": {one.name: one.dropped for one in report.filters},
        "kept": report.rows_kept,
        "peak_gib": peak_gib(),
        "own_gib": own,
        "own_stages": stages.own,
        "wall_stages": stages.wall,
        "wall_s": wall,
        "below_s": spent,
        "below_gib": below.largest / 2**30,
        "gflops": peak_gflops(),
    }


def made(count, folder):
    """The prompts and their reference, written by a child so that making them does not count as memory."""
    place = os.fork()
    if place == 0:
        write_rows(folder / "p.jsonl", made_prompts(count), source="made", license="Apache-2.0")
        write_rows(folder / "r.jsonl", made_prompts(REFERENCE, seed=7))
        os._exit(0)
    if os.waitpid(place, 0)[1]:
        sys.exit("the prompts could not be made")


def write_rows(path, texts, **columns):
    with path.open("w", encoding="utf-8") as stream:
        for row, text in enumerate(texts):
            stream.write(json.dumps({"id": f"r{row}", "prompt": text, **columns}) + "\n")


def check_files(folder, report):
    """Every row is in exactly one of the two files."""
    sizes = []
    for name in ("kept.jsonl", "dropped.jsonl"):
        with (folder / name).open("rb") as stream:
            sizes.append(sum(1 for _ in stream))
    if sizes != [report.rows_kept, report.rows_read - report.rows_kept]:
        sys.exit(f"rows went missing: {sizes} of {report.rows_read}")


def peak_gflops():
    """What the matrix product reaches here and now, per CPU second."""
    one = np.ones((2048, 2048), dtype=np.float32)
    one @ one
    started = clock()
    for _ in range(4):
        one @ one
    return 4 * 2 * 2048**3 / (clock() - started) / 1e9


def matrix_gflop(name, rows):
    """Multiply-adds of the matrix products of a stage, in GFLOP; 0 where it has none.

    ``semantic``: each of at least two rounds outlines every row, finds its clusters among 1.5 √n, and compares it with
    half of its own and all of about three others, in the 80 numbers of an outline. What is then verified exactly
    does not count.
    """
    clusters = 1.5 * rows**0.5
    if name == "semantic":
        return 2 * 2 * OUTLINE * rows * (DIMENSIONS + clusters + 3.5 * rows / clusters) / 1e9
    return 2 * DIMENSIONS * rows * REFERENCE / 1e9 if name == "off_domain" else 0.0


def scale_table(found):
    """One command's stages at all sizes."""
    names = list(dict.fromkeys(name for one in found for name in one["stages"]))
    return markdown(scale_head(found), [*(stage_line(name, found) for name in names), *sums(found)])


def scale_head(found):
    head = ["stage"]
    for one in found:
        head += [f"{one['rows']:,} rows, CPU s", "prompts/s", f"of {one['gflops']:.0f} GFLOP/s"]
    return [*head, "growth", "law"] if len(found) > 1 else head


def stage_line(name, found):
    line = [name]
    for one in found:
        took, size = one["stages"].get(name, 0.0), one["rows_in"].get(name, one["rows"])
        share = matrix_gflop(name, size) / took / one["gflops"] if took else 0.0
        line += [f"{took:.1f}", f"{size / took:,.0f}" if took > 0.05 else "–", f"{share:.0%}" if share else "–"]
    if len(found) > 1:
        first, last = found[0], found[-1]
        times = last["rows"] / first["rows"]
        law = times**1.5 if name in CLUSTERED else 1.2 * times
        before, after = first["stages"].get(name, 0.0), last["stages"].get(name, 0.0)
        grown = after / before if before > 0.05 else None
        kept = "–" if grown is None else "kept" if grown <= law else "**not kept**"
        line += ["–" if grown is None else f"{grown:.1f} ×", f"≤ {law:.1f} ×: {kept}"]
    return line


def memory_table(found):
    """Own memory and wall seconds of one command's stages at all sizes."""
    found = [one for one in found if "own_stages" in one]
    head = ["stage", *(cell for one in found for cell in (f"{one['rows']:,} rows, own GiB at most", "wall s"))]
    names = list(dict.fromkeys(name for one in found for name in one["own_stages"]))
    lines = []
    for name in names:
        line = [name]
        for one in found:
            own, wall = one["own_stages"].get(name), one.get("wall_stages", {}).get(name)
            line += ["–" if own is None else f"{own:.2f}", "–" if wall is None else f"{wall:.0f}"]
        lines.append(line)
    return markdown(head, lines)


def sums(found):
    def line(name, tell):
        cells = [cell for one in found for cell in (tell(one), "", "")]
        return [name, *cells, *(["", ""] if len(found) > 1 else [])]

    return [
        line("sum", lambda one: f"{sum(one['stages'].values()):.1f}"),
        line("wall seconds, the machine shared", lambda one: f"{one['wall_s']:.0f}"),
        line("resident memory at most, mapped files among it, GiB", lambda one: f"{one['peak_gib']:.2f}"),
        line("own memory at most, GiB", lambda one: f"{one['own_gib']:.2f}" if "own_gib" in one else "–"),
        line("and in stage", lambda one: max(own, key=own.get) if (own := one.get("own_stages")) else "–"),
        line("kept", lambda one: f"{one['kept']:,}"),
    ]


def workers_table(found):
    """The same command in this process and on workers, a line each."""
    head = ["prompts", "engine", "wall s, the machine shared", "CPU s here", "CPU s of workers and Ray"]
    head += ["own memory here, GiB", "of the largest process below, GiB", "kept"]
    return markdown(
        head,
        [
            [
                f"{one['rows']:,}",
                f"{one['workers']} on Ray" if one["workers"] else "local",
                f"{one['wall_s']:.0f}",
                f"{sum(one['stages'].values()):.0f}",
                f"{one['below_s']:.0f}" if one["workers"] else "–",
                f"{one['own_gib']:.2f}",
                f"{one['below_gib']:.2f}" if one["workers"] else "–",
                f"{one['kept']:,}",
            ]
            for one in found
        ],
    )


def measure(given, known):
    """What was asked for, added to what is known."""
    for command in given.command or ("filter-prompts", "analyze-prompts"):
        for size in given.rows or [100_000, 1_000_000]:
            for workers in [0, *given.workers] if command == "filter-prompts" else [0]:
                one = in_a_child(__file__, "--child", size, command, workers, threads=given.threads)
                if "failed" in one:
                    sys.exit(f"{command} at {size:,} rows: {one['failed']}")
                known = [old for old in known if which(old) != which(one)] + [one]
                if given.keep:
                    given.keep.write_text(json.dumps(known))
    return known


def which(one):
    """What was measured."""
    return one["rows"], one["command"], one.get("workers", 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", action="append", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", action="append", type=int, default=[])
    parser.add_argument("--command", action="append", choices=("filter-prompts", "analyze-prompts"))
    parser.add_argument("--keep", type=Path, help="a JSON file of earlier measurements, added to")
    parser.add_argument("--show", action="store_true", help="only make the table of what --keep holds")
    parser.add_argument("--note", default="", help="a sentence for the head of the table")
    parser.add_argument("--child", nargs=3, metavar=("ROWS", "COMMAND", "WORKERS"))
    given = parser.parse_args()
    if given.child:
        rows, command, workers = given.child
        print(json.dumps(scale_part(int(rows), command, int(workers))))
        return
    known = json.loads(given.keep.read_text()) if given.keep and given.keep.is_file() else []
    known = sorted(known if given.show else measure(given, known), key=which)
    text = (
        f"# Ten million prompts through the prompt commands\n\n{describe('rensa', 'tokenizers', 'pyarrow', 'scipy')}\n"
    )
    text += f"\n{given.note}\n" if given.note else ""
    for command in ("filter-prompts", "analyze-prompts"):
        if found := [one for one in known if one["command"] == command and not one.get("workers")]:
            text += f"\n## {command}, {given.threads} threads\n\n{scale_table(found)}\n\n{memory_table(found)}\n"
    sizes = {one["rows"] for one in known if one.get("workers")}
    if found := [one for one in known if one["rows"] in sizes and one["command"] == "filter-prompts"]:
        text += f"\n## filter-prompts on workers of Ray\n\n{workers_table(found)}\n"
    write_table("prompts_scale", text)


if __name__ == "__main__":
    main()
