"""A process that runs the example in forks of its own, each of which kills itself somewhere; one line of JSON a fork.

It is a process apart because a fork of one that has already used Arrow or torch may wait for a thread it does not have.
"""

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

from curate.runs.record import CLOSE
from curate.runs.trail import Step, Trail
from curate.runs.verify import verify_run
from tests.runs.conftest import QUICK, run_example

STEPS = (
    "preflight", "license", "student-license", "prompts", "analyze", "approve", "distill", "papers", "bom", "report",
    CLOSE,
)  # fmt: skip
LONGEST_S = 120


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def before_the_line(name):
    """SIGKILL when a step has written its files and not yet its line."""

    def write(trail, line, whole=Trail._write):
        if line.step == name and line.status != "restarted":
            kill()
        whole(trail, line)

    Trail._write = write


def after_the_line(name):
    """SIGKILL as soon as a step's line is on the disk."""

    def write(trail, line, whole=Trail._write):
        whole(trail, line)
        if line.step == name and line.status != "restarted":
            kill()

    Trail._write = write


def in_the_middle(name):
    """SIGKILL when a step records its first file."""

    def add(step, path, whole=Step.add):
        if step.name == name:
            kill()
        return whole(step, path)

    Step.add = add


def run_in_a_fork(prepare, name, reports, resume):
    """How the fork ended: -9 where it was killed."""
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)  # a fork that hangs says where
        try:
            prepare(name)
            run_example("run.yaml", reports, *QUICK, resume=resume)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(reports):
    import datasets  # noqa: F401 – imported once, for all forks
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(1)
    resume = None
    for name in STEPS:
        for prepare in (in_the_middle, before_the_line, after_the_line):
            ended = run_in_a_fork(prepare, name, reports, resume)
            (resume,) = reports.iterdir()
            told = {"step": name, "where": prepare.__name__, "ended": ended, "finished": verify_run(resume).finished}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
