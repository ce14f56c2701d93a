"""EfficientTDNN: about 10^13 networks, published parameters, and multiply-adds of three seconds."""

import functools

import pytest

from tests.zoo.network_checks import departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, cost_of
from zoo.registry import ZooError
from zoo.supernets.tdnn import FRAMES, MELS, PUBLISHED_MACS, SPACES

(SPACE,) = SPACES
SMALL = SPACE.published["efficienttdnn.small"]


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=2)


def test_names() -> None:
    check_names(SPACE)


def test_size() -> None:
    assert SPACE.size == sum(145 * (49 * 3) ** (depth + 1) for depth in (2, 3, 4))
    assert 0.95e13 < SPACE.size < 1.05e13


def test_published_costs() -> None:
    for row in SPACE.figures:
        assert departures(row) == {}, row
    for name, macs in PUBLISHED_MACS.items():
        choice = SPACE.published[f"efficienttdnn.{name}"]
        counted = cost_of(functools.partial(SPACE.build, choice), (1, MELS, FRAMES))[1]
        assert counted == pytest.approx(macs, rel=0.03)


def test_learns_and_exports() -> None:
    check_network(SPACE.build(SMALL, num_classes=5), (1, MELS, 16))


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ZooError, match="one channel of 80 mel bands"):
        SPACE.build(SMALL, in_channels=3)
