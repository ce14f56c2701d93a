"""BERT-base made elastic while it is fine-tuned (InstaTune, arXiv 2308.15609): depth, heads, hidden features.

Images are sentences: ``[example, 1, row, token]`` of numbers of word pieces, of which the first row is read,
as one segment. The first word piece's features give the answer. The embedding stays 768 and a head has 64
features, so that fewer heads are narrower queries, keys and values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.registry import ZooError
from zoo.supernets.elastic_encoder import HEAD_FEATURES, ElasticEncoder
from zoo.supernets.encoder import Attention
from zoo.supernets.rows import part
from zoo.supernets.space import Choice, Piece


class WordPieces(nn.Module):
    """Embeddings of word pieces, positions and segments, summed; norm."""

    def __init__(self, vocabulary: int, positions: int, embed: int) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(vocabulary, embed) * 0.02)
        self.positions = nn.Parameter(torch.randn(positions, embed) * 0.02)
        self.segments = nn.Parameter(torch.randn(2, embed) * 0.02)
        self.norm = nn.LayerNorm(embed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, row, token]`` to ``[example, token, feature]``; numbers modulo the vocabulary.

        Raises:
            ZooError: more than one channel, or more tokens than positions.
        """
        tokens, most = images.shape[-1], self.positions.shape[0]
        if images.shape[1] != 1 or tokens > most:
            wanted = f"[example, 1, row, token] of at most {most} tokens"
            raise ZooError(f"sentences are {wanted}, got {list(images.shape)}")
        numbers = images[:, 0, 0].round().long().remainder(self.words.shape[0])
        embedded = F.embedding(numbers, self.words) + self.positions[:tokens] + self.segments[0]
        return self.norm(embedded)


class Layer(nn.Module):
    """Attention and two linear layers, a norm behind each sum."""

    def __init__(self, embed: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(embed, heads, HEAD_FEATURES)
        self.work = nn.Sequential(nn.Linear(embed, hidden), nn.GELU(), nn.Linear(hidden, embed))
        self.norm1, self.norm2 = nn.LayerNorm(embed), nn.LayerNorm(embed)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        tokens = self.norm1(tokens + self.attention(tokens))
        return self.norm2(tokens + self.work(tokens))


class Answer(nn.Module):
    """Linear layer and tanh of the first token, linear layer."""

    def __init__(self, embed: int, num_classes: int) -> None:
        super().__init__()
        self.pooler, self.linear = nn.Linear(embed, embed), nn.Linear(embed, num_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to ``[example, class]``."""
        return self.linear(torch.tanh(self.pooler(tokens[:, 0])))


@dataclass(frozen=True, kw_only=True)
class ElasticBert(ElasticEncoder):
    """Depth; of each layer the heads and the hidden features of its two linear layers."""

    name: str = "instatune_bert"
    summary: str = "sub-networks of a fine-tuned BERT-base: depth, heads, hidden features (InstaTune)"
    source: str = (
        "arXiv 2308.15609; its values from the authors' package dynast 1.6.0, supernetwork_registry, "
        "bert_base_sst2 (that package does not name the paper); vocabulary, positions of BERT-base uncased"
    )
    systems: tuple[str, ...] = ("instatune",)
    classes: int = 2
    """SST-2's: a review is bad or good."""
    channels: int = 1
    vocabulary: int = 30_522
    positions: int = 512
    depths: tuple[int, ...] = (6, 7, 8, 9, 10, 11, 12)
    tokens: int = 128
    """Word pieces of a sentence that pieces are taken apart for."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """The network that the supernet is made from."""
        return {f"{self.name}.base": self.largest()}

    def resolution(self, choice: Choice) -> int:
        """Return 128: the word pieces of a sentence that the authors' package counts work for."""
        return self.tokens

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Embeddings, layers, answer.

        Raises:
            ZooError: more than one channel.
        """
        if in_channels != 1:
            raise ZooError(f"{self.name} reads one channel of word pieces, got {in_channels} channels")
        _, heads, hidden = choice
        shape = (self.tokens, self.embed)
        layers = tuple(
            part(Layer, self.embed, count, features, shape=shape)
            for count, features in zip(heads, hidden, strict=True)
        )
        words = part(
            WordPieces, self.vocabulary, self.positions, self.embed, shape=(1, self.tokens, self.tokens)
        )
        return words, *layers, part(Answer, self.embed, num_classes, shape=shape)

    def build(self, choice: Choice, *, in_channels: int = 1, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network: ``[example, 1, row, token]`` to logits."""
        return super().build(choice, in_channels=in_channels, num_classes=num_classes)


SPACES = (ElasticBert(),)
