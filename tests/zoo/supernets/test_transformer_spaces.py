"""AutoFormer, ViT-ResNAS, SN-Net, ElasticViT, BossNAS: sums, names, sizes, published costs, learning."""

import dataclasses
import itertools

import pytest
import torch

from tests.zoo.network_checks import counted, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, cost_of_piece, summed
from zoo.registry import ZooError
from zoo.supernets import SearchSpace, autoformer, bossnas, elasticvit, stitching, vit_resnas
from zoo.supernets.rows import part

(STITCHED,), (ELASTIC,), (HYTRA, HYTRA_T1) = stitching.SPACES, elasticvit.SPACES, bossnas.SPACES
ALL = [
    *autoformer.SPACES, *vit_resnas.SPACES, STITCHED, ELASTIC, HYTRA, HYTRA_T1
]  # fmt: skip


@pytest.mark.parametrize("space", ALL, ids=lambda space: space.name)
def test_pieces_sum_to_the_whole(space: SearchSpace) -> None:
    check_sums(space, draws=1)


@pytest.mark.parametrize("space", ALL, ids=lambda space: space.name)
def test_names(space: SearchSpace) -> None:
    check_names(space, draws=4)


@pytest.mark.parametrize("space", [space for space in ALL if space is not STITCHED], ids=lambda s: s.name)
def test_published_costs(space: SearchSpace) -> None:
    for row in space.figures:
        assert bool(departures(row)) == bool(row.departs), row


def test_what_departs_is_counted() -> None:
    assert counted("autoformer_tiny.searched") == (5_867_944, 1_481_938_432)
    departing = {row.model for space in ALL for row in space.figures if row.departs}
    assert departing == {"autoformer_tiny.searched"}


def test_parameters_of_prenas_are_met_to_the_last() -> None:
    for space in autoformer.SPACES:
        for row in space.figures:
            if "prenas" in row.model:
                assert summed(space, space.published[row.model])[0] == row.parameters


def test_every_stitch_costs_what_was_published() -> None:
    """The reference leaves positions and class tokens out of stitches: 0.2 % to 0.5 % of their parameters."""
    costs = {}
    for row in STITCHED.figures:
        costs[row.model] = summed(STITCHED, STITCHED.published[row.model])
        assert costs[row.model][0] == pytest.approx(row.parameters, rel=0.01)
        assert costs[row.model][1] == pytest.approx(row.macs, rel=0.03)
    (options,) = STITCHED.rows(None)[0].options
    macs = [summed(STITCHED, ((one,),))[1] for one in options]
    assert len(macs) == STITCHED.size == 71
    assert macs == sorted(macs)


def test_stitched_anchors_are_deit() -> None:
    """Parameters as timm's table has deit_tiny, deit_small and deit_base."""
    wanted = (5_717_416, 22_050_664, 86_567_656)
    assert tuple(summed(STITCHED, ((one,),))[0] for one in ((0,), (1,), (2,))) == wanted


def test_sizes() -> None:
    tiny, small, base = autoformer.SPACES
    assert tiny.size == 3 * sum(6**depth for depth in (12, 13, 14))
    assert small.size == 3 * sum(9**depth for depth in (12, 13, 14))
    assert base.size == 3 * sum(9**depth for depth in (14, 15, 16))
    for space, depths in zip(vit_resnas.SPACES, ((3, 4, 5, 6), (4, 5, 6, 7)), strict=True):
        assert space.size == (5 * sum(28**depth for depth in depths)) ** 3
    rising = sum(list(widths) == sorted(widths) for widths in itertools.product(*elasticvit.WIDTHS))
    assert ELASTIC.size == 6 * (2 * 4 * 5 * 5 * 6**3) * rising * 2**3 * 4**2 * 4**4 * 3**4
    assert HYTRA.size == HYTRA_T1.size == _paths(bossnas.BLOCKS, (1, 1, 2, 2))


def _paths(blocks: int, kinds: tuple[int, ...]) -> int:
    """Count paths through scales, one step down or none at each block, by going through the blocks."""
    ways = list(kinds)
    for _ in range(blocks - 1):
        ways = [kinds[i] * (ways[i] + (ways[i - 1] if i else 0)) for i in range(len(kinds))]
    return sum(ways)


def test_block_by_formula() -> None:
    """AutoFormer's block: attention, its two products for positions, two linear layers."""
    embed, heads, hidden, tokens = 192, 3, 672, 197
    inner = heads * 64
    block = part(autoformer.block, embed, heads, hidden, 14, shape=(tokens, embed))
    attention = tokens * embed * 3 * inner + 4 * tokens * tokens * inner + tokens * inner * embed
    assert cost_of_piece(block)[1] == attention + 2 * tokens * embed * hidden


def test_small_networks_learn_and_export() -> None:
    former = dataclasses.replace(
        autoformer.SPACES[0], name="toy", embeds=(16,), heads=(1, 2), depths=(2,), side=32, found=()
    )
    check_network(former.build(former.largest(), num_classes=5), (3, 32, 32))
    stages = tuple(
        vit_resnas.Stage(embeds=(8 * s,), depths=(1,), head_features=8, heads=(1,), hidden=(16,))
        for s in (1, 2, 3)
    )
    resnas = dataclasses.replace(vit_resnas.SPACES[0], name="toy", stages=stages, found=(), side=56)
    check_network(resnas.build(resnas.smallest(), num_classes=5), (3, 56, 56))


def test_mobile_and_hybrid_networks_learn_and_export() -> None:
    mobile = torch.nn.Sequential(
        elasticvit.stem(3, 16), elasticvit.Bottleneck(16, 48, 3, 5, 2, True),
        elasticvit.AttentionBlock(48, 2, 2, 4), elasticvit.Head(48, 5),
    )  # fmt: skip
    check_network(mobile, (3, 16, 16))
    hybrid = torch.nn.Sequential(
        bossnas.stem(3), bossnas.Block("convolution", 64, 0, 1), bossnas.bridge(256, 512),
        bossnas.Block("attention", 512, 2, 2), bossnas.head(1024, 5),
    )  # fmt: skip
    check_network(hybrid, (3, 32, 32))


def test_another_size_than_that_of_the_positions_is_refused() -> None:
    network = STITCHED.build(STITCHED.smallest(), num_classes=5)
    with pytest.raises(ZooError, match="learnt positions for 224 pixels"):
        network(torch.zeros(1, 3, 32, 32))
    shrinking = (128, 24, *ELASTIC.smallest()[0][2:])
    with pytest.raises(ZooError, match="widths never shrink"):
        ELASTIC.check((shrinking, *ELASTIC.smallest()[1:]))
