"""The two references that code knows best: every command by its own help, every policy key by its schema."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from curate.cli.main import COMMANDS, SUMMARIES, group
from curate.policy.schema import policy_schema

PARTS = ("Policy", "Organisation", "AcceptedTerms", "LicensePolicy", "PromptPolicy", "Waiver")
"""In the order in which a policy file has them."""


def write_reference(folder: Path) -> None:
    """Write ``commands.md`` and ``policy.md``; unchanged files keep their time, so a second build does nothing."""
    folder.mkdir(exist_ok=True)
    for name, lines in (("commands.md", commands()), ("policy.md", policy())):
        text = "\n".join(lines) + "\n"
        place = folder / name
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")


def commands() -> Iterator[str]:
    """Every command's help, as the terminal shows it."""
    yield "# Command reference"
    yield ""
    yield "What `curate COMMAND --help` prints, written here by the build. Exit codes are in [In CI](../ci.md)."
    yield ""
    yield from _help("curate", group, click.Context(group, info_name="curate", max_content_width=100))
    for name in sorted(COMMANDS):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        parent = click.Context(group, info_name="curate")
        context = click.Context(command, info_name=name, parent=parent, max_content_width=100)
        yield from _help(f"curate {name}", command, context, SUMMARIES[name])


def _help(title: str, command: click.Command, context: click.Context, summary: str = "") -> Iterator[str]:
    """A heading and the help as a block."""
    yield from (f"## `{title}`", "", *([summary, ""] if summary else []), "```text")
    yield from command.get_help(context).splitlines()
    yield from ("```", "")


def policy() -> Iterator[str]:
    """Every key of a policy file: type, default, meaning."""
    schema = policy_schema()
    parts = {"Policy": schema, **schema["$defs"]}
    yield "# Policy reference"
    yield ""
    yield "Every key of a policy file, written here by the build from the schema that `curate check-policy --schema`"
    yield "prints and that every file is checked against. What the keys are for: [Policies](../policies.md)."
    yield ""
    for name in PARTS:
        yield from (f"## {_title(name)}", "", _prose(parts[name].get("description", "")), "")
        yield from ("| key | type | default | meaning |", "|---|---|---|---|")
        required = parts[name].get("required", [])
        for key, field in parts[name]["properties"].items():
            default = "required" if key in required else f"`{_plain_value(field.get('default'))}`"
            yield f"| `{key}` | {_type(field)} | {default} | {_prose(field.get('description', ''))} |"
        yield ""


def _title(part: str) -> str:
    """Where a part stands in a file."""
    return {
        "Policy": "The file",
        "Organisation": "`organisation:`",
        "AcceptedTerms": "`organisation: accepted_terms:`",
        "LicensePolicy": "`licenses:`",
        "PromptPolicy": "`prompts:`",
        "Waiver": "`waivers:`",
    }[part]


def _type(field: dict[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{one}`" for one in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kind = field.get("type", "any")
    if kind == "array":
        items = field.get("items") or {"anyOf": field.get("prefixItems", [{}])}
        return f"list of {_type(items)}"
    if kind == "object":
        values = field.get("additionalProperties")
        return f"names to {_type(values)}" if isinstance(values, dict) else "names and values"
    words = {"string": "text", "integer": "whole number", "null": "nothing"}
    return words.get(str(kind), str(kind)) + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    """Limits of a value, in words."""
    told = [f"at least {field['minimum']}"] if "minimum" in field else []
    told += [f"at most {field['maximum']}"] if "maximum" in field else []
    told += [f"matching `{field['pattern']}`".replace("|", "\\|")] if "pattern" in field else []
    told += ["a date"] if field.get("format") == "date" else []
    return f" ({', '.join(told)})" if told else ""


def _plain_value(value: object) -> str:
    """A default as YAML spells it."""
    words = {"None": "null", "True": "true", "False": "false"}
    return words.get(str(value), str(value))


def _prose(text: str) -> str:
    """A docstring as one line of Markdown."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())
