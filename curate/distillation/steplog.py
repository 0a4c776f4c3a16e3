"""Every optimizer step as it ends: one JSON line, and TensorBoard scalars where they are asked for."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.artifact import write_failure, write_text
from curate.distillation.results import ExamPoint, LossPoint
from curate.errors import MissingExtra

NAME = "steps.jsonl"
EVENTS = "tensorboard"


class StepLog:
    """``steps.jsonl`` and, with ``tensorboard``, event files below a folder of that name; a resumed training goes on.

    Raises:
        MissingExtra: TensorBoard is asked for and not installed.
        RunError: the folder cannot be written to, or the disk is full.
    """

    def __init__(self, folder: Path, *, after: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / NAME
        self._rewind(after)
        self.events = _open_events(folder / EVENTS, after) if tensorboard else None

    def _rewind(self, step: int) -> None:
        """Drop what was logged beyond the checkpoint that is resumed, and a line that a kill left torn."""
        lines: list[str] = []
        if step and self.path.is_file():
            whole = self.path.read_text(encoding="utf-8").split("\n")[:-1]
            lines = [line for line in whole if json.loads(line)["step"] <= step]
        write_text(self.path, "".join(f"{line}\n" for line in lines))

    def add(self, point: LossPoint, exams: Sequence[ExamPoint] = ()) -> None:
        """One step: loss, each term unweighted, learning rate, tokens a second; and its exam where one was due."""
        line = point.model_dump(mode="json")
        values = {"loss": point.total} | {f"terms/{name}": value for name, value in point.terms.items()}
        values |= {"learning_rate": point.learning_rate, "tokens_per_s": point.tokens_per_s}
        if exams and exams[-1].step == point.step:
            line["quality"] = exams[-1].quality.model_dump(mode="json")
            figures = exams[-1].quality.model_dump(mode="json", exclude={"domains"})
            values |= {f"held_out/{name}": value for name, value in figures.items() if value is not None}
        self._write(line, point.step, values)

    def _write(self, line: dict[str, Any], step: int, values: dict[str, float]) -> None:
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(json.dumps(line) + "\n")
            if self.events is not None:
                for name, value in values.items():
                    self.events.add_scalar(name, value, step)
        except OSError as error:
            raise write_failure(self.path, error) from error

    def close(self) -> None:
        """Flush what TensorBoard's writer holds."""
        if self.events is not None:
            self.events.close()


def check_tensorboard() -> None:
    """Refuse where TensorBoard is asked for and not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtra("tensorboard", "tensorboard")


def _open_events(folder: Path, after: int) -> Any:  # noqa: ANN401
    """TensorBoard's writer; what an earlier one wrote beyond the step that is resumed is taken back."""
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=after + 1 if after else None)
