"""Every error a user can cause or meet, and the exit code each one ends with.

CurateError
├── Denied                 3   a gate denies
├── NeedsReview            4   a person must look
├── InputError             5   the input is wrong
│   ├── CardError              a model or data-set card
│   ├── PolicyError            a policy file
│   ├── PromptsError           a prompt, reference or benchmark file
│   └── ConfigError            a run or distillation file
├── UnavailableError       6   something outside is missing
│   ├── ModelNotFound          no such model, or its weights are not on disk
│   ├── HubUnreachable         the hub does not answer
│   └── MissingExtra           an optional dependency is not installed
├── TamperedError          7   a file changed after it was recorded
└── RunError               8   the run broke: disk full, out of memory, non-finite loss

Usage errors are click's own (2), Ctrl-C is 130, and any other exception is a bug of ours (1).
Only ``curate.cli`` catches these; everything below raises.
"""

from typing import ClassVar


class CurateError(Exception):
    """The root: a one-line message (what, where) and a hint (what to try next)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Message and hint on one line, as the terminal shows them."""
        text = f"{self.message} – {self.hint}" if self.hint else self.message
        return " ".join(text.split())


class Denied(CurateError):
    """A gate denies: nothing after it may run."""

    exit_code = 3


class NeedsReview(CurateError):
    """A gate can neither allow nor deny: a person must look."""

    exit_code = 4


class InputError(CurateError):
    """What the user gave cannot be read or does not make sense."""

    exit_code = 5


class CardError(InputError):
    """A model or data-set card, or the folder it should be in, cannot be used."""


class PolicyError(InputError):
    """A policy file is missing, malformed, or asks for what no policy may."""


class PromptsError(InputError):
    """A prompt, reference or benchmark file cannot be used."""


class ConfigError(InputError):
    """A run or distillation file is malformed or names something that does not exist."""


class UnavailableError(CurateError):
    """Something outside the program is missing."""

    exit_code = 6


class ModelNotFound(UnavailableError):
    """No source knows this model, or its weights are not on this machine."""


class HubUnreachable(UnavailableError):
    """The hub does not answer, or answers with an error."""


class MissingExtra(UnavailableError):
    """A part of curate needs packages that are not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", hint=f'run: pip install "curate[{extra}]"')


class TamperedError(CurateError):
    """A recorded file is not what it was when it was recorded."""

    exit_code = 7

    def __init__(self, message: str, *, hint: str = "restore it from a copy that verifies, or make it anew") -> None:
        super().__init__(message, hint=hint)


class RunError(CurateError):
    """The run broke on the way; what was written before is whole."""

    exit_code = 8
