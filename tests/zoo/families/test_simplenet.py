import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.simplenet import NAMES, PUBLISHED, VARIANTS, SimpleNetConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = "simplenet-channels4+5+6+7+5+6+7+5+6+7+9+5+8-strides1-pools4+7"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.model)
def test_published(row: Published) -> None:
    assert departures(row) == {}


def _by_formula(config: SimpleNetConfig, classes: int) -> int:
    inputs, weights = 3, 0
    for layer, outputs in enumerate(config.widths, start=1):
        weights += (
            inputs * (1 if layer in config.pointwise else 9) + 3
        ) * outputs  # bias, and the norm's two
        inputs = outputs
    return weights + (inputs + 1) * classes


@pytest.mark.parametrize("name", ["simplenetv1-5m-m1", "simplenet-cifar-460k", "simplenet-width1.37"])
def test_parameters_by_formula(name: str) -> None:
    assert counted(name, 64, classes=17)[0] == _by_formula(NAMES.parse(name), 17)


def test_halving_late_costs_work_and_no_weights() -> None:
    sooner, later = counted("simplenetv1-5m-m1"), counted("simplenetv1-5m-m2")
    assert sooner[0] == later[0]
    assert sooner[1] < later[1]


@given(st.floats(1 / 64, 32), st.lists(st.integers(1, 2), min_size=1, max_size=13))
def test_names_round_trip(width: float, strides: list[int]) -> None:
    config = SimpleNetConfig(width=width, strides=tuple(strides))
    assert NAMES.parse(NAMES.format(config)) == config


def test_published_names_are_canonical() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())


def test_trains_and_answers() -> None:
    check_trains(TINY, 16)
    check_deterministic(TINY, 8)
    check_deterministic("simplenet-cifar-310k", 32)


def test_exports() -> None:
    check_exports(TINY, 16)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("simplenet-channels4+5", "are 13 numbers, got 2"),
        ("simplenet-strides3", "stride of a SimpleNet layer"),
        ("simplenet-pools7+4", "rising numbers"),
        ("simplenet-pointwise14", "pointwise of a SimpleNet"),
        ("simplenet-width0", "width"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


@pytest.mark.parametrize("name", ["simplenetv1-5m-m2", "simplenet-cifar-5m", TINY])
def test_the_least_images_run_and_lesser_ones_are_refused(name: str) -> None:
    least = zoo.family_of(name).parse(name).least_resolution
    check_deterministic(name, least)
    with pytest.raises(ZooError, match=f"at least {least} pixels a side, got {least - 1}"):
        zoo.build(name, resolution=least - 1)
