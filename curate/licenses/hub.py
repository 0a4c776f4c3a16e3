"""Cards from the hub, pinned to a commit; huggingface_hub is imported when the first one is asked for."""

import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import yaml

from curate.errors import HubUnreachable, ModelNotFound
from curate.licenses.card import MAX_BYTES, RawCard
from curate.licenses.names import ModelRef, is_repo_id
from curate.licenses.sources import BESIDE, MAX_BESIDE_BYTES, is_license_file, originals_in

TIMEOUT_S = 15.0
TRIES = 4
MAX_WAIT_S = 60.0
"""A hub that asks for more patience than this has not answered."""
MAX_FILES = 8
PASSING = frozenset({408, 429, 500, 502, 503, 504})
COMMIT = re.compile(r"[0-9a-f]{40}\Z")
SAFE_NAME = re.compile(r"[A-Za-z0-9][\w .()+-]{0,119}\Z", re.ASCII)

Answer = TypeVar("Answer")


class Hub:
    """A ``CardSource`` over huggingface_hub; ``HF_ENDPOINT``, ``HF_TOKEN`` and the hub's own cache hold as ever.

    Whatever the hub cannot answer now (no network, time-outs, 429, 5xx, answers cut short) is asked again a few times,
    as long as ``Retry-After`` says, and is then ``HubUnreachable``: never a card, and so never a verdict.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        cache: str | None = None,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.token = token
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.cache, self.timeout_s, self.tries, self.sleep = cache, timeout_s, tries, sleep
        self.api: Any = None
        self.is_silent = False
        """Nobody answered at all once: what is asked next is not asked twice."""

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card at the asked revision, and the commit that revision stands for.

        A gated repository gives what the hub tells of it in the open; the card then says that it was withheld.

        Raises:
            HubUnreachable: no network, a server error, or an answer that cannot be understood.
            ModelNotFound: the repository is there, but not the revision, or the hub has closed it.
        """
        from huggingface_hub import errors

        if ref.kind == "api" or ref.folder or not is_repo_id(ref.name):
            return None
        prefix = "datasets/" if ref.kind == "dataset" else ""
        address = f"{self.endpoint}/{prefix}{ref.name}"
        try:
            info = self._patiently(ref, partial(self._info, ref))
        except errors.GatedRepoError:
            return RawCard(address, b"", gated="manual", withheld=True)
        except errors.RevisionNotFoundError as error:
            raise ModelNotFound(f"{ref}: no revision {ref.revision!r} on the hub") from error
        except (errors.RepositoryNotFoundError, errors.HFValidationError):
            return None
        except errors.DisabledRepoError as error:
            raise ModelNotFound(f"{ref}: the hub has closed this repository") from error
        commit = str(info.sha)
        files, withheld = self._files(ref, commit, info)
        content = files.pop("README.md", b"")
        where = f"{address}/blob/{commit}/README.md"
        if withheld and not content:
            content = _front_matter(info)
            where = f"{self.endpoint}/api/{ref.kind}s/{ref.name}/revision/{commit}"
        texts = {name: text.decode("utf-8", "replace") for name, text in files.items()}
        tags = tuple(str(tag) for tag in info.tags or ())
        gated = "" if not info.gated else "auto" if info.gated == "auto" else "manual"
        return RawCard(where, content, commit, texts, tags, gated, withheld, originals_in(files))

    def _info(self, ref: ModelRef) -> Any:  # noqa: ANN401 – huggingface_hub's ModelInfo or DatasetInfo
        """What the hub says of a repository, checked to be whole."""
        from huggingface_hub import HfApi, errors

        self.api = self.api or HfApi(endpoint=self.endpoint, token=self.token)
        ask = self.api.dataset_info if ref.kind == "dataset" else self.api.model_info
        try:
            info = ask(ref.name, revision=ref.revision or None, timeout=self.timeout_s)
        except errors.HfHubHTTPError as error:
            if _status(error) == 401 and not _is_wrong_token(error):  # as the hub answers for what it does not show
                raise errors.RepositoryNotFoundError(str(error), response=error.response) from error
            raise
        if not COMMIT.match(str(info.sha)):
            raise ValueError("the answer names no commit")
        return info

    def _files(self, ref: ModelRef, commit: str, info: Any) -> tuple[dict[str, bytes], bool]:  # noqa: ANN401
        """Card, license and configuration files at a commit, and whether the hub withheld any."""
        from huggingface_hub import errors

        listed = [str(file.rfilename) for file in info.siblings or ()]
        beside = [
            name for name in listed if SAFE_NAME.match(name) and (name.lower() in BESIDE or is_license_file(name))
        ]
        wanted = ["README.md"] if "README.md" in listed or not listed else []
        files: dict[str, bytes] = {}
        withheld = False
        for name in [*wanted, *beside[:MAX_FILES]]:
            try:
                files[name] = self._patiently(ref, partial(self._file, ref, commit, name))
            except errors.RepositoryNotFoundError:  # gated, or closed to this token: the repository itself was there
                withheld = True
            except errors.RemoteEntryNotFoundError:
                continue
        return files, withheld

    def _file(self, ref: ModelRef, commit: str, name: str) -> bytes:
        """One file at a commit, through the hub's cache."""
        path = self.api.hf_hub_download(
            ref.name, name, revision=commit, repo_type="dataset" if ref.kind == "dataset" else None,
            cache_dir=self.cache, etag_timeout=self.timeout_s,
        )  # fmt: skip
        with open(path, "rb") as stream:  # noqa: PTH123 – huggingface_hub returns a string
            return stream.read(MAX_BYTES + 1 if name == "README.md" else MAX_BESIDE_BYTES)

    def _patiently(self, ref: ModelRef, ask: Callable[[], Answer]) -> Answer:
        """The answer, asked for again while the trouble looks passing."""
        from huggingface_hub import errors

        told = (
            errors.GatedRepoError, errors.RevisionNotFoundError, errors.RepositoryNotFoundError,
            errors.HFValidationError, errors.DisabledRepoError, errors.RemoteEntryNotFoundError,
        )  # fmt: skip
        broken = (errors.HTTPError, errors.FileMetadataError, OSError, ValueError, KeyError, TypeError, AttributeError)
        for attempt in range(self.tries):
            try:
                return ask()
            except told:
                raise
            except broken as error:
                wait_s = _wait_s(error, attempt)
                silent = _status(error) is None
                last = attempt + 1 == self.tries or wait_s is None or wait_s > MAX_WAIT_S
                if last or (silent and self.is_silent):
                    self.is_silent = self.is_silent or silent
                    raise _unreachable(ref, self.endpoint, error) from error
                self.sleep(wait_s or 0.0)
        raise AssertionError("the last try returns or raises")


