"""The audit trail of one run folder: steps are timed, their files hashed, their lines chained, however they end."""

import errno
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
from curate.artifact import ArtifactRef, folder_files, sha256_file, sha256_text, write_failure
from curate.errors import CurateError, Denied, InputError, NeedsReview, RunError
from curate.lock import lock
from curate.runs.record import (
    ATTESTATION,
    CLOSE,
    CLOSING,
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

    def __init__(self, root: Path, held: IO[bytes], lines: list[LedgerLine]) -> None:
        self.root = root
        self.lines = lines
        self._lock = held
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
        """Open a run folder again; what a kill left half written is dropped, and the old record is set aside."""
        ledger = root / LEDGER
        if not ledger.is_file():
            raise InputError(f"{root}: not a run folder: no {LEDGER}", hint="name a folder that curate run made")
        held = cls._take_lock(root)
        try:
            content = ledger.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            os.ftruncate(held.fileno(), len(whole))
            lines = read_lines(whole.decode("utf-8", "replace"), where=ledger)
            (root / ATTESTATION).unlink(missing_ok=True)
            if (root / RECORD).is_file():
                (root / RECORD).replace(root / CLOSING)
            _sweep(root, recorded_files(lines))
        except BaseException:
            held.close()
            raise
        return cls(root, held, lines)

    @staticmethod
    def _take_lock(root: Path) -> IO[bytes]:
        """Hold the ledger so that two processes never write one folder."""
        stream = (root / LEDGER).open("ab", buffering=0)
        try:
            lock(stream)
        except OSError as error:
            stream.close()
            raise RunError(f"{root}: another process is writing this run", hint="wait for it, or start anew") from error
        return stream

    def release(self) -> None:
        """Let others write the folder."""
        self._lock.close()

    @property
    def head(self) -> str:
        """Digest of the last ledger line."""
        return self.lines[-1].digest() if self.lines else GENESIS

    @contextmanager
    def step(self, name: str, inputs: dict[str, str] | None = None) -> Iterator[Step]:
        """Time a stage and append its line, however it ends; errors go on to the caller."""
        step = Step(self.root, name, inputs or {})
        started, clock = datetime.now(UTC), monotonic()
        self.set_aside(name, step.inputs)
        try:
            yield step
        except BaseException as error:
            step.status = status_of(error)
            step.message = step.message or one_line(error)
            raise
        finally:
            self._append(step, started, monotonic() - clock)

    def set_aside(self, name: str, inputs: dict[str, str] | None = None) -> None:
        """Note that what an earlier attempt at a step left counts no more, before it is changed or removed."""
        if any(line.step == name and line.artifacts for line in self.lines):
            self._append(Step(self.root, name, inputs or {}), datetime.now(UTC), 0.0, status="restarted")

    def reuse(self, line: LedgerLine) -> None:
        """Take a step over from an earlier attempt as it stands."""
        step = Step(self.root, line.step, line.inputs)
        step.artifacts, step.message = dict(line.artifacts), line.message
        self._append(step, datetime.now(UTC), 0.0, status="reused")

    def last_inputs(self, name: str) -> dict[str, str] | None:
        """What the last attempt at a step had read, however it ended; None if there was none."""
        return next((line.inputs for line in reversed(self.lines) if line.step == name), None)

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
        """Append the closing line and write the sealed record; returns it.

        The record is written beside its place first, then the line, then the record takes its place: a kill between
        any two of these leaves a folder that verifies as unfinished, and no deleted record looks like such a kill.
        """
        step, started, clock = Step(self.root, CLOSE, {}), datetime.now(UTC), monotonic()
        step.message = f"{status}: {message}" if message else status
        known = {*recorded_files([one for one in self.lines if one.step != CLOSE]), LEDGER, CLOSING}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.relative_to(self.root).as_posix() not in known:
                step.add(path)
        line = self._line(step, started, monotonic() - clock)
        lines = [*self.lines, line]
        record = RunRecord(
            run_id=self.root.name,
            status=status,
            exit_code=exit_code,
            message=message,
            config_sha256=config_sha256,
            steps=tuple(
                StepRecord(name=one.step, status=one.status, wall_s=one.wall_s, message=one.message)
                for one in lines
                if one.step != CLOSE and one.status != "restarted"
            ),
            files={**recorded_files(lines), LEDGER: sha256_text("".join(f"{one.to_line()}\n" for one in lines))},
            ledger_head=line.digest(),
            started_at=self.started_at.isoformat(timespec="seconds"),
            machine=machine(),
            versions=versions(),
            curate_version=__version__,
        ).sealed()
        record.write(self.root / CLOSING)
        self._write(line)
        (self.root / CLOSING).replace(self.root / RECORD)
        self.release()
        return record

    def _append(self, step: Step, started: datetime, wall_s: float, *, status: StepStatus | None = None) -> None:
        """Write one line and force it to disk before anything else happens."""
        self._write(self._line(step, started, wall_s, status=status))

    def _line(self, step: Step, started: datetime, wall_s: float, *, status: StepStatus | None = None) -> LedgerLine:
        """The line that a step would leave now."""
        return LedgerLine(
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

    def _write(self, line: LedgerLine) -> None:
        """One whole line on the disk, or nothing of it."""
        content = (line.to_line() + "\n").encode("utf-8", "surrogatepass")
        before = os.fstat(self._lock.fileno()).st_size
        try:
            if self._lock.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._lock.fileno())
        except OSError as error:
            os.ftruncate(self._lock.fileno(), before)
            raise write_failure(self.root / LEDGER, error) from error
        self.lines.append(line)


def _sweep(root: Path, recorded: dict[str, str]) -> None:
    """Remove the hidden files of writes that a kill cut short; nothing but atomic writes makes such files."""
    for path in root.rglob(".*"):
        if path.is_file() and path.relative_to(root).as_posix() not in recorded:
            path.unlink()


def read_lines(text: str, *, where: Path) -> list[LedgerLine]:
    """Parse ledger text; a line that is not one is an ``InputError`` with its number."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            lines.append(LedgerLine.model_validate_json(line))
        except ValueError as error:
            raise InputError(f"{where}:{number}: not a ledger line", hint="start a run anew") from error
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
