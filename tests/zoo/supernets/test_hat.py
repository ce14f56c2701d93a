"""HAT's space: layers by an independent transformer, size, sentences, published ranges."""

import pytest
import torch
from torch import nn

from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, cost_of, summed
from zoo.registry import ZooError
from zoo.supernets.hat import SPACES, Hat

(SPACE,) = SPACES
BASE = SPACE.published["hat.base"]
TINY = Hat(name="tiny", encoder_layers=3, depths=(1, 2), widths=(8, 12), hidden=(16, 32), words=6, classes=11)


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=2)
    check_sums(TINY)


def test_names() -> None:
    check_names(SPACE, draws=8)


def test_size() -> None:
    assert SPACE.size == 4 * 6**6 * sum(36**depth for depth in range(1, 7))
    assert TINY.size == 4 * 4**3 * (24 + 24**2)


def words(choice: tuple) -> int:
    """Return the parameters of the table, which publications leave out."""
    return SPACE.classes * max(choice[0][1:])


def test_base_has_the_weights_of_an_independent_transformer() -> None:
    with torch.device("meta"):
        there = nn.Transformer(512, 8, 6, 6, 2048)
    final_norms = 2 * 2 * 512
    parameters, macs = summed(SPACE, BASE)
    assert parameters - words(BASE) == sum(p.numel() for p in there.parameters()) - final_norms == 44_138_496
    matrices = 6 * (4 * 512**2 + 2 * 512 * 2048) + 6 * (8 * 512**2 + 2 * 512 * 2048)
    assert macs == 30 * matrices + 18 * 2 * 30**2 * 512 + 512 * SPACE.classes


def test_reach_costs_keys_and_values_but_no_weights() -> None:
    near = ((1, 640, 512), (1024,) * 6, (4,) * 6, (1024,), (4,), (4,), (1,))
    far = (*near[:-1], (3,))
    (weights, work), (same_weights, more) = summed(SPACE, near), summed(SPACE, far)
    assert weights == same_weights
    assert more - work == 2 * 30 * (2 * 640 * 512) + 2 * 30 * 60 * 512


def test_published_networks_lie_in_the_space() -> None:
    """HAT's WMT'14 networks: 56M parameters without words and 3.5G operations, 57M and 3.6G.

    Read in github.com/microsoft/automoe README; operations are multiplications and additions told apart
    there (its big transformer: 176M, 10.6G = 2 x 30 words x 176M). Which sub-networks they are is not told.
    """
    least, most = summed(SPACE, SPACE.smallest()), summed(SPACE, SPACE.largest())
    for parameters, operations in ((56e6, 3.5e9), (57e6, 3.6e9)):
        assert least[0] - words(SPACE.smallest()) < parameters < most[0] - words(SPACE.largest())
        assert least[1] < operations / 2 < most[1]


def test_sentences() -> None:
    torch.manual_seed(0)
    model = TINY.build(TINY.largest()).eval()
    both = torch.randint(0, 11, (2, 1, 2, 7), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        answer = model(both)
        assert answer.shape == (2, 11)
        # rows between are not read, numbers wrap around at the vocabulary
        between = torch.cat((both[:, :, :1], torch.full((2, 1, 3, 7), 5.0), both[:, :, 1:]), dim=2)
        assert torch.equal(model(between), answer)
        assert torch.equal(model(both - 11), answer)
        # the order of words matters, and so does each sentence
        for row in (0, 1):
            other = both.clone()
            other[:, :, row] = both[:, :, row].flip(-1)
            assert not torch.allclose(model(other), answer, atol=1e-4)
        assert torch.equal(model(both[:, :, :1]), model(both[:, :, :1].repeat(1, 1, 2, 1)))


def test_earlier_words_do_not_see_later_ones() -> None:
    torch.manual_seed(0)
    layer = TINY.build(TINY.largest()).eval().decoder[0]
    tokens, memory = torch.randn(1, 5, 12), torch.randn(1, 9, 12)
    later = tokens.clone()
    later[:, 3:] += 1
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens, memory)[:, :3], layer(later, memory)[:, :3])


def test_learns_and_exports() -> None:
    torch.manual_seed(0)
    choice = ((2, 12, 8), (16, 32, 16), (4, 8, 4), (32, 16), (8, 4), (4, 8), (1, 3))
    check_network(TINY.build(choice, num_classes=5), (1, 4, 6))


def test_words_cost_no_lookups() -> None:
    piece = SPACE.pieces(BASE)[0]
    assert cost_of(piece.make, (1, 30, 30)) == (512 * SPACE.classes, 512 * SPACE.classes)


def test_colours_are_refused() -> None:
    with pytest.raises(ZooError, match="one channel of word numbers"):
        SPACE.build(BASE, in_channels=3)
    with pytest.raises(ZooError, match=r"\[example, 1, row, token\]"):
        TINY.build(TINY.smallest())(torch.zeros(1, 3, 4, 4))
