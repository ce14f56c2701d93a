"""The published ProxylessNAS networks, and knobs around them."""

import pytest

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.proxylessnas import PUBLISHED, VARIANTS, ProxylessConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = (
    "proxylessnas-expansions1+0+0+0+1+0+0+0+1+0+0+0+1+0+0+0+1+0+0+0+1-widths8+8+8+8+8+8-stem8-first8-last16"
)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.model} {row.source[:12]}")
def test_published_costs_are_met(row: Published) -> None:
    assert departures(row) == {}


def test_parameters_equal_those_of_the_reference_code() -> None:
    # PyPI pytorchcv 0.0.74, pytorchcv/models/proxylessnas.py, _test
    wanted = {"cpu": 4_361_648, "gpu": 7_119_848, "mobile": 4_080_512, "mobile14": 6_857_568}
    assert {name: counted(f"proxylessnas-{name}", 64)[0] for name in wanted} == wanted


def test_a_block_left_out_costs_nothing() -> None:
    whole, without = ProxylessConfig(), ProxylessConfig(expansions=(3, 0, *ProxylessConfig().expansions[2:]))
    # expansion, depthwise kernel 3 and projection of 32 channels, three times as wide inside, with norms
    block = 32 * 96 + 2 * 96 + 9 * 96 + 2 * 96 + 96 * 32 + 2 * 32
    family = zoo.registered_families()["proxylessnas"]
    assert counted(family.format(whole), 64)[0] - counted(family.format(without), 64)[0] == block


@pytest.mark.parametrize("name", [*VARIANTS, TINY, "proxylessnas-last1536"])
def test_names_round_trip(name: str) -> None:
    family = zoo.registered_families()["proxylessnas"]
    assert family.parse(family.format(family.parse(name))) == family.parse(name)
    assert zoo.canonical_name(name) == name


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"kernels": (3,)}, "kernels of proxylessnas are 21 numbers, got 1"),
        ({"kernels": (4,) * 21}, "must be odd, got 4"),
        ({"expansions": (0,) * 21}, "expansion 1 of proxylessnas must be an integer from 1 to 12"),
        ({"stem": 12}, "must be multiples of 8, got 12"),
    ],
)
def test_impossible_knobs_are_refused(knobs: dict[str, object], says: str) -> None:
    with pytest.raises(ZooError, match=says):
        ProxylessConfig(**knobs)  # type: ignore[arg-type]  # wrong on purpose


def test_a_tiny_network_trains_and_exports() -> None:
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)
    check_exports(TINY, 32)
