"""License claims as alternatives: a list means that all apply, ``OR`` leaves a choice, ``AND`` needs every branch."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from curate.licenses.facts import Catalogue, LicenseFacts
from curate.licenses.lazy import Pattern

OPERATOR = Pattern(r"[()]|\b(?:OR|AND|WITH)\b|\b(?:or|and|with)\b(?=\s+\S+\Z|\s+\()")
SEPARATOR = Pattern(r"\s*[,;|]\s*|\s+\+\s+|\s+&\s+")
MAX_ALTERNATIVES = 64
EXCEPTIONS = frozenset({
    "classpath-exception-2.0", "llvm-exception", "gcc-exception-2.0", "gcc-exception-3.1", "autoconf-exception-2.0",
    "autoconf-exception-3.0", "bison-exception-2.2", "font-exception-2.0", "linux-syscall-note", "libtool-exception",
    "openjdk-assembly-exception-1.0", "qt-gpl-exception-1.0", "universal-foss-exception-1.0", "u-boot-exception-2.0",
    "wxwindows-exception-3.1", "swift-exception", "lgpl-3.0-linking-exception", "gpl-3.0-linking-exception",
    "gpl-cc-1.0",
})  # fmt: skip
"""SPDX exceptions, each of which grants more than its license alone; anything else after WITH makes it unknown."""


@dataclass(frozen=True)
class Named:
    """One license as claimed, and what the catalogue knows under that name (several where the name is ambiguous)."""

    text: str
    facts: tuple[LicenseFacts, ...]


Alternatives = tuple[tuple[Named, ...], ...]
"""Choices, each a set of licenses that apply together."""


@lru_cache(maxsize=4096)
def read_expression(text: str, catalogue: Catalogue) -> Alternatives:
    """What one claimed value means; what cannot be parsed stands as one unknown name."""
    whole = catalogue.find(text)
    if whole:
        return ((Named(text, whole),),)
    parts = [part for part in SEPARATOR.split(text) if part]
    if len(parts) > 1:
        return combine(read_expression(part, catalogue) for part in parts)
    if OPERATOR.search(text):
        return _parse(text, catalogue)
    return ((Named(text, ()),),)


def combine(claims: Iterable[Alternatives]) -> Alternatives:
    """All claims at once: every choice of one with every choice of the others."""
    combined: Alternatives = ((),)
    for alternatives in claims:
        combined = tuple((*left, *right) for left, right in product(combined, alternatives))[:MAX_ALTERNATIVES]
    return combined


def _parse(text: str, catalogue: Catalogue) -> Alternatives:
    """Parse an SPDX expression over our names; license-expression is imported only here."""
    import license_expression

    licensing = license_expression.Licensing()
    try:
        tree = licensing.parse(text)
    except (license_expression.ExpressionError, AttributeError, TypeError, ValueError, LookupError, RecursionError):
        return ((Named(text, ()),),)
    return ((Named(text, ()),),) if tree is None else _alternatives(tree, catalogue)


def _alternatives(node: object, catalogue: Catalogue) -> Alternatives:
    """The choices below a node of a parsed expression."""
    operator, arguments = getattr(node, "operator", ""), getattr(node, "args", ())
    if operator.strip() == "OR":
        return tuple(choice for part in arguments for choice in _alternatives(part, catalogue))[:MAX_ALTERNATIVES]
    if operator.strip() == "AND":
        return combine(_alternatives(part, catalogue) for part in arguments)
    exception = str(getattr(getattr(node, "exception_symbol", None), "key", ""))
    if exception and exception.lower() not in EXCEPTIONS:
        return ((Named(str(node), ()),),)
    license_symbol = getattr(node, "license_symbol", node)
    key = str(getattr(license_symbol, "key", license_symbol))
    return ((Named(str(node), catalogue.find(key)),),)


def is_spdx_id(name: str) -> bool:
    """Whether this is an id of SPDX's own list, and so one that other formats will take."""
    from license_expression import get_spdx_licensing

    return name in get_spdx_licensing().known_symbols and not name.startswith("LicenseRef-")
