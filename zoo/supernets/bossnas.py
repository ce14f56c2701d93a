"""The HyTra space of BossNAS (arXiv 2103.12424): sixteen residual blocks of convolution or attention.

Blocks stand at a quarter, eighth, sixteenth or thirty-second of the resolution, each scale after the one
before; the first and last scales may be left out. At the last two scales a block is a convolution or
attention, before them a convolution. A scale without blocks is one strided convolution.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

BLOCKS, SCALES = 16, 4
_PLANES, _HEADS, _EXPANSION, _STEM = (64, 128, 256, 512), (1, 2, 4, 8), 4, 64
_HEAD_FEATURES = 64


def _counts() -> tuple[tuple[int, ...], ...]:
    """Return blocks at each scale: sixteen in all, on scales that lie side by side."""
    found = []
    for earlier in itertools.product(range(BLOCKS + 1), repeat=SCALES - 1):
        counts = (*earlier, BLOCKS - sum(earlier))
        used = [scale for scale in range(SCALES) if counts[scale]]
        if counts[-1] >= 0 and used[-1] - used[0] + 1 == len(used):
            found.append(counts)
    return tuple(found)


COUNTS = _counts()


class Attention(nn.Module):
    """Self-attention of all pixels, without positions of its own."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * heads * _HEAD_FEATURES, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to heads' features side by side."""
        height, width = features.shape[-2:]
        together = self.qkv(features).flatten(2).unflatten(1, (3, self.heads, _HEAD_FEATURES))
        query, key, value = together.transpose(3, 4).unbind(1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(2, 3).flatten(1, 2).unflatten(2, (height, width))


class Gate(nn.Module):
    """Squeeze and excitation of a sixteenth."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 16, 1)
        self.up = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        squeezed = F.relu(self.down(features.mean(dim=(2, 3), keepdim=True)))
        return features * torch.sigmoid(self.up(squeezed))


class Block(nn.Module):
    """1x1 convolution, depthwise positions over the stride, 3x3 convolution or attention, 1x1 convolution."""

    def __init__(self, kind: str, inputs: int, scale: int, stride: int) -> None:
        super().__init__()
        planes, outputs = _PLANES[scale], _PLANES[scale] * _EXPANSION
        attends = kind == "attention"
        work = Attention(planes, _HEADS[scale]) if attends else nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.main = nn.Sequential(
            nn.Conv2d(inputs, planes, 1, bias=False),
            nn.Conv2d(planes, planes, 3, stride, 1, groups=planes), nn.BatchNorm2d(planes), nn.SiLU(),
            work, nn.BatchNorm2d(planes), nn.SiLU(),
            nn.Conv2d(planes, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.Identity() if attends else Gate(outputs),
        )  # fmt: skip
        pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity()
        changes = stride == 2 or inputs != outputs
        self.shortcut = nn.Sequential(
            pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        ) if changes else nn.Identity()  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the scale's channels over the stride."""
        return F.silu(self.main(features) + self.shortcut(features))


def stem(in_channels: int) -> nn.Sequential:
    """Return a 7x7 convolution and a pool: a quarter of the resolution."""
    return nn.Sequential(
        nn.Conv2d(in_channels, _STEM, 7, 2, 3, bias=False), nn.BatchNorm2d(_STEM), nn.SiLU(),
        nn.MaxPool2d(3, 2, 1),
    )  # fmt: skip


def bridge(inputs: int, outputs: int) -> nn.Sequential:
    """Return what stands where a scale has no blocks: a convolution over stride 2."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU())


def head(channels: int, num_classes: int) -> nn.Sequential:
    """Return the global average and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


_T = ((1, 1, 5, 9),), tuple("cccac" + "aaacaaaaa")
_KINDS = {"c": "convolution", "a": "attention"}
_SEARCHED: Choice = (_T[0], tuple(_KINDS[letter] for letter in _T[1]))
_README = "README of github.com/changlin31/BossNAS"


@dataclass(frozen=True, kw_only=True)
class HyTra(RowSpace):
    """Blocks at each scale, and kinds at the last two."""

    name: str
    summary: str
    last_stride: int = 2
    """1 keeps the last scale at a sixteenth of the resolution, as in BossNet-T1."""
    costs: tuple[Published, ...] = ()
    source: str = "arXiv 2103.12424; github.com/changlin31/BossNAS retraining_hytra and searching"
    systems: tuple[str, ...] = ("bossnas",)
    side: int = 224

    @property
    def published(self) -> Mapping[str, Choice]:
        """The network the authors found."""
        return {f"{self.name}.bossnet": _SEARCHED}

    @property
    def figures(self) -> tuple[Published, ...]:
        """What it was published to cost."""
        return self.costs

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Blocks at each scale; kinds of the blocks at the last two."""
        first = Row("net", (COUNTS,))
        if lead is None:
            return (first,)
        return first, same("kinds", ("attention", "convolution"), sum(lead[0][2:]))

    def smallest(self) -> Choice:
        """Return the fewest multiply-adds: attention, most of it at a sixteenth of the resolution."""
        return (((0, 1, 14, 1),), ("attention",) * 15)

    def largest(self) -> Choice:
        """Return the most: convolutions, all at a quarter, or most at the last scale where that is large."""
        counts = (16, 0, 0, 0) if self.last_stride == 2 else (1, 1, 1, 13)
        return ((counts,), ("convolution",) * sum(counts[2:]))

    def resolution(self, choice: Choice) -> int:
        """Return 224."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, blocks and bridges of the four scales, head."""
        (counts,), kinds = choice[0], iter(choice[1])
        pieces = [part(stem, in_channels, shape=(in_channels, self.side, self.side))]
        channels, side = _STEM, -(-self.side // 4)
        for scale, count in enumerate(counts):
            stride = (1, 2, 2, self.last_stride)[scale]
            outputs = _PLANES[scale] * _EXPANSION
            if not count:
                pieces.append(part(bridge, channels, outputs, shape=(channels, side, side)))
                channels, side = outputs, -(-side // 2)
            for index in range(count):
                kind = next(kinds) if scale >= 2 else "convolution"
                step = stride if index == 0 else 1
                pieces.append(part(Block, kind, channels, scale, step, shape=(channels, side, side)))
                channels, side = outputs, -(-side // step)
        return (*pieces, part(head, channels, num_classes, shape=(channels, side, side)))


def _cost(model: str, resolution: int, macs: float, top1: float) -> Published:
    return Published(
        model=model, resolution=resolution, macs=macs, macs_rounding=5e7, top1=top1, source=_README
    )


SPACES = (
    HyTra(
        name="hytra", summary="sixteen blocks of convolution or attention: BossNet-T0 (arXiv 2103.12424)",
        costs=(_cost("hytra.bossnet", 224, 3.4e9, 0.808), _cost("hytra.bossnet", 288, 5.7e9, 0.816)),
    ),
    HyTra(
        name="hytra_t1", summary="the same blocks, last scale at a sixteenth: BossNet-T1 (arXiv 2103.12424)",
        last_stride=1,
        costs=(_cost("hytra_t1.bossnet", 224, 7.9e9, 0.819), _cost("hytra_t1.bossnet", 256, 10.5e9, 0.822)),
    ),
)  # fmt: skip
