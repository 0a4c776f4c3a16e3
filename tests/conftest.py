"""Shared by all tests: where the larger real data lies, if it does."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("curate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("curate")
"""A busy machine is no failure: tests never assert a time."""


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder with the larger real data, named by CURATE_CORPUS."""
    named = os.environ.get("CURATE_CORPUS", "")
    if not named or not Path(named).is_dir():
        pytest.skip("CURATE_CORPUS names no folder: the larger real data is not here")
    return Path(named)
