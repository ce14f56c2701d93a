"""BoTNet against the paper's figures and the count behind them; attention at one size only."""

import pytest
import torch

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families.botnet import NAMES, PUBLISHED, VARIANTS, BoTNetConfig

TINY = "botnet-depths1+1+1+1-attention1-gates0.0625-pixels64"
GATES_IN_ATTENTION = 2 * 2048 * 128
"""What the authors' script adds for each attention block."""


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: r.model)
def test_published_costs_are_met_once_the_scripts_gates_are_added(row) -> None:
    assert departures(row).keys() == {"parameters"}
    parameters, _macs = counted(row.model, row.resolution)
    blocks = VARIANTS[row.model].attention
    assert parameters + blocks * GATES_IN_ATTENTION == pytest.approx(row.parameters, rel=0.01)


@pytest.mark.parametrize(
    ("name", "parameters"), [("t3", 30.4e6), ("t4", 51.6e6), ("t5", 69.0e6), ("t6", 47.8e6), ("t7", 69.0e6)]
)
def test_another_implementation_counts_these_parameters(name, parameters) -> None:
    """Read in bottleneck-transformer-flax, README: "Parameters in this repo"."""
    found, _macs = counted(f"botnet-{name}", VARIANTS[f"botnet-{name}"].pixels)
    assert found == pytest.approx(parameters, rel=0.01)


def test_without_attention_it_is_timms_resnet50() -> None:
    assert counted("botnet-attention0", 224) == counted("timm:resnet50", 224)


def test_attention_takes_the_place_of_the_last_stages_convolutions() -> None:
    plain, _ = counted("botnet-attention0", 224)
    attending, _ = counted("botnet-50", 224)
    positions = [2 * (2 * side - 1) * 128 for side in (14, 7, 7)]
    assert plain - attending == 3 * (9 - 3) * 512 * 512 - sum(positions)


def test_stride_one_keeps_the_last_stages_size() -> None:
    small, large = (zoo.build(n, resolution=64) for n in ("botnet-50", "botnet-s1-50"))
    images = torch.zeros(1, 3, 64, 64)
    assert small.eval().blocks(small.stem(images)).shape[2:] == (2, 2)
    assert large.eval().blocks(large.stem(images)).shape[2:] == (4, 4)


def test_bad_knobs_and_other_sizes_are_refused() -> None:
    with pytest.raises(ZooError, match="must be 4 numbers, got"):
        BoTNetConfig(depths=(3, 4))
    with pytest.raises(ZooError, match="attention blocks of BoTNet must be an integer from 0 to 3, got 4"):
        BoTNetConfig(attention=4)
    with pytest.raises(ZooError, match="must divide 512, got 3"):
        BoTNetConfig(heads=3)
    with pytest.raises(ZooError, match="one of relu, silu, got 'gelu'"):
        BoTNetConfig(activation="gelu")
    with pytest.raises(ZooError, match="at least 32 pixels a side, got 16"):
        zoo.build("botnet-50", resolution=16)
    with pytest.raises(ZooError, match="built for 4x4 features, got 6x6"):
        zoo.build(TINY, resolution=64)(torch.zeros(2, 3, 96, 96))


@pytest.mark.parametrize("name", [*VARIANTS, TINY, "botnet-heads8-last_stride1-activation_silu"])
def test_names_read_back(name) -> None:
    assert NAMES.format(NAMES.parse(name)) == name


def test_it_trains_answers_the_same_and_exports() -> None:
    check_trains(TINY, 64)
    check_deterministic(TINY, 64)
    check_exports(TINY, 64)
