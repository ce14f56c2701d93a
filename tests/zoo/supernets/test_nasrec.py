"""NASRec's blocks: live parts, interactions by closed form, features."""

import math
import random

import pytest
import torch

from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, cost_of, summed
from zoo.registry import ZooError
from zoo.supernets.nasrec import SPACES, Block, DotProduct, Merge, NasRec, live

(SPACE,) = SPACES
TINY = NasRec(name="tiny", depth=2, widths=(4, 6), counts=(3, 5), entries=7)


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=3)
    check_sums(TINY, draws=12)


def test_names() -> None:
    check_names(SPACE, draws=8)


def test_size() -> None:
    subsets = math.prod(2**n - 1 for n in range(1, 8))
    assert SPACE.size == 1024**7 * subsets**2
    rows = TINY.rows(("sum", "sum"))
    assert TINY.size == math.prod(len(options) for row in rows for options in row.options)


def test_parts_that_nothing_reads_are_not_built() -> None:
    unread = Block("fully_connected", "attention", 4, 3, True, True, (0,), (0,))
    last = Block("sum", "fully_connected", 4, 3, False, False, (0,), (0,))
    assert live((unread, last)) == {("tables", 0), ("dense", 2), ("sparse", 2)}
    # the dense output alone is read; the factorization machine in it needs the sparse operator
    reads = Block("sum", "fully_connected", 4, 3, False, False, (1,), (0,))
    assert live((unread, reads)) - live((unread, last)) == {("dense", 1), ("sparse", 1), ("merge", 1)}
    # a dot product reads sparse outputs as well
    dot = Block("dot_product", "fully_connected", 4, 3, False, False, (0,), (1,))
    assert ("inject", 1) in live((unread, dot))
    # what was never read: no table where no category gets through
    from_first = Block("sum", "fully_connected", 4, 3, False, False, (1,), (1,))
    assert ("tables", 0) in live((unread, from_first))


def test_least_is_two_operators_and_the_head() -> None:
    parameters, macs = summed(SPACE, SPACE.smallest())
    assert macs == 13 * 16 + 26 * 16 * 16 + (16 + 16 * 16) * 2
    assert parameters == macs - 26 * 16 * 16 + 26 * 16 + 26_000 * 16 + 16 + 16 + 2 * 16 + 2 * 16 + 2


def test_dot_products_are_those_of_all_pairs() -> None:
    torch.manual_seed(0)
    layer = DotProduct(3, 4, 6)
    joined = torch.randn(2, 3 + 4 * 16)
    assert layer(joined).shape == (2, 6)
    kept = 4  # the least whose square is at least twice the outputs
    macs = 4 * kept * 16 + 3 * 16 + (kept + 1) ** 2 * 16 + kept * (kept + 1) // 2 * 6
    assert cost_of(lambda: DotProduct(3, 4, 6), (3 + 4 * 16,))[1] == macs


def test_factorization_machine_sums_products_of_pairs() -> None:
    torch.manual_seed(0)
    layer, features = Merge(5), torch.randn(2, 4, 16)
    pairs = sum(features[:, i] * features[:, j] for i in range(4) for j in range(i))
    torch.testing.assert_close(layer(features), layer.linear(pairs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_learns(seed: int) -> None:
    torch.manual_seed(0)
    check_network(TINY.build(TINY.sample(random.Random(seed)), num_classes=5), (1, 2, 39), export=False)


def test_learns_and_exports() -> None:
    torch.manual_seed(0)
    decided = (("gate", "dot_product"), ("attention", "fully_connected"), (4, 6), (3, 5), (True, True))
    choice = (*decided, (True, True), ((0,), (0, 1)), ((0,), (0, 1)))
    check_network(TINY.build(choice, num_classes=5), (1, 1, 39))


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ZooError, match="one channel of features"):
        SPACE.build(SPACE.smallest(), in_channels=3)
    with pytest.raises(ZooError, match=r"features are \[example, 1, row, 39\]"):
        TINY.build(TINY.smallest())(torch.zeros(1, 1, 1, 38))
