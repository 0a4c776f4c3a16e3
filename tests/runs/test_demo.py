"""The demo's own run files, for each of its teachers."""

import typing

import pytest

from curate.runs.config import RunConfig
from curate.runs.demo import DemoTeacher, demo_config

TEACHERS = typing.get_args(DemoTeacher)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_run_of_the_demo_is_one_that_a_run_file_could_ask_for(teacher):
    config = demo_config(teacher)
    assert config.teacher == teacher
    assert RunConfig.model_validate(config.to_file()) == config
