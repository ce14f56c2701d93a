"""NASNet-A against the paper, the released networks and timm; stacking; both stems."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families.nasnet import NAMES, PUBLISHED, NASNetConfig, cell_plans

TINY = "nasnet-cells1-filters24-stem_cifar-stem_channels6"


@pytest.mark.parametrize("row", [r for r in PUBLISHED if not r.departs], ids=lambda r: r.model)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


def test_two_sizes_of_the_paper_are_smaller_than_the_released_stacking() -> None:
    seven_imagenet, seven_cifar = (r for r in PUBLISHED if r.departs)
    assert counted(seven_imagenet.model, 299) == (24_613_292, 5_373_739_132)
    assert departures(seven_imagenet) == {
        "parameters": pytest.approx(0.089, abs=1e-3),
        "macs": pytest.approx(0.090, abs=1e-3),
    }
    assert departures(seven_cifar) == {"parameters": pytest.approx(0.181, abs=1e-3)}


def test_timm_counts_the_same_large_network() -> None:
    assert counted("nasnet-large", 331) == counted("timm:nasnetalarge", 331)


@pytest.mark.parametrize("skips", [False, True])
def test_a_cell_after_a_reduction_sees_its_input_or_past_it(skips) -> None:
    plans = cell_plans(NASNetConfig(cells=2, filters=96, stem="cifar", skips_reduction=skips))
    assert [plan.reduces for plan in plans] == [False, False, True, False, False, True, False, False]
    assert [plan.width for plan in plans] == [4, 4, 8, 8, 8, 16, 16, 16]
    assert [plan.before for plan in plans] == [0, 0, 1, 1 if skips else 2, 3, 4, 4 if skips else 5, 6]


def test_the_channels_before_the_average_are_the_filters() -> None:
    for filters in (96, 480):
        model = zoo.build(f"nasnet-cells1-filters{filters}")
        assert model.head.in_features == filters


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="multiple of 24, got 100; try 96 or 120"):
        NASNetConfig(filters=100)
    with pytest.raises(ZooError, match="multiple of 96, got 120"):
        NASNetConfig(filters=120)
    with pytest.raises(ZooError, match="one of imagenet, cifar, got 'svhn'"):
        NASNetConfig(stem="svhn")
    with pytest.raises(ZooError, match="at least 3 pixels, got 2"):
        zoo.build("nasnet-mobile", resolution=2)


@given(st.integers(1, 9), st.integers(1, 40), st.sampled_from(["imagenet", "cifar"]), st.booleans())
def test_names_read_back(cells, quarter, stem, skips) -> None:
    config = NASNetConfig(cells=cells, filters=96 * quarter, stem=stem, skips_reduction=skips)
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize("name", [TINY, "nasnet-cells1-filters96-stem_channels8"])
def test_it_trains_and_answers_the_same(name) -> None:
    check_trains(name, 32, rate=0.01)
    check_deterministic(name, 32)


def test_it_exports() -> None:
    check_exports(TINY, 16)
