"""The demo: its run files, for each of its teachers, and the whole of it on the embedded one."""

import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from curate.cli.main import run_command
from curate.runs.config import RunConfig
from curate.runs.demo import DemoTeacher, demo_config

ROOT = Path(__file__).parents[2]
TEACHERS = typing.get_args(DemoTeacher)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_run_of_the_demo_is_one_that_a_run_file_could_ask_for(teacher, quick):
    config = demo_config(teacher, quick=quick)
    assert config.teacher == teacher
    assert RunConfig.model_validate(config.to_file()) == config


def test_the_demo_runs_whole_and_what_it_leaves_verifies(tmp_path, capsys):
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-m", "curate", "--quiet", "demo", "--quick", "--root", str(tmp_path)],
        # one thread: several wait for each other where the cores are busy
        env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout
    for part in (
        "DENY   demo/mit-over-llama",
        "REVIEW HuggingFaceTB/",
        "ALLOW  embedded",
        "prompts: allow",
        "without KD",
    ):
        assert part in told
    (folder,) = tmp_path.iterdir()
    assert f"prove:  curate verify-run {folder}" in told
    assert {"report.html", "bom.cdx.json", "training.json", "student"} <= {path.name for path in folder.iterdir()}
    assert run_command(["verify-run", str(folder)]) == 0
    assert "finished" in capsys.readouterr().out
