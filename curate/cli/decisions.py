"""Many references judged side by side, and what was decided in every form ``check-license`` prints."""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from curate.errors import CurateError, InputError, UnavailableError
from curate.gate import Verdict
from curate.licenses.decision import Decision
from curate.progress import Progress

AT_ONCE = 8
"""References that wait for the hub side by side."""


@dataclass(frozen=True)
class Answer:
    """What came of one reference: a decision, or the error that kept it from being made."""

    ref: str
    decision: Decision | None = None
    error: CurateError | None = None
    file: str = ""
    """The list it stood in, if any, and the line."""
    line: int = 0

    @property
    def exit_code(self) -> int:
        """What the command would end with for this reference alone."""
        if self.decision is None:
            return self.error.exit_code if self.error else 1
        return {Verdict.DENY: 3, Verdict.REVIEW: 4}.get(self.decision.verdict, 0)


def answer_all(
    asked: Sequence[Answer], judge: Callable[[str], Decision], *, at_once: int, progress: Progress
) -> list[Answer]:
    """Every reference judged, in the order asked; what could not be had or made no sense is kept as an error."""

    def answer(one: Answer) -> Answer:
        try:
            return Answer(one.ref, judge(one.ref), None, one.file, one.line)
        except (UnavailableError, InputError) as error:
            return Answer(one.ref, None, error, one.file, one.line)

    if at_once == 1 or len(asked) == 1:
        return [answer(one) for one in asked]
    answers = []
    with ThreadPoolExecutor(max_workers=min(at_once, len(asked))) as pool:
        try:
            for answered in pool.map(answer, asked):
                answers.append(answered)
                progress("check", len(answers), len(asked))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return answers


def exit_code_of(codes: Iterable[int], fail_on: str) -> int:
    """3 if any is denied, else 6 if any could not be had (5 if it made no sense), else 4, else 0."""
    seen = set(codes)
    order = (3, 6, 5, 4) if fail_on == "review" else (3, 6, 5)
    return next((code for code in order if code in seen), 0)


def render_answers(answers: Sequence[Answer], form: str) -> str:
    """All answers in the asked form."""
    return FORMS[form](answers)


def _decisions(answers: Sequence[Answer]) -> list[Decision]:
    return [one.decision for one in answers if one.decision is not None]


def _problems(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """Reference and reason of what could not be judged."""
    return [(one.ref, str(one.error)) for one in answers if one.error is not None]


def text(answers: Sequence[Answer]) -> str:
    """For a terminal."""
    from curate.report.text_license import render_decision

    return "\n".join(render_decision(decision) for decision in _decisions(answers))


def json_(answers: Sequence[Answer]) -> str:
    """The one decision itself."""
    return "".join(decision.to_json() for decision in _decisions(answers))


def jsonl(answers: Sequence[Answer]) -> str:
    """A line for every reference, an error where no decision could be made."""
    lines = []
    for one in answers:
        payload: object = {"ref": one.ref, "error": str(one.error), "exit_code": one.exit_code}
        if one.decision is not None:
            payload = one.decision.model_dump(mode="json")
        lines.append(json.dumps(payload, sort_keys=one.decision is not None, ensure_ascii=False) + "\n")
    return "".join(lines)


def markdown(answers: Sequence[Answer]) -> str:
    """For a pull request or an issue."""
    from curate.report.markdown import decision_markdown, problems_markdown

    parts = [decision_markdown(decision) for decision in _decisions(answers)]
    problems = problems_markdown(_problems(answers))
    return "\n".join([*parts, *([problems] if problems else [])])


def html(answers: Sequence[Answer]) -> str:
    """One page, whatever the number of references."""
    from curate.report.html import decision_page, decisions_page

    decisions, problems = _decisions(answers), _problems(answers)
    return decision_page(decisions[0]) if len(answers) == 1 and decisions else decisions_page(decisions, problems)


def sarif(answers: Sequence[Answer]) -> str:
    """SARIF 2.1.0 for code scanning."""
    from curate.report.sarif import Place, sarif_log

    places = {one.decision.ref: Place(file=one.file, line=one.line) for one in answers if one.decision and one.file}
    return sarif_log(_decisions(answers), problems=_problems(answers), places=places)


def cyclonedx(answers: Sequence[Answer]) -> str:
    """A CycloneDX 1.6 ML-BOM."""
    from curate.report.cyclonedx import bill_of_materials

    return bill_of_materials(_decisions(answers), problems=_problems(answers))


FORMS: dict[str, Callable[[Sequence[Answer]], str]] = {
    form.__name__.removesuffix("_"): form for form in (text, json_, jsonl, markdown, html, sarif, cyclonedx)
}
