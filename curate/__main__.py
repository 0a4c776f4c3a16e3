"""``python -m curate`` and the ``curate`` command: Ctrl-C is exit 130 from the first line on, while imports run too."""

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        from curate.cli.main import run_command

        code = run_command()
    except KeyboardInterrupt:
        sys.stderr.write("curate: interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
