"""Real images of the publishers' files, through the real command."""

import json

import pytest


@pytest.mark.parametrize("dataset", ["fashion-mnist", "cifar10"])
@pytest.mark.slow
def test_real_images_train_and_enter_the_front(explorer, unpacked_data, tmp_path, dataset) -> None:
    """The smallest width there is, so that one epoch over 45,000 or more images stays short."""
    store = tmp_path / "store"
    done = explorer(
        "train", "mlp8x1", "--dataset", dataset, "--seeds", "0-1", "--epochs", "1",
        "--data-dir", unpacked_data, "--store", store,
    )  # fmt: skip
    assert done.code == 0, done.err

    front = json.loads(explorer("front", "--dataset", dataset, "--json", "--store", store).out)

    assert front["points"][0]["accuracy"]["n"] == 10_000
    assert front["points"][0]["accuracy"]["value"] > 0.2
