"""A license decision as plain text: the verdict first, then why, the lineage and the duties."""

from collections.abc import Iterator

from curate.gate import Evidence, Finding, Verdict
from curate.licenses.decision import Decision, LineageNode
from curate.licenses.facts import LicenseFacts
from curate.report.text import bound_text

MAX_QUOTE = 160
MAX_NODES = 60
SIGNS = {Verdict.ALLOW: "+", Verdict.REVIEW: "?", Verdict.DENY: "x"}


def render_decision(decision: Decision, *, verbose: bool = False) -> str:
    """The decision for a terminal; everything that came from a card is freed of control characters."""
    lines = [f"{decision.verdict.value.upper():<7}{printable(str(decision.ref))}{_pinned(decision)}"]
    lines.append(f"       {_summary(decision)}")
    shown = [one for one in decision.findings if verbose or one.verdict is not Verdict.ALLOW or _is_sole(decision)]
    for found in sorted(shown, key=lambda one: -one.verdict.severity):
        lines.extend(_finding(found))
    if len(decision.lineage.nodes) > 1:
        lines.append("  lineage")
        lines.extend(f"    {line}" for line in _tree(decision))
    if decision.obligations and decision.verdict is not Verdict.DENY:
        lines.append("  duties that pass to the student")
        lines.extend(f"    - {printable(duty)}" for duty in decision.obligations)
    lines.append(
        f"  policy {decision.policy.name} {decision.policy.sha256[:12]} · catalogue {decision.catalogue_sha256[:12]}"
    )
    return "\n".join(lines) + "\n"


def printable(text: str, limit: int = 600) -> str:
    """One line, cut at a limit, with characters that nobody sees shown as escapes."""
    return bound_text(" ".join(text.split()), limit)


def _pinned(decision: Decision) -> str:
    """The commit, if there is one."""
    return f" @ {printable(decision.revision, 40)}" if decision.revision else ""


def _summary(decision: Decision) -> str:
    """The finding that decided, in one line."""
    deciding = [one for one in decision.findings if one.effective is decision.verdict]
    if not deciding:
        return "nothing speaks for it"
    if decision.verdict is Verdict.ALLOW:
        waived = sum(1 for one in decision.findings if one.waived_by)
        read = sum(1 for node in decision.lineage.nodes if node.status == "read")
        note = f"; {waived} {'finding' if waived == 1 else 'findings'} waived, see below" if waived else ""
        looked_at = len(decision.lineage.nodes)
        what = "1 model" if looked_at == 1 else f"{looked_at} models and data sets"
        cards = f"{read or 'no'} {'card' if read == 1 else 'cards'} read"
        return f"nothing forbids it; {what} looked at, {cards}{note}"
    more = f" (and {len(deciding) - 1} more)" if len(deciding) > 1 else ""
    return f"{deciding[0].rule}: {printable(deciding[0].message, 200)}{more}"


def _is_sole(decision: Decision) -> bool:
    """Whether the decision is an allow, whose reasons are then worth showing."""
    return decision.verdict is Verdict.ALLOW


def _finding(found: Finding) -> Iterator[str]:
    """One finding with its evidence."""
    yield f"  {SIGNS[found.verdict]} {found.rule} · {printable(found.subject, 120)}"
    yield f"      {printable(found.message)}"
    if found.waived_by:
        yield f"      waived by {printable(found.waived_by)}"
    for evidence in found.evidence:
        yield f"      ← {_evidence(evidence)}"


def _evidence(evidence: Evidence) -> str:
    """Where it stands and what stands there."""
    parts = [printable(evidence.source, 160) + (f", line {evidence.line}" if evidence.line else "")]
    if evidence.section:
        parts.append(printable(evidence.section, 240))
    if evidence.quote:
        parts.append(f"“{printable(evidence.quote, MAX_QUOTE)}”")
    if evidence.confidence and evidence.confidence not in ("text", "high"):
        parts.append(f"[{evidence.confidence}]")
    return " · ".join(parts)


def _tree(decision: Decision) -> Iterator[str]:
    """The lineage as an indented tree; a member met before is not unfolded again."""
    nodes = {node.ref: node for node in decision.lineage.nodes}
    parents: dict[str, list[tuple[str, str]]] = {}
    for link in decision.lineage.links:
        parents.setdefault(link.child, []).append((link.parent, link.relation))
    stack: list[tuple[str, str, int]] = [(decision.lineage.nodes[0].ref, "", 0)]
    seen: set[str] = set()
    shown = 0
    while stack and shown < MAX_NODES:
        ref, relation, depth = stack.pop()
        node = nodes.get(ref)
        if node is None:
            continue
        shown += 1
        yield (
            "  " * min(depth, 12)
            + (f"{relation}: " if relation else "")
            + _node(node)
            + (" (above)" if ref in seen else "")
        )
        if ref not in seen:
            seen.add(ref)
            stack.extend((parent, how, depth + 1) for parent, how in reversed(parents.get(ref, [])))
    if len(nodes) > shown:
        yield f"… {len(nodes) - shown} more"


def _node(node: LineageNode) -> str:
    """One member."""
    licensed = f" [{printable(node.license, 60)}]" if node.license else ""
    if node.is_unread_data:
        return f"· {printable(node.ref, 120)}{licensed} not read, decides nothing"
    return f"{SIGNS[node.verdict]} {printable(node.ref, 120)}{licensed} {node.status}"


def render_facts(facts: LicenseFacts, meanings: dict[str, str]) -> str:
    """One catalogue entry."""
    lines = [f"{facts.id} – {facts.name}", f"  kind        {facts.kind}"]
    if facts.spdx:
        lines.append(f"  SPDX        {facts.spdx}")
    if facts.hub_tags:
        lines.append(f"  hub tags    {', '.join(facts.hub_tags)}")
    if facts.aliases:
        lines.append(f"  also called {', '.join(facts.aliases)}")
    lines.append("  terms")
    lines.extend(f"    {name.replace('_', ' '):<22}{answer}" for name, answer in facts.terms.items())
    if facts.conditions:
        lines.append("  conditions")
    for condition in facts.conditions:
        name = condition.split(":")[0]
        meaning = meanings.get(name) or meanings.get(f"{name}:*") or ""
        lines.append(f"    {condition}" + (f" – {meaning}" if meaning else ""))
    lines.append(f"  stands in   {facts.section}")
    if facts.url:
        lines.append(f"  address     {facts.url}")
    lines.append(f"  read on     {facts.read_on or 'not recorded'}")
    lines.append(f"  confidence  {facts.confidence}")
    lines.append(f"  {facts.note}")
    if facts.remark:
        lines.append(f"  {facts.remark}")
    return "\n".join(lines) + "\n"


def render_facts_list(rows: list[LicenseFacts]) -> str:
    """Every entry on a line."""
    return "\n".join(f"{one.id:<36}{one.kind:<22}{one.confidence:<9}{one.name}" for one in rows) + "\n"
