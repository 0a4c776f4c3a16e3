"""Embedding with the static model on two workers: plain tasks, as curate does it, or Ray Data's ``map_batches``.

    CURATE_CORPUS=<folder> python bench/ray_data.py tasks|data [--texts 80000]

Prints seconds, CPU seconds of this process and of all below it, and whether the vectors are those of this process.
"""

import argparse
import logging
from time import monotonic
from time import process_time as clock

import numpy as np
from corpora import made_prompts
from ray_engine import Below, warmed


class Encoder:
    """An actor with the embedder."""

    def __init__(self):
        from curate.prompts.embed import load_embedder

        self.embedder = load_embedder("default")

    def __call__(self, batch):
        return {"row": batch["row"], "vector": self.embedder.encode([str(text) for text in batch["text"]])}


def through_ray_data(texts):
    """The vectors, by actors of Ray Data, in blocks of 2,048 texts."""
    import pyarrow as pa
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.execution_options.preserve_order = False, True
    table = pa.table({"text": texts, "row": np.arange(len(texts))})
    blocks = ray.data.from_arrow([table.slice(start, 2048) for start in range(0, len(texts), 2048)])
    encoded = blocks.map_batches(Encoder, batch_size=2048, concurrency=2, num_cpus=1, zero_copy_batch=True)
    out = np.zeros((len(texts), 256), dtype=np.float32)
    for batch in encoded.iter_batches(batch_size=None):
        out[batch["row"]] = batch["vector"]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("by", choices=("tasks", "data"))
    parser.add_argument("--texts", type=int, default=80_000)
    given = parser.parse_args()
    from curate.prompts.embed import load_embedder
    from curate.prompts.ray_engine import open_ray
    from curate.prompts.store import VectorStore

    texts, embedder = list(dict.fromkeys(made_prompts(given.texts))), load_embedder("default")
    with open_ray(2) as engine, Below() as below:
        if given.by == "tasks":
            warmed(engine, "default", 2)
        else:
            through_ray_data(texts[:4096])
        before, cpu, started = below.look(), clock(), monotonic()
        found = VectorStore(embedder, engine=engine)(texts) if given.by == "tasks" else through_ray_data(texts)
        took, cpu = monotonic() - started, clock() - cpu
        same = np.array_equal(found, embedder.encode(texts))
        used = f"{cpu:.2f} + {below.look() - before:.2f}"
        print(f"{given.by}: {len(texts):,} texts, {took:.1f} s, CPU s {used}, same: {same}")


if __name__ == "__main__":
    main()
