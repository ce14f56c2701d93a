import pytest

import zoo
from explorer.accounting import count
from explorer.measure.trace import build_on_meta, trace_model
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.osnet import NAMES, PUBLISHED, VARIANTS, OSNetConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = "osnet-width0.25-streams2-features6"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.model)
def test_published(row: Published) -> None:
    assert departures(row) == {}


@pytest.mark.parametrize(
    ("model", "parameters", "macs"),
    [("x1.0", 2.2e6, 0.98e9), ("x0.75", 1.3e6, 0.57e9), ("x0.5", 0.6e6, 0.27e9), ("x0.25", 0.2e6, 0.08e9)],
)
def test_published_at_the_shape_of_the_source(model: str, parameters: float, macs: float) -> None:
    network, _ = build_on_meta(lambda: zoo.build(f"osnet-{model}", num_classes=1))
    cost = count(trace_model(network, (1, 3, 256, 128)))
    classifier = 512 + 1
    assert cost.parameters - classifier == pytest.approx(parameters, rel=0.01, abs=5e4)
    assert cost.macs == pytest.approx(macs, rel=0.03, abs=5e6)


def test_a_classifier_costs_its_linear_layer() -> None:
    one, many = counted("osnet-x1.0", 64, classes=1), counted("osnet-x1.0", 64, classes=752)
    assert many[0] - one[0] == 751 * 513
    assert many[1] - one[1] == 751 * 512


def test_width_scales_about_by_its_square() -> None:
    half, whole = counted("osnet-x0.5", 256), counted("osnet-x1.0", 256)
    assert 3.0 < whole[1] / half[1] < 4.0


@pytest.mark.parametrize("norm", ["batch", "ibn", "ain"])
def test_trains_and_answers(norm: str) -> None:
    check_trains(f"{TINY}-norm_{norm}", 64)
    check_deterministic(f"{TINY}-norm_{norm}", 32)


def test_exports() -> None:
    check_exports(TINY + "-norm_ain", 32)


def test_names_round_trip() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())
    config = OSNetConfig(width=1.3, streams=5, features=128, norm="ibn")
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("osnet-width0.1", "width of an OSNet"),
        ("osnet-streams0", "streams"),
        ("osnet-norm_layer", "one of batch, ibn, ain, got 'layer'"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


@pytest.mark.parametrize(("name", "least"), [("osnet-x1.0", 16), ("osnet-ain-x1.0", 32)])
def test_refused_images(name: str, least: int) -> None:
    with pytest.raises(ZooError, match=f"at least {least} pixels a side"):
        zoo.build(name, resolution=least - 1)
