"""The steps of a gated run; each reads what the last one left and records what it leaves."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from curate.artifact import canonical_json, sha256_file, sha256_folder, sha256_text, write_text
from curate.distillation.config import without_teacher
from curate.distillation.results import TrainingReport
from curate.errors import ConfigError, PromptsError, RunError
from curate.gate import ApprovedDataset, ApprovedTeacher, Verdict, refuse
from curate.licenses.decision import Case, Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
from curate.runs.record import LedgerLine
from curate.runs.workshop import Workshop, embedded_teacher, is_folder

if TYPE_CHECKING:
    from curate.prompts.promptset import PromptSet

LEAST_FREE_BYTES = 256 << 20


def preflight(shop: Workshop) -> None:
    """Everything that can be known to be wrong before anything slow: names, files, layers, room on the disk."""
    from curate.distillation.admission import preflight as check_distillation
    from curate.prompts.chain import tighten

    with shop.trail.step("preflight") as step:
        write_text(shop.root / "run.yaml", yaml.safe_dump(shop.config.to_file(), sort_keys=False, allow_unicode=True))
        shop.policy.write(shop.root / "policy.json")
        step.add(shop.root / "run.yaml")
        step.add(shop.root / "policy.json")
        for key, names in _files(shop).items():
            for name in names:
                if name and not name.startswith("hf:") and not shop.path(name).exists():
                    raise PromptsError(
                        f"{key}: {shop.path(name)}: no such file", hint="paths are relative to the run file"
                    )
        tighten(shop.policy.prompts.filters, shop.config.filters)
        if shop.config.embedder not in {"", shop.policy.prompts.embedder}:
            raise ConfigError(
                f"embedder: {shop.config.embedder!r} is not the policy's {shop.policy.prompts.embedder!r}",
                hint="thresholds belong to an embedder: change it in a policy, with thresholds measured for it",
            )
        check_distillation(shop.config.distill, teacher=str(local_teacher(shop) or ""), anchor=shop.where)
        free = shutil.disk_usage(shop.root).free
        if free < LEAST_FREE_BYTES:
            raise RunError(f"{shop.root}: {free >> 20} MiB free, too little for a run", hint="free some space")


def _files(shop: Workshop) -> dict[str, tuple[str, ...]]:
    """The prompt files a run file names."""
    config = shop.config
    return {"prompts": (config.prompts,), "reference": (config.reference,), "benchmarks": config.benchmarks}


def local_teacher(shop: Workshop) -> Path | None:
    """The folder of a local teacher, as far as it is known without fetching anything."""
    if shop.config.teacher == "embedded":
        return embedded_teacher()
    if is_folder(shop.config.teacher, shop.where):
        return shop.path(shop.config.teacher).expanduser().resolve()
    return shop.weights


def judge_licenses(shop: Workshop) -> Decision:
    """The license gate: may the teacher teach, may the student start where it starts.

    Raises:
        Denied, NeedsReview: both decisions are written first.
    """
    from curate.distillation.admission import signals_used
    from curate.licenses.check import check_license

    config = shop.config
    with shop.trail.step("license", {"policy": shop.policy.digest()}) as step:
        source = shop.card_source()
        case = Case(
            signals=signals_used(config.distill),
            student_name=config.student.name,
            student_base=config.student.base,
        )
        asked = {"decision.json": (shop.teacher_ref, case)}
        start = config.student.base or (shop.teacher_ref if config.student.keep_layers else "")
        if start:
            asked["base_decision.json"] = (start, case.model_copy(update={"as_base": True, "student_base": ""}))
        decisions = {}
        for name, (ref, about) in asked.items():
            fresh = check_license(ref, policy=shop.policy, source=source, case=about, today=shop.today)
            decisions[name] = _write_decision(shop.root / name, fresh)
            step.add(shop.root / name)
            shop.say(_decision_line("teacher" if name == "decision.json" else "student's base", decisions[name]))
        for path in source.write(shop.root / "cards"):
            step.add(path)
        step.message = "; ".join(f"{name.removesuffix('.json')}: {one.verdict}" for name, one in decisions.items())
        for one in decisions.values():
            refuse(one.ref, one.verdict, one.findings)
    return decisions["decision.json"]


def _write_decision(path: Path, fresh: Decision) -> Decision:
    """Write a decision; one that was made before and says the same but for its date stays."""
    if path.is_file():
        before = Decision.read(path)
        if before.resume_digest() == fresh.resume_digest():
            return before
    fresh.write(path)
    return fresh


def _decision_line(what: str, decision: Decision) -> str:
    """One line for people."""
    reasons = [f for f in decision.findings if f.effective is decision.verdict and f.verdict is not Verdict.ALLOW]
    because = f": {reasons[0].rule}: {reasons[0].message}" if reasons else ""
    waived = [f"waived: {f.rule} by {f.waived_by}" for f in decision.findings if f.waived_by]
    return f"{what} {decision.ref}: {decision.verdict}{because}" + "".join(f"\n  {line}" for line in waived)


def filter_prompt_set(shop: Workshop) -> tuple["PromptSet", FilterReport]:
    """The policy's chain, tightened by the run file, over the prompts; what is left and why the rest went."""
    from curate.licenses.rows import row_judge
    from curate.prompts.chain import tighten
    from curate.prompts.filters import filter_prompts
    from curate.prompts.judge import KEPT_FILE, write_kept
    from curate.prompts.reading import read_prompts

    config, policy = shop.config, shop.policy
    column = config.column or None
    prompts = read_prompts(_place(shop, config.prompts), column=column, progress=shop.progress)
    reference = read_prompts(_place(shop, config.reference)) if config.reference else None
    benchmarks = [read_prompts(_place(shop, name)) for name in config.benchmarks]
    chain = tighten(policy.prompts.filters, config.filters)
    inputs = {
        "prompts": prompts.sha256,
        "reference": reference.sha256 if reference else "",
        "benchmarks": sha256_text(canonical_json([one.sha256 for one in benchmarks])),
        "chain": sha256_text(canonical_json([chain, config.budget, column])),
        "policy": policy.digest(),
    }
    if line := shop.trail.reusable("prompts", inputs):
        shop.trail.reuse(line)
        return read_prompts(shop.root / KEPT_FILE), FilterReport.read(shop.root / "filter.json")
    with shop.trail.step("prompts", inputs) as step:
        kept, report = filter_prompts(
            prompts,
            chain=chain,
            reference=reference,
            benchmarks=benchmarks,
            judge=row_judge(policy) if prompts.licenses or prompts.sources else None,
            budget=config.budget or None,
            seed=config.distill.seed,
            policy_chain=policy.prompts.filters,
            policy_sha256=policy.digest(),
            progress=shop.progress,
        )
        report.write(shop.root / "filter.json")
        path, _ = write_kept(shop.root, kept)
        step.add(shop.root / "filter.json")
        step.add(path)
        step.message = f"kept {report.rows_kept} of {report.rows_read}"
        shop.say(f"prompts: {step.message}; dropped: {_dropped(report)}")
    return kept, report


