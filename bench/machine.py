"""What a bench ran on, what it used, and where its table goes."""

import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

RESULTS = Path(__file__).parent / "results"


def describe(*packages: str) -> str:
    """Day, machine and versions, one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    versions = [f"{name} {version(name)}" for name in ("numpy", *packages)]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{day}, {os.cpu_count()} × {model}, Python {platform.python_version()}; {', '.join(versions)}"


def version(name: str) -> str:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def peak_gib() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def read_resident() -> int:
    """Resident bytes of this process."""
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * resource.getpagesize()


class Looking:
    """A thread that calls ``look`` every so many seconds while a block runs."""

    every = 1.0

    def __enter__(self) -> Self:
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self) -> None:
        """Until it is stopped."""
        while not self.stopped.wait(self.every):
            self.look()

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


class Peak(Looking):
    """The largest resident size while it runs, read every few milliseconds."""

    every = 0.004

    def __init__(self) -> None:
        self.start = self.most = read_resident()

    def look(self) -> None:
        """Read it once."""
        self.most = max(self.most, read_resident())

    @property
    def megabytes(self) -> float:
        """Above the start."""
        return (self.most - self.start) / 1e6


class Below(Looking):
    """CPU seconds of every process below this one, and the own memory of the largest, looked at once a second."""

    def __init__(self) -> None:
        self.used: dict[tuple[int, str], float] = {}
        self.largest = 0

    def look(self) -> float:
        """CPU seconds so far, of those that have ended as well."""
        found = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                parts = place.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            found[int(place.parent.name)] = int(parts[1]), parts[19], int(parts[11]) + int(parts[12])
        mine = {os.getpid()}
        while more := {pid for pid, (parent, *_) in found.items() if parent in mine} - mine:
            mine |= more
        for pid in mine - {os.getpid()}:
            _, born, ticks = found[pid]
            self.used[pid, born] = ticks / os.sysconf("SC_CLK_TCK")
            self.largest = max(self.largest, own_bytes(pid))
        return sum(self.used.values())


def own_bytes(pid: int) -> int:
    """Bytes that are a process's own: no file stands behind them."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def in_a_child(script: str, *arguments: object, threads: int = 1) -> dict:
    """Run a part of a bench in its own process; the last line it prints is JSON."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, str(threads)), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)], env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        return {"failed": f"exit {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def write_table(name: str, text: str) -> None:
    """Print a result and keep it under ``bench/results``."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")


def markdown(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


WATCH = """
import sys, time
most, told = 0, time.monotonic()
with open(sys.argv[2], "w") as out:
    while True:
        try:
            with open(f"/proc/{sys.argv[1]}/status") as stream:
                lines = [line.split() for line in stream if line.startswith(("RssAnon", "RssShmem"))]
        except OSError:
            break
        if not lines:
            break
        most, now = max(most, sum(int(line[1]) for line in lines)), time.monotonic()
        if now - told > 0.05:
            print(told, most, file=out, flush=True)
            most, told = 0, now
        time.sleep(0.005)
"""


class OwnMemory:
    """Memory that is this process's own (anonymous and shared pages), read by another process every few milliseconds.

    Pages of files that are mapped are not among it: the system takes them back when it needs room.
    """

    def __enter__(self) -> "OwnMemory":
        self.file = tempfile.NamedTemporaryFile("r", suffix=".own")
        self.watch = subprocess.Popen([sys.executable, "-c", WATCH, str(os.getpid()), self.file.name])
        return self

    def most(self, start: float, end: float) -> float:
        """GiB, the most between two times of the monotonic clock."""
        self.file.seek(0)
        seen = [line.split() for line in self.file if line.endswith("\n")]
        return max((int(size) for when, size in seen if start - 0.05 <= float(when) <= end), default=0) / 2**20

    def __exit__(self, *_: object) -> None:
        self.watch.kill()
        self.watch.wait()
        self.file.close()
