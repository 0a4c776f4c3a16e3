"""The policy file as a whole, and how one is found and read."""

from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr, ValidationError

from curate.artifact import Artifact, first_problem
from curate.errors import PolicyError
from curate.policy.organisation import Organisation
from curate.policy.prompts import PromptPolicy
from curate.policy.teachers import LicensePolicy
from curate.policy.waivers import Waiver
from curate.safeyaml import line_of, read_yaml


class Policy(Artifact):
    """What this organisation accepts; every decision names the one it was made under, by digest."""

    kind: Literal["curate/policy@1"] = "curate/policy@1"
    name: str
    description: str = ""
    organisation: Organisation = Organisation()
    """Who asks; licenses answer differently to different askers."""
    licenses: LicensePolicy
    prompts: PromptPolicy = PromptPolicy()
    catalogue: str = ""
    """A folder with the organisation's own facts, relative to this file."""
    waivable_denials: tuple[str, ...] = ()
    """Rules whose denials a waiver may lift; everything else stays denied whoever signs."""
    waivers: tuple[Waiver, ...] = Field(default=())
    _file: Path | None = PrivateAttr(default=None)

    def catalogue_folder(self) -> Path | None:
        """Where the organisation's own facts lie; None if the policy names no folder."""
        if not self.catalogue:
            return None
        return (self._file.parent if self._file else Path()) / self.catalogue

    def read_from(self, path: Path) -> Self:
        """The same policy, which knows the file its paths are relative to; the digest does not depend on it."""
        self._file = path.resolve()
        return self


def policies_folder() -> Path:
    """The shipped policies: ``policies/`` in a checkout, ``curate/_policies`` in an installed wheel."""
    package = Path(str(files("curate")))
    installed = package / "_policies"
    return installed if installed.is_dir() else package.parent / "policies"


def policy_names() -> list[str]:
    """Names of the shipped policies."""
    return sorted(path.stem for path in policies_folder().glob("*.yaml"))


def load_policy(name: str) -> Policy:
    """Load a shipped policy by name, or a policy file by its path.

    Raises:
        PolicyError: no such policy, or the file is not a valid one (file, line or field, and why).
    """
    shipped = policies_folder() / f"{name}.yaml"
    path = shipped if name in policy_names() else Path(name)
    if not path.exists():
        raise PolicyError(f"no policy called {name!r}", hint=f"shipped: {', '.join(policy_names())}; or give a file")
    return read_policy(path)


def read_policy(path: Path) -> Policy:
    """Read and validate one policy file."""
    payload = read_yaml(path, error=PolicyError)
    if not isinstance(payload, dict):
        raise PolicyError(f"{path}: not a policy: a mapping is expected", hint="compare with policies/default.yaml")
    if "kind" in payload:
        raise PolicyError(f"{path}: kind: is set by curate, not in the file", hint="leave it out")
    try:
        return Policy.model_validate({"name": path.stem, **payload}).read_from(path)
    except ValidationError as error:
        line = line_of(path.read_text(encoding="utf-8-sig"), error.errors()[0]["loc"])
        raise PolicyError(f"{path}:{line}: {first_problem(error)}", hint="see docs/policies.md") from error
