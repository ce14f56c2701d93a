"""Translation transformers of HAT (arXiv 2005.14187), which mixture-of-supernets searches too.

Images are sentences: ``[example, 1, row, token]`` of word numbers, the first row the sentence to translate,
the last row what is translated so far; other rows are not read, and one row alone is both. The answer is the
next word. Queries, keys and values have 512 features in all, whatever the heads; decoder layers read the last
one, two or three encoder layers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.registry import ZooError
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

INNER = 512
"""Features of queries, keys and values, all heads together."""


def positions(tokens: int, features: int, like: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines of positions: ``[token, feature]``."""
    half = features // 2
    steps = torch.arange(half, dtype=like.dtype, device=like.device) * (-math.log(10_000) / (half - 1))
    angles = torch.arange(tokens, dtype=like.dtype, device=like.device)[:, None] * steps.exp()[None, :]
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class Words(nn.Module):
    """One table of words for both sentences and for the answer; narrower sides use its first features."""

    def __init__(self, vocabulary: int, source: int, target: int) -> None:
        super().__init__()
        self.source, self.target = source, target
        widest = max(source, target)
        self.table = nn.Parameter(torch.randn(vocabulary, widest) * widest**-0.5)

    def _embed(self, row: torch.Tensor, features: int) -> torch.Tensor:
        table = self.table[:, :features]
        numbers = row.round().long().remainder(table.shape[0])
        words = F.embedding(numbers, table) * math.sqrt(features)
        return words + positions(row.shape[1], features, words)

    def embed(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ``[example, 1, row, token]`` to both sentences, ``[example, token, feature]``.

        Numbers count modulo the vocabulary, so that any image is a sentence.

        Raises:
            ZooError: more than one channel.
        """
        if images.shape[1] != 1:
            raise ZooError(f"sentences are [example, 1, row, token], got {list(images.shape)}")
        return self._embed(images[:, 0, 0], self.source), self._embed(images[:, 0, -1], self.target)

    def answer(self, last: torch.Tensor) -> torch.Tensor:
        """Map ``[example, feature]`` to logits of the next word."""
        return F.linear(last, self.table[:, : self.target])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed both sentences and answer straight away: all that words cost."""
        _, target = self.embed(images)
        return self.answer(target[:, -1])


class Attention(nn.Module):
    """Attention of ``[example, token, feature]`` to a memory of its own width."""

    def __init__(self, features: int, memory: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.project = nn.Linear(features, INNER), nn.Linear(INNER, features)
        self.key, self.value = nn.Linear(memory, INNER), nn.Linear(memory, INNER)

    def forward(self, tokens: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Map tokens to the same shape."""
        query, key, value = (
            layer(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, given in ((self.query, tokens), (self.key, memory), (self.value, memory))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.project(mixed.transpose(1, 2).flatten(2))


def feed_forward(features: int, hidden: int) -> nn.Sequential:
    """Return two linear layers with ReLU."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, features))


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, a norm behind each sum."""

    def __init__(self, features: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(features, features, heads, causal=False)
        self.work = feed_forward(features, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        tokens = self.norm1(tokens + self.attention(tokens, tokens))
        return self.norm2(tokens + self.work(tokens))


class DecoderLayer(nn.Module):
    """Self-attention to earlier words, attention to the encoder, two linear layers."""

    def __init__(self, features: int, memory: int, heads: int, cross_heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(features, features, heads, causal=True)
        self.cross = Attention(features, memory, cross_heads, causal=False)
        self.work = feed_forward(features, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in range(3))

    def forward(self, tokens: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        tokens = self.norms[0](tokens + self.attention(tokens, tokens))
        tokens = self.norms[1](tokens + self.cross(tokens, memory))
        return self.norms[2](tokens + self.work(tokens))


class Joined(nn.Module):
    """A decoder layer that takes its two inputs as one row of numbers, to be counted as a piece."""

    def __init__(self, tokens: int, reach: int, features: int, memory: int, *rest: int) -> None:
        super().__init__()
        self.layer = DecoderLayer(features, memory, *rest)
        self.shapes = (tokens, features), (tokens * reach, memory)

    def forward(self, joined: torch.Tensor) -> torch.Tensor:
        """Map ``[example, number]`` to ``[example, token, feature]``."""
        own, other = self.shapes
        tokens, memory = joined.split((math.prod(own), math.prod(other)), dim=1)
        return self.layer(tokens.unflatten(1, own), memory.unflatten(1, other))


class Network(nn.Module):
    """Words, encoder, decoder whose layers reach back over one to three encoder layers."""

    def __init__(
        self, words: Words, encoder: list[EncoderLayer], decoder: list[DecoderLayer], reach: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.words, self.reach = words, reach
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, row, token]`` to logits of the next word."""
        source, target = self.words.embed(images)
        encoded = []
        for layer in self.encoder:
            source = layer(source)
            encoded.append(source)
        for layer, reach in zip(self.decoder, self.reach, strict=True):
            target = layer(target, torch.cat(encoded[-reach:], dim=1))
        return self.words.answer(target[:, -1])


@dataclass(frozen=True, kw_only=True)
class Hat(RowSpace):
    """Widths of encoder and decoder, heads and hidden features of each layer, decoder depth, reach."""

    name: str = "hat"
    summary: str = "translation transformers of HAT's space for WMT'14 English-German (arXiv 2005.14187)"
    source: str = (
        "github.com/mit-han-lab/hardware-aware-transformers configs/wmt14.en-de/supertransformer/space0.yml; "
        "package dynast 1.6.0, supernetwork/machine_translation (layers, 30 words); the size of the "
        "vocabulary is this project's choice"
    )
    systems: tuple[str, ...] = ("mixture-of-supernets",)
    classes: int = 32_768
    """Words in the vocabulary, which both languages share."""
    channels: int = 1
    encoder_layers: int = 6
    depths: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    """Decoder layers."""
    widths: tuple[int, ...] = (512, 640)
    hidden: tuple[int, ...] = (1024, 2048, 3072)
    heads: tuple[int, ...] = (4, 8)
    reaches: tuple[int, ...] = (1, 2, 3)
    """Encoder layers, from the last back, that a decoder layer attends to."""
    words: int = 30
    """Words of both sentences that pieces are taken apart for."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """The base transformer of arXiv 1706.03762, which the space holds."""
        base = ((6, 512, 512), (2048,) * 6, (8,) * 6, (2048,) * 6, (8,) * 6, (8,) * 6, (1,) * 6)
        return {f"{self.name}.base": base} if 512 in self.widths else {}

    @property
    def decisions(self) -> tuple[str, ...]:
        """Depth and widths, then what each layer has."""
        return (
            f"decoder layers: {self.depths}; encoder layers are {self.encoder_layers}",
            f"features of encoder and of decoder: {self.widths}",
            f"hidden features of each layer: {self.hidden}",
            f"heads of each attention, {INNER} features together: {self.heads}",
            f"encoder layers that each decoder layer attends to: {self.reaches}",
        )

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Depth and widths; hidden features and heads of encoder layers; of decoder layers, with reach."""
        first = Row("net", (self.depths, self.widths, self.widths))
        if lead is None:
            return (first,)
        encoder, decoder = self.encoder_layers, lead[0]
        return (
            first,
            same("ehidden", self.hidden, encoder),
            same("eheads", self.heads, encoder),
            same("dhidden", self.hidden, decoder),
            same("dheads", self.heads, decoder),
            same("cross", self.heads, decoder),
            same("reach", self.reaches, decoder),
        )

    def resolution(self, choice: Choice) -> int:
        """Return 30: the words of a sentence that HAT counts work for."""
        return self.words

    def _layers(self, choice: Choice) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
        """Return the arguments of encoder layers and of decoder layers."""
        (_, source, target), hidden, heads, own_hidden, own_heads, cross, _ = choice
        encoder = tuple((source, *layer) for layer in zip(heads, hidden, strict=True))
        decoder = zip(own_heads, cross, own_hidden, strict=True)
        return encoder, tuple((target, source, *layer) for layer in decoder)

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Words (both ends of the network), encoder layers, decoder layers."""
        self._check_channels(in_channels)
        (_, source, target), *_, reaches = choice
        encoder, decoder = self._layers(choice)
        tokens = self.words
        ends = part(Words, num_classes, source, target, shape=(1, tokens, tokens))
        below = tuple(part(EncoderLayer, *layer, shape=(tokens, source)) for layer in encoder)
        above = tuple(
            part(Joined, tokens, reach, *layer, shape=(tokens * (target + reach * source),))
            for layer, reach in zip(decoder, reaches, strict=True)
        )
        return ends, *below, *above

    def build(self, choice: Choice, *, in_channels: int = 1, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network: ``[example, 1, row, token]`` to logits of the next word."""
        self.check(choice)
        classes = self.classes if num_classes is None else num_classes
        self._check_channels(in_channels)
        (_, source, target), *_, reaches = choice
        encoder, decoder = self._layers(choice)
        return Network(
            Words(classes, source, target),
            [EncoderLayer(*layer) for layer in encoder],
            [DecoderLayer(*layer) for layer in decoder],
            reaches,
        )

    def _check_channels(self, in_channels: int) -> None:
        if in_channels != 1:
            raise ZooError(f"{self.name} reads one channel of word numbers, got {in_channels} channels")


SPACES = (Hat(),)
