"""What is about to be done with a teacher, as options that several commands share."""

from functools import wraps
from typing import Any

import click

from curate.cli.options import Command

SIGNALS = ("responses", "logits", "hidden-states", "attentions")
KINDS = ("generative", "classifier", "embedding")
OPTIONS = (
    click.option("--student", "student_name", default="", help="The student's planned name."),
    click.option(
        "--student-base", default="", metavar="REF", help="The model the student starts from; judged as well."
    ),
    click.option(
        "--student-license", default="", metavar="ID", help="The license the student is to be published under."
    ),
    click.option(
        "--student-kind",
        type=click.Choice(KINDS),
        default="generative",
        show_default=True,
        help="What the student is; some terms spare classifiers.",
    ),
    click.option("--signals", default=",".join(SIGNALS), show_default=True, help="What is taken from the teacher."),
)
"""``--student``, ``--student-base``, ``--student-license``, ``--student-kind``, ``--signals``."""


def case_options(command: Command) -> Command:
    """Give a command these options; it takes them as one ``case``."""

    @wraps(command)
    def with_case(
        *args: Any,  # noqa: ANN401 – click's own values
        student_name: str,
        student_base: str,
        student_license: str,
        student_kind: str,
        signals: str,
        **rest: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        from curate.licenses.decision import Case

        given = {
            "signals": named_signals(signals),
            "student_name": student_name,
            "student_base": student_base,
            "student_license": student_license,
            "student_kind": student_kind,
        }
        # what is left out is for the policy to state
        case = Case.model_validate({name: value for name, value in given.items() if value})
        return command(*args, case=case, **rest)

    for option in reversed(OPTIONS):
        with_case = option(with_case)
    return with_case


def named_signals(text: str) -> tuple[str, ...]:
    """The named signals in the order of the contract."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in named if name not in SIGNALS]
    if unknown or not named:
        raise click.UsageError(f"--signals takes {', '.join(SIGNALS)}, not {', '.join(unknown) or 'nothing'}")
    return tuple(name for name in SIGNALS if name in named)
