"""The prompt wing's checks of answers, handed to the distillation wing: the two do not know each other."""

from typing import TYPE_CHECKING

from curate.distillation.config import DistillConfig
from curate.prompts.answers import wrong_answer
from curate.prompts.quality import what_is_wrong

if TYPE_CHECKING:
    from curate.distillation.lesson import AnswerCheck

CUT_OFF = "cut off"


def check_answer(text: str, finished: bool) -> str:
    """Why a teacher's answer must not teach; empty if nothing shows.

    Args:
        text: the answer.
        finished: whether the teacher ended it. One that was cut at the bound is known to be a beginning: it teaches
            without an end, so that it breaks off in the middle says nothing against it.
    """
    for reason in (what_is_wrong(text, short_is_fine=True), wrong_answer(text)):
        if reason and (finished or reason != CUT_OFF):
            return reason
    return ""


def answer_check(config: DistillConfig) -> "AnswerCheck | None":
    """The check a config asks for."""
    return check_answer if config.answer_checks else None
