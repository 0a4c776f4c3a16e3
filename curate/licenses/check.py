"""May this model teach? A reference in, a decision out."""

from collections.abc import Iterable
from datetime import date
from importlib.resources import files
from pathlib import Path

from curate import __version__
from curate.errors import CardError, ModelNotFound
from curate.gate import Finding, Verdict, is_path, settle, worst
from curate.licenses.agreements import under_agreement
from curate.licenses.bench import Bench, claim_evidence, finding, via_evidence
from curate.licenses.decision import Case, Decision, Duty, Lineage, LineageNode, PolicyRef, in_organisation
from curate.licenses.duties import conflicts, duties_of
from curate.licenses.facts import Catalogue, catalogue_for, load_catalogue
from curate.licenses.lineage import Chain, Member, trace_chain
from curate.licenses.names import ModelRef, is_repo_id, repo_id_in
from curate.licenses.patterns import matches
from curate.licenses.rows import row_judge
from curate.licenses.rules import RULES
from curate.licenses.sources import EMBEDDED, CardSource, OnlyEmbedded, make_source
from curate.policy import LicensePolicy, Policy, apply_waivers

OF_THE_BASE = "the student's base: "
"""How a finding about the model the student starts from begins, where it joins the teacher's."""

__all__ = ["OF_THE_BASE", "check_license", "decide", "embedded_folder", "parse_ref", "row_judge"]


def parse_ref(text: str, *, revision: str = "") -> ModelRef:
    """What a reference means: ``owner/name[@rev]``, a folder, ``dataset:…``, ``api:…``, ``embedded``, a hosted name.

    Raises:
        CardError: it is none of these.
    """
    text = text.strip()
    if text.startswith("api:") and text[4:].strip():
        return ModelRef("api", text[4:].strip())
    kind, name = ("dataset", text[8:]) if text.startswith("dataset:") else ("model", text)
    if text == EMBEDDED.name:
        return EMBEDDED
    if kind == "model" and (is_path(name) or Path(name).is_dir()):
        return ModelRef("model", str(Path(name).expanduser()), folder=True)
    name, _, pinned = name.partition("@")
    name = repo_id_in(name) if "://" in name or "huggingface.co" in name else name
    if not is_repo_id(name):
        raise CardError(
            f"{text!r} is no model id", hint="give owner/name, dataset:owner/name, api:provider/model or a folder"
        )
    hosted = _hosted(name) if kind == "model" else ""
    if hosted:
        return ModelRef("api", hosted)
    return ModelRef("dataset" if kind == "dataset" else "model", name, pinned or revision)


def _hosted(name: str) -> str:
    """``provider/model`` for a bare name that everyone takes for a hosted model; empty for any other."""
    low = name.lower()
    if "/" in low:
        owner, _, model = low.partition("/")
        is_service = owner in ("openai", "anthropic") and _hosted(model)
        return name if is_service else ""
    for pattern, provider in load_catalogue().hosted["names"].items():
        if matches(low, pattern):
            return f"{provider}/{name}"
    return ""


def check_license(
    ref: str,
    *,
    policy: Policy,
    source: CardSource | None = None,
    case: Case | None = None,
    today: date,
    revision: str = "",
    catalogue: Catalogue | None = None,
) -> Decision:
    """May this model teach (or, with ``case.as_base``, be what a student starts from)?

    Args:
        ref: as ``parse_ref`` takes it.
        policy: the norms to judge by.
        source: where cards come from; by default the model's own folder, then the hub.
        case: what is about to be done. A ``student_base`` is judged too, and its findings join this decision.
        today: the day on which waivers are looked at.
        revision: commit, branch or tag on the hub.
        catalogue: the facts; by default those that ship with curate.

    Raises:
        CardError: the reference makes no sense.
        ModelNotFound: no source has a card and the catalogue does not know the name.
        HubUnreachable: the hub does not answer.
    """
    case = in_organisation(case or Case(), policy.organisation)
    catalogue = catalogue or catalogue_for(policy)
    source = source or make_source(embedded=embedded_folder())
    has_start = bool(case.student_base) and not case.as_base
    root = parse_ref(ref, revision=revision)
    chain = trace_chain(root, OnlyEmbedded(source) if root == EMBEDDED else source, catalogue)
    if chain.root.status == "missing" and chain.root.ref.kind != "api":
        raise ModelNotFound(
            f"{ref}: no card was found and the catalogue does not know it",
            hint="check the name, or give --cards DIR with its card",
        )
    start = trace_chain(parse_ref(case.student_base), source, catalogue) if has_start else None
    families = families_of(start, catalogue) if start is not None else frozenset()
    decision = decide(chain, policy=policy, case=case, catalogue=catalogue, today=today, families=families)
    if chain.root.ref.kind == "api" and not ref.strip().startswith("api:"):
        decision = decision.model_copy(update={"ref": ref.strip()})
    if start is not None:
        decision = _with_start(decision, start, case, policy=policy, catalogue=catalogue, today=today)
    return decision


def families_of(chain: Chain, catalogue: Catalogue) -> frozenset[str]:
    """The model families in a lineage, by the licenses that its members are known or claimed to have."""
    bench = Bench(LicensePolicy(), catalogue, Case(), chain)
    found = (facts.family for member in chain.members.values() for facts in bench.licenses_of(member))
    return frozenset(family for family in found if family)


