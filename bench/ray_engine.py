"""``--engine ray`` beside the local engine: embedding on one and two workers, and the whole chain through both.

    CURATE_CORPUS=<folder> python bench/ray_engine.py [--rows 100000] [--rounds 3] [--part embed --part chain]

Embedding: so many texts (``--texts`` for the packaged MiniLM, ten times as many for the embedded static model) after a
warm-up, on one and on two workers in turn, each in its own process. Chain: ``filter-prompts``, default policy, with a
reference of 1,000 prompts and the benchmarks, from file to files, in processes of their own; the files must be equal.
Bytes: what the same chain hands to workers and back, weighed as Ray packs it, at 10,000 prompts.
"""

import argparse
import filecmp
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic
from time import process_time as clock

from corpora import corpus, made_prompts
from machine import describe, in_a_child, markdown, peak_gib, write_table
from scale import made

KEPT = Path(tempfile.gettempdir()) / "curate-bench-ray.json"


def embed_part(spec, texts, workers):
    """Seconds to embed texts on so many workers, after one warm-up part each."""
    from curate.prompts.embed import load_embedder
    from curate.prompts.ray_engine import open_ray
    from curate.prompts.store import VectorStore

    prompts = list(dict.fromkeys(made_prompts(int(texts))))
    ref = load_embedder(spec)
    with open_ray(int(workers)) as engine:
        VectorStore(ref, engine=engine)([f"warm {number}" for number in range(2048 * 2 * int(workers))])
        started = monotonic()
        VectorStore(ref, engine=engine)(prompts)
        return {"s": monotonic() - started, "texts": len(prompts)}


def chain_part(folder, engine):
    """The command from file to files; the seconds, and what this process alone used."""
    from curate.cli.main import run_command

    folder = Path(folder)
    more = [part for path in sorted((corpus() / "benchmarks").glob("*.jsonl")) for part in ("--benchmark", path)]
    more += ["--engine", engine, *(["--workers", "2"] if engine == "ray" else [])]
    files = ["-o", folder / f"{engine}.jsonl", "--dropped", folder / f"{engine}-dropped.jsonl"]
    given = ["filter-prompts", folder / "p.jsonl", "--reference", folder / "r.jsonl", *files, *more]
    started, cpu = monotonic(), clock()
    code = run_command([*map(str, given)])
    return {"exit": code, "wall_s": monotonic() - started, "cpu_s": clock() - cpu, "peak_gib": peak_gib()}


class Weighed:
    """The local engine with Ray's parts, which weighs what would travel."""

    rows_a_part, at_once = 4096, 4

    def __init__(self):
        self.there, self.back = Counter(), Counter()

    def map(self, function, parts, *, shared=None):
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


def measure_embedding(given):
    found = {}
    for spec, texts in (("default", 10 * given.texts), ("minilm", given.texts)):
        rounds = []
        for _ in range(given.rounds):
            pair = [in_a_child(__file__, "--child", "embed", spec, texts, workers) for workers in (1, 2)]
            if any("failed" in one for one in pair):
                sys.exit(f"embedding with {spec} failed: {pair}")
            rounds.append((pair[0]["s"], pair[1]["s"]))
            print(spec, rounds[-1], file=sys.stderr, flush=True)
        found[spec] = {"texts": pair[0]["texts"], "rounds": rounds}
    return found


def measure_chain(given):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made(given.rows, folder)
        found = {}
        for engine in ("local", "ray"):
            found[engine] = in_a_child(__file__, "--child", "chain", folder, engine)
            print(engine, found[engine], file=sys.stderr, flush=True)
            if found[engine].get("exit") != 0:
                sys.exit(f"the chain through {engine} failed: {found[engine]}")
        pairs = [("local.jsonl", "ray.jsonl"), ("local-dropped.jsonl", "ray-dropped.jsonl")]
        if not all(filecmp.cmp(folder / one, folder / two, shallow=False) for one, two in pairs):
            sys.exit("the engines differ")
    return {"rows": given.rows, **found}


def measure_bytes(_):
    with tempfile.TemporaryDirectory() as name:
        made(10_000, Path(name))
        return in_a_child(__file__, "--child", "bytes", name)


def embedding_table(found):
    rows = []
    for spec, one in found.items():
        single, double = (statistics.median(pair[place] for pair in one["rounds"]) for place in (0, 1))
        ratios = sorted(pair[0] / pair[1] for pair in one["rounds"])
        ratio = statistics.median(ratios)
        kept = "kept" if ratio >= 1.5 else "**not kept**"
        cells = [f"{one['texts'] / took:,.0f}/s" for took in (single, double)]
        rows.append([spec, f"{one['texts']:,}", *cells, f"{ratio:.2f} × ({ratios[0]:.2f} to {ratios[-1]:.2f})", kept])
    return markdown(["embedder", "texts", "one worker", "two workers", "ratio, median of rounds", "≥ 1.5 ×"], rows)


def chain_table(found):
    rows = [
        [name, f"{one['wall_s']:.0f}", f"{one['cpu_s']:.0f}", f"{one['peak_gib']:.2f}"]
        for name, one in found.items()
        if name != "rows"
    ]
    return markdown(["engine", "wall s", "CPU s of the process itself", "its peak, GiB"], rows)


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
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args()
    if given.child:
        part = {"embed": embed_part, "chain": chain_part, "bytes": bytes_part}[given.child[0]]
        print(json.dumps(part(*given.child[1:])))
        return
    known = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for name in given.part or PARTS:
        known[name] = PARTS[name][0](given)
        KEPT.write_text(json.dumps(known))
    text = f"# Both prompt commands on Ray\n\n{describe('ray', 'pyarrow', 'tokenizers', 'torch')}\n"
    for name, (_, table, title) in PARTS.items():
        if name in known:
            size = known[name].get("rows")
            text += f"\n## {title}{f', {size:,} prompts' if size else ''}\n\n{table(known[name])}\n"
    write_table("ray", text)


if __name__ == "__main__":
    main()
