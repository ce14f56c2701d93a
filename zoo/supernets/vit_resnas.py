"""Multi-stage vision transformers of ViT-ResNAS (arXiv 2109.00642): three stages, residual spatial reduction.

Each stage has its embedding and its number of blocks, each block its heads and hidden features. Between
stages a strided convolution, beside an average pool padded with zeros, quarters the tokens.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published, Status
from zoo.registry import ZooError
from zoo.supernets.encoder import EncoderBlock, TokenHead
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

PATCH, _MIDDLE = 14, 24


def _convolve(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class ConvolvedTokens(nn.Module):
    """Three convolutions, then one over patches of 7 of their pixels; class token, positions."""

    def __init__(self, in_channels: int, embed: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.first = _convolve(in_channels, _MIDDLE, 2)
        self.others = nn.Sequential(_convolve(_MIDDLE, _MIDDLE, 1), _convolve(_MIDDLE, _MIDDLE, 1))
        self.project = nn.Conv2d(_MIDDLE, embed, PATCH // 2, stride=PATCH // 2)
        self.token = nn.Parameter(torch.zeros(1, 1, embed))
        self.positions = nn.Parameter(torch.randn(1, 1 + (side // PATCH) ** 2, embed) * 0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, token, feature]``.

        Raises:
            ZooError: images of another size than the positions were learnt for.
        """
        if tuple(images.shape[-2:]) != (self.side, self.side):
            raise ZooError(f"this network learnt positions for {self.side} pixels, got {images.shape[-1]}")
        features = self.first(images)
        tokens = self.project(features + self.others(features)).flatten(2).transpose(1, 2)
        return torch.cat((self.token.expand(tokens.shape[0], -1, -1), tokens), dim=1) + self.positions


