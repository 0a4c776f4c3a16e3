"""Names in a policy that the catalogue must know: a misspelling would judge, accept or record nothing, silently."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from curate.licenses.facts import Catalogue
from curate.policy import Policy


def unknown_names(policy: Policy, catalogue: Catalogue) -> list[str]:
    """What names no license, condition or source of the catalogue, each with its key."""
    licenses, asker = policy.licenses, policy.organisation
    conditions = {name.split(":")[0] for name in catalogue.conditions}
    wrong = [f"licenses.by_id: {one}" for one in licenses.by_id if not covers_any(one, catalogue.licenses)]
    wrong += [f"licenses.by_condition: {one}" for one in licenses.by_condition if one not in conditions]
    wrong += [f"licenses.by_source: {one}" for one in licenses.by_source if one not in catalogue.sources]
    wrong += [
        f"licenses.accept_conditions: {one}"
        for one in licenses.accept_conditions
        if not covers_any(one.split(":")[0], conditions)
    ]
    named = [("accepted_terms", one.license) for one in asker.accepted_terms]
    named += [("competes_with", one) for one in asker.competes_with or ()]
    return [*wrong, *(f"organisation.{key}: {one}" for key, one in named if one not in catalogue.licenses)]


def covers_any(pattern: str, names: Iterable[str]) -> bool:
    """Whether a pattern covers at least one name."""
    return any(fnmatchcase(name, pattern) for name in names)
