"""``check-license``, ``show-license`` and ``check-policy``."""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import click

from curate.artifact import sha256_folder
from curate.cli.options import cards_option, emit, output_option, policy_option, today
from curate.errors import CurateError, InputError, UnavailableError
from curate.gate import Verdict
from curate.licenses.check import check_license as check_one
from curate.licenses.check import embedded_folder, parse_ref
from curate.licenses.decision import Case, Decision
from curate.licenses.duties import combine_decisions
from curate.licenses.sources import make_source
from curate.policy import load_policy, read_policy

SIGNALS = ("responses", "logits", "hidden-states", "attentions")
CODES = {Verdict.ALLOW: 0, Verdict.REVIEW: 4, Verdict.DENY: 3}


@click.command()
@click.argument("refs", nargs=-1, metavar="REF...")
@policy_option
@cards_option
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--revision", default="", help="Commit, branch or tag on the hub; the commit is recorded.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day on which waivers are looked at; today by default."
)
@click.option("--student", "student_name", default="", help="The student's planned name.")
@click.option("--student-base", default="", metavar="REF", help="The model the student starts from; judged as well.")
@click.option("--student-license", default="", metavar="ID", help="The license the student is to be published under.")
@click.option(
    "--student-kind",
    type=click.Choice(["generative", "classifier", "embedding"]),
    default="generative",
    show_default=True,
    help="What the student is; some terms spare classifiers.",
)
@click.option("--signals", default=",".join(SIGNALS), show_default=True, help="What is taken from the teacher.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json", "jsonl", "markdown"]),
    default="text",
    show_default=True,
    help="Text for people; json is one artifact, jsonl one line a REF.",
)
@output_option
@click.option(
    "--ticket", type=click.Path(path_type=Path), help="Write the teacher's ticket here, its decision beside it."
)
@click.option(
    "--from",
    "listed",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A file with one REF a line; - for standard input.",
)
@click.option("--together", is_flag=True, help="The REFs teach one student: their duties add up and may clash.")
@click.option(
    "--fail-on",
    type=click.Choice(["deny", "review"]),
    default="review",
    show_default=True,
    help="With deny, a review exits 0.",
)
def check_license(  # noqa: PLR0917 – click passes them by name
    refs: tuple[str, ...],
    policy_name: str,
    cards: tuple[Path, ...],
    offline: bool,
    revision: str,
    as_of: date | None,
    student_name: str,
    student_base: str,
    student_license: str,
    student_kind: str,
    signals: str,
    form: str,
    output: Path | None,
    ticket: Path | None,
    listed: Path | None,
    together: bool,
    fail_on: str,
) -> int:
    r"""May this model teach? Allow (0), deny (3) or review (4), with the evidence.

    \b
    REF is owner/name[@revision], a folder, dataset:owner/name, api:provider/model or embedded.
    curate check-license google/flan-t5-base
    curate check-license api:openai/gpt-4o my/model -f jsonl
    """
    wanted = [*refs, *(_listed(listed) if listed else ())]
    _refuse_misuse(wanted, form, ticket=ticket, together=together)
    policy = load_policy(policy_name)
    source = make_source(cards=cards, offline=offline, embedded=embedded_folder())
    case = _case(
        signals=_signals(signals),
        student_name=student_name,
        student_base=student_base,
        student_license=student_license,
        student_kind=student_kind,
    )
    day = date(as_of.year, as_of.month, as_of.day) if as_of else today()
    judge = partial(check_one, policy=policy, source=source, case=case, today=day, revision=revision)
    if together:
        combined = combine_decisions([judge(ref) for ref in wanted])
        emit(_render(combined, form), output)
        return _exit_code([CODES[combined.verdict]], fail_on)
    texts: list[str] = []
    codes: list[int] = []
    for ref in wanted:
        try:
            decision = judge(ref)
        except (UnavailableError, InputError) as error:
            if len(wanted) == 1:
                raise
            click.echo(f"curate: {error}", err=True)
            codes.append(error.exit_code)
            texts.extend([_error_line(ref, error)] if form == "jsonl" else [])
            continue
        texts.append(_render(decision, form))
        codes.append(CODES[decision.verdict])
        if ticket is not None:
            _write_ticket(decision, ref, ticket)
    emit(("" if form in ("json", "jsonl") else "\n").join(texts), output)
    return _exit_code(codes, fail_on)


def _refuse_misuse(wanted: list[str], form: str, *, ticket: Path | None, together: bool) -> None:
    """Options that make no sense with one another."""
    if not wanted:
        raise click.UsageError("give at least one REF, or --from FILE")
    if form == "json" and len(wanted) > 1 and not together:
        raise click.UsageError("-f json prints one decision; use -f jsonl for several")
    if ticket is not None and (len(wanted) > 1 or together):
        raise click.UsageError("--ticket is for one REF")


def _case(**given: Any) -> Case:  # noqa: ANN401 – the fields of a case
    """The case, with only what was given: what is left out is for the policy to state."""
    return Case(**{name: value for name, value in given.items() if value})


def _exit_code(codes: Iterable[int], fail_on: str) -> int:
    """3 if any is denied, else 6 if any could not be had (5 if it made no sense), else 4, else 0."""
    seen = set(codes)
    order = (3, 6, 5, 4) if fail_on == "review" else (3, 6, 5)
    return next((code for code in order if code in seen), 0)


def _error_line(ref: str, error: CurateError) -> str:
    """What a JSONL reader gets where no decision could be made."""
    return json.dumps({"ref": ref, "error": str(error), "exit_code": error.exit_code}, ensure_ascii=False) + "\n"


def _signals(text: str) -> tuple[str, ...]:
    """The named signals in the order of the contract."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in named if name not in SIGNALS]
    if unknown or not named:
        raise click.UsageError(f"--signals takes {', '.join(SIGNALS)}, not {', '.join(unknown) or 'nothing'}")
    return tuple(name for name in SIGNALS if name in named)


def _listed(path: Path) -> Iterator[str]:
    """The refs of a file, one a line; ``#`` starts a comment."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for line in text.splitlines():
        ref = line.split("#")[0].strip()
        if ref:
            yield ref


def _render(decision: Decision, form: str) -> str:
    """The decision in the asked form."""
    if form == "json":
        return decision.to_json()
    if form == "jsonl":
        return json.dumps(decision.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) + "\n"
    if form == "markdown":
        from curate.report.text_license import render_markdown

        return render_markdown(decision)
    from curate.report.text_license import render_decision

    return render_decision(decision)


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
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON.",
)
@output_option
def show_license(license_id: str | None, form: str, output: Path | None) -> int:
    r"""What the catalogue says of a license, and where it stands; without ID, the list.

    \b
    curate show-license
    curate show-license llama3.1
    """
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
@click.argument("file", required=False, metavar="FILE", type=click.Path(path_type=Path))
@click.option("--schema", is_flag=True, help="Print the JSON Schema for editors instead.")
@output_option
def check_policy(file: Path | None, schema: bool, output: Path | None) -> int:
    r"""Check a policy file: every key, every verdict, every waiver.

    \b
    curate check-policy policies/default.yaml
    curate check-policy --schema > policy.schema.json
    """
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
    unknown = unknown_names(policy, catalogue_for(policy))
    if unknown:
        raise PolicyError(f"{file}: {unknown[0]} names nothing in the catalogue", hint="see curate show-license")
    emit(f"{file}: a valid policy, {policy.name}, sha256 {policy.digest()}\n", output)
    return 0
