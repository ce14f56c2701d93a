"""A copy of the trained store, for tests that write to it or damage it."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def store_copy(trained_store, tmp_path) -> Path:
    return Path(shutil.copytree(trained_store, tmp_path / "store"))
