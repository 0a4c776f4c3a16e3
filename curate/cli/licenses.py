"""``check-license``, ``show-license`` and ``check-policy``."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from functools import partial
from pathlib import Path

import click

from curate.artifact import sha256_folder
from curate.cli.case import case_options
from curate.cli.decisions import AT_ONCE, FORMS, Answer, answer_all, exit_code_of, render_answers
from curate.cli.options import (
    cards_option,
    emit,
    format_option,
    harmless,
    listed_option,
    offline_option,
    output_option,
    policy_option,
    refs_in,
    today,
)
from curate.gate import Verdict
from curate.licenses.check import check_license as check_one
from curate.licenses.check import embedded_folder, parse_ref
from curate.licenses.decision import Case, Decision
from curate.licenses.duties import combine_decisions
from curate.licenses.sources import make_source
from curate.policy import load_policy, policies_folder, read_policy
from curate.progress import Progress, silent


@click.command()
@click.argument("refs", nargs=-1, metavar="REF...")
@policy_option
@cards_option
@offline_option
@click.option("--revision", default="", help="Commit, branch or tag on the hub; the commit is recorded.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day on which waivers are looked at; today by default."
)
@case_options
@format_option(
    *list(FORMS)[1:],
    told="Text for people; json is one artifact, jsonl one line a REF; html is one page; sarif and cyclonedx one file.",
)
@output_option
@click.option(
    "--ticket", type=click.Path(path_type=Path), help="Write the teacher's ticket here, its decision beside it."
)
@listed_option
@click.option("--together", is_flag=True, help="The REFs teach one student: their duties add up and may clash.")
@click.option(
    "--fail-on",
    type=click.Choice(["deny", "review"]),
    default="review",
    show_default=True,
    help="With deny, a review exits 0.",
)
@click.pass_obj
def check_license(  # noqa: PLR0917 – click passes them by name
    settings: dict[str, bool] | None,
    refs: tuple[str, ...],
    policy_name: str,
    cards: tuple[Path, ...],
    offline: bool,
    revision: str,
    as_of: date | None,
    case: Case,
    form: str,
    output: Path | None,
    ticket: Path | None,
    listed: Path | None,
    together: bool,
    fail_on: str,
) -> int:
    """May this model teach? Allow (0), deny (3) or review (4), with the evidence.

    REF is owner/name[@revision], a folder, dataset:owner/name, api:provider/model or embedded.

    \b
    curate check-license google/flan-t5-base
    curate check-license api:openai/gpt-4o my/model -f jsonl
    """  # noqa: D301 – click reads the escape
    asked = [*map(Answer, refs), *(_listed(listed) if listed else ())]
    _refuse_misuse(asked, form, ticket=ticket, together=together)
    policy = load_policy(policy_name)
    source = make_source(cards=cards, offline=offline, embedded=embedded_folder())
    day = date(as_of.year, as_of.month, as_of.day) if as_of else today()
    at_once = 1 if cards or offline else AT_ONCE
    if len(asked) > 1 and at_once > 1:
        from curate.licenses.fetch import Remembered

        source = Remembered(source)
    judge = partial(check_one, policy=policy, source=source, case=case, today=day, revision=revision)
    if together:
        combined = combine_decisions([judge(one.ref) for one in asked], policy)
        answers = [Answer(combined.ref, combined)]
    else:
        with _progress(is_quiet=bool((settings or {}).get("quiet")) or len(asked) == 1 or at_once == 1) as progress:
            answers = answer_all(asked, judge, at_once=at_once, progress=progress)
    _tell_problems(answers)
    emit(render_answers(answers, form), output)
    if ticket is not None and answers[0].decision is not None:
        _write_ticket(answers[0].decision, answers[0].ref, ticket)
    return exit_code_of((one.exit_code for one in answers), fail_on)


def _refuse_misuse(asked: list[Answer], form: str, *, ticket: Path | None, together: bool) -> None:
    """Options that make no sense with one another."""
    if not asked:
        raise click.UsageError("give at least one REF, or --from FILE")
    if form == "json" and len(asked) > 1 and not together:
        raise click.UsageError("-f json prints one decision; use -f jsonl for several")
    if ticket is not None and (len(asked) > 1 or together):
        raise click.UsageError("--ticket is for one REF")


def _tell_problems(answers: list[Answer]) -> None:
    """One line for each reference that could not be judged; a single one ends the command."""
    for one in answers:
        if one.error is not None and len(answers) == 1:
            raise one.error
        if one.error is not None:
            click.echo(f"curate: {harmless(str(one.error))}", err=True)


def _progress(*, is_quiet: bool) -> AbstractContextManager[Progress]:
    """A progress bar where there is something to wait for."""
    if is_quiet:
        return nullcontext(silent)
    from curate.cli.progress import Reporter

    return Reporter()


def _listed(path: Path) -> Iterator[Answer]:
    """The refs of a file, each with its place."""
    name = "" if str(path) == "-" else path.as_posix()
    return (Answer(one.ref, file=name, line=one.line) for one in refs_in(path))


def _write_ticket(decision: Decision, ref: str, path: Path) -> None:
    """The ticket and, beside it, the decision it names; a verdict other than allow writes only the decision."""
    name = f"{path.stem}.decision.json"
    parsed = parse_ref(ref)
    folder = Path(parsed.name) if parsed.folder else embedded_folder() if parsed.name == "embedded" else None
    decision.write(path.with_name(name))
    if decision.verdict is not Verdict.ALLOW:
        path.unlink(missing_ok=True)
        click.echo(f"curate: no ticket: the verdict is {decision.verdict.value}", err=True)
        return
    made = decision.approve(
        decision_path=name,
        location=str(folder.resolve()) if folder else "",
        content_sha256=sha256_folder(folder) if folder else "",
    )
    made.write(path)
    click.echo(f"curate: ticket written to {path}", err=True)


@click.command()
@click.argument("license_id", required=False, metavar="[ID]")
@format_option(told="Text for people, or JSON.")
@output_option
def show_license(license_id: str | None, form: str, output: Path | None) -> int:
    """What the catalogue says of a license, and where it stands; without ID, the list.

    \b
    curate show-license
    curate show-license llama3.1
    """  # noqa: D301 – click reads the escape
    from curate.licenses.facts import load_catalogue
    from curate.report.text_license import render_facts, render_facts_list

    catalogue = load_catalogue()
    if license_id is None:
        rows = list(catalogue.licenses.values())
        text = render_facts_list(rows) if form == "text" else _json([row.model_dump(mode="json") for row in rows])
    else:
        found = catalogue.find(license_id)
        if not found:
            raise click.UsageError(
                f"no license called {license_id!r} in the catalogue; `curate show-license` lists them"
            )
        text = (
            "\n".join(render_facts(one, catalogue.conditions) for one in found)
            if form == "text"
            else _json([one.model_dump(mode="json") for one in found])
        )
    emit(text, output)
    return 0


def _json(payload: object) -> str:
    """Indented JSON."""
    return json.dumps(payload, ensure_ascii=False, indent=2) + "\n"


@click.command()
@click.argument("file", required=False, metavar="FILE|NAME", type=click.Path(path_type=Path))
@click.option("--print", "printed", is_flag=True, help="Print the policy itself: a shipped one to copy and change.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema for editors instead.")
@output_option
def check_policy(file: Path | None, printed: bool, schema: bool, output: Path | None) -> int:
    """Check a policy file: every key, every verdict, every waiver.

    \b
    curate check-policy policies/default.yaml
    curate check-policy permissive-only --print -o my-policy.yaml
    curate check-policy --schema > policy.schema.json
    """  # noqa: D301 – click reads the escape
    from curate.errors import PolicyError
    from curate.licenses.facts import catalogue_for
    from curate.licenses.policy_names import unknown_names

    if schema:
        from curate.policy.schema import policy_schema

        described = policy_schema()
        described["properties"].pop("kind", None)
        described["required"] = [name for name in described.get("required", []) if name not in ("name", "kind")]
        emit(_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **described}), output)
        return 0
    if file is None:
        raise click.UsageError("give a policy file, or --schema")
    policy = read_policy(file) if file.exists() else load_policy(str(file))
    if printed:
        place = file if file.exists() else policies_folder() / f"{file}.yaml"
        emit(place.read_text(encoding="utf-8-sig"), output)
        return 0
    unknown = unknown_names(policy, catalogue_for(policy))
    if unknown:
        raise PolicyError(f"{file}: {unknown[0]} names nothing in the catalogue", hint="see curate show-license")
    emit(f"{file}: a valid policy, {policy.name}, sha256 {policy.digest()}\n", output)
    return 0
