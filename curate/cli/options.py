"""Options and output shared by the commands."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from curate.artifact import write_text
from curate.errors import InputError
from curate.policy import policy_names

Command = Callable[..., Any]


def today() -> date:
    """The one place that asks the clock which day it is."""
    return date.today()  # noqa: DTZ011 – a waiver ends on the signer's calendar day


def known_policy(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that is neither shipped nor written as a file: on the command line that is a usage error."""
    if value is None or value in policy_names() or Path(value).suffix or Path(value).exists():
        return value
    raise click.BadParameter(f"no policy called {value!r}; shipped: {', '.join(policy_names())}", ctx, parameter)


def policy_option(command: Command) -> Command:
    """``-p/--policy NAME|FILE``."""
    return click.option(
        "-p",
        "--policy",
        "policy_name",
        default="default",
        envvar="CURATE_POLICY",
        show_default=True,
        callback=known_policy,
        help="A shipped policy by name, or a policy file.",
    )(command)


def cards_option(command: Command) -> Command:
    """``--cards DIR``, repeatable."""
    return click.option(
        "--cards",
        "cards",
        multiple=True,
        envvar="CURATE_CARDS",
        type=click.Path(path_type=Path),
        help="Folder with models/<owner>__<name>/README.md and datasets/…; may be repeated.",
    )(command)


def output_option(command: Command) -> Command:
    """``-o/--output FILE``."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), help="Write the result here instead of standard output."
    )(command)


def offline_option(command: Command) -> Command:
    """``--offline``."""
    return click.option("--offline", is_flag=True, help="Never touch the network.")(command)


def listed_option(command: Command) -> Command:
    """``--from FILE``, as ``listed``."""
    return click.option(
        "--from",
        "listed",
        type=click.Path(path_type=Path, allow_dash=True),
        help="A file with one REF a line; - for standard input.",
    )(command)


def reference_options(command: Command) -> Command:
    """``--reference``, ``--embedder`` and ``--column``: what prompts are held against, and how they are read."""
    for option in (
        click.option("--column", metavar="NAME", help="The text column; found by name if not given."),
        click.option("--embedder", metavar="SPEC", help="default, minilm, a folder, or owner/name. [the policy's]"),
        click.option(
            "--reference",
            metavar="FILE",
            help="Prompts of the target task: a file, a folder, or hf:owner/name[:split].",
        ),
    ):
        command = option(command)
    return command


def format_option(*forms: str, told: str = "Text for people, or the whole artifact.") -> Callable[[Command], Command]:
    """``-f/--format``, text first, as ``form``."""
    choice = click.Choice(["text", *(forms or ("json",))])
    return click.option("-f", "--format", "form", type=choice, default="text", show_default=True, help=told)


def harmless(text: str) -> str:
    """A message that may quote a card or a file, without characters that steer a terminal."""
    from curate.report.text import escape_controls

    return escape_controls(text, multiline=True)


def emit(text: str, output: Path | None) -> None:
    """Results go to standard output or to the file that was asked for, atomically."""
    if output is None or str(output) == "-":
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    else:
        write_text(output, text)


def emit_pieces(pieces: Iterable[str]) -> None:
    """A long result goes to standard output piece by piece; it ends its last line itself."""
    sys.stdout.writelines(pieces)
    sys.stdout.flush()


@dataclass(frozen=True)
class ListedRef:
    """A reference as a file lists it, with its place."""

    ref: str
    line: int


def refs_in(path: Path) -> Iterator[ListedRef]:
    """The refs of a file, one a line; ``#`` starts a comment, ``-`` is standard input.

    Raises:
        InputError: the file cannot be read as text.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        ref = line.split("#")[0].strip()
        if ref:
            yield ListedRef(ref, number)
