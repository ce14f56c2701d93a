"""Single Path One-Shot: 4^20 sub-networks, the published one's cost, blocks by formula."""

import pytest
from torch import nn

from tests.zoo.network_checks import check_deterministic, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, cost_of_piece
from zoo.supernets import SearchSpace
from zoo.supernets.rows import part
from zoo.supernets.shufflenet_spos import SPACES, Block, head, stem

BLOCKS, CHANNELS = SPACES


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_pieces_sum_to_the_whole(space: SearchSpace) -> None:
    check_sums(space, draws=2)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_names(space: SearchSpace) -> None:
    check_names(space)


def test_sizes() -> None:
    assert BLOCKS.size == 4**20
    assert CHANNELS.size == 4**20 * 10**20


def test_published_cost() -> None:
    for row in BLOCKS.figures:
        assert departures(row) == {}


def test_first_block_by_formula() -> None:
    """16 to 64 channels over stride 2 from 112 pixels: both branches, and the xception block's order."""
    small, large = 56 * 56, 112 * 112
    for kind, kernel in ((0, 3), (1, 5), (2, 7)):
        main = 16 * 32 * large + (32 * kernel**2 + 32 * 48) * small
        shortcut = (16 * kernel**2 + 16 * 16) * small
        piece = part(Block, kind, 16, 32, 64, 2, shape=(16, 112, 112))
        assert cost_of_piece(piece)[1] == main + shortcut
    xception = (16 * 9 + 16 * 32 + 32 * 9 + 32 * 32 + 32 * 9 + 32 * 48) * small + (16 * 9 + 16 * 16) * small
    assert cost_of_piece(part(Block, 3, 16, 32, 64, 2, shape=(16, 112, 112)))[1] == xception


def test_trains_answers_alike_and_exports() -> None:
    blocks = [Block(kind, 16, 12, 16, 1) for kind in (0, 1, 2, 3)]
    network = nn.Sequential(stem(3), *blocks, Block(3, 16, 12, 40, 2), head(40, 5))
    check_network(network, (3, 32, 32))
    check_deterministic("spos.searched", 64)
