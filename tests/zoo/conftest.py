"""Small arrays and settings that the zoo's tests share."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Learnable images: 101 of 8x8 with 2 channels; the class says which columns are bright."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 101)
    images = rng.integers(0, 120, (101, 8, 8, 2), dtype=np.uint8)
    for index, label in enumerate(labels):
        images[index, :, 2 * label : 2 * label + 2] += 100
    return images, labels
