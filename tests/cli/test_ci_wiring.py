"""The GitHub Action and the pre-commit hook do what they say: their own scripts are run here."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "examples/cards"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]


@pytest.fixture
def action(tmp_path):
    """Run the checking step of the action in an empty repository, with some inputs; exit code, outputs, folder."""
    place = tmp_path / "runner/curate/bin/curate"
    place.parent.mkdir(parents=True)
    place.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m curate "$@"\n')
    place.chmod(0o755)
    repository = tmp_path / "repository"
    repository.mkdir()

    def run(**inputs):
        step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")
        given = {
            name: str(inputs.get(name.replace("-", "_"), told["default"])) for name, told in ACTION["inputs"].items()
        }
        environment = dict(os.environ, RUNNER_TEMP=str(tmp_path / "runner"), GITHUB_OUTPUT=str(tmp_path / "out"))
        for name, value in step["env"].items():
            environment[name] = given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, dict(line.split("=", 1) for line in (tmp_path / "out").read_text().splitlines()), repository

    return run


def test_the_action_writes_a_sarif_file_and_fails_the_job_on_a_denial(action):
    done, outputs, folder = action(refs="google/flan-t5-base\n example/mit-over-llama", cards=CARDS)
    assert done.returncode == 3, done.stderr
    assert outputs == {"exit-code": "3", "file": "curate.sarif"}
    run = json.loads((folder / "curate.sarif").read_text())["runs"][0]
    assert [one["ref"] for one in run["properties"]["decisions"]] == ["google/flan-t5-base", "example/mit-over-llama"]


def test_the_action_reads_a_list_and_points_at_its_lines(action, tmp_path):
    folder = tmp_path / "repository"
    (folder / "teachers.txt").write_text("# ours\ngoogle/flan-t5-base\nexample/no-license\n")
    done, _, _ = action(**{"from": "teachers.txt", "cards": CARDS})
    assert done.returncode == 4, done.stderr
    result = json.loads((folder / "curate.sarif").read_text())["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("teachers.txt", 3)
    done, _, _ = action(**{"from": "teachers.txt", "cards": CARDS, "fail_on": "deny"})
    assert done.returncode == 0


def test_an_input_of_the_action_is_never_code_nor_an_option(action):
    done, _, folder = action(refs="$(touch${IFS}owned) `touch owned` ;touch owned --offline", cards=CARDS)
    assert done.returncode in (2, 5, 6)
    assert sorted(path.name for path in folder.iterdir()) in ([], ["curate.sarif"])
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_the_action_uploads_nothing():
    assert not [step for step in ACTION["runs"]["steps"] if "uses" in step]


def test_the_hook_judges_the_list_it_names(tmp_path):
    (tmp_path / "teachers.txt").write_text("google/flan-t5-base\n# and\nexample/poet-nc-nd\n")
    words = [sys.executable, "-m", *shlex.split(HOOK["entry"]), *HOOK["args"], "--cards", str(CARDS)]
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "DENY   example/poet-nc-nd" in done.stdout


def test_the_hooks_manifest_is_one_that_pre_commit_takes():
    pytest.importorskip("pre_commit")
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
