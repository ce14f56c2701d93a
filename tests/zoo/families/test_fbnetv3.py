"""FBNetV3 against the authors' comments and timm's three; multipliers; small images."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families import fbnetv3
from zoo.families._mobile_blocks import divisor_below
from zoo.families.fbnetv3 import NAMES, PUBLISHED, FBNetV3Config, plans
from zoo.families.fbnetv3_definitions import DEFINITIONS
from zoo.families.timm_bridge import declare_torchvision_ops

TINY = "fbnetv3-architecture_a0-width0.25-depth0.5-pixels56"


@pytest.mark.parametrize(
    "row", [r for r in PUBLISHED if not r.departs], ids=lambda r: f"{r.model}@{r.resolution}"
)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


def test_the_giants_published_parameters_leave_out_the_classification_layer() -> None:
    (row,) = (r for r in PUBLISHED if r.departs)
    assert departures(row).keys() == {"parameters"}
    parameters, _macs = counted(row.model, row.resolution)
    assert parameters == 104_565_664
    assert parameters - (3200 * 1000 + 1000) == pytest.approx(row.parameters, rel=0.01)


@pytest.mark.parametrize(
    ("letter", "resolution", "parameters", "macs"),
    [
        ("a", 224, 8_598_464, 355_514_328),
        ("b", 248, 8_598_464, 460_150_000),
        ("c", 248, 9_973_800, 555_578_368),
        ("d", 248, 10_306_272, 642_628_864),
        ("e", 264, 10_772_872, 759_952_160),
        ("f", 272, 13_896_136, 1_178_860_656),
        ("g", 320, 16_623_888, 2_125_187_200),
    ],
)
def test_the_seven_have_these_costs_at_their_own_size(letter, resolution, parameters, macs) -> None:
    name = f"fbnetv3-{letter}"
    assert zoo.default_resolution(name, 224) == resolution
    assert counted(name, resolution) == (parameters, macs)


@pytest.mark.parametrize(("letter", "same_macs"), [("b", False), ("d", True), ("g", True)])
def test_timm_counts_the_same(letter, same_macs) -> None:
    """Timm pads every filter; the authors' B does not, so its maps are smaller."""
    declare_torchvision_ops()
    ours, theirs = counted(f"fbnetv3-{letter}", 224), counted(f"timm:fbnetv3_{letter}", 224)
    assert ours[0] == theirs[0]
    assert (ours[1] == theirs[1]) is same_macs


def test_width_and_depth_multiply_channels_and_repeats() -> None:
    stem, blocks = plans(FBNetV3Config(architecture="d"))
    wide_stem, wide = plans(FBNetV3Config(architecture="d", width=2.0))
    assert wide_stem == 2 * stem
    assert [b.outputs for b in wide] == [2 * b.outputs for b in blocks]
    rows = DEFINITIONS["d"].rows
    _stem, deep = plans(FBNetV3Config(architecture="d", depth=2.0))
    assert len(deep) == sum(2 * r.repeats if r.repeats > 1 else 1 for r in rows)


def test_groups_always_divide() -> None:
    assert [divisor_below(120, n) for n in (1, 7, 119, 120)] == [1, 6, 60, 120]
    for width in (0.3, 0.7, 1.3):
        zoo.build("fbnetv3", architecture="20g", width=width, depth=0.1, pixels=0)


def test_bad_knobs_and_images_too_small_are_refused() -> None:
    with pytest.raises(ZooError, match="one of a0, a, b, c, d, e, f, g, 20g, got 'h'"):
        FBNetV3Config(architecture="h")
    with pytest.raises(ZooError, match=r"width of FBNetV3 must be a number from 0\.1 to 10, got 0"):
        FBNetV3Config(width=0)
    least = 49  # A pads two of its filters by less than would keep the size over stride
    with pytest.raises(ZooError, match=f"FBNetV3-a needs at least {least} pixels a side, got {least - 1}"):
        zoo.build("fbnetv3-a", resolution=least - 1)
    counted("fbnetv3-a", least)
    counted("fbnetv3-d", 32)


@given(st.sampled_from(sorted(DEFINITIONS)), st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 512))
def test_names_read_back(architecture, width, depth, pixels) -> None:
    config = FBNetV3Config(architecture=architecture, width=width, depth=depth, pixels=pixels)
    assert NAMES.parse(NAMES.format(config)) == config


def test_it_trains_and_answers_the_same() -> None:
    check_trains(TINY, 32, rate=0.01)
    check_deterministic(TINY, 32)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DEFINITIONS["a0"]
    rows = (whole.rows[0], whole.rows[3])  # with and without gates: exports take long
    short = dataclasses.replace(whole, rows=rows)
    monkeypatch.setattr(fbnetv3, "DEFINITIONS", {"a0": short})
    check_exports(TINY, 32)
