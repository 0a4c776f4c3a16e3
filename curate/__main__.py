"""``python -m curate`` and the ``curate`` command: Ctrl-C is exit 130 from the first line on, while imports run too."""

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line and exit.

    Libraries turn a Ctrl-C that meets them half-way into errors of their own, and not all say so. So the signal itself
    is noted, and whatever error follows is its doing.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    try:
        from curate.cli.main import run_command

        code = run_command(interrupted=lambda: bool(noted))
    except BaseException as error:
        if not noted and not isinstance(error, KeyboardInterrupt):
            raise
        sys.stderr.write("curate: interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
