"""``--engine ray`` beside the local engine: embedding on one and two workers, and the whole chain through both.

    CURATE_CORPUS=<folder> python bench/ray_engine.py [--rows 100000] [--rounds 3] [--part embed --part chain]
        [--spec minilm]

Embedding: so many texts (``--texts`` for the packaged MiniLM, ten times as many for the embedded static model) once
every worker has its embedder, on one and on two workers in turn, each in its own process. Chain: ``filter-prompts``,
default policy, with a reference of 1,000 prompts and the benchmarks, from file to files, through both engines in turn,
in processes of their own; the files must be equal. CPU seconds are of this process and of all below it, Ray's own too.
Bytes: what the same chain hands to workers and back, weighed as Ray packs it, at 10,000 prompts.
"""

import argparse
import filecmp
import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic, sleep
from time import process_time as clock

from corpora import corpus, made_prompts
from machine import Below, describe, in_a_child, markdown, peak_gib, write_table
from scale import made

KEPT = Path(tempfile.gettempdir()) / "curate-bench-ray.json"


def warm(spec, seconds):
    """In a worker: its embedder is loaded, and it stays busy so long that the others get a part each."""
    from curate.prompts.store import embedder_of

    embedder_of(spec).encode([f"warm {number}" for number in range(256)])
    sleep(seconds)
    return os.getpid()


def warmed(engine, spec, workers):
    """Give every worker a part, again until as many have answered as there are."""
    for seconds in (1, 3, 9, 27):
        if len(set(engine.map(warm, ((seconds,) for _ in range(workers)), shared=spec))) == workers:
            return
    sys.exit(f"not {workers} workers")


def embed_part(spec, texts, workers):
    """Seconds to embed texts on so many workers that are warm."""
    from curate.prompts.embed import load_embedder
    from curate.prompts.ray_engine import open_ray
    from curate.prompts.store import VectorStore

    prompts = list(dict.fromkeys(made_prompts(int(texts))))
    ref = load_embedder(spec)
    with open_ray(int(workers)) as engine, Below() as below:
        warmed(engine, ref.ref.spec, int(workers))
        before, cpu, started = below.look(), clock(), monotonic()
        VectorStore(ref, engine=engine)(prompts)
        took, cpu = monotonic() - started, clock() - cpu
        return {"s": took, "cpu_s": cpu, "below_s": below.look() - before, "texts": len(prompts)}


def chain_part(folder, engine):
    """The command from file to files; the seconds, and what this process and those below it used."""
    from curate.cli.main import run_command

    folder = Path(folder)
    more = [part for path in sorted((corpus() / "benchmarks").glob("*.jsonl")) for part in ("--benchmark", path)]
    more += ["--engine", engine, *(["--workers", "2"] if engine == "ray" else [])]
    files = ["-o", folder / f"{engine}.jsonl", "--dropped", folder / f"{engine}-dropped.jsonl"]
    given = ["filter-prompts", folder / "p.jsonl", "--reference", folder / "r.jsonl", *files, *more]
    with Below() as below:
        started, cpu = monotonic(), clock()
        code = run_command([*map(str, given)])
        took, cpu = monotonic() - started, clock() - cpu
        return {"exit": code, "wall_s": took, "cpu_s": cpu, "below_s": below.look(), "peak_gib": peak_gib()}


class Weighed:
    """The local engine with Ray's parts, which weighs what would travel."""

    rows_a_part, at_once = 4096, 4

    def __init__(self):
        self.there, self.back = Counter(), Counter()

    def map(self, function, parts, *, shared=None, **_):
        from ray import cloudpickle

        name = getattr(shared, "__name__", None) or function.__name__
        for part in parts:
            found = function(shared, *part)
            self.there[name] += len(cloudpickle.dumps(part))
            self.back[name] += len(cloudpickle.dumps(found))
            yield found


def bytes_part(folder):
    """Bytes that travel, by function."""
    from curate.licenses.rows import row_judge
    from curate.policy import load_policy
    from curate.prompts.embed import load_embedder
    from curate.prompts.filters import filter_prompts
    from curate.prompts.reading import read_prompts
    from curate.prompts.store import VectorStore

    engine, policy = Weighed(), load_policy("default")
    prompts, reference = read_prompts(Path(folder) / "p.jsonl"), read_prompts(Path(folder) / "r.jsonl")
    filter_prompts(
        prompts,
        chain=policy.prompts.filters,
        reference=reference,
        benchmarks=[read_prompts(path) for path in sorted((corpus() / "benchmarks").glob("*.jsonl"))],
        judge=row_judge(policy),
        store=VectorStore(load_embedder("default"), engine=engine),
        engine=engine,
    )
    size = sum(len(text.encode()) for text in prompts.texts) / len(prompts)
    return {"rows": len(prompts), "text": size, "there": dict(engine.there), "back": dict(engine.back)}


