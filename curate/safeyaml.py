"""YAML from files people write: bounded, without aliases or repeated keys, each refusal with its line.

Cards are another matter: they are other people's, and ``curate.licenses.card`` reads them with its own rules.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from curate.errors import InputError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000


class _Refused(Exception):
    """A rule of this file is broken at a line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def read_yaml(path: Path, *, error: type[InputError] = InputError) -> Any:  # noqa: ANN401 – any YAML value
    """Read a YAML file of at most 1 MiB as plain values; anything odd raises ``error`` naming file and line."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise error(f"{path}: {size} bytes, more than the {MAX_BYTES} this kind of file may have")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as missing:
        raise error(f"{path}: no such file", hint="check the path") from missing
    except UnicodeDecodeError as broken:
        raise error(f"{path}: not UTF-8 text: {broken.reason} at byte {broken.start}") from broken
    except OSError as broken:
        raise error(f"{path}: cannot be read: {broken.strerror}") from broken
    return parse_yaml(text, where=str(path), error=error)


def parse_yaml(text: str, *, where: str, error: type[InputError] = InputError) -> Any:  # noqa: ANN401 – any YAML value
    """Parse YAML text as plain values under the limits of this module; ``where`` names it in errors."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        _count(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, set())
        return loader.construct_document(node)
    except _Refused as refused:
        raise error(f"{where}:{refused.line}: {refused.problem}") from refused
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise error(f"{where}{line}: not YAML: {broken.problem or broken.context}") from broken
    except (yaml.YAMLError, ValueError) as broken:
        raise error(f"{where}: not YAML: {broken}") from broken
    finally:
        loader.dispose()


def line_of(text: str, place: Iterable[str | int]) -> int:
    """The line at which a value stands in YAML text that was parsed before; of a missing one, where it should be."""
    node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    line = 1
    for part in place:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _check(node: yaml.Node, seen: set[int]) -> None:
    """Refuse aliases, merge keys and repeated keys below a node."""
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise _Refused(line, "aliases are not allowed here; write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            key_line = key.start_mark.line + 1
            if name == "<<":
                raise _Refused(key_line, "merge keys are not allowed here; write the value out")
            if name in keys:
                raise _Refused(key_line, f"the key {name!r} was already given at line {keys[name]}")
            keys[name] = key_line
            _check(key, seen)
            _check(value, seen)


def _count(text: str) -> None:
    """Refuse deep or large documents from their event stream, before any tree is built."""
    depth = 0
    for events, event in enumerate(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line = event.start_mark.line + 1 if event.start_mark else 0
        if depth > MAX_DEPTH:
            raise _Refused(line, f"nested deeper than {MAX_DEPTH}")
        if events > MAX_NODES:
            raise _Refused(line, f"more than {MAX_NODES} values")
