import functools

import pytest

import zoo
from tests.zoo import network_checks
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, departures
from zoo.families.resnet_rs import PUBLISHED, VARIANTS, ResNetRSConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = "resnetrs-blocks1+1+1+1-width0.125-resolution32"


counted = functools.cache(network_checks.counted)


@pytest.fixture(autouse=True)
def count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources say what one network costs: it is counted for the first."""
    monkeypatch.setattr(network_checks, "counted", counted)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.model}@{row.resolution}, {row.source[:4]}")
def test_published(row: Published) -> None:
    assert departures(row) == {}


@pytest.mark.parametrize("name", [*VARIANTS, TINY])
def test_names_come_back(name: str) -> None:
    assert zoo.canonical_name(name) == name


def test_depth_is_in_the_name() -> None:
    # By the count that makes 152 of 3 x 50 + 2, the paper's 420 are 3 x 139 + 2 = 419.
    found = {name: config.depth for name, config in VARIANTS.items()}
    assert found["resnetrs-50"] == 50
    assert found["resnetrs-152"] == 152
    assert found["resnetrs-420"] == 419


def test_blocks_of_one_stage_cost_alike() -> None:
    """Each further block of the last stage adds the same parameters, in closed form, and the same MACs."""
    first, second, third = (counted(f"resnetrs-blocks1+1+1+{n}", 64) for n in (1, 2, 3))
    added = second[0] - first[0]
    squeezed, width = 512 // 4 * 4, 512
    squeeze = 2 * 4 * width * squeezed + squeezed + 4 * width
    norms = 2 * (width + width + 4 * width)
    assert added == third[0] - second[0]
    assert added == 2 * 4 * width**2 + 9 * width**2 + norms + squeeze
    assert second[1] - first[1] == third[1] - second[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnetrs-blocks3+4", "blocks of a ResNet-RS are 4 numbers"),
        ("resnetrs-blocks3+4+0+3", "blocks of a ResNet-RS must be an integer from 1"),
        ("resnetrs-width9", "width of a ResNet-RS"),
        ("resnetrs-resolution8", "resolution of a ResNet-RS"),
    ],
)
def test_refused(name: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        zoo.build(name)


def test_trains_and_exports() -> None:
    assert ResNetRSConfig(blocks=(1, 1, 1, 1)).depth == 14
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)
    check_exports(TINY, 32)
