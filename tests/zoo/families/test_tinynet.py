import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo import network_checks
from tests.zoo.network_checks import check_deterministic, check_trains, departures
from zoo.families.tinynet import NAMES, PUBLISHED, VARIANTS, TinyNetConfig
from zoo.published import Published
from zoo.registry import ZooError
from zoo.scaling.efficientnet import closed_form

counted = functools.cache(network_checks.counted)


@pytest.fixture(autouse=True)
def count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources say what one network costs: it is counted for the first."""
    monkeypatch.setattr(network_checks, "counted", counted)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.model}, {row.source[:6]}")
def test_published(row: Published) -> None:
    assert departures(row) == {}


def test_smallest_has_24_million_macs() -> None:
    assert counted("tinynet-e") == (2_042_972, 24_356_848)


@pytest.mark.parametrize(
    ("width", "depth", "resolution"), [(1.0, 1.2, 192), (0.51, 0.6, 106), (0.3, 0.4, 64), (1.7, 1.4, 96)]
)
def test_closed_form(width: float, depth: float, resolution: int) -> None:
    config = TinyNetConfig(width=width, depth=depth, resolution=resolution)
    found = closed_form(width, depth, resolution, tiny=True)
    assert counted(NAMES.format(config), resolution) == (found.parameters, found.macs)


@given(st.floats(0.05, 4.0), st.floats(0.1, 8.0), st.integers(32, 1024))
def test_knobs_come_back(width: float, depth: float, resolution: int) -> None:
    config = TinyNetConfig(width=width, depth=depth, resolution=resolution)
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_come_back(name: str) -> None:
    assert zoo.canonical_name(name) == name
    assert zoo.default_resolution(name, 8) == VARIANTS[name].resolution


@pytest.mark.parametrize("name", ["tinynet-width5", "tinynet-depth0.05", "tinynet-resolution16"])
def test_refused(name: str) -> None:
    with pytest.raises(ZooError, match="of a TinyNet must be"):
        zoo.build(name)


def test_trains() -> None:
    tiny = "tinynet-width0.2-depth0.3-resolution32"
    check_trains(tiny, 32)
    check_deterministic(tiny, 32)
