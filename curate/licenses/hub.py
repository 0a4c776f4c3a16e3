"""Cards from the hub, pinned to a commit; huggingface_hub is imported when the first one is asked for."""

import os
from typing import Any

from curate.errors import HubUnreachable, ModelNotFound
from curate.licenses.card import MAX_BYTES, RawCard
from curate.licenses.names import ModelRef, is_repo_id
from curate.licenses.sources import BESIDE, MAX_BESIDE_BYTES, is_license_file

TIMEOUT_S = 15.0
MAX_FILES = 8


class Hub:
    """A ``CardSource`` over huggingface_hub; ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` hold as ever."""

    def __init__(self, *, token: str | None = None, endpoint: str | None = None) -> None:
        self.token = token
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.api: Any = None

    def fetch(self, ref: ModelRef) -> RawCard | None:
        """The card at the asked revision, and the commit that revision stands for.

        Raises:
            HubUnreachable: no network, a server error, or an answer that cannot be understood.
            ModelNotFound: the repository is there, but not the revision.
        """
        if ref.kind == "api" or ref.folder or not is_repo_id(ref.name):
            return None
        info = self._info(ref)
        if info is None:
            return None
        commit = str(info.sha or "")
        names = [str(file.rfilename) for file in info.siblings or () if "/" not in file.rfilename]
        readme = self._file(ref, commit, "README.md", MAX_BYTES) if "README.md" in names or not names else b""
        wanted = [name for name in names if name.lower() in BESIDE or is_license_file(name)][:MAX_FILES]
        files = {}
        for name in wanted:
            content = self._file(ref, commit, name, MAX_BESIDE_BYTES)
            if content is not None:
                files[name] = content.decode("utf-8", "replace")
        prefix = "datasets/" if ref.kind == "dataset" else ""
        where = f"{self.endpoint}/{prefix}{ref.name}/blob/{commit}/README.md"
        tags = tuple(str(tag) for tag in info.tags or ())
        return RawCard(where, readme or b"", commit, files, tags)

    def _info(self, ref: ModelRef) -> Any:  # noqa: ANN401 – huggingface_hub's ModelInfo or DatasetInfo
        """What the hub says of a repository; None if it knows none of that name."""
        from huggingface_hub import HfApi, errors

        self.api = self.api or HfApi(endpoint=self.endpoint, token=self.token)
        ask = self.api.dataset_info if ref.kind == "dataset" else self.api.model_info
        try:
            return ask(ref.name, revision=ref.revision or None, timeout=TIMEOUT_S)
        except errors.RevisionNotFoundError as error:
            raise ModelNotFound(f"{ref}: no revision {ref.revision!r} on the hub") from error
        except (errors.RepositoryNotFoundError, errors.HFValidationError):
            return None
        except (
            errors.HfHubHTTPError,
            errors.OfflineModeIsEnabled,
            errors.HTTPError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            raise _unreachable(ref, self.endpoint, error) from error

    def _file(self, ref: ModelRef, commit: str, name: str, limit: int) -> bytes | None:
        """One file at a commit, through the hub's cache; None if it is not there or gated."""
        from huggingface_hub import errors

        try:
            path = self.api.hf_hub_download(
                ref.name, name, revision=commit or None, repo_type="dataset" if ref.kind == "dataset" else None,
                etag_timeout=TIMEOUT_S,
            )  # fmt: skip
            with open(path, "rb") as stream:  # noqa: PTH123 – huggingface_hub returns a string
                return stream.read(limit)
        except (errors.EntryNotFoundError, errors.GatedRepoError) as absent:
            if isinstance(absent, errors.LocalEntryNotFoundError):
                raise _unreachable(ref, self.endpoint, absent) from absent
            return None
        except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, errors.HTTPError, OSError, ValueError) as error:
            raise _unreachable(ref, self.endpoint, error) from error


def _unreachable(ref: ModelRef, endpoint: str, error: Exception) -> HubUnreachable:
    """One line on why the hub gave nothing."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = f"HTTP {status}" if status else type(error).__name__
    return HubUnreachable(
        f"{ref}: {endpoint} gave no answer ({reason})", hint="try again later, or give --cards DIR or --offline"
    )
