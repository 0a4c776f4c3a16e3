"""Ray as the engine (extra ``scale``): the workers of ``RAY_ADDRESS``, or some on this machine.

Parts travel as Arrow buffers and numpy arrays; what all parts share is put into the object store once and unpacked once
a worker. Results are taken in order, with a bounded number of parts and bytes under way, so that neither this process
nor the object store ever holds more than these and one part more. A part whose worker dies is run again.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.errors import CurateError, MissingExtra, RunError, UnavailableError
from curate.prompts.engines import Result

ROWS_A_PART = 4096
RETRIES = 5
"""How often a part is run again whose worker died."""
ANSWER_S = 5.0
"""How long the address of a cluster may take to accept a connection."""
JOIN_S = 30.0
"""And how long it may take to let a first process in."""
JOIN = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)"
STORE_BYTES = 512 << 20
"""Object store of a local instance; what goes beyond it is spilled to its temporary folder."""
BYTES_UNDER_WAY = 3 * STORE_BYTES // 4
"""Arrays and texts that workers have been sent and not yet answered; one part alone may be larger."""
LONGEST_FOLDER = 40
"""A unix socket's path may have 107 characters, and Ray adds some 65."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_MAX_THREADS"), "1"
)
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
SHARED: dict[str, Any] = {}
"""In a worker: what the parts of the map at hand share, by its key."""


class RayEngine:
    """A Ray that is connected."""

    rows_a_part = ROWS_A_PART

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 – the module, which may be absent
        self.ray = ray
        resources = ray.cluster_resources()
        self.gpus = int(resources.get("GPU", 0))
        self.at_once = 2 * max(1, int(resources.get("CPU", 1)))
        self.task = ray.remote(run_part).options(max_retries=RETRIES, retry_exceptions=False)

    def map(
        self,
        function: Callable[..., Result],
        parts: Iterable[tuple[Any, ...]],
        *,
        shared: Any = None,  # noqa: ANN401 – whatever the function wants
        on_gpu: bool = False,
    ) -> Iterator[Result]:
        """``function(shared, *part)`` of each part, in order, on the workers; those that run a model on a GPU each.

        Raises:
            CurateError: what the function raised.
            RunError: a part's workers died ``RETRIES`` times, or Ray went away.
        """
        key, held = uuid.uuid4().hex, [self.ray.put(shared)]
        has_gpu = on_gpu and self.gpus > 0
        task = self.task.options(num_gpus=1) if has_gpu else self.task
        at_once = 2 * self.gpus if has_gpu else self.at_once
        under_way: deque[tuple[Any, int]] = deque()
        sent = 0
        for part in parts:
            size = bytes_of(part)
            while under_way and (len(under_way) >= at_once or sent + size > BYTES_UNDER_WAY):
                reference, less = under_way.popleft()
                sent -= less
                yield self._result(reference)
            under_way.append((task.remote(function, key, held, part), size))
            sent += size
        while under_way:
            yield self._result(under_way.popleft()[0])

    def _result(self, reference: Any) -> Any:  # noqa: ANN401 – an object reference; the function's result
        """What a part came to; errors of the function are raised as they were."""
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, CurateError):
                raise error.cause from error
            raise RunError(
                f"--engine ray: a part failed: {error.cause!r}", hint="run it with the local engine"
            ) from error
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise RunError(
                f"--engine ray: a part was tried {RETRIES + 1} times and lost: {reason}",
                hint="workers may be out of memory: use fewer with --workers",
            ) from error


def bytes_of(part: tuple[Any, ...]) -> int:
    """About how many bytes the arrays and lists of texts of a part take."""
    sizes = (
        sum(len(text) for text in one if isinstance(text, str)) if isinstance(one, list) else getattr(one, "nbytes", 0)
        for one in part
    )
    return sum(sizes)


def run_part(function: Callable[..., Result], key: str, held: list[Any], part: tuple[Any, ...]) -> Result:
    """In a worker: one part; what parts share is fetched with the first."""
    import ray

    if key not in SHARED:
        SHARED.clear()
        SHARED[key] = ray.get(held[0])
    try:
        return function(SHARED[key], *part)
    except MissingExtra as error:
        raise UnavailableError(error.message, hint=error.hint) from None


@contextmanager
def open_ray(workers: int | None = None) -> Iterator[RayEngine]:
    """Ray as an engine: the cluster at ``RAY_ADDRESS``, else an instance on this machine with so many workers.

    A local instance keeps its files in a temporary folder that goes with it, shows no dashboard and reports no usage.

    Raises:
        MissingExtra: Ray is not installed.
        UnavailableError: nothing answers at the address, or Ray does not start.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra("ray", "scale")
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        check_address(address)
    folder = short_folder()
    with environment({} if address else {"RAY_AUTH_TOKEN": secrets.token_hex(32)}):
        try:
            ray = start(address, workers, folder)
            try:
                yield RayEngine(ray)
            finally:
                ray.shutdown()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def start(address: str, workers: int | None, folder: Path) -> Any:  # noqa: ANN401 – the module, connected
    """Join the cluster, or start an instance that has its files in a folder; its processes use one thread each.

    Raises:
        UnavailableError: it does not start.
    """
    with environment({**QUIET, **ONE_THREAD, "PYTHONPATH": import_path()}):
        import ray

        be_quiet(ray)
        try:
            if address:
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
            else:
                ray.init(
                    address="local",
                    num_cpus=workers or os.cpu_count() or 1,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=STORE_BYTES,
                    _temp_dir=str(folder),
                )
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            where = f"RAY_ADDRESS={address}" if address else "a local Ray"
            raise UnavailableError(f"--engine ray: {where}: {reason}", hint="leave it out to run here") from error
    return ray


def be_quiet(ray: Any) -> None:  # noqa: ANN401 – the module
    """Keep what Ray tells of lost workers off standard output, where the report goes; no public setting does."""
    ray._private.worker._worker_logs_enabled = False


def check_address(address: str) -> None:
    """Fail soon where nothing listens, or something that is no Ray; Ray itself would wait for minutes.

    Raises:
        UnavailableError: it does not let a process join.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
        command = [sys.executable, "-c", JOIN, address]
        subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, timeout=JOIN_S, check=False)  # noqa: S603 – ours
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        known = {ValueError: "not HOST:PORT", subprocess.TimeoutExpired: "something answers, but not as Ray does"}
        reason = known.get(type(error)) or getattr(error, "strerror", None) or "no answer"
        raise UnavailableError(
            f"--engine ray: RAY_ADDRESS={address}: {reason}",
            hint="check the address, or unset it to run on this machine",
        ) from error


def short_folder() -> Path:
    """A temporary folder whose name is short enough for Ray's sockets."""
    usual = Path(tempfile.gettempdir())
    place = usual if os.name == "nt" or len(str(usual)) < LONGEST_FOLDER - 16 else Path("/tmp")  # noqa: S108 – mkdtemp makes it ours alone
    return Path(tempfile.mkdtemp(prefix="curate-", dir=place))


def import_path() -> str:
    """Where workers on this machine find what this process imports."""
    return os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry or Path.cwd())


@contextmanager
def environment(wanted: dict[str, str]) -> Iterator[None]:
    """The environment that Ray's processes inherit, for as long as they are started."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
