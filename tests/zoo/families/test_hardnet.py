import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.hardnet import NAMES, PUBLISHED, VARIANTS, Block, HarDNetConfig, layer_channels, links
from zoo.published import Published
from zoo.registry import ZooError

PLAIN = "hardnet-stem6-layers4+3-growth4+6-channels10+14-halve1+0"
DEPTHWISE = PLAIN + "-depthwise1"


@pytest.mark.parametrize("row", PUBLISHED[:4], ids=lambda row: row.model)
def test_published(row: Published) -> None:
    assert departures(row) == {}


def test_what_pytorchcv_counts_is_counted_to_the_last_one() -> None:
    rows = PUBLISHED[4:]
    assert {row.model for row in rows} == set(VARIANTS)
    for row in rows:
        assert counted(row.model, 224) == (row.parameters, row.macs)


def test_links_and_channels_by_hand() -> None:
    # Layer 8 reads 7, 6, 4 and the input; it is m^3 times as wide.
    assert [links(i) for i in range(1, 9)] == [
        (0,), (1, 0), (2,), (3, 2, 0), (4,), (5, 4), (6,), (7, 6, 4, 0),
    ]  # fmt: skip
    assert [layer_channels(i, 96, 10, 2.0) for i in range(9)] == [96, 10, 20, 10, 40, 10, 20, 10, 80]
    assert layer_channels(2, 96, 14, 1.7) == 24  # 23.8 -> 24
    assert layer_channels(1, 96, 15, 1.7) == 16  # made even


def test_a_block_costs_what_its_layers_read() -> None:
    inputs, growth, multiplier, layers = 7, 6, 1.5, 5
    channels = [layer_channels(i, inputs, growth, multiplier) for i in range(layers + 1)]
    weights = sum((9 * sum(channels[j] for j in links(i)) + 2) * channels[i] for i in range(1, layers + 1))
    block = Block(inputs, layers, growth, multiplier)
    assert sum(p.numel() for p in block.parameters()) == weights
    assert block.channels == channels[1] + channels[3] + channels[5]
    assert block(torch.randn(2, inputs, 3, 3)).shape == (2, block.channels, 3, 3)


def test_more_growth_and_layers_cost_more() -> None:
    base = counted("hardnet-68")
    more = counted(NAMES.format(HarDNetConfig(growth=(16, 18, 22, 44, 176))))
    deeper = counted(NAMES.format(HarDNetConfig(layers=(8, 16, 16, 32, 4))))
    assert base[0] < more[0] < deeper[0] * 2
    assert base[1] < min(more[1], deeper[1])


@given(
    st.sampled_from(sorted(VARIANTS)),
    st.floats(1.0, 4.0),
    st.booleans(),
    st.integers(2, 300),
)
def test_names_round_trip(name: str, multiplier: float, depthwise: bool, stem: int) -> None:
    config = HarDNetConfig(multiplier=multiplier, depthwise=depthwise, stem=stem)
    assert NAMES.parse(NAMES.format(config)) == config
    assert NAMES.format(VARIANTS[name]) == name


@pytest.mark.parametrize("name", [PLAIN, DEPTHWISE])
def test_trains_and_answers(name: str) -> None:
    check_trains(name, 32)
    check_deterministic(name, 32)


def test_exports() -> None:
    check_exports(DEPTHWISE, 32)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hardnet-layers4+4", "of one length"),
        ("hardnet-multiplier0.5", "multiplier of a HarDNet must be a number from 1 to 4"),
        ("hardnet-stem1", "stem"),
        ("hardnet-halve2+0+0+0+0", "halve"),
        ("hardnet-width2", "none of its knobs"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


def test_refused_images() -> None:
    assert zoo.default_resolution("hardnet-68", 8) == 224
    with pytest.raises(ZooError, match="at least 32 pixels a side, got 31"):
        zoo.build("hardnet-68", resolution=31)
