"""Handwritten digits, and an empty store for them."""

import pytest

from explorer.data import load_images
from explorer.store import Store


@pytest.fixture(scope="session")
def digits():
    return load_images("digits")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened
