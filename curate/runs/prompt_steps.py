"""The prompts of a run: filtered by the policy's chain, measured, and approved together with the teacher."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate.artifact import canonical_json, sha256_file, sha256_folder, sha256_text
from curate.licenses.decision import Decision
from curate.prompts.results import DiversityReport, FilterReport, PromptDecision, ShiftReport
from curate.runs.license_steps import local_teacher
from curate.runs.teachers import DECISION, TICKET, own_files, teachers_of
from curate.runs.workshop import Workshop

if TYPE_CHECKING:
    from curate.prompts.promptset import PromptSet
    from curate.prompts.store import VectorStore


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
        "chain": sha256_text(canonical_json([chain, config.budget, config.select, config.quota, column])),
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
            store=_vectors(shop),
            budget=config.budget or None,
            method=config.select,
            quota=config.quota,
            seed=config.distill.seed,
            policy_chain=policy.prompts.filters,
            policy_sha256=policy.digest(),
            progress=shop.progress,
        )
        report.write(shop.root / "filter.json")
        path, _ = write_kept(shop.root, kept)
        step.add(shop.root / "filter.json")
        step.add(path)
        step.message = f"kept {report.rows_kept:,} of {report.rows_read:,}"
        shop.say(f"prompts: {step.message}; dropped: {_dropped(report)}")
    return kept, report


def _vectors(shop: Workshop) -> "VectorStore":
    """The store of the policy's embedder, made once a run."""
    from curate.prompts.embed import load_embedder
    from curate.prompts.store import VectorStore

    if shop.store is None:
        shop.store = VectorStore(load_embedder(shop.policy.prompts.embedder))
    return shop.store


def _place(shop: Workshop, name: str) -> str:
    """A prompt file's path, or a hub data set as it stands."""
    return name if name.startswith("hf:") else str(shop.path(name))


def _dropped(report: FilterReport) -> str:
    """What went, by filter."""
    return ", ".join(f"{one.name} {one.dropped:,}" for one in report.filters if one.dropped) or "nothing"


def analyze(shop: Workshop, kept: "PromptSet", filtered: FilterReport) -> tuple[DiversityReport, ShiftReport | None]:
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
        "drops": sha256_file(shop.root / "filter.json"),
    }
    if line := shop.trail.reusable("analyze", inputs):
        shop.trail.reuse(line)
        shift = ShiftReport.read(shop.root / "shift.json") if reference else None
        return DiversityReport.read(shop.root / "diversity.json"), shift
    with shop.trail.step("analyze", inputs) as step:
        diversity, shift = analyze_prompts(
            kept,
            reference=reference,
            store=_vectors(shop),
            seed=config.distill.seed,
            drops=filtered.drops,
            source=read_prompts(_place(shop, config.prompts), column=config.column or None),
            progress=shop.progress,
        )
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
        for path in _approve_teachers(shop, decision):
            step.add(path)
    return approval


def _approve_teachers(shop: Workshop, decision: Decision) -> Iterator[Path]:
    """A ticket for every teacher; where there are several, the decision on all of them must allow as well."""
    teachers = teachers_of(shop.config)
    names = own_files(DECISION, len(teachers))
    for (name, endpoint), ticket, place in zip(teachers, own_files(TICKET, len(teachers)), names, strict=True):
        own = decision if len(teachers) == 1 else Decision.read(shop.root / place)
        here = endpoint is None or endpoint.serve is not None
        location = local_teacher(shop, name) or (_fetched(shop, name) if here else None)
        digest = sha256_folder(location) if location else ""
        own.approve(decision_path=place, location=str(location or ""), content_sha256=digest).write(shop.root / ticket)
        yield shop.root / ticket


def _fetched(shop: Workshop, name: str) -> Path | None:
    """The weights of a teacher that has to be brought here first; only after its license was approved."""
    if name != "smollm2":
        return None
    from curate.distillation.smollm2 import fetch_smollm2

    shop.weights = fetch_smollm2(offline=shop.config.offline, progress=shop.progress)
    return shop.weights
