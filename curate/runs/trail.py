"""The audit trail of one run folder: steps are timed, their files hashed, their lines chained, however they end."""

import fcntl
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import IO

from curate import __version__
from curate.artifact import ArtifactRef, folder_files, sha256_file, write_failure
from curate.errors import CurateError, Denied, InputError, NeedsReview, RunError
from curate.runs.record import (
    CLOSE,
    GENESIS,
    LEDGER,
    RECORD,
    LedgerLine,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
    recorded_files,
)

RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "sentence-transformers",
    "datasets",
)


class Step:
    """A step in progress: tell it what it reads and what it leaves."""

    def __init__(self, root: Path, name: str, inputs: dict[str, str]) -> None:
        self.root = root
        self.name = name
        self.inputs = inputs
        self.artifacts: dict[str, str] = {}
        self.message = ""
        self.status: StepStatus = "ok"

    def add(self, path: Path) -> ArtifactRef:
        """Record a file, or every file of a folder, that this step wrote below the run folder."""
        for file in folder_files(path) if path.is_dir() else [path]:
            self.artifacts[file.relative_to(self.root).as_posix()] = sha256_file(file)
        relative = path.relative_to(self.root).as_posix()
        return ArtifactRef(path=relative, sha256=self.artifacts.get(relative, ""))


class Trail:
    """One run folder, opened for writing by one process at a time."""

    def __init__(self, root: Path, lock: IO[str], lines: list[LedgerLine]) -> None:
        self.root = root
        self.lines = lines
        self._lock = lock
        self.started_at = datetime.now(UTC)

    @classmethod
    def start(cls, reports: Path, label: str) -> "Trail":
        """Make a new run folder below ``reports``; never one that exists."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        for attempt in range(1000):
            suffix = f"-{attempt + 1}" if attempt else ""
            root = reports / f"{stamp}-{label}{suffix}"
            try:
                reports.mkdir(parents=True, exist_ok=True)
                root.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise write_failure(root, error) from error
            (root / LEDGER).touch()
            return cls(root, cls._take_lock(root), [])
        raise RunError(f"{reports}: no free run folder", hint="choose another --root")

    @classmethod
    def resume(cls, root: Path) -> "Trail":
        """Open a run folder again; a last line that was cut by a kill is dropped, and so is the old closing record."""
        ledger = root / LEDGER
        if not ledger.is_file():
            raise InputError(f"{root}: not a run folder: no {LEDGER}", hint="name a folder that curate run made")
        lock = cls._take_lock(root)
        text = ledger.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with ledger.open("r+", encoding="utf-8") as stream:
                stream.truncate(len(whole.encode()))
        lines = read_lines(whole, where=ledger)
        (root / RECORD).unlink(missing_ok=True)
        return cls(root, lock, lines)

    @staticmethod
    def _take_lock(root: Path) -> IO[str]:
        """Hold the ledger so that two processes never write one folder."""
        lock = (root / LEDGER).open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise RunError(f"{root}: another process is writing this run", hint="wait for it, or start anew") from error
        return lock

    @property
    def head(self) -> str:
        """Digest of the last ledger line."""
        return self.lines[-1].digest() if self.lines else GENESIS

    @contextmanager
    def step(self, name: str, inputs: dict[str, str] | None = None) -> Iterator[Step]:
        """Time a stage and append its line, however it ends; errors go on to the caller."""
        step = Step(self.root, name, inputs or {})
        started, clock = datetime.now(UTC), monotonic()
        if name != CLOSE and any(line.step == name and line.artifacts for line in self.lines):
            self._append(Step(self.root, name, step.inputs), started, 0.0, status="restarted")
        try:
            yield step
        except BaseException as error:
            step.status = status_of(error)
            step.message = step.message or one_line(error)
            raise
        finally:
            self._append(step, started, monotonic() - clock)

    def reuse(self, line: LedgerLine) -> None:
        """Take a step over from an earlier attempt as it stands."""
        step = Step(self.root, line.step, line.inputs)
        step.artifacts, step.message = dict(line.artifacts), line.message
        self._append(step, datetime.now(UTC), 0.0, status="reused")

    def reusable(self, name: str, inputs: dict[str, str]) -> LedgerLine | None:
        """The last whole line of a step with the same inputs whose files are all still what they were."""
        for line in reversed(self.lines):
            if line.step != name:
                continue
            if line.status not in {"ok", "reused"}:
                return None
            unchanged = line.inputs == inputs and all(
                (self.root / path).is_file() and sha256_file(self.root / path) == digest
                for path, digest in line.artifacts.items()
            )
            return line if unchanged else None
        return None

    def close(self, status: RunStatus, *, exit_code: int, message: str, config_sha256: str) -> RunRecord:
        """Append the closing line and write the sealed record; returns it."""
        with self.step(CLOSE) as step:
            step.message = f"{status}: {message}" if message else status
            known = {*recorded_files(self.lines), LEDGER}
            for path in sorted(self.root.rglob("*")):
                if path.is_file() and path.relative_to(self.root).as_posix() not in known:
                    step.add(path)
        files = recorded_files(self.lines)
        record = RunRecord(
            run_id=self.root.name,
            status=status,
            exit_code=exit_code,
            message=message,
            config_sha256=config_sha256,
            steps=tuple(
                StepRecord(name=line.step, status=line.status, wall_s=line.wall_s, message=line.message)
                for line in self.lines
                if line.step != CLOSE and line.status != "restarted"
            ),
            files={**files, LEDGER: sha256_file(self.root / LEDGER)},
            ledger_head=self.head,
            started_at=self.started_at.isoformat(timespec="seconds"),
            machine=machine(),
            versions=versions(),
            curate_version=__version__,
        ).sealed()
        record.write(self.root / RECORD)
        self._lock.close()
        return record

    def _append(self, step: Step, started: datetime, wall_s: float, *, status: StepStatus | None = None) -> None:
        """Write one line and force it to disk before anything else happens."""
        line = LedgerLine(
            sequence=len(self.lines),
            step=step.name,
            status=status or step.status,
            started_at=started.isoformat(timespec="milliseconds"),
            wall_s=round(wall_s, 3),
            inputs=step.inputs,
            artifacts=step.artifacts,
            message=step.message[:2000],
            previous_sha256=self.head,
        )
        try:
            self._lock.write(line.to_line() + "\n")
            self._lock.flush()
            os.fsync(self._lock.fileno())
        except OSError as error:
            raise write_failure(self.root / LEDGER, error) from error
        self.lines.append(line)


def read_lines(text: str, *, where: Path) -> list[LedgerLine]:
    """Parse ledger text; a line that is not one is an ``InputError`` with its number."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            lines.append(LedgerLine.model_validate_json(line))
        except ValueError as error:
            raise InputError(f"{where}:{number}: not a ledger line") from error
    return lines


def status_of(error: BaseException) -> StepStatus:
    """How a step that raised has ended."""
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, NeedsReview):
        return "review"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def one_line(error: BaseException) -> str:
    """An error as one bounded line."""
    text = str(error) if isinstance(error, CurateError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


def machine() -> dict[str, str]:
    """What the run ran on."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": str(os.cpu_count() or 0),
        "python": platform.python_version(),
    }


def versions(packages: Iterable[str] = RECORDED_PACKAGES) -> dict[str, str]:
    """Versions of the packages that shape a result, as far as they are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