class SpatialReduction(nn.Module):
    """Quarter the tokens of an image and widen all; the class token through a linear layer."""

    def __init__(self, inputs: int, outputs: int, grid: int) -> None:
        super().__init__()
        self.grid, self.more = grid, outputs - inputs
        self.norm = nn.LayerNorm(inputs)
        self.reduce = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.widen = nn.Linear(inputs, outputs)
        self.positions = nn.Parameter(torch.randn(1, (grid // 2) ** 2, outputs) * 0.02)

    def _image(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to a quarter of the tokens and more features."""
        normed = self.norm(tokens)
        patches = self.reduce(self._image(normed)).flatten(2).transpose(1, 2) + self.positions
        pooled = F.avg_pool2d(self._image(tokens), 2).flatten(2).transpose(1, 2)
        kept = F.pad(torch.cat((tokens[:, :1], pooled), dim=1), (0, self.more))
        return torch.cat((self.widen(normed[:, :1]), patches), dim=1) + kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a stage may be."""

    embeds: tuple[int, ...]
    depths: tuple[int, ...]
    head_features: int
    heads: tuple[int, ...]
    hidden: tuple[int, ...]


def _stage(
    embed: int, head_features: int, heads: tuple[int, ...], depths: tuple[int, ...], step: int
) -> Stage:
    """Return a stage by its largest embedding: hidden features from 1.5 to 3 times that, by ``step``."""
    embeds = tuple(int(embed * share) for share in (0.625, 0.6875, 0.75, 0.875, 1))
    hidden = tuple(range(3 * embed // 2, 3 * embed + 1, step))
    return Stage(embeds=embeds, depths=depths, head_features=head_features, heads=heads, hidden=hidden)


@dataclass(frozen=True, kw_only=True)
class ViTResNAS(RowSpace):
    """One of the two supernets."""

    name: str
    summary: str
    stages: tuple[Stage, Stage, Stage]
    found: tuple[tuple[str, Choice], ...] = ()
    costs: tuple[Published, ...] = ()
    source: str = "arXiv 2109.00642; github.com/yilunliao/vit-search supernet_config and scripts/vit-sr-nas"
    systems: tuple[str, ...] = ("vit-resnas",)
    side: int = 224

    @property
    def published(self) -> Mapping[str, Choice]:
        """Networks the authors found."""
        return dict(self.found)

    @property
    def figures(self) -> tuple[Published, ...]:
        """What they were published to cost."""
        return self.costs

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Embeddings and depths of the stages; (heads, hidden features) of each block."""
        embeds, depths = (s.embeds for s in self.stages), (s.depths for s in self.stages)
        first = Row("net", (*embeds, *depths))
        if lead is None:
            return (first,)
        return first, *(
            same(word, tuple(itertools.product(stage.heads, stage.hidden)), depth)
            for word, stage, depth in zip("abc", self.stages, lead[3:], strict=True)
        )

    def resolution(self, choice: Choice) -> int:
        """Return 224: positions are learnt for it."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Tokens, blocks, two reductions, head (the one on patches is used in training alone)."""
        embeds, grid = choice[0][:3], self.side // PATCH
        image = (in_channels, self.side, self.side)
        pieces = [part(ConvolvedTokens, in_channels, embeds[0], self.side, shape=image)]
        for index, (stage, embed) in enumerate(zip(self.stages, embeds, strict=True)):
            if index:
                before = embeds[index - 1]
                pieces.append(part(SpatialReduction, before, embed, grid, shape=(1 + grid * grid, before)))
                grid //= 2
            shape = (1 + grid * grid, embed)
            for heads, hidden in choice[1 + index]:
                pieces.append(part(EncoderBlock, embed, heads, stage.head_features, hidden, shape=shape))
        return (*pieces, part(TokenHead, embeds[-1], num_classes, False, shape=(1 + grid * grid, embeds[-1])))


def _network(embeds: tuple[int, int, int], *stages: str) -> Choice:
    """Return a choice from stages written ``heads:hidden heads:hidden ...``."""
    blocks = tuple(
        tuple((int(word.split(":")[0]), int(word.split(":")[1])) for word in stage.split())
        for stage in stages
    )
    return (*embeds, *(len(stage) for stage in blocks)), *blocks


_BUDGET = "github.com/yilunliao/vit-search scripts/vit-sr-nas/searched_net: the budget in the script's name"
_D3, _D4 = (3, 4, 5, 6), (4, 5, 6, 7)

SPACES = (
    ViTResNAS(
        name="vit_resnas_tiny",
        summary="multi-stage vision transformers of ViT-ResNAS-Tiny's supernet (arXiv 2109.00642)",
        stages=(
            _stage(256, 32, (3, 4, 5, 6), _D3, 64),
            _stage(512, 48, (6, 8, 10, 12), _D3, 128),
            _stage(1024, 64, (6, 8, 10, 12), _D3, 256),
        ),
        found=((
            "vit_resnas_tiny.searched",
            _network(
                (176, 352, 704),
                "3:704 3:576 3:640 4:576 4:704",
                "10:1408 8:1408 8:1280 8:1408 10:1280 10:1024",
                "10:2560 10:1792 10:2816 8:2816 8:2560",
            ),
        ),),
    ),
    ViTResNAS(
        name="vit_resnas_small",
        summary="multi-stage vision transformers of ViT-ResNAS-Small's and -Medium's supernet (2109.00642)",
        stages=(
            _stage(320, 32, (5, 6, 7, 8), _D4, 80),
            _stage(640, 48, (10, 12, 14, 16), _D4, 160),
            _stage(1280, 64, (10, 12, 14, 16), _D4, 320),
        ),
        found=(
            (
                "vit_resnas_small.searched",
                _network(
                    (220, 440, 880),
                    "5:880 5:880 7:800 5:720 5:720 5:720",
                    "10:1760 10:1440 10:1920 10:1600 12:1600 12:1440",
                    "16:3200 12:3200 16:2880 12:2240 14:2560",
                ),
            ),
            (
                "vit_resnas_small.medium",
                _network(
                    (240, 640, 880),
                    "7:960 6:960 7:800 8:960 7:880 8:880 6:800",
                    "10:1120 14:1760 14:1920 16:1760 14:1440 16:1760 16:1920",
                    "16:3200 10:3840 16:3840 12:3200 16:3520 14:3520",
                ),
            ),
        ),
        costs=(
            Published(
                model="vit_resnas_small.searched", resolution=224, macs=17.58e9 / 6.3, macs_rounding=2.3e7,
                source="arXiv 2109.00642, abstract of the MIT thesis: 6.3x fewer than DeiT-B",
                status=Status.DERIVED, note="17.58G of DeiT-B over 6.3",
            ),
            Published(
                model="vit_resnas_small.medium", resolution=224, source=_BUDGET, macs=4.6e9,
                macs_rounding=5e7, note="the most that the search was allowed",
            ),
        ),
    ),
)  # fmt: skip
