"""Models from a folder or the hub into memory: in which numbers, and on which devices."""

import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

from curate.distillation.config import LoadingConfig
from curate.distillation.sides import is_seq2seq
from curate.distillation.world import World
from curate.errors import ConfigError, CurateError, HubUnreachable, MissingExtra, ModelNotFound, UnavailableError
from curate.gate import is_path

log = logging.getLogger(__name__)
STORED = "_curate_stored_dtype"
"""The attribute under which a loaded model remembers the floating type it is stored in."""
PLACED = "_curate_placed"
"""The attribute under which a loaded model remembers that it lies where it was told to."""


def load_model(
    ref: str, revision: str = "", *, offline: bool = False, loading: LoadingConfig | None = None
) -> tuple[Any, Any]:
    """``(model, tokenizer)`` from a folder or the hub, causal or with an encoder; code from the hub is never run.

    Args:
        ref: a folder, or a name on the hub.
        revision: a commit on the hub.
        offline: keep to what the hub's cache on this machine holds.
        loading: in which numbers, and on which devices; fp32 on a CPU unless told otherwise.

    Raises:
        ModelNotFound, HubUnreachable, ConfigError: there is no such model, or it cannot be had or loaded.
        UnavailableError: bitsandbytes or accelerate is needed and not installed, or the model does not fit the devices.
    """
    torch, transformers = load_libraries()
    folder = Path(ref)
    if not folder.is_dir() and (is_path(ref) or ref.count("/") > 1):
        raise ModelNotFound(f"{ref}: no such folder", hint="check the path")
    options: dict[str, Any] = {} if folder.is_dir() else {"revision": revision or None}
    options["local_files_only"] = offline or folder.is_dir()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(ref, **options)
        settings = transformers.AutoConfig.from_pretrained(ref, **options)
        stored = getattr(settings, "dtype", None) or torch.float32
        kind = transformers.AutoModelForSeq2SeqLM if is_seq2seq(settings) else transformers.AutoModelForCausalLM
        placing = choose_placing(loading or LoadingConfig(), stored)
        model = kind.from_pretrained(ref, **placing, **options)
    except (OSError, ValueError) as error:
        raise explain_failure(ref, error, local=folder.is_dir()) from error
    setattr(model, STORED, stored)
    setattr(model, PLACED, "device_map" in placing)
    if any(tensor.is_meta for tensor in model.parameters()):
        raise UnavailableError(
            f"{ref}: does not fit the memory of these devices, and weights on a disk are too slow to teach",
            hint="set loading.quantize to 8bit or 4bit, or use larger devices",
        )
    return model, tokenizer


def choose_placing(loading: LoadingConfig, stored: Any) -> dict[str, Any]:  # noqa: ANN401 – a torch dtype
    """Options of ``from_pretrained`` for the numbers and devices that are asked for."""
    import torch

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "auto": stored}
    options: dict[str, Any] = {"dtype": dtypes[loading.dtype]}
    if loading.device_map:
        _need("accelerate")
        options["device_map"] = {"": loading.device_map} if loading.device_map == "cpu" else loading.device_map
    if loading.quantize:
        _need("bitsandbytes")
        from transformers import BitsAndBytesConfig

        if torch.cuda.is_available():
            options.setdefault("device_map", {"": torch.cuda.current_device()})
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_8bit=loading.quantize == "8bit",
            load_in_4bit=loading.quantize == "4bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return options


def check_world(world: World, loading: LoadingConfig) -> None:
    """Refuse a teacher that every one of several processes would spread over the same devices."""
    if world.size > 1 and loading.device_map not in ("", "cpu"):
        raise ConfigError(
            f"loading.device_map: each of {world.size} processes would spread a teacher over all devices",
            hint="run one process, or load the teacher whole in each: set loading.quantize or loading.dtype instead",
        )


def _need(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise UnavailableError(f"loading: {library} is not installed", hint=f"run: pip install {library}")


def find_start(model: Any) -> int | None:  # noqa: ANN401
    """The token from which the decoder of a model with an encoder starts; None for a causal model.

    Raises:
        ConfigError: the model does not tell.
    """
    if not is_seq2seq(model.config):
        return None
    places = (getattr(model, "generation_config", None), model.config)
    for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
        if (
            found := next((value for place in places if (value := getattr(place, name, None)) is not None), None)
        ) is not None:
            return int(found)
    raise ConfigError(
        f"a {model.config.model_type} model does not tell from which token its decoder starts",
        hint="set decoder_start_token_id in its config.json",
    )


def place_model(model: Any, device: str) -> None:  # noqa: ANN401
    """Move a model to a device, unless loading has placed it already."""
    if not getattr(model, PLACED, False) and not getattr(model, "is_quantized", False):
        model.to(device)


def load_libraries() -> tuple[Any, Any]:
    """The libraries, made quiet, or the extra that brings them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "distill") from error
    transformers.logging.set_verbosity_error()
    if not log.isEnabledFor(logging.DEBUG):
        transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def explain_failure(ref: str, error: Exception, *, local: bool) -> CurateError:
    """What a failed load is called here."""
    text = " ".join(str(error).split())
    short = text[:200]
    if local:
        return ModelNotFound(f"{ref}: cannot be loaded as a language model: {short}", hint="check the folder")
    if "trust_remote_code" in text:
        return ConfigError(f"{ref}: needs code from the hub, which is never run", hint="choose another model")
    if "gated" in text or "401" in text:
        return ModelNotFound(f"{ref}: the hub does not hand it out: {short}", hint="ask for access and set HF_TOKEN")
    offline = os.environ.get("HF_HUB_OFFLINE") or "couldn't connect" in text.lower() or "offline" in text.lower()
    if offline:
        return HubUnreachable(
            f"{ref}: not on this machine, and the hub does not answer",
            hint="connect, or give a folder with the weights",
        )
    if isinstance(error, OSError):
        return ModelNotFound(f"{ref}: {short}", hint="check the name, or give a folder with the weights")
    return ConfigError(f"{ref}: not a language model that can be loaded: {short}", hint="choose another model")
