"""The first steps of a run: what can be known to be wrong at once, and whether the teacher may teach."""

import shutil
from pathlib import Path

import yaml

from curate.artifact import write_text
from curate.errors import ConfigError, PromptsError, RunError
from curate.gate import Verdict, refuse
from curate.licenses.decision import Case, Decision
from curate.runs.teachers import DECISION, own_files, teachers_of, unite
from curate.runs.workshop import Workshop, embedded_teacher, is_folder

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
        _check_teachers(shop)
        local = "" if shop.config.distill.answers_alone else str(local_teacher(shop, shop.config.teacher) or "")
        asks = not any((shop.root / "signals").glob("answers*.jsonl"))
        check_distillation(shop.config.distill, teacher=local, anchor=shop.where, asks=asks)
        free = shutil.disk_usage(shop.root).free
        if free < LEAST_FREE_BYTES:
            raise RunError(f"{shop.root}: {free >> 20} MiB free, too little for a run", hint="free some space")


def _files(shop: Workshop) -> dict[str, tuple[str, ...]]:
    """The prompt files a run file names."""
    config = shop.config
    return {"prompts": (config.prompts,), "reference": (config.reference,), "benchmarks": config.benchmarks}


def _check_teachers(shop: Workshop) -> None:
    """Keys are there before anything slow."""
    from curate.distillation.endpoint import read_key

    for _, endpoint in teachers_of(shop.config):
        if endpoint is not None:
            read_key(endpoint)


def local_teacher(shop: Workshop, name: str) -> Path | None:
    """The folder of a local teacher, as far as it is known without fetching anything."""
    if name == "embedded":
        return embedded_teacher()
    if is_folder(name, shop.where):
        return shop.path(name).expanduser().resolve()
    return shop.weights if name == "smollm2" else None


def judge_licenses(shop: Workshop) -> Decision:
    """The license gate: may the teacher teach, may the student start where it starts.

    Raises:
        Denied, NeedsReview: both decisions are written first.
    """
    from curate.distillation.admission import signals_used
    from curate.distillation.faculty import check_route
    from curate.licenses.check import check_license

    config = shop.config
    with shop.trail.step("license", {"policy": shop.policy.digest()}) as step:
        source = shop.cards = shop.card_source()
        case = Case(
            signals=signals_used(config.distill),
            student_name=config.student.name,
            student_base=config.student.base,
            student_license=config.student.license,
        )
        refs = [shop.ref_of(name) for name, _ in teachers_of(config)]
        files = own_files(DECISION, len(refs))
        asked = {name: (ref, case) for name, ref in zip(files, refs, strict=True)}
        start = config.student.base or (refs[0] if config.student.keep_layers else "")
        if start:
            asked["base_decision.json"] = (start, case.model_copy(update={"as_base": True, "student_base": ""}))
        decisions = {}
        for name, (ref, about) in asked.items():
            fresh = check_license(ref, policy=shop.policy, source=source, case=about, today=shop.today)
            decisions[name] = _write_decision(shop.root / name, fresh)
            step.add(shop.root / name)
            shop.say(_decision_line("teacher" if name in files else "student's base", decisions[name]))
        if len(refs) > 1:
            decisions[DECISION] = _write_decision(
                shop.root / DECISION, unite([decisions[name] for name in files], shop.policy)
            )
            step.add(shop.root / DECISION)
            shop.say(_decision_line("teachers together", decisions[DECISION]))
        for path in source.write(shop.root / "cards", today=shop.today):
            step.add(path)
        said = {DECISION: "teacher" if len(refs) == 1 else "together", "base_decision.json": "base"}
        step.message = "; ".join(f"{said.get(name, one.ref)}: {one.verdict}" for name, one in decisions.items())
        for one in decisions.values():
            refuse(one.ref, one.verdict, one.findings)
        for place, (_, endpoint) in zip(files, teachers_of(config), strict=True):
            nodes = decisions[place].lineage.nodes
            check_route(decisions[place].ref, bool(nodes) and nodes[0].kind == "api", endpoint)
    return decisions[DECISION]


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
    reasons = [f for f in decision.findings if f.effective is decision.verdict is not Verdict.ALLOW]
    because = f": {reasons[0].rule}: {reasons[0].message}" if reasons else ""
    waived = dict.fromkeys(f"waived: {f.rule} by {f.waived_by}" for f in decision.findings if f.waived_by)
    return f"{what} {decision.ref}: {decision.verdict}{because}" + "".join(f"\n  {line}" for line in waived)
