"""Numbers and places in conditions: how many users, how much revenue, where."""

import re

from curate.licenses.question import HOLDS, Outcome, Question, fails, not_stated, unclear

AMOUNT = re.compile(r"(?P<currency>USD|RMB)?(?P<number>\d+)(?P<unit>[KMB]?)(?P<daily>\(DAU\))?(?:/(?P<span>\w+))?\Z")
UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
EU = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "EU",
}  # fmt: skip
SEEING = re.compile(r"vision|multimodal|llama-?4|-vl(?:-|\b)|omni|image|scout|maverick", re.I)
SEEING_TASKS = {"image-text-to-text", "visual-question-answering", "any-to-any", "image-to-text"}


def users_over(parameter: str, question: Question) -> bool | None:
    """Whether a limit on users is passed; None if nobody can tell."""
    limit, users = AMOUNT.match(parameter), question.case.monthly_active_users
    if limit is None or users is None:
        return None
    if users < int(limit["number"]) * UNITS[limit["unit"]]:
        return False
    return None if limit["daily"] else True


def revenue_over(parameter: str, question: Question) -> bool | None:
    """Whether a limit on revenue is passed; None if nobody can tell."""
    limit, revenue = AMOUNT.match(parameter), question.case.annual_revenue_usd
    if limit is None or revenue is None:
        return None
    lowest = highest = int(limit["number"]) * UNITS[limit["unit"]]
    if limit["currency"] == "RMB":  # a dollar was never worth less than 1 nor more than 10 of them in decades
        lowest //= 10
    if limit["span"] == "month":  # a year below it holds no month above; twelve times as much holds one for certain
        highest *= 12
    return False if revenue < lowest else True if revenue >= highest else None


def limits_over(question: Question, kinds: tuple[str, ...] = ("mau-limit", "revenue-limit")) -> bool | None:
    """Whether any limit of these kinds in a license is passed; None if none surely is and one cannot be told."""
    tests = {"mau-limit": users_over, "revenue-limit": revenue_over}
    answers = [
        tests[name](parameter, question)
        for name, _, parameter in (condition.partition(":") for condition in question.facts.conditions)
        if name in kinds
    ]
    return True if True in answers else None if None in answers else False


def judge_limit(over: bool | None, question: Question, *, fact: str, stated: int | None, what: str) -> Outcome:
    """A limit beyond which the license grants nothing without another agreement."""
    limit = question.parameter
    if over is False or question.record is not None:
        return HOLDS
    if over:
        return fails(f"{stated:,} {what} are not below {limit}; a separate license is needed, and none is on record")
    if stated is None:
        return not_stated(f"organisation.{fact}, which the limit {limit} hangs on")
    return unclear(f"whether {stated:,} {what} stay below {limit} cannot be told from that")


def sees(question: Question) -> bool:
    """Whether the model takes more than text, by its name or its card."""
    member = question.member
    if member is None:
        return True
    if SEEING.search(member.ref.name) or member.card is None:
        return SEEING.search(member.ref.name) is not None
    tasks = {text for entry in member.card.front.entries if entry.key in ("pipeline_tag", "tags")
             for text in entry.value.texts}  # fmt: skip
    return bool(tasks & SEEING_TASKS)


def is_within(territory: str, excluded: str) -> bool:
    """Whether a territory lies in one of the excluded ones."""
    names = {"GB" if name == "UK" else name for name in excluded.split(",")}
    here = "GB" if territory == "UK" else territory
    return here in names or ("EU" in names and here in EU)
