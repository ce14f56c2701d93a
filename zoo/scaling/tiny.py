"""TinyNet's tiny formula: resolution and depth from the MACs wanted, the width from what is left.

The paper (arXiv 2010.14819) samples networks around EfficientNet-B0, keeps those on the front of accuracy
over MACs, and regresses resolution and depth on the share of MACs, c, by a Gaussian process; the width is
what makes the MACs meet c. The sampled networks were not released, only five that the formula gave: TinyNet-A
to E. The curve here goes through these five and rises between them (a monotone cubic in ln c; a
Gaussian process through so few points swings back and forth); outside it goes on as the power law of the last
two. So A to E come back exactly, and other shares are an interpolation, not the paper's own curve.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from zoo.registry import ZooError
from zoo.scaling.efficientnet import BASE_RESOLUTION, closed_form
from zoo.scaling.factors import Scale

LEAST_SHARE, MOST_SHARE = 0.05, 1.0
"""Shares of EfficientNet-B0's MACs the formula is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyPoint:
    """One released network, as multipliers of EfficientNet-B0."""

    width: float
    depth: float
    resolution: int
    """Pixels a side; r in the paper is this over 224."""

    @property
    def share(self) -> float:
        """MACs over EfficientNet-B0's, in closed form: the paper's c."""
        own = closed_form(self.width, self.depth, self.resolution, tiny=True)
        return own.macs / closed_form(1.0, 1.0, BASE_RESOLUTION).macs


POINTS = {
    "a": TinyPoint(width=1.0, depth=1.2, resolution=192),
    "b": TinyPoint(width=0.75, depth=1.1, resolution=188),
    "c": TinyPoint(width=0.54, depth=0.85, resolution=184),
    "d": TinyPoint(width=0.54, depth=0.695, resolution=152),
    "e": TinyPoint(width=0.51, depth=0.6, resolution=106),
}
"""TinyNet-A to E (timm 1.0: timm/models/efficientnet.py, ``tinynet_a`` to ``tinynet_e``; released by the
authors)."""


def tiny(share: float) -> Scale:
    """Return the scale of the tiny formula at ``share`` of the base's MACs, with the width in closed form.

    width = sqrt(c / (depth x resolution^2)), as if all channels of a network were scaled. Of EfficientNet-B0
    that is too wide, as TinyNets keep its stem and head: see `tiny_point`.

    Raises:
        ZooError: ``share`` is not between 0.05 and 1.
    """
    depth, resolution = depth_and_resolution(share)
    width = math.sqrt(share / (depth * resolution**2))
    return Scale(depth=depth, width=width, resolution=resolution, macs=share)


def tiny_point(share: float) -> TinyPoint:
    """Return the network of the tiny formula at ``share`` of EfficientNet-B0's MACs.

    The width is the largest, in steps of 0.01, at which the MACs (counted in closed form, stem and head as
    they are) stay within the share.

    Raises:
        ZooError: ``share`` is not between 0.05 and 1.
    """
    depth, resolution = depth_and_resolution(share)
    depth, side = round(depth, 4), int(BASE_RESOLUTION * resolution + 1e-6)
    # A hair more than the share: it came from the same count by a division.
    most = share * closed_form(1.0, 1.0, BASE_RESOLUTION).macs * (1 + 1e-9)
    low, high = 1, 400
    if closed_form(low / 100, depth, side, tiny=True).macs > most:
        raise ZooError(f"at {share:.4g} of the MACs no width fits {side} pixels and depth x{depth:.3g}")
    while high - low > 1:
        middle = (low + high) // 2
        fits = closed_form(middle / 100, depth, side, tiny=True).macs <= most
        low, high = (middle, high) if fits else (low, middle)
    return _released(TinyPoint(width=low / 100, depth=depth, resolution=side))


def _released(point: TinyPoint) -> TinyPoint:
    """Return the released network that ``point`` is, if it is one: a width may round to the same channels."""
    for known in POINTS.values():
        same = (known.depth, known.resolution) == (point.depth, point.resolution)
        if same and known.share == point.share:
            return known
    return point


def depth_and_resolution(share: float) -> tuple[float, float]:
    """Return the multipliers of depth and resolution at ``share`` of the MACs.

    Raises:
        ZooError: ``share`` is not between 0.05 and 1.
    """
    if not LEAST_SHARE <= share <= MOST_SHARE:
        raise ZooError(
            f"the tiny formula is for {LEAST_SHARE} to {MOST_SHARE:g} of the base's MACs, got {share:.4g}"
        )
    at, known, curve = _curve()
    x = math.log(share)
    inside = min(max(x, at[0]), at[-1])
    first, second = (0, 1) if x < at[0] else (-2, -1)
    slope = (known[second] - known[first]) / (at[second] - at[first])
    depth, resolution = np.exp(curve(inside) + slope * (x - inside))
    return float(depth), float(resolution)


@cache
def _curve() -> tuple[np.ndarray, np.ndarray, Any]:
    """Return ln c of the released networks, ln of depth and resolution ``[point, axis]``, and their curve."""
    from scipy.interpolate import PchipInterpolator  # only now: it takes a third of a second

    points = sorted(POINTS.values(), key=lambda point: point.share)
    at = np.array([math.log(point.share) for point in points])
    known = np.log([(point.depth, point.resolution / BASE_RESOLUTION) for point in points])
    return at, known, PchipInterpolator(at, known)
