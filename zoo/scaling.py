"""Pure rules that turn a size into depth, width and resolution, and the rounding that follows.

Compound scaling (arXiv 1905.11946, equation 3): depth = alpha^phi, width = beta^phi, resolution =
gamma^phi with alpha * beta^2 * gamma^2 ~ 2, so that one step of phi about doubles the MACs.
"""

import math
from dataclasses import dataclass

from zoo.registry import ZooError

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Found by grid search for EfficientNet-B0 (arXiv 1905.11946, section 4)."""

MACS_PER_STEP = ALPHA * BETA**2 * GAMMA**2
"""What one step of phi multiplies the MACs by, before rounding: 1.92, the paper's "about 2"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Multipliers of a base network."""

    depth: float
    width: float
    resolution: float
    macs: float
    """What they multiply the MACs by: depth x width^2 x resolution^2."""

    def __post_init__(self) -> None:
        product = self.depth * self.width**2 * self.resolution**2
        if min(self.depth, self.width, self.resolution, self.macs) <= 0:
            raise ZooError(f"scale factors must be above 0, got {self}")
        if not math.isclose(product, self.macs, rel_tol=1e-9):
            raise ZooError(f"depth x width^2 x resolution^2 = {product:.6g} is not macs = {self.macs:.6g}")


def compound(phi: float) -> Scale:
    """Return the compound scale of ``phi`` (arXiv 1905.11946, equation 3); 0 is the base network."""
    return Scale(depth=ALPHA**phi, width=BETA**phi, resolution=GAMMA**phi, macs=MACS_PER_STEP**phi)


def round_channels(channels: float, step: int) -> int:
    """Round to the nearest multiple of ``step`` (halves up), at least ``step``, never losing over 10 %.

    The rule of the MobileNet and EfficientNet reference code (``make_divisible``).
    """
    rounded = max(step, int(channels / step + 0.5) * step)
    return rounded + step if rounded < 0.9 * channels else rounded


def round_repeats(repeats: float) -> int:
    """Round to the nearest whole number of blocks (halves up), at least 1.

    EfficientNet rounds up; that would keep every stage of a *smaller* network at its base depth.
    """
    return max(1, int(repeats + 0.5))


def round_resolution(pixels: float, step: int, least: int) -> int:
    """Round to the nearest multiple of ``step`` (halves up), at least ``least`` pixels."""
    return max(least, int(pixels / step + 0.5) * step)