def _place(shop: Workshop, name: str) -> str:
    """A prompt file's path, or a hub data set as it stands."""
    return name if name.startswith("hf:") else str(shop.path(name))


def _dropped(report: FilterReport) -> str:
    """What went, by filter."""
    return ", ".join(f"{one.name} {one.dropped}" for one in report.filters if one.dropped) or "nothing"


def analyze(shop: Workshop, kept: "PromptSet") -> tuple[DiversityReport, ShiftReport | None]:
    """Diversity of what is left, and its shift against the reference."""
    from curate.prompts.analyze import analyze_prompts
    from curate.prompts.reading import read_prompts

    config = shop.config
    reference = read_prompts(_place(shop, config.reference)) if config.reference else None
    inputs = {
        "prompts": sha256_file(shop.root / "prompts.parquet"),
        "reference": reference.sha256 if reference else "",
        "embedder": shop.policy.prompts.embedder,
        "seed": str(config.distill.seed),
    }
    if line := shop.trail.reusable("analyze", inputs):
        shop.trail.reuse(line)
        shift = ShiftReport.read(shop.root / "shift.json") if reference else None
        return DiversityReport.read(shop.root / "diversity.json"), shift
    with shop.trail.step("analyze", inputs) as step:
        diversity, shift = analyze_prompts(kept, reference=reference, seed=config.distill.seed, progress=shop.progress)
        diversity.write(shop.root / "diversity.json")
        step.add(shop.root / "diversity.json")
        if shift is not None:
            shift.write(shop.root / "shift.json")
            step.add(shop.root / "shift.json")
    return diversity, shift


