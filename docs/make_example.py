"""Remake ``reports/example/``: ``make example``. One real run of the embedded demo, and a page of every kind.

The demo runs in a folder of its own with its paths relative, so that what it prints is what anybody sees. Weights,
vectors and prompts stay out (4 MB and more): the folder is for reading, ``curate verify-run`` is for a run of your own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "reports" / "example"
READ = (
    "report.html", "decision.json", "prompt_decision.json", "student_decision.json", "filter.json", "shift.json",
    "run.json", "student/README.md", "student/NOTICE",
)  # fmt: skip
MOST_BYTES = 2_000_000


def curate(*arguments: str, folder: Path, allowed: tuple[int, ...] = (0,)) -> str:
    """What a command prints; any other exit code than those allowed ends the making."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "curate", "--quiet", *arguments]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in allowed:
        sys.exit(f"curate {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def make(folder: Path) -> None:
    """Run the demo in a folder and lay what people read into ``reports/example/``."""
    for name in ("examples", "policies"):
        shutil.copytree(ROOT / name, folder / name)
    told = curate("demo", folder=folder)
    run = next((folder / "reports").iterdir())
    verified = curate("verify-run", str(run.relative_to(folder)), folder=folder)
    shutil.rmtree(PLACE, ignore_errors=True)
    for name in READ:
        if (run / name).is_file():
            (PLACE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, PLACE / name)
    (PLACE / "demo.txt").write_text(told, encoding="utf-8")
    (PLACE / "verify-run.txt").write_text(verified, encoding="utf-8")
    pages = {
        "denied.html": ("check-license", "example/mit-over-llama", "--cards", "examples/cards"),
        "prompts.html": ("analyze-prompts", "examples/prompts.jsonl", "--reference", "examples/reference.jsonl"),
        "compare.html": (
            "compare", "examples/prompts.jsonl", "examples/narrow.jsonl", "--reference", "examples/reference.jsonl",
        ),
    }  # fmt: skip
    for name, words in pages.items():
        (PLACE / name).write_text(curate(*words, "-f", "html", folder=folder, allowed=(0, 3)), encoding="utf-8")


def check() -> None:
    """Nothing of this machine's folders, and no more than may be in a repository."""
    files = [path for path in PLACE.rglob("*") if path.is_file()]
    named = [path.name for path in files if str(ROOT) in path.read_text(encoding="utf-8")]
    size = sum(path.stat().st_size for path in files)
    if named or size > MOST_BYTES:
        sys.exit(f"{PLACE}: {size:,} bytes; files that name {ROOT}: {named}")
    print(f"{PLACE.relative_to(ROOT)}: {len(files)} files, {size:,} bytes")  # noqa: T201 – a script's own words
    steps = json.loads((PLACE / "run.json").read_text(encoding="utf-8"))
    print(f"run {steps.get('run_id', '')}: {steps.get('status', '')}")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        make(Path(made))
    check()
