"""One server that curate started: waited for, watched, and stopped with its whole process group. POSIX."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from curate.distillation import guard
from curate.distillation.chat import one_line
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import CurateError, RunError, UnavailableError
from curate.progress import Progress, silent

LOOPBACK = "127.0.0.1"
GRACE_S = 20.0
"""Between asking a server to end and killing it."""
LOOK_S = 0.25
LISTENS = "0A"
"""A socket's state in Linux's table of them."""
TAIL_BYTES, TAIL_LINES, TAIL_CHARS = 1 << 14, 12, 1500


class Server:
    """One server in the care of a guard, which ends it when this process does."""

    def __init__(
        self, endpoint: EndpointConfig, words: tuple[str, ...], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it; see ``serving``."""
        self.port = free_port()
        self.key = secrets.token_urlsafe(32)
        self.log = log
        self.name = Path(words[0]).name
        self.endpoint = endpoint.model_copy(
            update={"base_url": f"http://{LOOPBACK}:{self.port}/v1", "serve": None, "self_hosted": True}
        )
        self.answers = False
        self.how = ""
        """How it ended."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.begins = log.stat().st_size if log.exists() else 0
        command = [*words, "--host", LOOPBACK, "--port", str(self.port)]
        self.group = 0
        self.guard = subprocess.Popen(  # noqa: S603 – no shell
            [sys.executable, "-I", "-S", guard.__file__, str(log), str(GRACE_S), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, guard.KEY: self.key},
            start_new_session=True,
        )
        try:
            self.group = self._read_group()
        except BaseException:
            self.stop()
            raise

    def _read_group(self) -> int:
        """The server's process group, from the guard's first line."""
        assert self.guard.stdout is not None  # noqa: S101 – for the type checker
        said, _, rest = self.guard.stdout.readline().decode("utf-8", "replace").strip().partition(" ")
        if said != "pid":
            raise UnavailableError(f"endpoint.serve: {self.name} cannot be started: {one_line(rest)}")
        return int(rest)

    def wait(self, patience: float, progress: Progress = silent) -> None:
        """Until it says that it is ready.

        Raises:
            UnavailableError: it has ended, or so many seconds are over.
        """
        begun = time.monotonic()
        while not self._is_ready():
            self.watch()
            waited = time.monotonic() - begun
            if waited > patience:
                raise UnavailableError(
                    f"endpoint.serve: {self.name} was not ready within {patience:g} s; it said last: {self._tail()}",
                    hint=f"see {self.log}, or raise endpoint.serve.start_timeout",
                )
            progress("server", 0, note=f"{waited:.0f} s, {self.name}: {one_line(self._last_line())[:80]}")
            time.sleep(LOOK_S)
        self.watch()
        if not listeners(self.port) <= {os.geteuid()}:
            raise UnavailableError(
                f"endpoint.serve: port {self.port} was taken by another user while {self.name} was starting",
                hint="run it again, and look who is on this machine",
            )
        self.answers = True
        progress("server", 1, 1, note="ready")

    def watch(self) -> None:
        """Raise if it has ended.

        Raises:
            UnavailableError: before it answered.
            RunError: later; answers that came are kept.
        """
        if self.guard.poll() is None:
            return
        self.how = self.how or self._how()
        how = f"endpoint.serve: {self.name} ended ({self.how}); it said last: {self._tail()}"
        hint = f"see {self.log}"
        error: CurateError = UnavailableError(how, hint=hint)
        if self.answers:
            error = RunError(how, hint=f"{hint}, then resume; answers that came are kept")
        raise error

    def stop(self) -> None:
        """End the whole process group, and wait until it has ended; more than once does nothing."""
        for pipe in (self.guard.stdin, self.guard.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.guard.wait(GRACE_S + guard.KILLED_S + 5)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()
        if self.guard.returncode and self.group:  # the guard itself was killed
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _how(self) -> str:
        """The guard's last word on the server's end."""
        said = self.guard.stdout.read().decode().split() if self.guard.stdout else []
        kind, _, number = " ".join(said[-2:]).partition(" ")
        return f"exit code {number}" if kind == "exit" else f"signal {number}" if kind == "signal" else "with its guard"

    def _output(self) -> bytes:
        """The end of what it has printed since it was started."""
        with contextlib.suppress(OSError), self.log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - TAIL_BYTES, self.begins if size >= self.begins else 0))
            return stream.read(TAIL_BYTES)
        return b""

    def _tail(self) -> str:
        return last_words(self._output())

    def _last_line(self) -> str:
        return self._output().decode("utf-8", "replace").strip().rpartition("\n")[2]


def last_words(content: bytes) -> str:
    """The last lines of an output, printable, bounded and on one line."""
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()][-TAIL_LINES:]
    return " | ".join(one_line(line) for line in lines)[-TAIL_CHARS:] or "nothing"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def listeners(port: int) -> set[int]:
    """Users who listen on a port of this machine, as Linux tells them; nobody on another system.

    The command line shows the port before the server has it, so whoever was quicker could answer in its place.
    """
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
            found |= {int(row[7]) for row in rows if row[3] == LISTENS and int(row[1].rpartition(":")[2], 16) == port}
    return found
