"""Non-local blocks, plain (arXiv 1711.07971) and light (arXiv 2004.01961), usable alone.

Both let each pixel see all others. The plain block embeds queries, keys and values by 1x1 convolutions
and forms the map of all pixels by all pixels. The light one embeds nothing, takes keys and values from every
``stride``-th pixel and only ``share`` of the channels for queries and keys, multiplies in whichever order is
cheaper, and ends in a depthwise convolution.
"""

import torch
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.registry import ZooError

KINDS = ("light", "plain")


def light_product_macs(pixels: int, kept: int, channels: int, shared: int) -> tuple[int, int]:
    """Return multiply-adds of the light block's two products, (pixels first, channels first).

    Args:
        pixels: of the features.
        kept: pixels that give keys and values.
        channels: of the features.
        shared: channels of queries and keys.
    """
    return pixels * kept * (channels + shared), (pixels + kept) * channels * shared


class LightNonLocal(nn.Module):
    """Lightweight non-local block (arXiv 2004.01961; LiYingwei/AutoNL, model_def.py)."""

    def __init__(self, channels: int, *, share: float = 0.25, stride: int = 1) -> None:
        super().__init__()
        integer_knob("channels of a non-local block", channels, low=1, high=100_000)
        integer_knob("stride of a non-local block", stride, low=1, high=64)
        self.shared = max(
            1, int(real_knob("share of a non-local block", share, low=0.0, high=1.0) * channels)
        )
        self.stride = stride
        self.filter = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[example, channel, height, width]`` plus what all pixels add."""
        channels, height, width = (int(n) for n in images.shape[1:])
        sparse = images[:, :, :: self.stride, :: self.stride].flatten(2)
        queries = images[:, : self.shared].flatten(2)
        keys = sparse[:, : self.shared]
        by_pixels, by_channels = light_product_macs(
            height * width, int(sparse.shape[2]), channels, self.shared
        )
        if by_pixels < by_channels:
            seen = sparse @ (keys.transpose(1, 2) @ queries)
        else:
            seen = (sparse @ keys.transpose(1, 2)) @ queries
        seen = seen.reshape(-1, channels, height, width) / (height * width)
        return images + self.norm(self.filter(seen))


class PlainNonLocal(nn.Module):
    """Non-local block, embedded Gaussian, half the channels inside (arXiv 1711.07971)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = max(1, integer_knob("channels of a non-local block", channels, low=1, high=100_000) // 2)
        self.queries = nn.Conv2d(channels, inside, 1)
        self.keys = nn.Conv2d(channels, inside, 1)
        self.values = nn.Conv2d(channels, inside, 1)
        self.project = nn.Conv2d(inside, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[example, channel, height, width]`` plus what all pixels add."""
        height, width = images.shape[2:]
        queries, keys, values = (embed(images).flatten(2) for embed in (self.queries, self.keys, self.values))
        weights = (queries.transpose(1, 2) @ keys).softmax(dim=-1)
        seen = (values @ weights.transpose(1, 2)).unflatten(2, (height, width))
        return images + self.norm(self.project(seen))


def nonlocal_block(channels: int, *, kind: str = "light", share: float = 0.25, stride: int = 1) -> nn.Module:
    """Return a non-local block on features ``[example, channel, height, width]``.

    Args:
        channels: of the features.
        kind: ``light``, or ``plain`` for the block it replaces, which knows neither share nor stride.
        share: of the channels, for queries and keys.
        stride: between the pixels that give keys and values.

    Raises:
        ZooError: an unknown kind, or a number out of range.
    """
    if kind not in KINDS:
        raise ZooError(f"kind of a non-local block must be one of {', '.join(KINDS)}, got {kind!r}")
    return PlainNonLocal(channels) if kind == "plain" else LightNonLocal(channels, share=share, stride=stride)
