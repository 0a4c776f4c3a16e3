"""The README's shell sessions are run, and what they print is what it says."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.cli.main import group

ROOT = Path(__file__).parent.parent
SESSIONS = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
COMMANDS = [
    part
    for session in SESSIONS
    for part in re.findall(r"^\$ (.*?)\n(.*?)(?=^\$ |\Z)", session, re.DOTALL | re.MULTILINE)
]


def holds(line, output):
    """Whether a line of the README stands in the output; an ellipsis stands for anything."""
    words = [".*".join(re.escape(bit) for bit in word.split("…")) for word in line.removesuffix("…").split()]
    return re.search(r"\s+".join(words), output) is not None


@pytest.mark.parametrize(("command", "expected"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_in_the_readme_prints_what_the_readme_shows(command, expected, tmp_path, monkeypatch):
    if "prompts" in command or " run " in command:
        pytest.importorskip("pyarrow")
    for name in ("examples", "policies"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    assert words[0] == "curate"
    result = CliRunner().invoke(group, words[1:])
    assert (
        result.exception is None or isinstance(result.exception, SystemExit) or hasattr(result.exception, "exit_code")
    )
    missing = [line for line in expected.splitlines() if line.strip(" …") and not holds(line, result.stdout)]
    assert missing == [], result.output
