"""The rules against what was published, without a network: closed forms and tables."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.registry import ZooError
from zoo.scaling import compound, phi_of
from zoo.scaling.efficientnet import COEFFICIENTS, closed_form, published_of_phi
from zoo.scaling.efficientnetv2 import MOST_RESOLUTION, NETWORKS, efficientnetv2
from zoo.scaling.regnet import Stages, quantised_linear
from zoo.scaling.resnet_rs import BLOCKS, LADDER, blocks_of, resnet_rs
from zoo.scaling.tiny import POINTS, depth_and_resolution, tiny, tiny_point


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        # facebookresearch/pycls: dev/model_complexity.json; its MACs hold one more for each biased output.
        ("b0", 5288548, 385825092),
        ("b1", 7794184, 686817992),
        ("b2", 9109994, 993578282),
        ("b3", 12233232, 1827162472),
        ("b4", 19341616, 4393801064),
        ("b5", 30389784, 10266426072),
    ],
)
def test_closed_form_of_efficientnet(name: str, parameters: int, macs: int) -> None:
    known = COEFFICIENTS[name]
    found = closed_form(known.width, known.depth, known.resolution)
    assert found.parameters == parameters
    assert 0 < macs - found.macs < 5e-5 * macs


def test_closed_form_at_other_images() -> None:
    base = closed_form(1.0, 1.0, 224)
    assert base.parameters - closed_form(1.0, 1.0, 224, classes=10).parameters == 990 * 1281
    assert base.macs - closed_form(1.0, 1.0, 224, channels=1).macs == 2 * 9 * 32 * 112**2
    assert closed_form(1.0, 1.0, 448).parameters == base.parameters
    with pytest.raises(ZooError, match="above 0"):
        closed_form(0.0, 1.0, 224)


def test_published_coefficients_are_not_the_rule() -> None:
    found = [round(COEFFICIENTS[f"b{phi}"].phi, 2) for phi in range(8)]
    assert found == [0.0, 0.36, 1.03, 1.97, 3.55, 4.83, 5.89, 6.88]
    # The nearest to a whole phi, B3 and phi = 2: 1.2 and 1.21, 1.4 and 1.44, 300 and 296 pixels.
    scale, known = compound(2.0), COEFFICIENTS["b3"]
    assert (scale.width, scale.depth) == pytest.approx((known.width, known.depth), rel=0.03)
    assert 224 * scale.resolution == pytest.approx(known.resolution, rel=0.015)


def test_phi_of_a_published_network() -> None:
    assert [published_of_phi(phi) for phi in (0, 4.0, 8, 2.5, -1, 9)] == ["b0", "b4", "b8", None, None, None]


@pytest.mark.parametrize("name", POINTS)
def test_tiny_formula_gives_the_released_networks(name: str) -> None:
    assert tiny_point(POINTS[name].share) == POINTS[name]


def test_shares_of_the_released_networks() -> None:
    # 339, 202, 100, 52 and 24 M MACs (readme) over EfficientNet-B0's.
    shares = [point.share * closed_form(1.0, 1.0, 224).macs for point in POINTS.values()]
    assert shares == pytest.approx([339e6, 202e6, 100e6, 52e6, 24e6], rel=0.015)


@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_tiny_formula_rises(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert all(a <= b * (1 + 1e-12) for a, b in zip(*map(depth_and_resolution, (low, high)), strict=True))


@given(st.floats(0.05, 1.0))
def test_tiny_formula_meets_its_share(share: float) -> None:
    point, scale = tiny_point(share), tiny(share)
    # Channels go in steps of 8: a little below the share, never above.
    assert 0.85 * share < point.share <= share * (1 + 1e-8)
    assert scale.macs == share
    assert scale.resolution < 1.0


@pytest.mark.parametrize("share", [0.049, 1.01, 0.0, -1.0])
def test_tiny_formula_has_a_range(share: float) -> None:
    with pytest.raises(ZooError, match=r"0.05 to 1 of the base's MACs"):
        tiny(share)


@pytest.mark.parametrize(("depth", "side"), LADDER)
def test_resnet_rs_gives_its_ladder(depth: int, side: int) -> None:
    size = sum(BLOCKS[depth]) * side**2 / (16 * 160**2)
    found = resnet_rs(size)
    assert (found.blocks, found.resolution, found.width) == (BLOCKS[depth], side, 1.0)
    wide = resnet_rs(size, overfitting=False)
    assert (wide.blocks, wide.resolution) == (BLOCKS[50], side)
    assert wide.width**2 * side**2 == pytest.approx(size * 160**2)


@given(st.floats(50, 420), st.floats(50, 420))
def test_depths_between(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert all(a <= b for a, b in zip(blocks_of(low), blocks_of(high), strict=True))


def test_resnet_rs_raises_resolution_slowly() -> None:
    # From 50 at 160 to 420 at 320 pixels, MACs 34.75-fold: compound scaling would more than double the side.
    assert LADDER[-1][1] / LADDER[0][1] == 2.0
    assert compound(phi_of(34.75)).resolution > 2.0
    for bad in (0.9, 35.0):
        with pytest.raises(ZooError, match=r"from 1 to 34.8 times"):
            resnet_rs(bad)
    with pytest.raises(ZooError, match="from 50 to 420"):
        blocks_of(49)


@pytest.mark.parametrize("name", NETWORKS)
def test_efficientnetv2_gives_what_was_published(name: str) -> None:
    known = NETWORKS[name]
    assert efficientnetv2(known.macs / NETWORKS["b0"].macs) == known


def test_efficientnetv2_grows_later_stages_and_caps_the_images() -> None:
    found = [efficientnetv2(8.4 / 0.72 * 6.7 ** (step / 16)) for step in range(17)]
    assert all(network.resolution <= MOST_RESOLUTION for network in found)
    growth = [found[-1].repeats[stage] - found[0].repeats[stage] for stage in (0, 3, 5)]
    assert growth == sorted(growth)
    for before, after in itertools.pairwise(found):
        assert all(a <= b for a, b in zip(before.repeats, after.repeats, strict=True))
    with pytest.raises(ZooError, match=r"from 1 to 78.2 times B0"):
        efficientnetv2(79.0)


def test_quantised_linear_widths() -> None:
    # RegNetX-400MF (facebookresearch/pycls: configs/dds_baselines/regnetx); a network of these stages has its
    # published parameters to the digit.
    found = quantised_linear(24.48, 24, 2.54, 22, 16)
    assert found == Stages(widths=(32, 64, 160, 384), depths=(1, 2, 7, 12), groups=(16,) * 4)


@given(
    st.floats(1, 200),
    st.integers(1, 40),
    st.floats(1.5, 3.5),
    st.integers(1, 40),
    st.sampled_from([1, 24]),
)
def test_quantised_linear_rule(slope: float, eighths: int, ratio: float, depth: int, group: int) -> None:
    found = quantised_linear(slope, 8 * eighths, ratio, depth, group)
    assert sum(found.depths) == depth
    assert all(width % own == 0 for width, own in zip(found.widths, found.groups, strict=True))
    wanted = 8 * eighths + slope * (depth - 1)
    # A width is within half a step of the ratio of what its block wants, then within half a group.
    assert abs(math.log(found.widths[-1] / wanted)) < math.log(ratio) / 2 + math.log(1.6)


def test_quantised_linear_refuses() -> None:
    for bad in ((-1.0, 24, 2.5, 10, 8), (1.0, 24, 1.0, 10, 8), (1.0, 24, 2.5, 0, 8), (1.0, 0, 2.5, 9, 8)):
        with pytest.raises(ZooError, match="quantised-linear widths need"):
            quantised_linear(*bad)
    with pytest.raises(ZooError, match="multiple of 8"):
        quantised_linear(1.0, 23, 2.5, 10, 8)
