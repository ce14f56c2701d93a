"""Roofline, energy bound, money, carbon: arithmetic whose answers are worked out by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting import energy, roofline
from explorer.accounting.money import money_per_million
from explorer.convention import Basis
from explorer.data.devices import Device, devices, find_device_entry
from explorer.data.prices import make_price
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.workload import Precision

CARD = Device(
    key="x",
    name="X",
    vendor="V",
    kind="gpu",
    unit="SM",
    peaks={Precision.FP32: 14e12, Precision.FP16: 26e12},
    bandwidth=11e9,
    tdp_w=300.0,
)
AMOUNTS = st.floats(0, 1e15)


def figure(value: float, low: float, high: float, basis: Basis = Basis.MEASURED) -> CostFigure:
    return CostFigure(value=value, low=low, high=high, basis=basis)


def test_roofline_by_hand():
    assert roofline.bound(CARD, Precision.FP32, 7e12, 11e9) == figure(1, 1, math.inf, Basis.BOUND)
    assert roofline.bound(CARD, Precision.FP32, 7e12, 33e9).value == 3
    assert roofline.bound(CARD, Precision.AMP, 26e12, 0).value == 2
    assert roofline.bound(CARD, Precision.FP32, 0, 0).value == 0


def test_resnet50_on_an_a100_cannot_beat_its_roofline():
    """4.089 GMACs x 256 at 312 TFLOP/s: 6.71 ms, unless memory is slower."""
    a100 = find_device_entry("a100-sxm-80gb")
    assert roofline.bound(a100, Precision.BF16, 256 * 4_089_184_256, 0).value == pytest.approx(
        6.7104e-3, rel=1e-4
    )


@given(AMOUNTS, AMOUNTS, st.sampled_from(devices()))
def test_a_bound_never_falls_when_work_grows_and_says_nothing_above(macs, moved, device):
    precision = next(iter(device.peaks))
    found = roofline.bound(device, precision, macs, moved)
    assert found.low == found.value <= roofline.bound(device, precision, 2 * macs, moved + 7).value
    assert found.high == math.inf
    assert found.value >= 2 * macs / device.peaks[precision]


def test_unknown_bandwidth_leaves_the_operations():
    blind = replace(CARD, bandwidth=None)
    assert roofline.bound(blind, Precision.FP32, 7e12, 1e30).value == 1
    assert roofline.ridge(blind, Precision.FP32) is None


def test_at_the_ridge_both_bounds_are_equal():
    ridge = roofline.ridge(CARD, Precision.FP16)
    assert ridge is not None
    at = roofline.bound(CARD, Precision.FP16, ridge * 1e9, 1e9).value
    assert at == pytest.approx(1e9 / 11e9)
    assert at == pytest.approx(roofline.bound(CARD, Precision.FP16, ridge * 1e9, 0).value)


@pytest.mark.parametrize(("macs", "moved"), [(-1, 0), (0, -1), (math.nan, 0), (0, math.nan), (math.inf, 0)])
def test_work_that_cannot_be_is_refused(macs, moved):
    with pytest.raises(UsageError, match="amounts of 0 or more"):
        roofline.bound(CARD, Precision.FP32, macs, moved)


def test_a_precision_without_peak_is_refused():
    with pytest.raises(UsageError, match="no peak of X is known in int8; known: fp32, fp16"):
        roofline.bound(CARD, Precision.INT8, 1, 1)


# ---- energy and carbon ------------------------------------------------------------------------


def test_energy_is_at_most_rating_times_time():
    assert energy.bound(CARD, 0.5) == figure(150, 0, 150, Basis.BOUND)
    assert energy.bound(CARD, figure(0.5, 0.4, 0.7)) == figure(210, 0, 210, Basis.BOUND)
    assert energy.missing_reason(CARD, 0.5) is None


def test_unknown_power_is_unknown_and_never_zero():
    v5e = find_device_entry("tpu-v5e")
    assert energy.bound(v5e, 1.0) is None
    assert energy.missing_reason(v5e) == "energy unknown: no power rating of TPU v5e is published"


def test_a_time_without_upper_end_gives_no_energy():
    endless = roofline.bound(CARD, Precision.FP32, 7e12, 0)
    assert energy.bound(CARD, endless) is None
    assert energy.missing_reason(CARD, endless) == "energy unknown: the time has no upper end"


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(UsageError, match="0 s or more"):
        energy.bound(CARD, seconds)


def test_carbon_by_hand():
    """3.6 MJ are 1 kWh: at 400 g/kWh and PUE 1.5 that is 600 g."""
    grams = energy.carbon_g(figure(3.6e6, 1.8e6, 7.2e6), grid_g_per_kwh=400, pue=1.5)
    assert grams == figure(600, 300, 1200)
    assert energy.carbon_g(figure(1, 0, 1, Basis.BOUND), grid_g_per_kwh=0, pue=1).basis is Basis.BOUND


@pytest.mark.parametrize(
    ("grid", "pue"),
    [(-1, 1.1), (math.nan, 1.1), (math.inf, 1.1), (400, 0.99), (400, math.nan), (400, math.inf)],
)
def test_carbon_factors_out_of_range_are_refused(grid, pue):
    with pytest.raises(UsageError, match=r"carbon intensity|power usage"):
        energy.carbon_g(figure(1, 1, 1), grid_g_per_kwh=grid, pue=pue)


def test_carbon_has_no_defaults():
    with pytest.raises(TypeError):
        energy.carbon_g(figure(1, 1, 1))  # type: ignore[call-arg]


# ---- money ------------------------------------------------------------------------------------

PRICE = make_price("rtx4090", 0.36, date_text="2026-03-05", source="a seller")


def test_money_by_hand():
    """0.36 USD an hour are 1e-4 USD a second: 2 ms each make 0.2 USD a million."""
    assert money_per_million(figure(2e-3, 1e-3, 5e-3), PRICE) == figure(
        pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.5)
    )
    assert money_per_million(figure(2e-3, 2e-3, 2e-3), PRICE, utilisation=0.25).value == pytest.approx(0.8)
    assert money_per_million(figure(2e-3, 2e-3, 2e-3), PRICE, units=8).value == pytest.approx(1.6)


def test_money_keeps_basis_and_open_ends():
    found = money_per_million(figure(1, 1, math.inf, Basis.BOUND), PRICE)
    assert (found.basis, found.high) == (Basis.BOUND, math.inf)


@given(st.floats(1e-9, 1e3), st.floats(0.01, 1), st.floats(1, 3))
def test_money_grows_with_time_and_with_idleness(seconds, utilisation, more):
    def usd(time: float, share: float) -> float:
        return money_per_million(figure(time, time, time), PRICE, utilisation=share).value

    assert usd(seconds * more, utilisation) == pytest.approx(usd(seconds, utilisation) * more)
    assert usd(seconds, utilisation) * utilisation == pytest.approx(usd(seconds, 1))


@pytest.mark.parametrize("utilisation", [0, -0.1, 1.01, 30, math.nan])
def test_utilisation_is_a_share(utilisation):
    with pytest.raises(UsageError, match="share above 0 and at most 1"):
        money_per_million(figure(1, 1, 1), PRICE, utilisation=utilisation)


@pytest.mark.parametrize("units", [0, -2, math.nan, math.inf])
def test_units_are_above_zero(units):
    with pytest.raises(UsageError, match="units must be"):
        money_per_million(figure(1, 1, 1), PRICE, units=units)