def _front_matter(info: Any) -> bytes:  # noqa: ANN401 – huggingface_hub's ModelInfo or DatasetInfo
    """The metadata that the hub shows of a card it does not hand out, as front matter."""
    data = info.card_data.to_dict() if info.card_data is not None else {}
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=True) if data else ""
    return f"---\n{text}---\n".encode() if text else b""


def _response(error: BaseException) -> Any:  # noqa: ANN401 – the HTTP library's own response
    """The hub's response behind an error, however deep it lies."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return None
        response = getattr(seen, "response", None)
        if response is not None:
            return response
        seen = seen.__cause__ or seen.__context__
    return None


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error."""
    status = getattr(_response(error), "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _is_wrong_token(error: BaseException) -> bool:
    """Whether the hub refused the token itself."""
    headers = getattr(_response(error), "headers", None) or {}
    return str(headers.get("X-Error-Message", "")).startswith("Invalid credentials")


def _wait_s(error: BaseException, attempt: int) -> float | None:
    """How long to wait before asking again; None if asking again is no use."""
    status = _status(error)
    if status is not None and status not in PASSING:
        return None
    headers = getattr(_response(error), "headers", None) or {}
    asked = re.match(r"\s*(\d+)\s*\Z", str(headers.get("Retry-After", ""))) or re.search(
        r"\bt=(\d+)", str(headers.get("RateLimit", ""))
    )
    return float(asked[1]) if asked else 0.5 * 2.0**attempt


def _unreachable(ref: ModelRef, endpoint: str, error: Exception) -> HubUnreachable:
    """One line on why the hub gave nothing."""
    status = _status(error)
    reason = f"HTTP {status}" if status else type(error).__name__
    hint = "check HF_TOKEN" if status in (401, 403) else "try again later, or give --cards DIR or --offline"
    return HubUnreachable(f"{ref}: {endpoint} gave no answer ({reason})", hint=hint)
