"""Multipliers of a base network: compound, fast, and one axis alone.

Compound scaling (arXiv 1905.11946, equation 3): depth = alpha^phi, width = beta^phi, resolution =
gamma^phi with alpha * beta^2 * gamma^2 ~ 2, so that one step of phi about doubles the MACs.

The other rules take a *size*: the MACs aimed at, over the base network's. MACs are then depth x width^2 x
resolution^2 in closed form, which holds where convolutions over all channels do the work, and up to rounding.
"""

import math
from dataclasses import dataclass

from zoo.registry import ZooError

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Found by grid search for EfficientNet-B0 (arXiv 1905.11946, section 4)."""

MACS_PER_STEP = ALPHA * BETA**2 * GAMMA**2
"""What one step of phi multiplies the MACs by, before rounding: 1.92, the paper's "about 2"."""

FAST_DEPTH, FAST_WIDTH, FAST_RESOLUTION = 0.1, 0.4, 0.05
"""Exponents of the size in fast scaling at 0.8 (arXiv 2103.06877): of the MACs' growth 0.8 goes to the width,
whose exponent counts twice, and what is left in equal parts to depth and resolution. Depth and width are
those that timm notes in its RegNet (``generate_regnet``)."""


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


def phi_of(macs: float) -> float:
    """Return the phi at which compound scaling multiplies the MACs by ``macs``.

    Raises:
        ZooError: ``macs`` is not a positive number.
    """
    return math.log(_size(macs)) / math.log(MACS_PER_STEP)


def compound_macs(size: float) -> Scale:
    """Return the compound scale that multiplies the MACs by ``size``.

    Raises:
        ZooError: ``size`` is not a positive number.
    """
    return compound(phi_of(size))


def fast(size: float) -> Scale:
    """Return the scale of fast scaling: most of ``size`` goes to the width (arXiv 2103.06877).

    Width costs activations as its square root only, so that such networks run faster for their MACs.

    Raises:
        ZooError: ``size`` is not a positive number.
    """
    size = _size(size)
    return Scale(depth=size**FAST_DEPTH, width=size**FAST_WIDTH, resolution=size**FAST_RESOLUTION, macs=size)


def width_only(size: float) -> Scale:
    """Return the scale that makes every layer sqrt(``size``) times as wide: MACs grow as width^2.

    Raises:
        ZooError: ``size`` is not a positive number.
    """
    return Scale(depth=1.0, width=math.sqrt(_size(size)), resolution=1.0, macs=size)


def depth_only(size: float) -> Scale:
    """Return the scale that stacks ``size`` times as many blocks.

    Raises:
        ZooError: ``size`` is not a positive number.
    """
    return Scale(depth=_size(size), width=1.0, resolution=1.0, macs=size)


def resolution_only(size: float) -> Scale:
    """Return the scale that shows images sqrt(``size``) times as large a side.

    Raises:
        ZooError: ``size`` is not a positive number.
    """
    return Scale(depth=1.0, width=1.0, resolution=math.sqrt(_size(size)), macs=size)


def _size(size: float) -> float:
    if not (math.isfinite(size) and size > 0):
        raise ZooError(f"a size is MACs over the base network's, a number above 0; got {size!r}")
    return float(size)
