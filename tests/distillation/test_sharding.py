"""Two processes that hold a shard each of both models teach the same student as one process."""

import subprocess
import sys

import pytest
from transformers import AutoModelForCausalLM

from curate.artifact import sha256_folder
from curate.distillation.results import TrainingReport

from .test_world import LAUNCHERS, ROOT, check_both, pair

__all__ = ["pair"]

FSDP2 = ["accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / "fsdp2.yaml")]


def launch(launcher, command):
    return subprocess.run([sys.executable, "-m", *launcher, *command], capture_output=True, text=True, timeout=240)


def test_two_processes_with_shards_give_the_losses_of_one(pair):
    alone, out, command = pair
    done = launch(FSDP2, command)
    assert done.returncode == 0, done.stderr
    check_both(alone, out)
