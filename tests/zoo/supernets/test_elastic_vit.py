"""InstaTune's ViT-B/16: the largest is ViT-B/16, heads and hidden features by closed form."""

import pytest
import torch

from tests.zoo.network_checks import counted, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, summed
from zoo.registry import ZooError
from zoo.supernets.elastic_vit import SPACES, ElasticViT

(SPACE,) = SPACES
TINY = ElasticViT(name="tiny", embed=64, depths=(1, 2), heads=(1, 2), hidden=(32, 64), side=16, patch=8)


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=2)
    check_sums(TINY)


def test_names() -> None:
    check_names(SPACE, draws=8)


def test_size() -> None:
    assert SPACE.size == 12**10 + 12**11 + 12**12
    assert len(SPACE.decisions) == 3


def test_published_costs() -> None:
    (row,) = SPACE.figures
    assert departures(row) == {}
    # ViT-B/16 as its paper has it, whoever writes the code
    assert counted(row.model)[0] == 86_567_656


def test_costs_by_closed_form() -> None:
    blocks = ((6, 1024), (8, 2048), (12, 3072), (10, 1024)) * 3
    depth = 10
    choice = ((depth,), tuple(h for h, _ in blocks[:depth]), tuple(f for _, f in blocks[:depth]))
    tokens, parameters, macs = 197, 768 * 16**2 * 3 + 768 + 768 + 197 * 768, 196 * 768 * 16**2 * 3
    for heads, hidden in blocks[:depth]:
        inner = 64 * heads
        parameters += 3 * (768 + 1) * inner + (inner + 1) * 768 + (768 + 1) * hidden + (hidden + 1) * 768
        parameters += 4 * 768
        macs += tokens * (4 * 768 * inner + 2 * 768 * hidden) + 2 * tokens**2 * inner
    parameters += 2 * 768 + 769 * 1000
    assert summed(SPACE, choice) == (parameters, macs + 768 * 1000)


def test_learns_and_exports() -> None:
    torch.manual_seed(0)
    check_network(TINY.build(((2,), (1, 2), (64, 32)), num_classes=5), (3, 16, 16))


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ZooError, match="learnt positions for 16 pixels"):
        TINY.build(TINY.smallest())(torch.zeros(1, 3, 32, 32))
