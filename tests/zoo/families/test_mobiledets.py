"""MobileDets' backbones: shapes the authors test, closed-form parameters, multipliers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted
from zoo import ZooError
from zoo.families import mobiledets
from zoo.families.mobiledets import BACKBONES, NAMES, MobileDetsConfig

TINY = "mobiledet-architecture_edgetpu-width0.25"


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("cpu", [8, 16, 32, 72, 144]),
        ("dsp", [24, 32, 64, 144, 240]),
        ("edgetpu", [16, 16, 40, 96, 384]),
        ("gpu", [16, 32, 64, 128, 384]),
    ],
)
def test_the_last_block_of_each_size_has_the_authors_channels(name, channels) -> None:
    """Read in tensorflow/models, official/vision/modeling/backbones/mobiledet_test.py."""
    model = zoo.build(f"mobiledet-{name}").eval()
    seen: dict[int, int] = {}
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        for layer in model.features:
            images = layer(images)
            seen[int(images.shape[2])] = int(images.shape[1])
    assert seen == dict(zip((32, 16, 8, 4, 2), channels, strict=True))


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("cpu", 3_151_440, 200_959_712),
        ("dsp", 6_080_952, 1_354_283_264),
        ("edgetpu", 3_162_040, 722_543_648),
        ("gpu", 12_074_920, 2_455_244_800),
    ],
)
def test_the_classifiers_have_these_costs(name, parameters, macs) -> None:
    assert counted(f"mobiledet-{name}", 224) == (parameters, macs)


def test_parameters_in_closed_form() -> None:
    """DSP: no gates, so convolutions, norms and the head are all."""
    backbone = BACKBONES["dsp"]
    total, inputs = 3 * 9 * 32 + 2 * 32, 32
    for row in backbone.rows:
        if row.kind == "tucker":
            first, second = int(inputs * row.ratio), int(row.channels * row.output_ratio)
            total += inputs * first + 9 * first * second + second * row.channels + 2 * (first + second)
        else:
            inside, kernel = int(inputs * row.ratio), row.kernel**2
            filters = kernel * inputs * inside if row.kind == "fused" else kernel * inside
            expands = inputs * inside + 2 * inside if row.kind == "depthwise" and row.ratio > 1 else 0
            total += expands + filters + 2 * inside + inside * row.channels
        total += 2 * row.channels
        inputs = row.channels
    assert counted("mobiledet-dsp", 64)[0] == total + (inputs + 1) * 1000


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="one of cpu, dsp, edgetpu, gpu, got 'tpu'"):
        MobileDetsConfig(architecture="tpu")
    with pytest.raises(ZooError, match=r"width of MobileDets must be a number from 0\.1 to 10, got 0"):
        MobileDetsConfig(width=0)


@given(st.sampled_from(sorted(BACKBONES)), st.floats(0.1, 10), st.integers(1, 999))
def test_names_read_back(architecture, width, pixels) -> None:
    config = MobileDetsConfig(architecture=architecture, width=width, pixels=pixels)
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize("architecture", ["cpu", "edgetpu"])
def test_it_trains_and_answers_the_same(architecture) -> None:
    name = f"mobiledet-architecture_{architecture}-width0.25"
    check_trains(name, 64, rate=0.01)
    check_deterministic(name, 64)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BACKBONES["edgetpu"]
    rows = (whole.rows[0], whole.rows[1], whole.rows[9])  # each kind of block once: exports take long
    monkeypatch.setattr(mobiledets, "BACKBONES", {"edgetpu": whole._replace(rows=rows)})
    check_exports(TINY, 32)
