"""Progress on standard error: bars with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

PLAIN_EVERY_S = 5.0


class Reporter:
    """A ``curate.progress.Progress`` that draws; use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.draws = not quiet and sys.stderr.isatty()
        self.bars: dict[str, Any] = {}
        self.started: dict[str, float] = {}
        self.said: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self.bars.values():
            bar.close()

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Take one report."""
        if self.draws:
            self._draw(stage, done, total, note)
        elif not self.quiet:
            self._say(stage, done, total, note)

    def _draw(self, stage: str, done: int, total: int | None, note: str) -> None:
        """Move the stage's bar; bars go when all is done, and no thread watches them."""
        from tqdm import tqdm

        if stage not in self.bars:
            tqdm.monitor_interval = 0
            place = len(self.bars)
            self.bars[stage] = tqdm(desc=f"{stage:<12}", total=total, leave=False, position=place, dynamic_ncols=True)
        bar = self.bars[stage]
        bar.total = total
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)
        if done == total:
            bar.refresh()

    def _say(self, stage: str, done: int, total: int | None, note: str) -> None:
        """A line now and then."""
        now = time.monotonic()
        started = self.started.setdefault(stage, now)
        rate = f"{done / (now - started):,.0f}/s" if now - started > 1 and done else ""
        if now - self.said.setdefault(stage, started) >= PLAIN_EVERY_S or (done == total and now - started > 1):
            self.said[stage] = now
            left = f", {(total - done) * (now - started) / done:.0f} s left" if total and done and done < total else ""
            of = f"/{total}" if total is not None else ""
            sys.stderr.write(f"{stage}: {done}{of} {rate}{left} {note}".rstrip() + "\n")
