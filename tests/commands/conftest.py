"""A small trained store, made once by the real command line, copied for tests that damage it."""

import shutil
from pathlib import Path

import pytest

MODELS = ("wrn10-0.25", "wrn10-0.5")


@pytest.fixture(scope="session")
def trained_store(explorer, tmp_path_factory) -> Path:
    """Two models x three seeds on digits, three epochs: weak on purpose, so that designs differ."""
    store = tmp_path_factory.mktemp("trained") / "store"
    done = explorer(
        "train", *MODELS, "--dataset", "digits", "--seeds", "0-2", "--epochs", "3", "--store", store
    )
    assert done.code == 0, done.err
    return store


@pytest.fixture
def store_copy(trained_store, tmp_path) -> Path:
    return Path(shutil.copytree(trained_store, tmp_path / "store"))
