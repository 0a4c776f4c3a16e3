"""The judge of data rows: may text under this license, from this source, be used to train a student?"""

from functools import lru_cache

from curate.gate import Evidence, Finding, RowJudge, Verdict, worst
from curate.licenses.bench import Bench
from curate.licenses.decision import Case, in_organisation
from curate.licenses.expression import combine, read_expression
from curate.licenses.facts import Catalogue, Known, catalogue_for
from curate.licenses.lineage import Chain
from curate.licenses.names import clean, repo_id_in
from curate.licenses.prose_outputs import OTHERS
from curate.policy import Policy

NOTHING = {"", "none", "null", "nan", "n/a", "na", "unknown", "unspecified", "?", "???", "noassertion", "tbd"}
GENERATORS = ("gpt-3.5", "gpt-4", "gpt4", "gpt-5", "gpt-3", "gpt3", "chatgpt", "openai", "text-davinci")
PUBLIC_DOMAIN = {"public domain", "public-domain", "pd", "publicdomain", "cc0", "cc-0", "us-gov", "usgov"}


def row_judge(policy: Policy, *, catalogue: Catalogue | None = None) -> RowJudge:
    """A judge of (license, source) pairs under a policy; it remembers, for rows repeat their pairs."""
    facts = catalogue or catalogue_for(policy)
    case = in_organisation(Case(), policy.organisation)
    bench = Bench(policy.licenses, facts, case, Chain(), organisation=policy.organisation)

    @lru_cache(maxsize=65536)
    def judge(license_text: str, source: str) -> Finding:
        subject = source.strip() or "(no source)"
        found = [_license(bench, license_text, subject), *_source(bench, source, subject)]
        strictest = worst(one.verdict for one in found)
        return next(one for one in found if one.verdict is strictest)

    return judge


def _license(bench: Bench, text: str, subject: str) -> Finding:
    """What the row's license comes to."""
    cleaned = clean(text or "")
    evidence = (Evidence(source="license", quote=text[:200]),) if text else ()

    def said(rule: str, verdict: Verdict | str, message: str) -> Finding:
        return Finding(rule=rule, subject=subject, verdict=Verdict(verdict), message=message, evidence=evidence)

    name = cleaned.text.lower()
    if name in NOTHING:
        return said("missing-license", bench.policy.missing, "the row names no license")
    if cleaned.oddity:
        return said("odd-characters", bench.policy.unknown, f"the license holds {cleaned.oddity}")
    if name in PUBLIC_DOMAIN:
        name = "cc0-1.0"
    judged = [
        (*bench.judge_named(named)[:2], named.text)
        for named in bench.best_of(combine([read_expression(name, bench.catalogue)]))
    ]
    verdict = worst(one[0] for one in judged)
    _, line, strictest = next(one for one in judged if one[0] is verdict)
    return said("row-license", verdict, f"license {strictest} (policy {line})")


def _source(bench: Bench, source: str, subject: str) -> list[Finding]:
    """What is known of the row's source: a data set of the catalogue, or a hosted model as the writer."""
    text = clean(source or "").text
    name = repo_id_in(text) or text.replace(" ", "_")
    known = bench.catalogue.lookup("datasets", name) if name else ()
    found = [one for entry in known for one in _known(bench, entry, subject, source)]
    low = text.lower()
    for writers, status in ((GENERATORS, "openai-outputs"), (OTHERS, "restricted-outputs")):
        if any(writer in low for writer in writers):
            verdict, line = bench.policy.judge_source(status)
            message = f"the source names a hosted model: {bench.catalogue.sources[status]} (policy {line})"
            found.append(Finding(rule=status, subject=subject, verdict=verdict, message=message,
                                 evidence=(Evidence(source="source", quote=source[:200]),)))  # fmt: skip
    return found


def _known(bench: Bench, entry: Known, subject: str, source: str) -> list[Finding]:
    """The findings of one catalogue entry about a source; as with data sets, licenses count only if they forbid."""
    evidence = (
        Evidence(source="source", quote=source[:200]),
        Evidence(source="catalogue: known sources", section=entry.basis),
    )
    found = []
    if entry.made_with:
        verdict, line = bench.policy.judge_source(entry.made_with)
        message = f"{entry.basis}{entry.caution}: {bench.catalogue.sources[entry.made_with]} (policy {line})"
        found.append(
            Finding(rule=entry.made_with, subject=subject, verdict=verdict, message=message, evidence=evidence)
        )
    for one in entry.licenses:
        verdict, line = bench.judge(bench.catalogue.licenses[one])
        if verdict is Verdict.DENY:
            message = f"{entry.basis}{entry.caution} (policy {line})"
            found.append(
                Finding(rule="data-license", subject=subject, verdict=verdict, message=message, evidence=evidence)
            )
    return found
