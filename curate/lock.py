"""One process at a time writes a file: a lock on an open file that its process takes along when it dies."""

import sys
from typing import IO

FAR = 1 << 40
"""On Windows a locked byte cannot be read by others, so one is locked that no ledger ever reaches."""


def lock(stream: IO[bytes], *, wait: bool = False) -> None:
    """Take the lock of an open file, at once or not at all; or wait for it (on Windows some ten seconds).

    Raises:
        OSError: another process holds it.
    """
    if sys.platform == "win32":
        import msvcrt

        stream.seek(FAR)
        msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
