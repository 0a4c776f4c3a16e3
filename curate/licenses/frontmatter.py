"""The YAML block at the head of a card, read as other people's text: bounded, nothing dropped, never trusted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from curate.licenses.lazy import Pattern

BLOCK = Pattern(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))")
"""The hub's own rule for where the block is."""
MAX_CHARS = 1 << 20
MAX_DEPTH = 40
MAX_EVENTS = 120_000
MAX_VALUES = 30_000
NESTING_SIGNS = Pattern(r"^[ \t\-?:]{48,}", re.M)
STRING, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "null", "bool", "int", "float", "timestamp", "merge", "value", "seq", "map")
)

Scalar = tuple[str, str]
"""Text as written, and what kind of value YAML takes it for: str, null, bool, float, …"""


@dataclass(frozen=True)
class Entry:
    """One key of the block with its line in the card; a key given twice makes two entries."""

    key: str
    value: "Value"
    line: int


@dataclass(frozen=True)
class Value:
    """A YAML value flattened to what licenses need: its scalars in order, and its shape."""

    shape: str
    """scalar, list or mapping."""
    scalars: tuple[Scalar, ...]
    keyed: tuple[tuple[str, str], ...] = ()
    """For mappings (and lists of them): key and scalar pairs."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The scalars as text, nulls left out."""
        return tuple(text for text, kind in self.scalars if kind != "null")


@dataclass
class FrontMatter:
    """What the block says, and what is wrong with it."""

    entries: list[Entry] = field(default_factory=list)
    problem: str = ""
    """Why the block cannot be trusted; empty if it can."""
    problem_line: int = 0
    found: bool = False
    end: int = 0
    """Where the body starts, in characters."""

    def all(self, *keys: str) -> Iterator[Entry]:
        """Every entry under these keys, as often as it was given."""
        return (entry for entry in self.entries if entry.key in keys)


def read_front_matter(text: str) -> FrontMatter:
    """The block of a card whose byte-order mark was taken off; never raises."""
    match = BLOCK.match(text[: MAX_CHARS + 64])
    if match is None:
        return FrontMatter()
    front = FrontMatter(found=True, end=match.end())
    block, first_line = match[2], match[1].count("\n") or 1
    try:
        _refuse_nesting(block)
        root = yaml.compose(block, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        _collect(root, front, first_line)
    except (yaml.YAMLError, RecursionError, ValueError) as broken:
        mark = getattr(broken, "problem_mark", None)
        front.problem = f"the front matter is not readable YAML ({_short(broken)})"
        front.problem_line = (mark.line if mark else 0) + first_line + 1
        front.entries.extend(_salvage(block, first_line))
    return front


def _short(broken: Exception) -> str:
    """The reason in a few words."""
    return str(getattr(broken, "problem", None) or broken).split("\n")[0][:120]


def _refuse_nesting(block: str) -> None:
    """Stop at deep or endless documents before a tree is built; most blocks are seen to be flat at a glance."""
    if block.count("[") + block.count("{") <= MAX_DEPTH and NESTING_SIGNS.search(block) is None:
        return
    depth = 0
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for count, event in enumerate(yaml.parse(block, Loader=loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_EVENTS:
            raise ValueError(f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else "too many values")


def _collect(root: yaml.Node | None, front: FrontMatter, first_line: int) -> None:
    """Turn the top mapping into entries, merge keys expanded, within a budget."""
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("a mapping of keys is expected, this is a list or plain text")
    budget = [MAX_VALUES]
    for key, node in _pairs(root, 0):
        scalars: list[Scalar] = []
        keyed: list[tuple[str, str]] = []
        _flatten(node, scalars, keyed, budget, 0)
        shape = (
            "scalar"
            if isinstance(node, yaml.ScalarNode)
            else "list"
            if isinstance(node, yaml.SequenceNode)
            else "mapping"
        )
        if not isinstance(key, yaml.ScalarNode) or key.tag not in PLAIN_TAGS:
            raise ValueError("a key that is no plain text")
        name = str(key.value)
        front.entries.append(
            Entry(name, Value(shape, tuple(scalars), tuple(keyed)), key.start_mark.line + first_line + 1)
        )


def _pairs(node: yaml.MappingNode, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping, those of merged mappings first, as YAML would rank them."""
    for key, value in node.value:
        if getattr(key, "value", "") == "<<" and depth < 4:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in merged[:64]:
                if isinstance(one, yaml.MappingNode):
                    yield from _pairs(one, depth + 1)
        else:
            yield key, value


def _flatten(
    node: yaml.Node, scalars: list[Scalar], keyed: list[tuple[str, str]], budget: list[int], depth: int
) -> None:
    """Gather scalars below a node; an alias bomb runs out of budget."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"more than {MAX_VALUES} values once its aliases are followed")
    if node.tag not in PLAIN_TAGS:
        raise ValueError(f"the tag {node.tag[:60]!r} is none of plain YAML")
    if isinstance(node, yaml.ScalarNode):
        kind = "str" if node.tag == STRING else "null" if node.tag == NULL else node.tag.rsplit(":", 1)[-1]
        scalars.append((node.value, kind))
    elif depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _flatten(item, scalars, keyed, budget, depth + 1)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError("a key that is a list or mapping")
            start = len(scalars)
            _flatten(value, scalars, keyed, budget, depth + 1)
            keyed.extend((str(getattr(key, "value", "")), text) for text, _ in scalars[start:])


SALVAGE = Pattern(r"^[ \t]*(license|license_name|base_model|datasets)[ \t]*:[ \t]*(\S[^\n]{0,200})$", re.M)


def _salvage(block: str, first_line: int) -> Iterator[Entry]:
    """Keys that stand plainly in an unreadable block; they can only make a verdict stricter."""
    for match in SALVAGE.finditer(block[:65536]):
        line = block.count("\n", 0, match.start()) + first_line + 1
        yield Entry(match[1], Value("scalar", ((match[2].strip("\"' \r"), "str"),)), line)
