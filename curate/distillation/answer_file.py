"""Answers as they come, on disk before anything is done with them, so that none is asked for twice. Loads no torch."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from curate.artifact import write_failure, write_text
from curate.errors import ConfigError

KIND = "curate/answers@1"
SYNC_S = 1.0
"""At least so long between two syncs: a killed process loses nothing, a machine without power this much."""


@dataclass(frozen=True)
class Answer:
    """What a teacher said to one prompt."""

    text: str
    finish: str = ""
    """stop: it ended there; length: cut at the bound; content_filter; error: the server will never answer this."""
    why: str = ""
    """Of an error."""
    model: str = ""
    """The model the server named."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """As the server counted them."""
    estimated_tokens: int = 0
    """Of prompt and answer, where the server counted nothing."""
    asked: str = ""
    """Digest of the prompt as it was sent; empty where the file's fingerprint covers the prompts."""

    def to_line(self, name: str) -> str:
        """A line of the file; what is empty is left out."""
        told = {key: value for key, value in vars(self).items() if value and key != "text"}
        return json.dumps({"id": name, "answer": self.text, **told}, ensure_ascii=False)


class AnswerFile:
    """JSON lines under a first line that says what they belong to; a torn last line is asked again.

    A line without an id tells of tokens that were probably spent on a reply that never came whole, or of a server that
    was started for the answers after it.
    """

    def __init__(
        self, path: Path, fingerprint: str, decoding: Mapping[str, Any] | None = None, *, writes: bool = True
    ) -> None:
        """Open or begin a file; ``decoding`` is how the answers are made, for the first line.

        Several processes may hear the same answers; all but one leave the writing to it.
        """
        self.path, self.writes = path, writes
        self.fingerprint = fingerprint
        self.decoding = dict(decoding or {})
        self.found: dict[str, Answer] = {}
        self.servings: list[dict[str, Any]] = []
        self.lost_tokens = 0
        self.spent_tokens = 0
        """Of prompts and answers, lost ones included."""
        self._synced = 0.0
        if path.exists():
            self._read()
        else:
            head = {"kind": KIND, "fingerprint": fingerprint, **({"decoding": self.decoding} if decoding else {})}
            write_text(path, json.dumps(head) + "\n")

    def _read(self) -> None:
        lines = self.path.read_bytes().split(b"\n")
        if read_fingerprint(self.path) != self.fingerprint:
            raise ConfigError(
                f"{self.path}: these answers belong to another teacher, prompt set or setting",
                hint="choose another output folder",
            )
        whole = lines[:-1]
        for number, line in enumerate(whole[1:], 2):
            self._take(line, number)
        if lines[-1]:
            os.truncate(self.path, len(b"\n".join(whole)) + 1)

    def _take(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
            if "lost_tokens" in row:
                self._count_lost(int(row["lost_tokens"]))
            elif "served_by" in row:
                self.servings.append(dict(row["served_by"]))
            else:
                self._keep(row.pop("id"), Answer(row.pop("answer"), **row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self.path}:{number}: not an answer", hint="choose another output folder") from error

    def _keep(self, name: str, answer: Answer) -> None:
        self.found[name] = answer
        self.spent_tokens += answer.prompt_tokens + answer.completion_tokens + answer.estimated_tokens

    def _count_lost(self, tokens: int) -> None:
        self.lost_tokens += tokens
        self.spent_tokens += tokens

    def append(self, answers: Mapping[str, Answer]) -> None:
        """Add answers: handed to the system at once, forced to the disk once a second and by ``sync``."""
        self._write([one.to_line(name) for name, one in answers.items()])
        for name, one in answers.items():
            self._keep(name, one)

    def lose(self, tokens: int) -> None:
        """Record tokens that were probably paid for a reply that never came whole."""
        self._write([json.dumps({"lost_tokens": tokens})])
        self._count_lost(tokens)

    def tell_served_by(self, serving: Mapping[str, Any]) -> None:
        """Record that the answers that follow come from a server that was started for them."""
        self._write([json.dumps({"served_by": serving})])
        self.servings.append(dict(serving))

    def sync(self) -> None:
        """Make sure that everything is on the disk."""
        self._synced = 0.0
        self._write([])

    def _write(self, lines: list[str]) -> None:
        if not self.writes:
            return
        try:
            with self.path.open("ab", buffering=0) as stream:
                self._write_whole(stream, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
                if time.monotonic() - self._synced > SYNC_S:
                    os.fsync(stream.fileno())
                    self._synced = time.monotonic()
        except OSError as error:
            raise write_failure(self.path, error) from error

    @staticmethod
    def _write_whole(stream: IO[bytes], content: bytes) -> None:
        """All of it: a system call may take less."""
        while content:
            content = content[stream.write(content) :]


def read_fingerprint(path: Path) -> str:
    """What the answers of a file belong to; empty if it does not say."""
    with path.open("rb") as stream:
        try:
            head = json.loads(stream.readline(1 << 20))
        except ValueError:
            return ""
    return str(head.get("fingerprint", "")) if isinstance(head, dict) else ""
