import functools

import pytest

import zoo
from tests.zoo import network_checks
from tests.zoo.network_checks import check_deterministic, check_trains, departures
from zoo.families.efficientnetv2 import PUBLISHED, VARIANTS
from zoo.published import Published
from zoo.registry import ZooError

TINY = "efficientnetv2-repeats1+1+1+1+1+1+1-channels8+8+16+16+24+24+32-stem8-head32-resolution32"


counted = functools.cache(network_checks.counted)


@pytest.fixture(autouse=True)
def count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources say what one network costs: it is counted for the first."""
    monkeypatch.setattr(network_checks, "counted", counted)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.model}, {row.source[:8]}")
def test_published(row: Published) -> None:
    assert departures(row) == {}


@pytest.mark.parametrize("name", [*VARIANTS, TINY])
def test_names_come_back(name: str) -> None:
    assert zoo.canonical_name(name) == name


def test_a_stage_left_out() -> None:
    without = TINY.replace("+1-channels", "+0-channels").replace("+32-stem8", "+0-stem8")
    assert counted(without, 32, classes=10)[0] < counted(TINY, 32, classes=10)[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnetv2-repeats1+2", "repeats of an EfficientNetV2 are 7 numbers"),
        ("efficientnetv2-channels8", "channels of an EfficientNetV2 are 7 numbers"),
        ("efficientnetv2-repeats0+2+2+3+5+8+0", "repeats of stage 1"),
        ("efficientnetv2-repeats1+2+2+3+5+8+1", "channels of stage 7"),
        ("efficientnetv2-stem4", "stem of an EfficientNetV2"),
        ("efficientnetv2-head4", "head of an EfficientNetV2"),
        ("efficientnetv2-resolution4", "resolution of an EfficientNetV2"),
    ],
)
def test_refused(name: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        zoo.build(name)


def test_trains() -> None:
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)
