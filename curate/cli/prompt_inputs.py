"""What the prompt commands are given: filters, files, an embedder, a row judge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.options import harmless
from curate.errors import MissingExtra, PolicyError

if TYPE_CHECKING:
    from curate.gate import RowJudge
    from curate.policy import Option, Policy
    from curate.progress import Progress
    from curate.prompts.engines import Engine
    from curate.prompts.promptset import PromptSet
    from curate.prompts.store import VectorStore


def chain_from(filters: tuple[str, ...]) -> dict[str, dict[str, Option]]:
    """The filters named on the command line; what is wrong with them is a usage error."""
    from curate.prompts.chain import check_chain

    chain: dict[str, dict[str, Option]] = {}
    for text in filters:
        name, _, options = text.partition(":")
        chain.setdefault(name.strip(), {}).update(dict(parse_option(name, part) for part in options.split(",") if part))
    try:
        return check_chain(chain)
    except PolicyError as error:
        raise click.UsageError(str(error)) from error


def parse_option(name: str, text: str) -> tuple[str, Option]:
    """``key=value``: true and false, numbers, ``a|b`` for a list, else text."""
    key, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"--filter {name}: {text!r} is not KEY=VALUE")
    return key.strip(), parse_value(value.strip())


def parse_value(value: str) -> Option:
    """A value as it is written on the command line."""
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value.split("|") if "|" in value else value


def needed(*places: str | None) -> None:
    """Say at once what is missing, not in the middle: first the files that are read, then the extra that reads them.

    Raises:
        PromptsError: one of the places is no file and no folder with prompt files.
        MissingExtra: a package is not installed.
    """
    import importlib.util

    from curate.prompts.reading import find_files

    for place in places:
        if place and not place.startswith("hf:"):
            find_files(Path(place))
    for package in ("numpy", "pyarrow", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "prompts")


def read_both(
    file: str, reference: str | None, column: str | None, strict: bool, progress: Progress
) -> tuple[PromptSet, PromptSet | None]:
    """The prompts and the reference; the column named is that of the prompts, and of the reference if it is there."""
    from curate.prompts.reading import read_prompts

    prompts = read_prompts(file, column=column, strict=strict, progress=progress)
    for line in prompts.bad_lines[:3]:
        click.echo(f"curate: {harmless(f'{file}: left out {line}')}", err=True)
    if len(prompts.bad_lines) > 3:
        click.echo(f"curate: {file}: and {len(prompts.bad_lines) - 3} more lines", err=True)
    return prompts, None if reference is None else read_reference(reference, column, strict)


def read_reference(place: str, column: str | None, strict: bool) -> PromptSet:
    """The reference: the column that was named where it has one of that name, else its prompts.

    Answers are held against answers only: their column must be in the reference.
    """
    from curate.errors import PromptsError
    from curate.prompts.answers import holds_answers
    from curate.prompts.reading import read_prompts

    if column is not None:
        try:
            return read_prompts(place, column=column, strict=strict)
        except PromptsError as error:
            if holds_answers(column) or f"no column {column!r}" not in str(error):
                raise
    return read_prompts(place, strict=strict)


@contextmanager
def open_engine(name: str, workers: int | None) -> Iterator[Engine]:
    """The engine of a command."""
    if name == "local":
        if workers is not None:
            raise click.UsageError("--workers is for --engine ray")
        from curate.prompts.engines import LOCAL

        yield LOCAL
        return
    from curate.prompts.ray_engine import open_ray

    with open_ray(workers) as engine:
        yield engine


def open_store(spec: str, engine: Engine | None = None) -> VectorStore:
    """The vectors of an embedder; those of slow ones are kept in ``CURATE_CACHE``."""
    from curate.prompts.embed import load_embedder
    from curate.prompts.engines import LOCAL
    from curate.prompts.store import VectorStore

    cache = os.environ.get("CURATE_CACHE", "")
    return VectorStore(load_embedder(spec), folder=Path(cache) / "vectors" if cache else None, engine=engine or LOCAL)


def row_judge_of(policy: Policy, prompts: PromptSet) -> RowJudge | None:
    """The license wing's judge of rows, where there is something to judge."""
    if prompts.licenses is None and prompts.sources is None:
        return None
    from curate.licenses.rows import row_judge

    return row_judge(policy)


def html_page(
    diversity: object, shift: object, report: object, decision: object = None, analysis: object = None
) -> str:
    """The page of the report wing."""
    import importlib

    page: str = importlib.import_module("curate.report.html").prompts_page(diversity, shift, report, decision, analysis)
    return page
