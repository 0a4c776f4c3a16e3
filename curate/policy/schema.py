"""The JSON Schema of a policy file, for editors: what each key means is what its docstring says."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from curate.artifact import Value
from curate.policy.document import Policy
from curate.policy.organisation import AcceptedTerms, Organisation
from curate.policy.prompts import PromptPolicy
from curate.policy.teachers import LicensePolicy
from curate.policy.waivers import Waiver

DESCRIBED: tuple[type[Value], ...] = (Policy, Organisation, AcceptedTerms, LicensePolicy, PromptPolicy, Waiver)


def policy_schema() -> dict[str, Any]:
    """The schema with a description for every key that has a docstring.

    pydantic could gather these at every start of the program; here they are read when an editor asks for them.
    """
    schema = Policy.model_json_schema()
    parts = {Policy.__name__: schema, **schema.get("$defs", {})}
    for kind in DESCRIBED:
        for name, words in _docstrings(kind).items():
            field = parts.get(kind.__name__, {}).get("properties", {}).get(name)
            if field is not None:
                field.setdefault("description", words)
    return schema


def _docstrings(kind: type[Value]) -> dict[str, str]:
    """Field to the string that stands below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = inspect.cleandoc(str(below.value.value))
    return found
