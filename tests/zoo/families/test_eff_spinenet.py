"""Eff-SpineNet: the mobile trunk against the published detector, scaling, any image size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted
from zoo import ZooError
from zoo.families import eff_spinenet
from zoo.families.eff_spinenet import KIND, NAMES, VARIANTS, EffSpineNetConfig
from zoo.families.spinenet_graph import Node

TINY = "effspinenet-width0.25-endpoints16"


def test_the_trunk_and_a_mobile_retinanet_head_make_the_published_detector() -> None:
    """Read in tensorflow/models, official/vision/MODEL_GARDEN.md: 2.32 M parameters, 1.0 B at 384 pixels.

    Two towers of four separable 3x3 convolutions on 48 channels, shared over the levels with norms of their
    own, then separable predictors: 9 anchors times 91 classes and times 4 sides.
    """
    parameters, macs = counted("effspinenet-49", 384)
    trunk_parameters, trunk_macs = parameters - 49 * 1000, macs - 48 * 1000
    separable = 9 * 48 + 48 * 48
    predictors = 2 * 9 * 48 + 48 * 9 * (91 + 4)
    levels = [384 // 2**level for level in (3, 4, 5, 6, 7)]
    norms = 2 * 4 * len(levels) * 2 * 48
    head_parameters = 2 * 4 * separable + predictors + 9 * (91 + 4) + norms
    head_macs = sum(side * side for side in levels) * (2 * 4 * separable + predictors)
    assert trunk_parameters + head_parameters == pytest.approx(2.32e6, rel=0.01)
    assert trunk_macs + head_macs == pytest.approx(1.0e9, abs=0.05e9)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("49", 2_317_708, 261_637_648), ("49s", 1_016_678, 113_625_228), ("49xs", 867_456, 96_414_075)],
)
def test_the_classifiers_have_these_costs(name, parameters, macs) -> None:
    assert counted(f"effspinenet-{name}", 224) == (parameters, macs)


def test_repeats_add_blocks_and_pixels_cost_macs_only() -> None:
    one, two, three = (counted(f"effspinenet-repeats{n}-width0.5", 128)[0] for n in (1, 2, 3))
    assert three - two == two - one > 0
    assert zoo.default_resolution("effspinenet-pixels336", 32) == 336
    small, large = (counted("effspinenet-49", side) for side in (128, 256))
    assert small[0] == large[0]
    assert large[1] == pytest.approx(4 * small[1], rel=0.02)


@pytest.mark.parametrize("side", [32, 45])
def test_any_image_size_works(side) -> None:
    model = zoo.build(TINY, num_classes=3).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side)).shape == (1, 3)


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match=r"width of Eff-SpineNet must be a number from 0\.125 to 10, got 0\.1"):
        EffSpineNetConfig(width=0.1)
    with pytest.raises(ZooError, match="expand of Eff-SpineNet must be an integer from 1 to 16, got 17"):
        EffSpineNetConfig(expand=17)


@given(st.floats(0.125, 10), st.integers(1, 100), st.integers(1, 999), st.floats(0.001, 1))
def test_names_read_back(width, repeats, pixels, squeeze) -> None:
    config = EffSpineNetConfig(width=width, repeats=repeats, pixels=pixels, squeeze=squeeze)
    assert NAMES.parse(NAMES.format(config)) == config
    assert [NAMES.format(NAMES.parse(name)) for name in VARIANTS] == list(VARIANTS)


def test_it_trains_and_answers_the_same() -> None:
    check_trains(TINY, 64, rate=0.01)
    check_deterministic(TINY, 64)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = tuple(Node(level, KIND, (level - 3, level - 2), True) for level in (3, 4, 5, 6, 7))
    monkeypatch.setattr(eff_spinenet, "NODES", nodes)  # a short graph: exports take long
    check_exports(TINY, 32)
