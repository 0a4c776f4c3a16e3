"""The shipped catalogue as plain values: read from YAML once, then kept beside it, as Python keeps its byte code.

What is kept is named by the digest of the files it was read from, so that it never outlives a change in them.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "catalogue"


@lru_cache(maxsize=1)
def shipped_documents() -> tuple[dict[str, Any], str]:
    """Every file by its stem, and the digest of them all."""
    digest = hashlib.sha256()
    contents: dict[str, bytes] = {}
    for path in sorted(FOLDER.rglob("*.yaml")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(FOLDER).as_posix()}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        contents[path.stem] = content
    kept = FOLDER / "__pycache__" / f"{digest.hexdigest()}.json"
    documents = _kept(kept)
    if documents is None:
        documents = _parsed(contents)
        _keep(documents, kept)
    return documents, digest.hexdigest()


def _kept(path: Path) -> dict[str, Any] | None:
    """What was read before; None if nothing was, or it is broken."""
    try:
        documents = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return documents if isinstance(documents, dict) else None


def _parsed(contents: dict[str, bytes]) -> dict[str, Any]:
    """The files as plain values; days stay text."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = {stem: yaml.load(content, Loader=loader) for stem, content in contents.items()}  # noqa: S506 – safe
    plain: dict[str, Any] = json.loads(json.dumps(documents, default=str))
    return plain


def _keep(documents: dict[str, Any], path: Path) -> None:
    """Write it whole or not at all; a folder that cannot be written to is no error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        for old in path.parent.glob("*.json"):
            old.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, suffix=".part", delete=False) as stream:
            stream.write(json.dumps(documents).encode())
        os.replace(stream.name, path)  # noqa: PTH105 – the name is text
