"""What a run leaves for people: the student's card and NOTICE, and the report page."""

from pathlib import Path
from typing import TypeVar

from curate.artifact import Artifact, write_text
from curate.distillation.results import TrainingReport
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
from curate.runs.record import CLOSE
from curate.runs.student_card import notice, student_card
from curate.runs.workshop import Workshop

Kind = TypeVar("Kind", bound=Artifact)


def write_student_papers(
    shop: Workshop, decision: Decision, approval: PromptDecision, training: TrainingReport
) -> None:
    """Lay the model card and, where there are duties, a NOTICE into the student's folder."""
    with shop.trail.step("papers") as step:
        folder = shop.root / "student"
        write_text(folder / "README.md", student_card(shop.config, decision, approval, training, run_id=shop.root.name))
        step.add(folder / "README.md")
        duties = (*decision.obligations, *approval.obligations)
        if duties:
            write_text(folder / "NOTICE", notice(shop.config, duties))
            step.add(folder / "NOTICE")


def write_report(shop: Workshop) -> None:
    """The page for people over whatever the run came to."""
    from curate.report.html import StepLine, run_page

    with shop.trail.step("report") as step:
        lines = [
            StepLine(name=line.step, status=line.status, wall_s=line.wall_s, note=line.message)
            for line in shop.trail.lines
            if line.step != CLOSE and line.status != "restarted"
        ]
        page = run_page(
            title=f"{shop.config.student.name} from {shop.config.taught_by}",
            steps=lines,
            teacher=_read(Decision, shop.root / "decision.json"),
            base=_read(Decision, shop.root / "base_decision.json"),
            filters=_read(FilterReport, shop.root / "filter.json"),
            diversity=_read(DiversityReport, shop.root / "diversity.json"),
            shift=_read(ShiftReport, shop.root / "shift.json"),
            prompt_decision=_read(PromptDecision, shop.root / "prompt_decision.json"),
            training=_read(TrainingReport, shop.root / "training.json"),
            baseline=_read(TrainingReport, shop.root / "baseline.json"),
            notes=("This is what was read, measured and recorded; it is not legal advice.",),
        )
        write_text(shop.root / "report.html", page)
        step.add(shop.root / "report.html")


def _read(kind: type[Kind], path: Path) -> Kind | None:
    """An artifact of the run, if the run came so far."""
    return kind.read(path) if path.is_file() else None