def decide(
    chain: Chain,
    *,
    policy: Policy,
    case: Case,
    catalogue: Catalogue,
    today: date,
    families: frozenset[str] = frozenset(),
) -> Decision:
    """The decision on a chain that was read; pure. ``families`` are those the student starts within."""
    bench = Bench(
        policy.licenses, catalogue, case, chain, organisation=policy.organisation, families=families, today=today
    )
    found: list[Finding] = []
    verdicts: dict[str, Verdict] = {}
    for key, member in chain.members.items():
        before = bench.at(member)
        about = [one for rule in RULES.values() for one in rule(member, before)]
        about = under_agreement(before, member, _tempered(member, about), today)
        verdicts[key] = worst(one.verdict for one in about) if about else Verdict.ALLOW
        found.extend(about)
    duties = duties_of(bench)
    clashes = conflicts(duties, str(chain.root.ref)) if policy.licenses.accept_conditions else []
    found = [*clashes, *_laundering(bench, verdicts), *found]
    findings = apply_waivers(found, policy.waivers, waivable_denials=policy.waivable_denials, today=today)
    return Decision(
        ref=str(chain.root.ref),
        revision=chain.root.card.revision if chain.root.card else "",
        case=case,
        verdict=settle(findings),
        findings=findings,
        obligations=tuple(dict.fromkeys(duty.text for duty in duties)),
        duties=duties,
        lineage=_lineage(bench, verdicts),
        policy=PolicyRef(name=policy.name, sha256=policy.digest()),
        catalogue_sha256=catalogue.sha256,
        decided_on=today,
        curate_version=__version__,
    )


def _tempered(member: Member, about: list[Finding]) -> list[Finding]:
    """Of a data set behind a model, what forbids (or is known of its making) counts; silence does not.

    A card that the hub withheld is not silent: its gate is the finding, not a missing license.
    """
    if member.card is not None and member.card.withheld:
        about = [one for one in about if one.rule != "missing-license"]
    if member.ref.kind != "dataset" or member.is_root:
        return about
    made = {known.made_with for known in member.known if known.made_with}
    return [one for one in about if one.verdict is Verdict.DENY or (one.rule in made and one.verdict is Verdict.REVIEW)]


def _laundering(bench: Bench, verdicts: dict[str, Verdict]) -> Iterable[Finding]:
    """A permissive tag over a parent that is denied: a licensee cannot widen the grant."""
    for member in bench.chain.members.values():
        if (
            member.card is None
            or member.ref.kind == "dataset"
            or bench.at(member).own_verdict(member) is not Verdict.ALLOW
        ):
            continue
        for parent in bench.chain.parents(member):
            if verdicts.get(parent.ref.key) is Verdict.DENY:
                tag = ", ".join(claim.raw for claim in bench.license_claims(member.card))
                message = (
                    f"tagged {tag}, but its base {parent.ref} is denied; a tag cannot grant what the base withholds"
                )
                evidence = [claim_evidence(member.card, claim) for claim in bench.license_claims(member.card)]
                yield finding(
                    "license-laundering", member, Verdict.DENY, message, [*evidence, *via_evidence(bench, parent)]
                )


def _with_start(
    decision: Decision, chain: Chain, case: Case, *, policy: Policy, catalogue: Catalogue, today: date
) -> Decision:
    """The decision with what was found about the model the student starts from."""
    base_case = case.model_copy(update={"as_base": True})
    if chain.root.status == "missing":
        message = "no card was found and the catalogue does not know it"
        more: tuple[Finding, ...] = (finding("unread-parent", chain.root, policy.licenses.unread_parent, message),)
        more = apply_waivers(more, policy.waivers, waivable_denials=policy.waivable_denials, today=today)
        base_nodes: tuple[LineageNode, ...] = ()
        duties: tuple[Duty, ...] = ()
    else:
        base = decide(chain, policy=policy, case=base_case, catalogue=catalogue, today=today)
        more = base.findings
        base_nodes, duties = base.lineage.nodes, base.duties
    # waivers are signed for what was found of the base by itself, as a run's own decision about it says it
    more = tuple(one.model_copy(update={"message": f"{OF_THE_BASE}{one.message}"}) for one in more)
    known = {node.ref for node in decision.lineage.nodes}
    lineage = decision.lineage.model_copy(
        update={"nodes": (*decision.lineage.nodes, *(node for node in base_nodes if node.ref not in known))}
    )
    duties = tuple(dict.fromkeys((*decision.duties, *duties)))
    if policy.licenses.accept_conditions:
        told = {finding.message for finding in (*decision.findings, *more)}
        clashes = [one for one in conflicts(duties, decision.ref) if one.message not in told]
        more = (*more, *apply_waivers(clashes, policy.waivers, waivable_denials=policy.waivable_denials, today=today))
    findings = tuple(dict.fromkeys((*decision.findings, *more)))
    obligations = tuple(dict.fromkeys(duty.text for duty in duties))
    changed = {"findings": findings, "lineage": lineage, "obligations": obligations, "duties": duties}
    return decision.model_copy(update={**changed, "verdict": settle(findings)})


def _lineage(bench: Bench, verdicts: dict[str, Verdict]) -> Lineage:
    """The chain as the decision keeps it."""
    nodes = []
    for key, member in bench.chain.members.items():
        card = member.card
        claimed = [claim.raw for claim in bench.license_claims(card)] if card is not None else []
        licenses = (
            claimed or [one.id for one in member.hosted] or [one for known in member.known for one in known.licenses]
        )
        nodes.append(
            LineageNode(
                ref=str(member.ref), kind=member.ref.kind, revision=card.revision if card else "",
                license=", ".join(dict.fromkeys(licenses)), status=member.status, verdict=verdicts[key],
                sha256=card.sha256 if card else "",
            )
        )  # fmt: skip
    return Lineage(nodes=tuple(nodes), links=tuple(bench.chain.links), truncated=bool(bench.chain.cuts))


def embedded_folder() -> Path:
    """Where the teacher that ships with curate lies (it may be absent from a partial checkout)."""
    return Path(str(files("curate"))) / "embedded" / "intent_teacher"
