"""The one place that knows the order: preflight, license, prompts, approval, distillation, report."""

from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from curate.artifact import Value, sha256_file
from curate.distillation.relaunch import refuse_several
from curate.errors import CurateError, Denied, MissingExtra, NeedsReview
from curate.policy import Policy, load_policy
from curate.progress import Progress, silent
from curate.runs import papers
from curate.runs.config import RunConfig
from curate.runs.distill_steps import distill
from curate.runs.license_steps import judge_licenses, preflight
from curate.runs.prompt_steps import analyze, approve, filter_prompt_set
from curate.runs.record import RECORD, RunRecord, RunStatus
from curate.runs.student_license import check_student_license
from curate.runs.trail import Trail, one_line
from curate.runs.workshop import Workshop, policy_place

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


class Outcome(Value):
    """Where a run ended and how."""

    folder: str
    record: RunRecord
    record_sha256: str
    """Printed last: kept elsewhere, it anchors the whole folder."""

    def text(self) -> str:
        """A few lines for the terminal."""
        name = max((len(one.name) for one in self.record.steps), default=0)
        steps = [
            f"  {one.name:<{name}}  {one.status:<8} {one.wall_s:8.1f} s  {one.message}" for one in self.record.steps
        ]
        page = Path(self.folder) / "report.html"
        report = [f"report: {page}"] if page.is_file() else []
        head, tail = f"{self.record.status}: {self.folder}", f"run.json sha256 {self.record_sha256}"
        return "\n".join([head, *(line.rstrip() for line in steps), *report, tail])


def unheard(text: str) -> None:
    """The listener of callers that do not care."""


def run_pipeline(
    config: RunConfig,
    *,
    where: Path,
    reports: Path,
    today: date,
    policy: Policy | None = None,
    resume: Path | None = None,
    only_gates: bool = False,
    sign: Path | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = unheard,
) -> Outcome:
    """Take a run file through every gate to a distilled student.

    Args:
        config: the resolved run file.
        where: folder that the file's paths are relative to.
        reports: folder in which the run's own folder is made.
        today: the day on which waivers are judged.
        policy: instead of the one the run file names.
        resume: a run folder to go on in; steps whose inputs did not change are taken over.
        only_gates: stop after both gates.
        sign: an Ed25519 private key (PEM); the run is signed with it, however it ends.
        progress: listener for the long parts.
        say: takes one line for people whenever something is decided.

    Raises:
        ConfigError: a launcher was asked for several processes; nothing was written.
        MissingExtra: a package is not installed; nothing was written.
        Denied, NeedsReview: a gate did not open; the folder holds the whole trail and nothing was trained.
        CurateError: whatever else broke, after the trail was closed over what is there.
    """
    refuse_several("a run")
    _check_extras()
    chosen = policy or load_policy(policy_place(config, where))
    signer = _signer(sign)
    trail = Trail.resume(resume) if resume else Trail.start(reports, config.digest()[:8])
    say(f"run folder: {trail.root}")
    shop = Workshop(config=config, where=where, policy=chosen, today=today, trail=trail, progress=progress, say=say)
    try:
        status = _go(shop, only_gates=only_gates)
        record = trail.close(status, exit_code=0, message="", config_sha256=config.digest())
    except BaseException as error:
        _close_after(error, shop, signer)
        raise
    finally:
        trail.release()
    _sign(trail.root, signer)
    return Outcome(folder=str(trail.root), record=record, record_sha256=sha256_file(trail.root / RECORD))


def _check_extras() -> None:
    """Say at once which package is missing, before there is a run folder."""
    for package in ("numpy", "pyarrow", "tokenizers", "torch", "transformers", "safetensors"):
        if find_spec(package) is None:
            raise MissingExtra(package, "all")


def _signer(key: Path | None) -> "CryptoSigner | None":
    """The key that signs, read before anything slow."""
    if key is None:
        return None
    from curate.runs.attest import read_signing_key

    return read_signing_key(key)


def _sign(root: Path, signer: "CryptoSigner | None") -> None:
    """Sign a closed run."""
    if signer is not None:
        from curate.runs.attest import attest

        attest(root, signer)


def _go(shop: Workshop, *, only_gates: bool) -> RunStatus:
    """The order."""
    preflight(shop)
    decision = judge_licenses(shop)
    check_student_license(shop)
    kept, filtered = filter_prompt_set(shop)
    diversity, shift = analyze(shop, kept, filtered)
    approval = approve(shop, decision, kept, filtered, diversity, shift)
    if only_gates:
        papers.write_bom(shop)
        papers.write_report(shop)
        return "gates passed"
    training = distill(shop)
    papers.write_student_papers(shop, decision, approval, training)
    papers.write_bom(shop)
    papers.write_report(shop)
    return "finished"


def _close_after(error: BaseException, shop: Workshop, signer: "CryptoSigner | None") -> None:
    """Close the trail over what is there, with a report if a gate said no."""
    status: RunStatus = "failed"
    if isinstance(error, Denied):
        status = "denied"
    elif isinstance(error, NeedsReview):
        status = "review"
    elif isinstance(error, KeyboardInterrupt):
        status = "interrupted"
    if status in {"denied", "review"}:
        papers.write_bom(shop)
        papers.write_report(shop)
    code = error.exit_code if isinstance(error, CurateError) else 130 if status == "interrupted" else 1
    shop.trail.close(status, exit_code=code, message=one_line(error), config_sha256=shop.config.digest())
    _sign(shop.root, signer)
