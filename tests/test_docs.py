"""The shell sessions of the README and of every page under docs/ are run, and what they print is what the pages say.

A ``console`` block is a session: every ``$`` line is run here. An ``sh`` block is not run, and says why in its first
line (``# not run in tests: …``); its commands must still be commands that exist, with options that exist.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from curate.cli.main import COMMANDS, group, run_command

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "reports" / "example"
NOT_RUN = 11
"""Blocks in all that are not run; a page that adds one says why, and here."""


def blocks(language):
    """Page and text of every block in a language."""
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    ]


SESSIONS: dict[str, list[str]] = {}
"""Command to the lines that pages show of it; one that stands on two pages is run once."""
for _, block in blocks("console"):
    for command, expected in re.findall(r"^\$ (.*?)\n(.*?)(?=^\$ |\Z)", block, re.DOTALL | re.MULTILINE):
        SESSIONS.setdefault(command, []).extend(expected.splitlines())
UNRUN = blocks("sh") + blocks("powershell")


def holds(line, output):
    """Whether a line of a page stands in the output; an ellipsis stands for anything."""
    words = [".*".join(re.escape(bit) for bit in word.split("…")) for word in line.removesuffix("…").split()]
    return re.search(r"\s+".join(words), output) is not None


@pytest.mark.parametrize(("command", "expected"), SESSIONS.items(), ids=SESSIONS)
def test_a_session_prints_what_the_page_shows(command, expected, tmp_path, monkeypatch, capsys):
    if "prompts" in command or " run " in command:
        pytest.importorskip("pyarrow")
    for name in ("examples", "policies"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("CURATE_CARDS", "CURATE_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command, comments=True)
    assert words[0] == "curate"
    code = run_command(words[1:])
    told = capsys.readouterr()
    assert code in (0, 3, 4), told.err
    missing = [line for line in expected if line.strip(" …") and not holds(line, told.out)]
    assert missing == [], told.out


def test_a_block_that_is_not_run_says_why():
    mute = [(page, block) for page, block in UNRUN if not re.match(r"# not run in tests: \S", block)]
    assert mute == []
    assert len(UNRUN) == NOT_RUN


@pytest.mark.parametrize(("page", "block"), UNRUN, ids=[page for page, _ in UNRUN])
def test_a_command_that_is_not_run_exists_with_its_options(page, block):
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["curate"]:
            command = group.get_command(click.Context(group), words[1])
            assert command is not None, line
            command.make_parser(click.Context(command)).parse_args(words[2:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_named_in_prose_exists(page):
    named = re.findall(r"`curate (?:-[a-z] )?([a-z][a-z-]+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in COMMANDS] == []


def test_the_readme_shows_what_the_example_printed():
    (shown,) = [block for page, block in blocks("text") if page == "README.md"]
    printed = [line.rstrip() for line in (EXAMPLE / "demo.txt").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in shown.splitlines() if line.strip()]
    assert [line for line in lines if not any(one.startswith(line.rstrip(" …")) for one in printed)] == []


def test_the_example_is_small_whole_and_names_no_place():
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    assert {"report.html", "demo.txt", "verify-run.txt", "compare.html", "prompts.html", "denied.html"} <= {
        path.name for path in files
    }
    assert [path.name for path in files if str(ROOT) in path.read_text(encoding="utf-8")] == []


def test_the_reference_pages_hold_every_command_and_every_key_of_a_policy(tmp_path):
    code = f"import sys; sys.path.insert(0, 'docs'); from generate import *; write_reference(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    commands = (tmp_path / "commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## `curate {name}`" not in commands] == []
    policy = (tmp_path / "policy.md").read_text(encoding="utf-8")
    keys = ("by_id", "accept_conditions", "text_sha256", "at_least", "signed_by", "waivers", "territory")
    assert [key for key in keys if f"| `{key}` |" not in policy] == []
    assert "\x1b" not in commands
