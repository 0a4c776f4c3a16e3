"""What a stranger installs: the wheel in a bare environment; the action and the hook in scratch repositories.

A package index is needed, so it is asked for: ``make wheel``, or ``CURATE_INSTALL=1 pytest tests/test_install.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from curate import __version__

ROOT = Path(__file__).parent.parent
CARDS = ROOT / "examples" / "cards"
MOST_MB = 60
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils", "distutils-precedence.pth", "wheel")
"""What ``python -m venv`` brings along."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("CURATE_INSTALL"), reason="CURATE_INSTALL is not set: installs packages"),
]


def call(*words, cwd=None, code=0, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GIT_DIR")}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env={**clean, **environment},
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The folder of commands of a bare environment that holds the wheel and what it depends on."""
    place = tmp_path_factory.mktemp("bare")
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place / "dist", ROOT)
    (wheel,) = (place / "dist").glob("*.whl")
    call(sys.executable, "-m", "venv", place / "venv")
    scripts = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    call(scripts / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    return scripts


def weigh(folder):
    """Bytes on the disk by top-level name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).parts[0].split("-")[0]
            size = path.stat()
            found[name] = found.get(name, 0) + getattr(size, "st_blocks", size.st_size / 512) * 512
    return {name: size for name, size in found.items() if name not in NOT_OURS}


def test_the_dependencies_of_the_wheel_weigh_at_most_60_mb(scripts):
    asked = call(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    sizes = {name: size / 1e6 for name, size in weigh(Path(asked)).items()}
    own = sizes.pop("curate")
    heaviest = sorted(sizes.items(), key=lambda one: -one[1])[:6]
    told = ", ".join(f"{name} {size:.1f}" for name, size in heaviest)
    print(f"dependencies {sum(sizes.values()):.1f} MB on the disk (most: {told}); curate itself {own:.1f} MB")
    assert sum(sizes.values()) <= MOST_MB


def test_the_license_gate_works_outside_the_repository_with_what_the_wheel_carries(scripts, tmp_path):
    curate = scripts / "curate"
    assert call(curate, "--version", cwd=tmp_path).stdout == f"curate, version {__version__}\n"
    gate = [curate, "check-license", "--cards", CARDS]
    assert "ALLOW" in call(*gate, "google/flan-t5-base", cwd=tmp_path).stdout
    call(*gate, "example/mit-over-llama", cwd=tmp_path, code=3)
    call(*gate, "example/no-license", "-p", "permissive-only", "-f", "sarif", "-o", "out.sarif", cwd=tmp_path, code=4)
    assert "llama3.1" in call(curate, "show-license", "llama3.1", cwd=tmp_path).stdout
    call(curate, "check-license", "embedded", cwd=tmp_path)


def test_what_needs_an_extra_says_so_in_one_line(scripts, tmp_path):
    for words in (("analyze-prompts", ROOT / "examples/prompts.jsonl"), ("run", ROOT / "examples/run.yaml")):
        done = call(scripts / "curate", *words, cwd=tmp_path, code=6)
        (line,) = [one for one in done.stderr.splitlines() if one.startswith("curate: ")]
        assert "pip install" in line
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_both_steps_of_the_action_run_in_a_scratch_repository(tmp_path):
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    repository, runner = tmp_path / "repository", tmp_path / "runner"
    repository.mkdir()
    runner.mkdir()
    (repository / "teachers.txt").write_text("google/flan-t5-base\nexample/mit-over-llama\n")
    inputs = {name: str(told["default"]) for name, told in action["inputs"].items()}
    inputs |= {"from": "teachers.txt", "cards": str(CARDS), "python": sys.executable}
    github = {"RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_ACTION_PATH": str(ROOT)}
    for step, code in zip(action["runs"]["steps"], (0, 3), strict=True):
        given = {
            name: inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()
        }
        call(
            "bash",
            "--noprofile",
            "--norc",
            "-eo",
            "pipefail",
            "-c",
            step["run"],
            cwd=repository,
            code=code,
            **github,
            **given,
        )
    assert (tmp_path / "out").read_text() == "exit-code=3\nfile=curate.sarif\n"
    assert "license-laundering" in (repository / "curate.sarif").read_text()


def test_the_hook_is_installed_and_run_by_pre_commit_in_a_scratch_repository(tmp_path):
    pytest.importorskip("pre_commit")
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: pre-commit clones one")
    commit = call("git", "rev-parse", "HEAD", cwd=ROOT).stdout.strip()
    call("git", "init", "--quiet", tmp_path)
    hook = {"id": "curate-check-license", "args": ["--from", "teachers.txt", "--cards", str(CARDS)]}
    config = {"repos": [{"repo": str(ROOT), "rev": commit, "hooks": [hook]}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    run = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    for refs, code, told in (("google/flan-t5-base\n", 0, "Passed"), ("example/mit-over-llama\n", 1, "exit code: 3")):
        (tmp_path / "teachers.txt").write_text(refs)
        call("git", "add", "teachers.txt", ".pre-commit-config.yaml", cwd=tmp_path)
        assert told in call(*run, cwd=tmp_path, code=code, PRE_COMMIT_HOME=str(tmp_path / "home")).stdout
