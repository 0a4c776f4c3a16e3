"""A teacher in memory: only from a ticket that was opened, never from a name."""

import importlib.resources
from pathlib import Path
from typing import Any

from curate.artifact import sha256_folder
from curate.distillation.config import LoadingConfig
from curate.distillation.loading import load_model
from curate.errors import ConfigError, ModelNotFound, TamperedError
from curate.gate import ApprovedTeacher

EMBEDDED = "embedded"


def load_teacher(
    ticket: ApprovedTeacher, root: Path, *, offline: bool = False, loading: LoadingConfig | None = None
) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of an approved teacher: frozen, in evaluation mode, and in fp32 unless told otherwise.

    Raises:
        TamperedError: the decision or the weights are not those that were approved.
        ModelNotFound, HubUnreachable: the weights cannot be had.
        ConfigError: a hosted route, which has no weights.
    """
    ticket.open(root)
    model, tokenizer = load_model(find_weights(ticket), ticket.revision, offline=offline, loading=loading)
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
