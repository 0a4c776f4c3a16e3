"""How fast the license gate is: ``CURATE_CORPUS=… python bench/licenses.py``.

Many cards in one process beside a loader that only reads their front matter; one card in a new process beside the
imports it cannot do without. Times are of the processor (user and system), so that a busy machine changes little.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import yaml

from curate.licenses.check import check_license
from curate.licenses.sources import CardFolder
from curate.policy import load_policy

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))")
IMPORTS = "import click, yaml, pydantic"
TODAY = date(2026, 11, 26)


def plain_loader(folder, names):
    """Front matter of every card, by PyYAML's C loader, as a plain script would."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for name in names:
        text = (folder / "models" / name / "README.md").read_text(encoding="utf-8", errors="replace")
        block = BLOCK.match(text)
        try:
            if block:
                yaml.load(block[2], Loader=loader)
        except yaml.YAMLError:
            continue


def judge(folder, refs):
    """A verdict on every card, lineage and prose included, nothing remembered from before."""
    source, policy = CardFolder(folder), load_policy("default")
    for ref in refs:
        check_license(ref, policy=policy, source=source, today=TODAY)


def best(run, *arguments, times=3):
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        run(*arguments)
        seconds.append(time.process_time() - started)
    return min(seconds)


def many(folder):
    """Cards a second on one core."""
    names = sorted(path.name for path in (folder / "models").iterdir() if (path / "README.md").is_file())
    refs = [name.replace("__", "/", 1) for name in names]
    ours, plain = best(judge, folder, refs), best(plain_loader, folder, names)
    milliseconds = ours / len(refs) * 1000
    print(f"{len(refs)} cards with lineage and prose: {len(refs) / ours:.0f} cards/s ({milliseconds:.1f} ms a card)")
    print(
        f"front matter alone, PyYAML in C:  {len(refs) / plain:.0f} cards/s; the gate takes {ours / plain:.1f} × that"
    )


def process(*command):
    """Seconds of a new process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(ROOT / "build/byte-code")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], env=environment, check=False, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one():
    """One card in a new process, beside its imports; the median of nine, taken in turn."""
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "models/a__b"
        card.mkdir(parents=True)
        (card / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\nTrained on public text.\n")
        runs = {"imports": ("-c", IMPORTS), "check": ("-m", "curate", "check-license", "a/b", "--cards", folder)}
        seconds = {name: [] for name in runs}
        for _ in range(10):
            for name, command in runs.items():
                seconds[name].append(process(*command))
    check, imports = (statistics.median(seconds[name][1:]) for name in ("check", "imports"))
    print(f"one card: {check * 1000:.0f} ms; python -c '{IMPORTS}': {imports * 1000:.0f} ms; {check / imports:.2f} ×")


def main():
    """Both, with what they ran on."""
    print(f"Python {sys.version.split()[0]}, PyYAML {yaml.__version__}, {os.cpu_count()} cores")
    corpus = os.environ.get("CURATE_CORPUS")
    if corpus:
        many(Path(corpus) / "cards")
    else:
        print("many cards: skipped, CURATE_CORPUS names no folder of cards")
    one()


if __name__ == "__main__":
    main()
