"""Row-sparse sub-networks: what is kept is what is counted, prefixes nest, all kept is the dense network."""

import pytest
import torch
import torch.nn.functional as F

from tests.zoo.network_checks import counted
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, summed
from zoo.supernets.row_sparse import SPACES, RowSparse, RowSparseConv, kept_weights, places

(SPACE,) = SPACES
SMALL = RowSparse(name="small", blocks=3, shares=(0.1, 0.5))


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=1)


def test_names() -> None:
    check_names(SPACE)
    assert SPACE.size == 6
    assert SPACE.format(((0.1,),)) == "dress_resnet20-keep2"


def test_all_kept_costs_what_the_dense_network_costs() -> None:
    assert summed(SPACE, SPACE.largest()) == counted("resnet20_pooling.default", 32, classes=10)


@pytest.mark.parametrize("share", SPACE.shares)
def test_kept_weights_are_what_is_counted(share: float) -> None:
    layers, before, side = [], 16, 32
    for width in (16,) * 3 + (32,) * 3 + (64,) * 3:
        side //= 1 if width == before else 2
        layers += [(9 * before, width, side), (9 * width, width, side)]
        layers += [] if width == before else [(before, width, side)]
        before = width
    kept = [(rows * kept_weights(length, share), rows, side) for length, rows, side in layers]
    dense_weights, dense_macs = 16 * 27 + 32 + 650, 16 * 27 * 32**2 + 640
    assert summed(SPACE, ((share,),)) == (
        dense_weights + sum(weights + 2 * rows for weights, rows, _ in kept),
        dense_macs + sum(weights * side**2 for weights, _, side in kept),
    )


@pytest.mark.parametrize("length", [1, 2, 16, 144, 576])
def test_rows_keep_different_weights_and_prefixes_nest(length: int) -> None:
    whole = places(5, length, length)
    assert torch.equal(whole.sort(dim=1).values, torch.arange(length).expand(5, -1))
    short = kept_weights(length, 0.1)
    assert torch.equal(places(5, length, short), whole[:, :short])


@pytest.mark.parametrize(("kernel", "stride", "share"), [(3, 1, 0.2), (3, 2, 1.0), (1, 2, 0.5), (3, 2, 0.1)])
def test_answers_are_those_of_a_masked_convolution(kernel: int, stride: int, share: float) -> None:
    torch.manual_seed(0)
    layer = RowSparseConv(4, 6, kernel, stride, share)
    images = torch.randn(2, 4, 9, 9)
    dense = torch.zeros(6, 4 * kernel**2).scatter(1, layer.places, layer.values).view(6, 4, kernel, kernel)
    wanted = F.conv2d(images, dense, stride=stride, padding=kernel // 2)
    torch.testing.assert_close(layer(images), wanted, rtol=1e-4, atol=1e-5)


def test_learns_and_exports() -> None:
    torch.manual_seed(0)
    check_network(SMALL.build(((0.1,),), num_classes=5), (3, 16, 16))
