"""Progress on standard error: bars with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

PLAIN_EVERY_S = 5.0


class Reporter:
    """A ``curate.progress.Progress`` that draws; use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True)
        self.bars: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, float] = {}
        self.said: dict[str, float] = {}

    def __enter__(self) -> Self:
        if not self.quiet and self.console.is_terminal:
            self.bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<12}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Take one report."""
        if self.quiet:
            return
        now = time.monotonic()
        started = self.started.setdefault(stage, now)
        rate = f"{done / (now - started):,.0f}/s" if now - started > 1 and done else ""
        if self.bars is not None:
            if stage not in self.tasks:
                self.tasks[stage] = self.bars.add_task(stage, total=total, rate="", note="")
            self.bars.update(self.tasks[stage], completed=done, total=total, rate=rate, note=note)
        elif now - self.said.setdefault(stage, started) >= PLAIN_EVERY_S or (done == total and now - started > 1):
            self.said[stage] = now
            left = f", {(total - done) * (now - started) / done:.0f} s left" if total and done and done < total else ""
            of = f"/{total}" if total is not None else ""
            sys.stderr.write(f"{stage}: {done}{of} {rate}{left} {note}".rstrip() + "\n")
