"""Placements of ResNet-20's halvings: all 36, the same weights, work by closed form."""

import itertools

import pytest

from tests.zoo.network_checks import counted, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, summed
from zoo.registry import ZooError
from zoo.supernets.pooling_positions import SPACES, PoolingPositions

(SPACE,) = SPACES
ALL = tuple((places,) for places in itertools.combinations(range(9), 2))


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE)
    check_sums(PoolingPositions(name="three", halvings=3), draws=1)


def test_names() -> None:
    check_names(SPACE)
    assert SPACE.format(((0, 8),)) == "resnet20_pooling-at08"


def test_size() -> None:
    assert SPACE.size == len(ALL) == 36
    assert PoolingPositions(halvings=3, blocks=15).size == 455
    for choice in ALL:
        SPACE.check(choice)


def test_published_costs() -> None:
    (row,) = SPACE.figures
    assert departures(row) == {}
    assert counted(row.model, 32, classes=10)[0] == row.parameters == 272_474
    assert SPACE.published["resnet20_pooling.default"] == ((3, 6),)
    assert not PoolingPositions(halvings=3).figures


def closed_form(places: tuple[int, int]) -> int:
    """Return multiply-adds at 32 pixels and 10 classes."""
    side, before = 32, 16
    macs = 3 * 9 * 16 * side**2 + 64 * 10
    for index in range(9):
        width = (16, 32, 64)[index // 3]
        side //= 2 if index in places else 1
        macs += 9 * (before + width) * width * side**2
        macs += before * width * side**2 if before != width else 0
        before = width
    return macs


def test_every_placement_has_the_same_weights_and_its_own_work() -> None:
    costs = {choice: summed(SPACE, choice) for choice in ALL}
    assert {parameters for parameters, _ in costs.values()} == {272_474}
    for choice, (_, macs) in costs.items():
        assert macs == closed_form(choice[0])
    by_work = sorted(ALL, key=lambda choice: costs[choice][1])
    assert (by_work[0], by_work[-1]) == (SPACE.smallest(), SPACE.largest())
    assert [costs[choice][1] for choice in (by_work[0], by_work[-1])] == [18_596_480, 149_340_800]


@pytest.mark.parametrize("choice", [SPACE.smallest(), ((3, 6),)])
def test_learns_and_exports(choice: tuple) -> None:
    check_network(SPACE.build(choice, num_classes=5), (3, 16, 16))


def test_a_placement_twice_is_refused() -> None:
    for places in ((3, 3), (6, 3)):
        with pytest.raises(ZooError, match="ascending order"):
            SPACE.check((places,))
