"""Shared by all tests: where the larger real data lies, if it does."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder with the larger real data, named by CURATE_CORPUS."""
    named = os.environ.get("CURATE_CORPUS", "")
    if not named or not Path(named).is_dir():
        pytest.skip("CURATE_CORPUS names no folder: the larger real data is not here")
    return Path(named)
