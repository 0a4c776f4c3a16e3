"""Names in a policy that the catalogue must know: a misspelling would accept or record nothing, and say so nowhere."""

from fnmatch import fnmatchcase

from curate.licenses.facts import Catalogue
from curate.policy import Policy


def unknown_in_case(policy: Policy, catalogue: Catalogue) -> list[str]:
    """Accepted conditions, accepted terms and rivals that name nothing in the catalogue, each with its key."""
    conditions = {name.split(":")[0] for name in catalogue.conditions}
    wrong = [
        f"licenses.accept_conditions: {one}"
        for one in policy.licenses.accept_conditions
        if not any(fnmatchcase(name, one.split(":")[0]) for name in conditions)
    ]
    named = [("accepted_terms", one.license) for one in policy.organisation.accepted_terms]
    named += [("competes_with", one) for one in policy.organisation.competes_with or ()]
    return [*wrong, *(f"organisation.{field}: {one}" for field, one in named if one not in catalogue.licenses)]
