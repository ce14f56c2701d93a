import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo import network_checks
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, departures
from zoo.families.efficientnet import NAMES, PUBLISHED, VARIANTS, EfficientNetConfig, of_phi
from zoo.published import Published
from zoo.registry import ZooError
from zoo.scaling.efficientnet import closed_form

FAMILY = zoo.registered_families()["efficientnet"]


counted = functools.cache(network_checks.counted)


@pytest.fixture(autouse=True)
def count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources say what one network costs: it is counted for the first."""
    monkeypatch.setattr(network_checks, "counted", counted)


@pytest.mark.parametrize(
    "row", [row for row in PUBLISHED if not row.departs], ids=lambda row: f"{row.model}, {row.source[:12]}"
)
def test_published(row: Published) -> None:
    assert departures(row) == {}


def test_what_the_paper_rounds_otherwise() -> None:
    """B4 and B5 cost more than Table 2 says; an independent count of pycls agrees with ours."""
    rows = [row for row in PUBLISHED if row.departs]
    assert [row.model for row in rows] == ["efficientnet-b4", "efficientnet-b5"]
    assert departures(rows[0]) == {"macs": pytest.approx(0.0461, abs=1e-4)}
    assert departures(rows[1]) == {"macs": pytest.approx(0.0370, abs=1e-4)}


@pytest.mark.parametrize(
    ("width", "depth", "resolution"), [(1.0, 1.0, 224), (1.3, 0.7, 97), (0.4, 2.3, 33), (2.0, 1.1, 128)]
)
def test_closed_form(width: float, depth: float, resolution: int) -> None:
    config = EfficientNetConfig(width=width, depth=depth, resolution=resolution)
    found = closed_form(width, depth, resolution)
    assert counted(NAMES.format(config), resolution) == (found.parameters, found.macs)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_come_back(name: str) -> None:
    assert FAMILY.format(FAMILY.parse(name)) == name
    assert zoo.default_resolution(name, 8) == VARIANTS[name].resolution


@given(st.floats(-6.0, 14.0).map(lambda value: round(value, 2)))
def test_phi_comes_back(phi: float) -> None:
    config = of_phi(phi)
    assert FAMILY.parse(FAMILY.format(config)) == config


@given(st.floats(0.1, 8.0), st.floats(0.1, 16.0), st.integers(32, 4096))
def test_knobs_come_back(width: float, depth: float, resolution: int) -> None:
    config = EfficientNetConfig(width=width, depth=depth, resolution=resolution)
    assert FAMILY.parse(FAMILY.format(config)) == config


def test_phi_names() -> None:
    assert zoo.canonical_name("efficientnet-phi0") == "efficientnet-b0"
    assert zoo.canonical_name("efficientnet-phi2.50") == "efficientnet-phi2.5"
    assert of_phi(2.5) == EfficientNetConfig(width=1.2691, depth=1.5774, resolution=318)
    # B4 is called phi = 4, but is not what the rule gives there.
    assert zoo.canonical_name("efficientnet-phi4") != "efficientnet-b4"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet-phi15", "phi of an EfficientNet must be a number from -6 to 14"),
        ("efficientnet-width9", "width of an EfficientNet"),
        ("efficientnet-depth0", "depth of an EfficientNet"),
        ("efficientnet-resolution8", "resolution of an EfficientNet"),
        ("efficientnet-b9", "did you mean efficientnet-b8"),
    ],
)
def test_refused(name: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        zoo.build(name)


def test_trains_and_exports() -> None:
    tiny = "efficientnet-width0.25-depth0.25-resolution32"
    check_trains(tiny, 32)
    check_deterministic(tiny, 32)
    check_exports(tiny, 32)
