"""ResNet-RS: depth where overfitting is likely, width otherwise; resolution grows slowly either way.

Two rules (arXiv 2103.07579, abstract): scale the depth where a network would overfit, the width elsewhere;
and raise the resolution more slowly than EfficientNet. The rules carry no formula; what was published is the
ladder of depths and resolutions of `LADDER`. Between its steps sizes are interpolated, here, in the logarithm
of the MACs.
"""

import bisect
import math
from dataclasses import dataclass

from zoo.registry import ZooError

BLOCKS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}
"""Depth -> bottleneck blocks a stage (timm 1.0: timm/models/resnet.py, ``resnetrs50`` to ``resnetrs420``)."""

LADDER = (
    (50, 160),
    (101, 160),
    (101, 192),
    (152, 192),
    (152, 224),
    (152, 256),
    (200, 256),
    (270, 256),
    (350, 256),
    (350, 320),
    (420, 320),
)
"""Published (depth, pixels a side), from the cheapest (tensorflow/tpu:
models/official/resnet/resnet_rs/README.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetRSScale:
    """One network of the ladder or between two of its steps."""

    blocks: tuple[int, ...]
    """Bottleneck blocks a stage."""
    width: float
    """Multiplier of the channels."""
    resolution: int
    """Pixels a side."""
    macs: float
    """What it multiplies the MACs of ResNet-RS-50 at 160 pixels by, in closed form, before rounding."""


def blocks_of(depth: float) -> tuple[int, ...]:
    """Return the blocks a stage of a network of about ``depth`` layers: published ones, or between them.

    >>> blocks_of(101), blocks_of(310)
    ((3, 4, 23, 3), (4, 33, 63, 4))

    Raises:
        ZooError: ``depth`` is not between 50 and 420.
    """
    known = list(BLOCKS)
    if not known[0] <= depth <= known[-1]:
        raise ZooError(f"ResNet-RS has depths from {known[0]} to {known[-1]}, got {depth:.4g}")
    upper = max(1, bisect.bisect_left(known, depth))
    low, high = known[upper - 1], known[upper]
    share = (depth - low) / (high - low)
    pairs = zip(BLOCKS[low], BLOCKS[high], strict=True)
    return tuple(math.floor(a + share * (b - a) + 0.5) for a, b in pairs)


def resnet_rs(size: float, *, overfitting: bool = True) -> ResNetRSScale:
    """Return the network with ``size`` times the MACs of ResNet-RS-50 at 160 pixels.

    Args:
        size: MACs over the base's; 1 to about 35.
        overfitting: scale the depth, as in long training; else the width, at the base's depth. The
            resolution is that of the ladder at the same size.

    Raises:
        ZooError: ``size`` is outside the ladder.
    """
    sizes = [_weight(depth, side) / _weight(*LADDER[0]) for depth, side in LADDER]
    if not 1.0 <= size <= sizes[-1] * (1 + 1e-9):
        raise ZooError(f"the ResNet-RS ladder goes from 1 to {sizes[-1]:.3g} times its base, got {size:.4g}")
    upper = min(max(1, bisect.bisect_left(sizes, size * (1 - 1e-9))), len(sizes) - 1)
    (low_depth, low_side), (high_depth, high_side) = LADDER[upper - 1], LADDER[upper]
    share = math.log(size / sizes[upper - 1]) / math.log(sizes[upper] / sizes[upper - 1])
    side = low_side * (high_side / low_side) ** share
    resolution = int(side / 16 + 0.5) * 16
    if not overfitting:
        width = math.sqrt(size) * LADDER[0][1] / resolution
        return ResNetRSScale(blocks=BLOCKS[50], width=width, resolution=resolution, macs=size)
    depth = low_depth + share * (high_depth - low_depth)
    return ResNetRSScale(blocks=blocks_of(depth), width=1.0, resolution=resolution, macs=size)


def _weight(depth: int, side: int) -> float:
    """Return blocks times pixels: what MACs follow, as every block of a stage pair costs about as much."""
    return sum(BLOCKS[depth]) * side**2
