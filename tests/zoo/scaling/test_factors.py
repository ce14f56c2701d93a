import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.registry import ZooError
from zoo.scaling import (
    Scale,
    compound,
    compound_macs,
    depth_only,
    fast,
    phi_of,
    resolution_only,
    round_channels,
    round_repeats,
    round_resolution,
    round_up_repeats,
    width_only,
)

PHI = st.floats(-8.0, 8.0)


def test_factors_of_the_paper() -> None:
    # arXiv 1905.11946 section 4: alpha 1.2, beta 1.1, gamma 1.15 under alpha * beta^2 * gamma^2 ~ 2.
    one = compound(1.0)
    assert (one.depth, one.width, one.resolution) == (1.2, 1.1, 1.15)
    assert one.macs == pytest.approx(1.92027, abs=1e-5)


def test_phi_zero_is_the_base() -> None:
    assert compound(0.0) == Scale(depth=1.0, width=1.0, resolution=1.0, macs=1.0)


@given(PHI)
def test_macs_are_depth_times_squares(phi: float) -> None:
    scale = compound(phi)
    assert math.isclose(scale.depth * scale.width**2 * scale.resolution**2, scale.macs, rel_tol=1e-9)
    assert math.isclose(math.log(scale.macs), phi * math.log(1.2 * 1.1**2 * 1.15**2), abs_tol=1e-9)


@given(PHI, PHI)
def test_steps_compose(first: float, second: float) -> None:
    both, one, other = compound(first + second), compound(first), compound(second)
    for axis in ("depth", "width", "resolution", "macs"):
        assert math.isclose(getattr(both, axis), getattr(one, axis) * getattr(other, axis), rel_tol=1e-9)


@given(PHI, st.floats(1e-6, 1.0))
def test_more_phi_is_more_of_everything(phi: float, more: float) -> None:
    small, large = compound(phi), compound(phi + more)
    assert small.depth < large.depth
    assert small.width < large.width
    assert small.resolution < large.resolution


@pytest.mark.parametrize("macs", [2.0, 1.0 + 1e-6])
def test_a_scale_that_does_not_multiply_out_is_refused(macs: float) -> None:
    with pytest.raises(ZooError, match=r"depth x width\^2 x resolution\^2 = 1 is not macs"):
        Scale(depth=1.0, width=1.0, resolution=1.0, macs=macs)
    with pytest.raises(ZooError, match="above 0"):
        Scale(depth=-1.0, width=1.0, resolution=1.0, macs=-1.0)


@given(st.floats(0.01, 5_000.0), st.sampled_from([1, 2, 3, 4, 8]))
def test_channels_are_near_multiples_and_lose_at_most_a_tenth(channels: float, step: int) -> None:
    rounded = round_channels(channels, step)
    assert rounded % step == 0
    assert rounded >= step
    assert rounded >= 0.9 * channels
    assert rounded <= channels + step


def test_channels_of_the_reference_code() -> None:
    # make_divisible(v, 8) of the MobileNet code: 11 -> 16 as 8 would lose over a tenth, 18 -> 24, 36 -> 40.
    assert [round_channels(v, 8) for v in (3, 11, 18, 20, 28, 35.2, 36)] == [8, 16, 24, 24, 32, 32, 40]


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_rounding_keeps_order(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 1 <= round_repeats(low) <= round_repeats(high)
    assert 4 <= round_resolution(low, 2, 4) <= round_resolution(high, 2, 4)
    assert abs(round_repeats(high) - high) <= 0.5 or high < 0.5
    assert abs(round_resolution(high, 2, 4) - high) <= 1.0 or high < 4


SIZE = st.floats(1e-3, 1e3)


@given(SIZE)
def test_sizes_are_the_macs(size: float) -> None:
    for rule in (compound_macs, fast, width_only, depth_only, resolution_only):
        scale = rule(size)
        assert math.isclose(scale.macs, size, rel_tol=1e-9)
        assert math.isclose(scale.depth * scale.width**2 * scale.resolution**2, size, rel_tol=1e-9)


@given(PHI)
def test_phi_comes_back(phi: float) -> None:
    assert math.isclose(phi_of(compound(phi).macs), phi, abs_tol=1e-9)


def test_one_axis_alone() -> None:
    assert width_only(9.0) == Scale(depth=1.0, width=3.0, resolution=1.0, macs=9.0)
    assert depth_only(9.0) == Scale(depth=9.0, width=1.0, resolution=1.0, macs=9.0)
    assert resolution_only(9.0) == Scale(depth=1.0, width=1.0, resolution=3.0, macs=9.0)


def test_fast_scaling_spends_most_on_width() -> None:
    # arXiv 2103.06877: depth s^0.1, width s^0.4, resolution s^0.05 at alpha 0.8.
    scale = fast(1024.0)
    assert (scale.depth, scale.width, scale.resolution) == pytest.approx((2.0, 16.0, math.sqrt(2.0)))


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("rule", [compound_macs, fast, width_only, depth_only, resolution_only, phi_of])
def test_impossible_sizes(rule: Callable[[float], object], size: float) -> None:
    with pytest.raises(ZooError, match="a number above 0"):
        rule(size)


def test_channels_without_a_lower_bound() -> None:
    # EfficientNetV2-B1's 11 of 32 x 0.35: the nearest multiple even where it loses over a tenth.
    assert (round_channels(11, 8), round_channels(11, 8, least_share=0.0)) == (16, 8)
    assert [round_up_repeats(value) for value in (1.0, 1.001, 2.2)] == [1, 2, 3]
