"""EfficientNetV2: later stages grow more, the resolution stops growing.

The paper (arXiv 2104.00298) scales V2-S up much as EfficientNet, but caps the images at 480 pixels
and adds layers gradually to later stages; it gives no formula. Published are the networks of `NETWORKS`.
Between two of them `efficientnetv2` interpolates, here, in the logarithm of the MACs.
"""

import bisect
import math
from dataclasses import dataclass

from zoo.registry import ZooError
from zoo.scaling.rounding import round_channels

CHANNEL_STEP = 8
MOST_RESOLUTION = 480
"""Pixels a side that the rule never exceeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Network:
    """What makes one EfficientNetV2."""

    repeats: tuple[int, ...]
    """Blocks of each of the 7 stages; 0 leaves a stage out."""
    channels: tuple[int, ...]
    """Channels of each stage; 0 where there is none."""
    stem: int
    head: int
    resolution: int
    """Pixels a side in evaluation."""
    macs: float
    """Published figure, used as the place on the curve."""


def _base(width: float, depth: float, resolution: int, macs: float) -> V2Network:
    """Return B0 scaled as EfficientNet is; channels may lose over a tenth by rounding."""

    def wide(channels: int) -> int:
        return round_channels(channels * width, CHANNEL_STEP, least_share=0.0)

    return V2Network(
        repeats=tuple(math.ceil(count * depth) for count in (1, 2, 2, 3, 5, 8, 0)),
        channels=(*(wide(count) for count in (16, 32, 48, 96, 112, 192)), 0),
        stem=wide(32),
        head=wide(1280),
        resolution=resolution,
        macs=macs,
    )


NETWORKS = {
    "b0": _base(1.0, 1.0, 224, 0.72e9),
    "b1": _base(1.0, 1.1, 240, 1.2e9),
    "b2": _base(1.1, 1.2, 260, 1.7e9),
    "b3": _base(1.2, 1.4, 300, 3.0e9),
    "s": V2Network(
        repeats=(2, 4, 4, 6, 9, 15, 0),
        channels=(24, 48, 64, 128, 160, 256, 0),
        stem=24,
        head=1280,
        resolution=384,
        macs=8.4e9,
    ),
    "m": V2Network(
        repeats=(3, 5, 5, 7, 14, 18, 5),
        channels=(24, 48, 80, 160, 176, 304, 512),
        stem=24,
        head=1280,
        resolution=480,
        macs=24.7e9,
    ),
    "l": V2Network(
        repeats=(4, 7, 7, 10, 19, 25, 7),
        channels=(32, 64, 96, 192, 224, 384, 640),
        stem=32,
        head=1280,
        resolution=480,
        macs=56.3e9,
    ),
}
"""Name -> published network (google/automl: efficientnetv2/effnetv2_configs.py; MACs: its README.md)."""


def efficientnetv2(size: float) -> V2Network:
    """Return the network with ``size`` times the MACs of EfficientNetV2-B0 at 224 pixels.

    Blocks, channels and pixels lie between those of the two published networks around it, at the same
    place between them as the MACs' logarithm; the seventh stage, which S lacks, fades in after S.

    Raises:
        ZooError: ``size`` is outside what was published, 1 to 78.
    """
    ladder = list(NETWORKS.values())
    sizes = [network.macs / ladder[0].macs for network in ladder]
    if not 1.0 <= size <= sizes[-1] * (1 + 1e-9):
        raise ZooError(f"EfficientNetV2 was published from 1 to {sizes[-1]:.3g} times B0, got {size:.4g}")
    upper = min(max(1, bisect.bisect_left(sizes, size * (1 - 1e-9))), len(sizes) - 1)
    low, high = ladder[upper - 1], ladder[upper]
    share = math.log(size / sizes[upper - 1]) / math.log(sizes[upper] / sizes[upper - 1])

    def between(a: float, b: float) -> float:
        return a + share * (b - a)

    repeats = tuple(math.floor(between(a, b) + 0.5) for a, b in zip(low.repeats, high.repeats, strict=True))
    channels = tuple(
        round_channels(between(a or b, b or a), CHANNEL_STEP) if count else 0
        for a, b, count in zip(low.channels, high.channels, repeats, strict=True)
    )
    side = int(between(low.resolution, high.resolution) / 4 + 0.5) * 4
    return V2Network(
        repeats=repeats,
        channels=channels,
        stem=round_channels(between(low.stem, high.stem), CHANNEL_STEP),
        head=round_channels(between(low.head, high.head), CHANNEL_STEP),
        resolution=min(MOST_RESOLUTION, side),
        macs=size * ladder[0].macs,
    )