def approve(
    shop: Workshop,
    decision: Decision,
    kept: "PromptSet",
    filtered: FilterReport,
    diversity: DiversityReport,
    shift: ShiftReport | None,
) -> PromptDecision:
    """Judge the prompts and make both tickets; the trainer takes nothing else.

    Raises:
        Denied, NeedsReview: the decision is written first.
    """
    from curate.prompts.judge import DECISION_FILE, KEPT_FILE, judge_prompts, row_obligations

    with shop.trail.step("approve") as step:
        fresh = judge_prompts(
            shop.policy,
            filter_report=filtered,
            diversity=diversity,
            shift=shift,
            file_sha256=sha256_file(shop.root / KEPT_FILE),
            rows=len(kept),
            today=shop.today,
            obligations=row_obligations(kept),
        )
        path = shop.root / DECISION_FILE
        before = PromptDecision.read(path) if path.is_file() else None
        approval = before if before and before.resume_digest() == fresh.resume_digest() else fresh
        approval.write(path)
        step.add(path)
        verdict = [f.message for f in approval.findings if f.effective is approval.verdict]
        shop.say(f"prompts: {approval.verdict}" + (f": {'; '.join(verdict)}" if approval.verdict != "allow" else ""))
        dataset = approval.approve(path=KEPT_FILE, decision_path=DECISION_FILE)
        dataset.write(shop.root / "dataset.json")
        step.add(shop.root / "dataset.json")
        location = local_teacher(shop) or _fetched(shop)
        teacher = decision.approve(
            location=str(location or ""), content_sha256=sha256_folder(location) if location else ""
        )
        teacher.write(shop.root / "teacher.json")
        step.add(shop.root / "teacher.json")
    return approval


def _fetched(shop: Workshop) -> Path | None:
    """The weights of a teacher that has to be brought here first; only after its license was approved."""
    if shop.config.teacher != "smollm2":
        return None
    from curate.distillation.smollm2 import fetch_smollm2

    shop.weights = fetch_smollm2(offline=shop.config.offline, progress=shop.progress)
    return shop.weights


def distill(shop: Workshop) -> TrainingReport:
    """Teach the student, and the same student on the task term alone where the run file asks for it."""
    from curate.distillation.distill import distill as teach

    teacher = ApprovedTeacher.read_ticket(shop.root / "teacher.json")
    dataset = ApprovedDataset.read_ticket(shop.root / "dataset.json")
    inputs = {
        "teacher": teacher.digest(),
        "dataset": dataset.digest(),
        "config": sha256_text(canonical_json(shop.config.distill.model_dump(mode="json"))),
        "evaluation": _evaluation_sha256(shop),
    }
    if line := _whole_training(shop, inputs):
        shop.trail.reuse(line)
        return TrainingReport.read(shop.root / "training.json")
    with shop.trail.step("distill", inputs) as step:
        if shop.config.baseline:
            _teach_baseline(shop, teacher, dataset)
            step.add(shop.root / "baseline.json")
        report = teach(
            teacher,
            dataset,
            shop.config.distill,
            root=shop.root,
            out=shop.root,
            anchor=shop.where,
            resume=True,
            progress=shop.progress,
        )
        for name in ("student", "signals", "training.json"):
            if (shop.root / name).exists():
                step.add(shop.root / name)
        step.message = f"{report.steps} steps, {report.tokens} answer tokens"
    return report


def _whole_training(shop: Workshop, inputs: dict[str, str]) -> LedgerLine | None:
    """The earlier training step, if it may stand as it is; the papers laid into ``student/`` later do not count."""
    return shop.trail.reusable("distill", inputs)


def _evaluation_sha256(shop: Workshop) -> str:
    """Digest of the evaluation file, if there is one."""
    name = shop.config.evaluation.file
    return sha256_file(shop.path(name)) if name else ""


def _teach_baseline(shop: Workshop, teacher: ApprovedTeacher, dataset: ApprovedDataset) -> None:
    """The same student, steps and data by L_task alone; only its measurements are kept."""
    from curate.distillation.distill import distill as teach

    if (shop.root / "baseline.json").is_file():
        return
    work = shop.root / "baseline"
    config = without_teacher(shop.config.distill)
    report = teach(
        teacher, dataset, config, root=shop.root, out=work, anchor=shop.where, resume=True, progress=shop.progress
    )
    report.write(shop.root / "baseline.json")
    shutil.rmtree(work)
