"""Cells of DARTS: about 10^18, published genotypes' costs, the counted multiply-adds of DARTS_V2."""

import dataclasses

import pytest

from tests.zoo.network_checks import counted, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums
from zoo.supernets.darts_cells import PC_DARTS_CIFAR, SPACES

SMALL, LARGE = SPACES
TOY = dataclasses.replace(SMALL, name="toy", width=4, cells=3, side=8)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_pieces_sum_to_the_whole(space) -> None:
    check_sums(space, draws=1)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_names(space) -> None:
    check_names(space, draws=5)


def test_size() -> None:
    """Per node two of its predecessors and seven operations on each; two cells."""
    assert SMALL.size == (49 * (3 * 49) * (6 * 49) * (10 * 49)) ** 2
    assert 1e18 < SMALL.size < 1.1e18


def test_published_costs() -> None:
    rows = (*SMALL.figures, *LARGE.figures)
    for row in rows:
        assert bool(departures(row)) == bool(row.departs), row
    assert [row.model for row in rows if row.departs] == ["darts.v1", "darts_imagenet.v2"]
    assert counted("darts.v1", 32) == (3_169_414, 500_987_520)
    assert counted("darts_imagenet.v2", 224) == (4_718_752, 529_911_552)


def test_small_networks_of_these_cells_learn_and_export() -> None:
    check_network(TOY.build(PC_DARTS_CIFAR, num_classes=5), (3, 8, 8))
    toy = dataclasses.replace(LARGE, name="toy", width=4, cells=3, side=64)
    check_network(toy.build(PC_DARTS_CIFAR, num_classes=5), (3, 64, 64), export=False)
