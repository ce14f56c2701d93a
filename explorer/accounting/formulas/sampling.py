"""Count interpolation: the neighbours that are weighed for every output element."""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import input_elements, output_elements
from explorer.record import OpRecord

TAPS = {
    "upsample_linear1d": 2,
    "upsample_bilinear2d": 4,
    "upsample_trilinear3d": 8,
    "upsample_bicubic2d": 16,
}
"""Neighbours that an interpolation weighs, of every output element."""


@formula(*TAPS)
def interpolation(op: OpRecord) -> Work:
    """Count the neighbours that each output element weighs: 2, 4 or 8 linear, 16 bicubic."""
    return Work(elementwise_ops=TAPS[op.op] * output_elements(op))


_SUPPORT = {"_upsample_bilinear2d_aa": 1.0, "_upsample_bicubic2d_aa": 2.0}
"""Half-width of the filter in pixels, before it is widened to the step between output pixels."""
_ANTIALIASED = {**_SUPPORT, **{f"{name}_backward": half for name, half in _SUPPORT.items()}}


@formula(*_ANTIALIASED)
def antialiased_interpolation(op: OpRecord) -> Work:
    """Count the taps of both passes: along the width for every row, then along the height.

    Downwards the filter widens with the step, so that every input pixel is weighed. An axis that
    keeps its size is passed over. The backward pass spreads over the same taps.
    """
    small, large = op.inputs[0].shape, op.outputs[0].shape
    if op.op.endswith("_backward"):
        small, large = large, small
    taps = []
    for axis, scale in ((-1, "scales_w"), (-2, "scales_h")):
        step = _step(small[axis], large[axis], op.attributes.get("align_corners"), op.attributes.get(scale))
        taps.append(_taps(small[axis], large[axis], step, _ANTIALIASED[op.op]))
    lead = prod(small[:-2])
    across = taps[0] * small[-2] if small[-1] != large[-1] else 0
    down = taps[1] * large[-1] if small[-2] != large[-2] else 0
    return Work(elementwise_ops=lead * (across + down))


def _step(n: int, m: int, align_corners: object, scale: object) -> float:
    """Return the distance of neighbouring output pixels in input pixels, from n to m pixels."""
    if align_corners:
        return (n - 1) / (m - 1) if m > 1 else 0.0
    return 1.0 / scale if isinstance(scale, float) and scale > 0.0 else n / m


def _taps(n: int, m: int, step: float, half: float) -> int:
    """Return how many input pixels the m output pixels of one line weigh, together."""
    support = half * max(step, 1.0)
    centres = (step * (i + 0.5) for i in range(m))
    return sum(min(int(c + support + 0.5), n) - max(int(c - support + 0.5), 0) for c in centres)


@formula("grid_sampler_2d", "grid_sampler_3d", "grid_sampler_2d_backward", "grid_sampler_3d_backward")
def grid_sampling(op: OpRecord) -> Work:
    """Count the neighbours weighed at every point: 1 nearest, 4 or 8 linear, 16 cubic; 2 x backward."""
    backward = op.op.endswith("_backward")
    axes = 3 if "3d" in op.op else 2
    points = input_elements(op) if backward else output_elements(op)
    neighbours = {0: 2**axes, 1: 1, 2: 4**axes}[_mode(op)]
    return Work(elementwise_ops=(1 + backward) * neighbours * points)


def _mode(op: OpRecord) -> int:
    mode = op.attributes["interpolation_mode"]
    if not isinstance(mode, int):
        raise TypeError(f"{op.op}: wanted an integer interpolation_mode, got {mode!r}")
    return mode
