"""A whole small run of the examples, made once for the tests that look at it."""

import shutil
from pathlib import Path

import pytest

from curate.errors import Denied
from curate.runs.config import read_run_config
from curate.runs.pipeline import run_pipeline
from tests.distillation.stand_in import plan, vllm
from tests.runs.small_runs import EXAMPLES, TODAY, base, cards

__all__ = ["base", "cards", "plan", "vllm"]
QUICK = (
    "distill.max_steps=2",
    "distill.losses.feature.layers=uniform",
    "evaluation.max_prompts=8",
    "filters={}",
    "baseline=true",
)


def run_example(name, reports, *assignments, **options):
    config = read_run_config(EXAMPLES / name, assignments=assignments)
    return run_pipeline(config, where=EXAMPLES, reports=reports, today=TODAY, **options)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return Path(run_example("run.yaml", tmp_path_factory.mktemp("reports"), *QUICK).folder)


@pytest.fixture
def finished(made_once, tmp_path):
    """A copy of a finished run that a test may spoil."""
    return Path(shutil.copytree(made_once, tmp_path / made_once.name))


@pytest.fixture(scope="session")
def denied_once(tmp_path_factory):
    reports = tmp_path_factory.mktemp("denied")
    with pytest.raises(Denied):
        run_example("run-denied.yaml", reports)
    return next(reports.iterdir())


@pytest.fixture
def denied(denied_once, tmp_path):
    """A copy of a denied run that a test may spoil."""
    return Path(shutil.copytree(denied_once, tmp_path / denied_once.name))
