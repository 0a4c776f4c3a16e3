"""Whether all processes write and read one output folder; found out in seconds instead of by waiting for ever.

The first process writes a file of a random name, tells the others the name, and hears from each whether it is there.
"""

import secrets
import time
from pathlib import Path

from curate.artifact import write_failure
from curate.distillation.world import World
from curate.errors import ConfigError

WAIT_S = 10.0
"""A network file system may show another machine's file a little late."""
PAUSE_S = 0.2


def check_shared(out: Path, world: World, *, wait_s: float = WAIT_S) -> None:
    """Refuse an output folder that some process does not share with the first; every process must call this.

    Args:
        out: this process's output folder.
        world: the processes.
        wait_s: seconds that a process looks for the file.

    Raises:
        ConfigError: in every process, with the numbers of those that do not see the first one's file.
        RunError: the first process cannot write there, and tells why; the others hear that nobody sees the file.
    """
    if world.size == 1:
        return
    token = world.tell(secrets.randbits(62))
    path = out / f".shared-{token:016x}"
    failure: OSError | None = None
    if world.is_first:
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
        except OSError as error:
            failure = error
    world.wait()
    blind = world.who(not _appears(path, wait_s if failure is None else 0.0))
    if world.is_first:
        path.unlink(missing_ok=True)
    if failure is not None:
        raise write_failure(out, failure) from failure
    if blind:
        raise ConfigError(
            f"{out}: process {', '.join(map(str, blind))} of {world.size} (counted from 0) does not see what process 0 "
            "wrote there",
            hint="give -o a folder on a disk that all machines share, by the same path",
        )


def _appears(path: Path, wait_s: float) -> bool:
    """Whether a file is there, or comes in time."""
    until = time.monotonic() + wait_s
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_S)
    return True
