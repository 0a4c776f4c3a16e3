"""Write a waiver into a policy file, which stays as its people wrote it: comments, order and quoting are kept."""

from pathlib import Path

import yaml

from curate.artifact import write_text
from curate.errors import PolicyError
from curate.policy.document import Policy, policies_folder, policy_names, read_policy
from curate.policy.waivers import Waiver
from curate.safeyaml import parse_yaml

COPY_HINT = "copy it (curate check-policy NAME --print -o FILE) and give that file as -p"


class _Plain(yaml.SafeDumper):
    """Writes every value out: two equal dates are not an alias."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 – yaml's signature
        """Always."""
        return True


def policy_to_sign(path: Path) -> Policy:
    """The policy of a file that waivers may be written into.

    Raises:
        PolicyError: it is a shipped one, or no valid policy.
    """
    if not path.exists() and str(path) in policy_names():
        raise PolicyError(f"{path}: a shipped policy is not changed", hint=COPY_HINT)
    if path.resolve().parent == policies_folder().resolve():
        raise PolicyError(f"{path}: a shipped policy is not changed", hint=COPY_HINT)
    if not path.exists():
        raise PolicyError(f"{path}: no such file", hint="curate check-policy default --print -o FILE starts one")
    return read_policy(path)


def add_waiver(path: Path, waiver: Waiver) -> Policy:
    """Write one waiver at the end of a policy file's ``waivers:``; returns the policy as it then reads.

    Raises:
        PolicyError: the file is a shipped one, or written so that nothing can be added safely.
    """
    before = policy_to_sign(path)
    place = path.resolve()
    wanted = before.model_copy(update={"waivers": (*before.waivers, waiver)})
    text = place.read_bytes().decode("utf-8")
    changed = with_waiver(text, waiver)
    payload = parse_yaml(changed.removeprefix("\ufeff"), where=str(path), error=PolicyError)
    after = Policy.model_validate({"name": path.stem, **payload})
    if after.model_dump() != wanted.model_dump():
        raise PolicyError(f"{path}: waivers: written so that none can be added", hint="write them as a plain list")
    write_text(place, changed)
    return read_policy(path)


def with_waiver(text: str, waiver: Waiver) -> str:
    """The text of a policy file with one more waiver; everything else stands as it stood."""
    newline = "\r\n" if "\r\n" in text else "\n"
    mark = len(text) - len(text.removeprefix("\ufeff"))
    root = yaml.compose(text[mark:], Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    node = next((value for key, value in pairs if key.value == "waivers"), None)
    if node is None:
        return f"{_ended(text, newline)}waivers:{newline}{_item(waiver, '', newline)}"
    start, end = node.start_mark.index + mark, node.end_mark.index + mark
    if not node.value or isinstance(node, yaml.ScalarNode):
        at = _line_end(text, end)
        head = text[:start].rstrip(" ") + text[end:at]
        return f"{_ended(head, newline)}{_item(waiver, '', newline)}{text[at:]}"
    if node.flow_style:
        comma = "" if text[start : end - 1].rstrip().endswith(",") else ", "
        return f"{text[: end - 1].rstrip()}{comma}{_flow(waiver)}{text[end - 1 :]}"
    at = _line_end(text, _last(node) + mark)
    indent = " " * node.start_mark.column
    return f"{_ended(text[:at], newline)}{_item(waiver, indent, newline)}{text[at:]}"


def _item(waiver: Waiver, indent: str, newline: str) -> str:
    """The waiver as an item of a block list."""
    block = yaml.dump([_fields(waiver)], Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(f"{indent}{line}{newline}" for line in block.splitlines())


def _flow(waiver: Waiver) -> str:
    """The waiver as an item of a list in brackets."""
    line = yaml.dump(
        _fields(waiver), Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10_000
    )
    return line.strip()


def _fields(waiver: Waiver) -> dict[str, object]:
    """What is written; text on one line."""
    fields = {key: value for key, value in waiver.model_dump().items() if value != ""}
    return {key: " ".join(value.split()) if isinstance(value, str) else value for key, value in fields.items()}


def _ended(text: str, newline: str) -> str:
    """The text with its last line ended."""
    return text if not text or text.endswith("\n") else text + newline


def _line_end(text: str, at: int) -> int:
    """Just behind the line break that follows a place; the end of the text if none does."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _last(node: yaml.Node) -> int:
    """Where the last thing written below a node ends; a block's own end lies behind the comments that follow it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)
