"""InstaTune's BERT-base: weights by closed form and by an independent encoder, sentences."""

import pytest
import torch
from torch import nn

from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, summed
from zoo.registry import ZooError
from zoo.supernets.elastic_bert import SPACES, ElasticBert

(SPACE,) = SPACES
TINY = ElasticBert(
    name="tiny", vocabulary=11, positions=12, embed=16, depths=(1, 2), heads=(1, 2), hidden=(8, 16), tokens=6
)


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE, draws=1)
    check_sums(TINY)


def test_names() -> None:
    check_names(SPACE, draws=8)


def test_size() -> None:
    assert SPACE.size == sum(12**depth for depth in range(6, 13))


def test_bert_base_has_the_weights_of_an_independent_encoder() -> None:
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(768, 12, 3072)
    words = (30_522 + 512 + 2 + 2) * 768
    parameters, macs = summed(SPACE, SPACE.largest())
    assert parameters == words + 12 * sum(p.numel() for p in layer.parameters()) + 769 * 768 + 769 * 2
    matrices = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert macs == 128 * matrices + 12 * 2 * 128**2 * 768 + 768**2 + 768 * 2


def test_sentences() -> None:
    torch.manual_seed(0)
    model = TINY.build(TINY.largest()).eval()
    sentence = torch.randint(0, 11, (2, 1, 3, 7), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        answer = model(sentence)
        assert answer.shape == (2, 2)
        assert torch.equal(model(sentence[:, :, :1]), answer)
        assert torch.equal(model(sentence + 11), answer)
        assert not torch.allclose(model(sentence.flip(-1)), answer, atol=1e-6)
        with pytest.raises(ZooError, match="at most 12 tokens"):
            model(torch.zeros(1, 1, 1, 13))


def test_learns_and_exports() -> None:
    torch.manual_seed(0)
    check_network(TINY.build(((2,), (1, 2), (16, 8)), num_classes=5), (1, 2, 6))


def test_colours_are_refused() -> None:
    with pytest.raises(ZooError, match="one channel of word pieces"):
        SPACE.build(SPACE.largest(), in_channels=3)