def measure_embedding(given, known):
    found = {spec: one for spec, one in known.items() if spec not in given.spec}
    for spec in given.spec:
        rounds = []
        texts = given.texts * (10 if spec == "default" else 1)
        for _ in range(given.rounds):
            pair = [in_a_child(__file__, "--child", "embed", spec, texts, workers) for workers in (1, 2)]
            if any("failed" in one for one in pair):
                sys.exit(f"embedding with {spec} failed: {pair}")
            rounds.append(pair)
            print(spec, pair, file=sys.stderr, flush=True)
        found[spec] = rounds
    return found


def measure_chain(given, _):
    with tempfile.TemporaryDirectory() as name:
        folder, rounds = Path(name), []
        made(given.rows, folder)
        for _ in range(given.rounds):
            one = {engine: in_a_child(__file__, "--child", "chain", folder, engine) for engine in ("local", "ray")}
            print(one, file=sys.stderr, flush=True)
            if any(found.get("exit") != 0 for found in one.values()):
                sys.exit(f"the chain failed: {one}")
            pairs = [("local.jsonl", "ray.jsonl"), ("local-dropped.jsonl", "ray-dropped.jsonl")]
            if not all(filecmp.cmp(folder / here, folder / there, shallow=False) for here, there in pairs):
                sys.exit("the engines differ")
            rounds.append(one)
    return {"rows": given.rows, "rounds": rounds}


def measure_bytes(*_):
    with tempfile.TemporaryDirectory() as name:
        made(10_000, Path(name))
        return in_a_child(__file__, "--child", "bytes", name)


def middle(rounds, name):
    return statistics.median(one[name] for one in rounds)


def embedding_table(found):
    rows = []
    for spec, rounds in found.items():
        ratios = sorted(one["s"] / two["s"] for one, two in rounds)
        ratio, texts = statistics.median(ratios), rounds[0][0]["texts"]
        cells = []
        for alike in zip(*rounds, strict=True):
            cells += [f"{middle(alike, 's'):.2f}", f"{middle(alike, 'cpu_s'):.2f} + {middle(alike, 'below_s'):.2f}"]
        kept = "kept" if ratio >= 1.5 else "**not kept**"
        rows.append([spec, f"{texts:,}", *cells, f"{ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", kept])
    head = ["embedder", "texts", "one worker, s", "CPU s, driver + workers", "two workers, s", "CPU s"]
    return markdown([*head, "times as fast, median of rounds", "≥ 1.5"], rows)


def chain_table(found):
    rows = []
    for engine in ("local", "ray"):
        alike = [one[engine] for one in found["rounds"]]
        walls = [one["wall_s"] for one in alike]
        cells = [f"{middle(alike, name):.0f}" for name in ("wall_s", "cpu_s", "below_s")]
        cells[0] += f" ({min(walls):.0f} to {max(walls):.0f})"
        rows.append([engine, *cells, f"{middle(alike, 'peak_gib'):.2f}"])
    return markdown(["engine", "wall s", "CPU s of the process itself", "CPU s below it", "its peak, GiB"], rows)


def bytes_table(found):
    rows = [
        [name, f"{found['there'][name] / found['rows']:,.0f}", f"{found['back'][name] / found['rows']:,.0f}"]
        for name in found["there"]
    ]
    both = [sum(found[way].values()) / found["rows"] for way in ("there", "back")]
    rows.append(["sum", *(f"{one:,.0f}" for one in both)])
    return markdown(["function on the workers", "bytes a prompt there", "bytes a prompt back"], rows)


PARTS = {
    "embed": (measure_embedding, embedding_table, "Embedding on one and two workers"),
    "chain": (measure_chain, chain_table, "The whole chain, file to files, one thread, two workers"),
    "bytes": (measure_bytes, bytes_table, "What travels"),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--texts", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--spec", action="append", choices=("default", "minilm"))
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args()
    if given.child:
        part = {"embed": embed_part, "chain": chain_part, "bytes": bytes_part}[given.child[0]]
        print(json.dumps(part(*given.child[1:])))
        return
    given.spec = given.spec or ["default", "minilm"]
    known = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for name in given.part or PARTS:
        known[name] = PARTS[name][0](given, known.get(name, {}))
        KEPT.write_text(json.dumps(known))
    text = f"# Both prompt commands on Ray\n\n{describe('ray', 'pyarrow', 'tokenizers', 'torch')}\n"
    for name, (_, table, title) in PARTS.items():
        if name in known:
            size = known[name].get("rows")
            text += f"\n## {title}{f', {size:,} prompts' if size else ''}\n\n{table(known[name])}\n"
    write_table("ray", text)


if __name__ == "__main__":
    main()
