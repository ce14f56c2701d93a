import numpy as np
import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.arrays import channel_statistics

MEAN, STD = (0.2, 0.5), (0.3, 0.7)


def test_logits_are_the_nets_answer_to_standardised_images() -> None:
    model = zoo.build_classifier("wrn10-0.25", channels=2, classes=5, native=8, mean=MEAN, std=STD).eval()
    images = torch.rand(3, 2, 8, 8)
    by_hand = torch.stack([(images[:, c] - MEAN[c]) / STD[c] for c in (0, 1)], dim=1)
    torch.testing.assert_close(model(images), model.net(by_hand))


def test_resizing_happens_only_where_sizes_differ() -> None:
    images = torch.rand(3, 2, 8, 8)
    seen = []
    model = zoo.build_classifier(
        "mlp5x1", channels=2, classes=5, native=8, resolution=12, mean=MEAN, std=STD
    ).eval()
    model.net.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    model(images)
    assert seen[0].shape == (3, 2, 12, 12)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    large = F.interpolate(images, size=(12, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen[0], (large - mean) / std)


def test_resolution_defaults_to_the_variants_own() -> None:
    model = zoo.build_classifier("mobile-x4", channels=1, classes=3, native=32)
    assert model.preprocess.resolution == 42
    assert model.eval()(torch.rand(2, 1, 32, 32)).shape == (2, 3)


def test_state_carries_the_preprocessing() -> None:
    first = zoo.build_classifier("mlp5x1", channels=2, classes=5, native=4, mean=MEAN, std=STD).eval()
    state = first.state_dict()
    assert {key.split(".")[0] for key in state} == {"preprocess", "net"}
    second = zoo.build_classifier("mlp5x1", channels=2, classes=5, native=4).eval()
    second.load_state_dict(state)
    images = torch.rand(3, 2, 4, 4)
    assert torch.equal(first(images), second(images))
    third = zoo.build_classifier(
        "mlp5x1", channels=2, classes=5, native=4, mean=state["preprocess.mean"], std=state["preprocess.std"]
    )
    assert torch.equal(third.preprocess.mean, first.preprocess.mean)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), (0.5, 0.5), "needs as many means and stds, got 1 and 2"),
        ((0.5, 0.5), (0.5, 0.0), "std of every channel must be above 0"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(
    mean: tuple[float, ...], std: tuple[float, ...], message: str
) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.build_classifier("wrn10-1", channels=2, classes=5, native=8, mean=mean, std=std)


def test_channel_statistics_are_numpys() -> None:
    images = np.random.default_rng(5).integers(0, 256, (11, 7, 7, 3), dtype=np.uint8)
    images[..., 2] = 77
    mean, std = channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std[:2], scaled.std((0, 1, 2))[:2], rtol=1e-12)
    assert std[2] == 1.0
