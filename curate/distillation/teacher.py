"""A teacher in memory: only from a ticket that was opened, never from a name."""

import importlib.resources
import logging
import os
from pathlib import Path
from typing import Any

from curate.artifact import sha256_folder
from curate.errors import ConfigError, CurateError, HubUnreachable, MissingExtra, ModelNotFound, TamperedError
from curate.gate import ApprovedTeacher

log = logging.getLogger(__name__)
EMBEDDED = "embedded"
STORED = "_curate_stored_dtype"
"""The attribute under which a loaded model remembers the floating type it is stored in."""


def load_teacher(ticket: ApprovedTeacher, root: Path, *, offline: bool = False) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of an approved teacher: frozen, in fp32, in evaluation mode.

    Raises:
        TamperedError: the decision or the weights are not those that were approved.
        ModelNotFound, HubUnreachable: the weights cannot be had.
        ConfigError: a hosted route, which has no weights.
    """
    ticket.open(root)
    model, tokenizer = load_model(find_weights(ticket), ticket.revision, offline=offline)
    return model.eval().requires_grad_(False), tokenizer


def find_weights(ticket: ApprovedTeacher) -> str:
    """Where the weights lie: a folder, or a name on the hub."""
    if ticket.location:
        return ticket.location
    if ticket.ref.startswith("api:"):
        raise ConfigError(
            f"{ticket.ref}: a hosted model has no weights to read", hint="choose a teacher with open weights"
        )
    if ticket.ref != EMBEDDED:
        return ticket.ref
    folder = embedded_folder()
    if ticket.content_sha256 and sha256_folder(folder) != ticket.content_sha256:
        raise TamperedError(f"{folder}: the teacher's files are not those that were approved")
    return str(folder)


def embedded_folder() -> Path:
    """The teacher that ships with curate."""
    folder = Path(str(importlib.resources.files("curate"))) / "embedded" / "intent_teacher"
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder}: the embedded teacher is not there", hint="reinstall curate")
    return folder


def load_model(ref: str, revision: str = "", *, offline: bool = False) -> tuple[Any, Any]:
    """``(model, tokenizer)`` from a folder or the hub, in fp32; custom code from the hub is never run.

    ``offline`` keeps to what the hub's cache on this machine holds.
    """
    torch, transformers = load_libraries()
    folder = Path(ref)
    if not folder.is_dir() and (ref.startswith((".", "/", "~")) or ref.count("/") > 1):
        raise ModelNotFound(f"{ref}: no such folder", hint="check the path")
    options: dict[str, Any] = {} if folder.is_dir() else {"revision": revision or None}
    options["local_files_only"] = offline or folder.is_dir()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(ref, **options)
        settings = transformers.AutoConfig.from_pretrained(ref, **options)
        stored = getattr(settings, "dtype", None) or torch.float32
        model = transformers.AutoModelForCausalLM.from_pretrained(ref, dtype=torch.float32, **options)
    except (OSError, ValueError) as error:
        raise explain_failure(ref, error, local=folder.is_dir()) from error
    setattr(model, STORED, stored)
    return model, tokenizer


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
        return ModelNotFound(f"{ref}: cannot be loaded as a causal language model: {short}", hint="check the folder")
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
    return ConfigError(f"{ref}: not a causal language model that can be loaded: {short}", hint="choose another model")
