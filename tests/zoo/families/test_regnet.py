import functools

import pytest

import zoo
from tests.zoo import network_checks
from tests.zoo.network_checks import check_deterministic, check_trains, departures
from zoo.families.regnet import PUBLISHED, VARIANTS
from zoo.published import Published
from zoo.registry import ZooError

TINY = "regnet-slope8-width8-ratio1.6-depth5-group_width8-se0.25-resolution32"


counted = functools.cache(network_checks.counted)


@pytest.fixture(autouse=True)
def count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources say what one network costs: it is counted for the first."""
    monkeypatch.setattr(network_checks, "counted", counted)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.model)
def test_published(row: Published) -> None:
    assert departures(row) == {}
    # pycls counts each biased output as one MAC more: the classifier's 1,000 and squeeze-excite's.
    parameters, macs = counted(row.model, row.resolution)
    assert row.macs is not None
    assert parameters == row.parameters
    assert 0 <= row.macs - macs - 1000 <= (0 if row.model.startswith("regnetx") else 3e-5 * macs)


@pytest.mark.parametrize("name", [*VARIANTS, TINY])
def test_names_come_back(name: str) -> None:
    assert zoo.canonical_name(name) == name


def test_squeeze_excite_is_what_y_adds() -> None:
    plain, squeezed = (counted(f"regnet-se{se}", 64) for se in (0, 0.25))
    assert plain == counted("regnetx-400mf", 64)
    assert squeezed[0] > plain[0]
    assert squeezed[1] > plain[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("regnet-depth2", "a RegNet has 4 stages: .* give widths of 32, 64"),
        ("regnet-width20", "first width must be a multiple of 8"),
        ("regnet-ratio1", "ratio of a RegNet"),
        ("regnet-slope-1", "is no value of the knob 'slope'|no regnet"),
        ("regnet-group_width0", "group_width of a RegNet"),
        ("regnet-se2", "se of a RegNet"),
        ("regnetx-500mf", "did you mean regnetx"),
    ],
)
def test_refused(name: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        zoo.build(name)


def test_trains() -> None:
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)
