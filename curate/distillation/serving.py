"""A server that curate starts for a teacher, asks, and stops: ``vllm serve`` in a process group of its own. POSIX.

The command line, ``--version``, ``VLLM_API_KEY``, ``/health`` and ``--generation-config vllm`` are vLLM's:
https://docs.vllm.ai/en/latest/cli/serve.html and https://docs.vllm.ai/en/latest/usage/security.html.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.distillation.chat import one_line
from curate.distillation.guard import KEY
from curate.distillation.results import Serving
from curate.distillation.serve_config import ServeConfig
from curate.distillation.server import Server, last_words
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import ConfigError, UnavailableError
from curate.gate import ApprovedTeacher
from curate.progress import Progress, silent

VERSION_S = 300.0
"""vLLM imports torch before it says its version, from a cold disk too."""
LAUNCHERS = {
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT",
    "PYTHONPATH", "PYTHONHOME", "VLLM_SERVER_DEV_MODE",
}  # fmt: skip
"""Variables of curate's own launch and environment, and one that would open routes for developers."""


@dataclass(frozen=True)
class Served:
    """The weights that a ticket names."""

    model: str
    """A folder, or a name on the hub."""
    revision: str
    """A commit on the hub; empty for a folder."""
    name: str
    """Under which it is asked."""


def what_to_serve(ticket: ApprovedTeacher, name: str) -> Served:
    """The weights a ticket is for.

    Raises:
        ConfigError: a hosted model, or a folder lies where a server would look before it asks the hub.
    """
    from curate.distillation.teacher import find_weights

    weights = find_weights(ticket)
    if ticket.location or weights != ticket.ref:
        return Served(weights, "", name)
    if Path(weights).exists():
        raise ConfigError(
            f"endpoint.serve: {weights} is a folder here, and the ticket is for the hub's model of that name",
            hint="call curate from another folder",
        )
    return Served(weights, ticket.revision, name)


def find_program(serve: ServeConfig, anchor: Path = Path()) -> str:
    """The executable's whole path.

    Raises:
        UnavailableError: there is none, or this system has no process groups.
    """
    if os.name != "posix":
        raise UnavailableError("endpoint.serve: needs a POSIX system", hint="start the server, and set base_url")
    if os.sep not in serve.program:
        if found := shutil.which(serve.program):
            return str(Path(found).absolute())
        raise UnavailableError(
            f"endpoint.serve.program: {serve.program} is not on PATH",
            hint="install vLLM in an environment of its own, and set program to the path of its bin/vllm",
        )
    path = Path(serve.program)
    with contextlib.suppress(RuntimeError):  # ~name of nobody
        path = path.expanduser()
    path = anchor / path
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise UnavailableError(
            f"endpoint.serve.program: {path}: no such executable", hint="set it to the path of vLLM's bin/vllm"
        )
    return str(path.absolute())


def launch_words(program: str, serve: ServeConfig, served: Served) -> tuple[str, ...]:
    """The command line but for address and port."""
    pinned = ("--revision", served.revision, "--tokenizer-revision", served.revision) if served.revision else ()
    own = ("--served-model-name", served.name, "--generation-config", "vllm")  # no settings but those that are sent
    return (program, "serve", served.model, *pinned, *own, *serve.arguments)


@contextmanager
def serving(
    endpoint: EndpointConfig,
    served: Served,
    *,
    log: Path,
    tell: Callable[[Mapping[str, Any]], None],
    anchor: Path = Path(),
    offline: bool = False,
    progress: Progress = silent,
) -> Iterator[Server]:
    """A server that answers, and that is gone when the block is left, however it is left.

    Args:
        endpoint: with ``serve``.
        served: what it serves.
        log: where its output goes.
        tell: hears what was started, once it answers.
        anchor: what a relative path of the program is relative to.
        offline: the server keeps to what is on this machine, too.
        progress: hears how long it has been waited for, and the server's last line.

    Raises:
        UnavailableError: no such program, or it does not come up.
        RunError: raised by ``Server.watch`` once it has ended.
    """
    assert endpoint.serve is not None  # noqa: S101 – for the type checker
    program = find_program(endpoint.serve, anchor)
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHERS | {KEY}}
    environment.setdefault("VLLM_NO_USAGE_STATS", "1")
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    words = launch_words(program, endpoint.serve, served)
    about = Serving(
        program=program,
        version=ask_version(program, environment),
        model=served.model,
        revision=served.revision,
        arguments=words[3:],
    )
    server = Server(endpoint, words, log, environment)
    try:
        server.wait(endpoint.serve.start_timeout, progress)
        tell(about.model_dump(mode="json"))
        yield server
    finally:
        server.stop()


def ask_version(program: str, environment: Mapping[str, str]) -> str:
    """What a program answers to ``--version``; a program that cannot be run is found before the wait for it."""
    try:
        done = subprocess.run(  # noqa: S603 – the user's own program, without a shell
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_S,
            env=dict(environment),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"endpoint.serve.program: {program} --version: {one_line(str(error))}", hint="run that line by hand"
        ) from error
    said = done.stdout.decode("utf-8", "replace").split("\n")
    if done.returncode:
        raise UnavailableError(
            f"endpoint.serve.program: {program} --version ended with exit code {done.returncode}: "
            f"{last_words(done.stderr or done.stdout)}",
            hint="run that line by hand",
        )
    return one_line(next((line for line in reversed(said) if line.strip()), ""))[:100]
