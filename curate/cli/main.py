"""The ``curate`` command: commands are imported when they are called, so the gate starts fast."""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from curate import __version__
from curate.errors import CurateError

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
"""No plugin that happens to be installed takes part in validation; looking for them would also slow every start."""

COMMANDS: dict[str, str] = {
    "analyze-prompts": "curate.cli.prompts:analyze_prompts",
    "check-license": "curate.cli.licenses:check_license",
    "check-policy": "curate.cli.licenses:check_policy",
    "compare": "curate.cli.compare:compare",
    "demo": "curate.cli.demo:demo",
    "distill": "curate.cli.distill:distill",
    "fetch": "curate.cli.fetch:fetch",
    "filter-prompts": "curate.cli.prompts:filter_prompts",
    "recheck": "curate.cli.recheck:recheck",
    "run": "curate.cli.runs:run",
    "show-license": "curate.cli.licenses:show_license",
    "verify-run": "curate.cli.runs:verify_run",
    "waive": "curate.cli.waive:waive",
}
"""Every command and the function behind it."""

SUMMARIES: dict[str, str] = {
    "analyze-prompts": "Measure diversity, and shift against a reference.",
    "check-license": "May this model teach? Allow, review or deny, with the evidence.",
    "check-policy": "Check a policy file; print a shipped one, or the schema for editors.",
    "compare": "Two prompt sets or two runs, side by side.",
    "demo": "The whole job, end to end, on the embedded default.",
    "distill": "Teach a student, given the tickets of both gates.",
    "fetch": "Gather cards and license files, pinned, for a site without a network.",
    "filter-prompts": "Drop what is not worth asking, with a reason for every row.",
    "recheck": "What has changed at the source since a decision, and would it come out the same?",
    "run": "All of it, gated, into a run folder that proves it.",
    "show-license": "What the catalogue knows, and where it stands.",
    "verify-run": "Re-hash a run folder and name the first thing that differs.",
    "waive": "Sign a dated waiver of one review into a policy file.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin so; no command is imported to find out."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=SUMMARIES[name]) for name in sorted(names)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the command that was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            meant = get_close_matches(args[0], COMMANDS, n=1)
            if not meant:
                raise
            raise click.UsageError(f"{error.message} Did you mean {meant[0]}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="curate")
@click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors.")
@click.pass_context
def group(ctx: click.Context, verbose: int, quiet: bool) -> None:
    """Gate a distillation: may this teacher teach, are these prompts worth asking, and can we prove it?

    \b
    Exit codes: 0 allowed, done · 2 usage · 3 denied · 4 needs review
                5 wrong input · 6 something outside is missing
                7 a file changed · 8 the run broke · 130 Ctrl-C
    """  # noqa: D301 – click reads the escape
    level = logging.ERROR if quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("curate")
    logger.handlers = [handler]
    logger.setLevel(level)
    if not verbose:
        for variable in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
            os.environ.setdefault(variable, "error")
    ctx.obj = {"quiet": quiet, "verbose": verbose}


def run_command(arguments: list[str] | None = None, *, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: the words after ``curate``; those of the process if not given.
        interrupted: whether Ctrl-C has come, whatever a library has made of it.
    """
    try:
        result: Any = group.main(args=arguments, prog_name="curate", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("curate: interrupted", err=True)
        return 130
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except CurateError as error:
        if interrupted():
            click.echo("curate: interrupted", err=True)
            return 130
        from curate.cli.options import harmless

        click.echo(f"curate: {harmless(str(error))}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0
