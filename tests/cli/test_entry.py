"""The command itself: how it starts, how it is stopped, what the shell may complete."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate import __version__
from curate.cli import main as command_line

ROOT = Path(__file__).parents[2]
STARTED = """
import signal, sys
from curate.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)

class Tells:
    def find_spec(self, name, path=None, target=None):
        if name == "curate.cli.main":
            print(flush=True)

sys.meta_path.insert(0, Tells())
main()
"""
"""The command, with a line on standard output once its first import begins.

A shell starts what runs in the background with SIGINT ignored, and the tests may be run there.
"""


def call(*words, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "curate", *words], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_version_is_the_one_place_that_says_it():
    assert call("--version") == (0, f"curate, version {__version__}\n", "")


def test_a_command_that_is_nearly_right_is_answered_with_the_one_that_was_meant():
    code, _, told = call("chek-license", "a/b")
    assert code == 2
    assert "Did you mean check-license?" in told
    assert "Did you mean" not in call("zzz")[2]


def test_ctrl_c_while_the_command_is_still_importing_is_exit_130(tmp_path):
    (tmp_path / "click").mkdir()
    (tmp_path / "click" / "__init__.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert call("--version", PYTHONPATH=path) == (130, "", "curate: interrupted\n")


HIDES = """
import os, signal
from curate.cli import main as command_line
from curate.__main__ import main
from curate.errors import MissingExtra

signal.signal(signal.SIGINT, signal.default_int_handler)

def hide(**options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt as error:
        told = repr(error)
    raise RAISED from None

command_line.group.main = hide
main()
"""
"""A library that is stopped by Ctrl-C and tells of another error."""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("raised", ["MissingExtra('torch', 'distill')", "ValueError(told)", "SystemError(told)"])
def test_whatever_a_library_makes_of_ctrl_c_is_an_interruption(raised):
    command = [sys.executable, "-c", HIDES.replace("RAISED", raised)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "curate: interrupted\n")


def test_an_error_that_nobody_foresaw_still_shows_where_it_was(monkeypatch):
    def broken(**options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(command_line.group, "main", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        command_line.run_command([])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.2, 0.6, 1.5, 3.0])
def test_ctrl_c_at_any_moment_of_a_run_is_exit_130(tmp_path, wait_s):
    words = ["run", "examples/run.yaml", "--root", str(tmp_path), "--set", "distill.epochs=500"]
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "curate: interrupted"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_is_told_how_to_complete(shell):
    code, script, _ = call(_CURATE_COMPLETE=f"{shell}_source")
    assert code == 0
    assert "_CURATE_COMPLETE" in script


@pytest.mark.parametrize(
    ("words", "expected"),
    [("curate ver", {"verify-run"}), ("curate check-", {"check-license", "check-policy"}),
     ("curate verify-run --k", {"--key"}), ("curate check-license --fail-on r", {"review"})],
)  # fmt: skip
def test_commands_options_and_choices_complete(words, expected):
    code, out, _ = call(
        _CURATE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1), PYTHONPATH=str(ROOT)
    )
    assert code == 0
    assert {line.partition(",")[2] for line in out.splitlines()} == expected
