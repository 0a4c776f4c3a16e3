"""Keeps a server only as long as somebody holds the other end of this process's standard input. Standard library alone.

    python -I -S guard.py LOG GRACE_S COMMAND…

However the holder ends, by SIGKILL even, the system closes that end; the guard then stops the server's whole process
group, first by SIGTERM, after the grace by SIGKILL, and leaves once nobody of it is alive. It says ``pid N``, or
``failed WHY``, and in the end ``exit N`` or ``signal N`` on its standard output, a line each. What the server prints
goes to a log of bounded size, without the key. POSIX.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

KEY = "VLLM_API_KEY"
LARGEST_LOG = 4 << 20
"""Bytes of the log; the one before it is kept beside it."""
LONGEST_LINE = 1 << 16
KILLED_S = 10.0
"""How long the system may take to end what was killed."""
TICK_S = 0.1
PARENT_DEATH, SUBREAPER = 1, 36
"""Options of Linux's prctl."""


def main(arguments: Sequence[str]) -> int:
    """Start the server, watch it, and end it."""
    path, grace, command = Path(arguments[0]), float(arguments[1]), list(arguments[2:])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # it leaves when the server has left; the server gets them as ever
    adopt = ask_linux(SUBREAPER, 1)
    try:
        log = Log(path, os.environ.get(KEY, ""))
        server = subprocess.Popen(  # noqa: S603 – the user's own program, without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=lambda: ask_linux(PARENT_DEATH, signal.SIGTERM) if adopt else None,
        )
    except OSError as error:
        say(f"failed {error.strerror or error}")
        return 1
    say(f"pid {server.pid}")
    watch = Watch(server, log, grace)
    watch.go()
    server.returncode = watch.code
    say(f"exit {watch.code}" if watch.code >= 0 else f"signal {-watch.code}")
    return 0


def ask_linux(option: int, value: int) -> bool:
    """Set one of Linux's process options; False on another system."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def say(line: str) -> None:
    """Tell whoever started the guard, if there still is somebody."""
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


class Watch:
    """A server, its output, and the hand that holds it."""

    def __init__(self, server: "subprocess.Popen[bytes]", log: "Log", grace: float) -> None:
        assert server.stdout is not None  # noqa: S101 – for the type checker
        self.group, self.grace, self.log = server.pid, grace, log
        self.code = -signal.SIGKILL
        """How the server itself ended, negative for a signal."""
        self.ended = False
        self.output = server.stdout.fileno()
        os.set_blocking(self.output, False)
        self.ears = selectors.DefaultSelector()
        self.ears.register(0, selectors.EVENT_READ)
        self.ears.register(self.output, selectors.EVENT_READ)

    def go(self) -> None:
        """Until nobody of the group is alive; its end begins when the hand lets go or the server has ended."""
        held, deadline, killed = True, 0.0, False
        while True:
            held = self._listen() and held
            alive = self._alive()
            now = time.monotonic()
            if not alive:
                break
            if not deadline and (self.ended or not held):
                deadline = now + self.grace
                self._send(signal.SIGTERM)
            elif deadline and now > deadline:
                if killed:
                    break
                deadline, killed = now + KILLED_S, True
                self._send(signal.SIGKILL)
        self._drain()
        self.log.close()

    def _listen(self) -> bool:
        """Wait a moment for output; False if the hand has let go."""
        heard = {key.fd for key, _ in self.ears.select(TICK_S)}
        if self.output in heard and not self._drain():
            self.ears.unregister(self.output)
        if 0 in heard and not os.read(0, 4096):
            self.ears.unregister(0)
            return False
        return True

    def _drain(self) -> bool:
        """Write down what there is; False at its end."""
        while True:
            try:
                content = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return True
            if not content:
                return False
            self.log.write(content)

    def _alive(self) -> bool:
        """Whether anybody of the group is; the dead are buried first, those whose parents died before them included."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-self.group, os.WNOHANG))[0]:
                if found[0] == self.group:
                    self.code, self.ended = os.waitstatus_to_exitcode(found[1]), True
        try:
            os.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)


class Log:
    """A file of bounded size, line by line, in which a key never stands; what came before is in ``.1`` beside it."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key.encode()
        self.rest = b""
        self.stream = self._open()

    def _open(self) -> IO[bytes]:
        return self.path.open("ab", buffering=0)

    def write(self, content: bytes) -> None:
        """Add whole lines; what is no whole line yet is kept back."""
        content = self.rest + content.replace(b"\r", b"\n")
        whole, newline, self.rest = content.rpartition(b"\n")
        if not newline and len(content) > LONGEST_LINE:
            whole, self.rest = content, b""
        if whole:
            self._put(whole + b"\n")

    def _put(self, content: bytes) -> None:
        if self.key:
            content = content.replace(self.key, b"***")
        with contextlib.suppress(OSError):  # a full disk must not end the server
            if self.stream.tell() + len(content) > LARGEST_LOG:
                self.stream.close()
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                self.stream = self._open()
            self.stream.write(content)

    def close(self) -> None:
        """Write the rest."""
        if self.rest:
            self._put(self.rest + b"\n")
        self.stream.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
