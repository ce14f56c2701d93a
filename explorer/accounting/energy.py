"""What energy a call can take at most where nothing measured it, and what that means in carbon."""

import math

from explorer.convention import Basis
from explorer.data.devices import Device
from explorer.errors import UsageError
from explorer.record import CostFigure

JOULES_PER_KWH = 3.6e6


def bound(device: Device, seconds: float | CostFigure) -> CostFigure | None:
    """Return the most energy, J, that a device can draw in a time; None where its power is unknown.

    Rated power times time: ``high`` and ``value`` are that, ``low`` is 0. A card draws less, often half, so
    this ranks nothing; power spikes of milliseconds above the rating average out. Unknown power is None and
    never 0; `missing_reason` says why.

    Args:
        device: an entry of the device table.
        seconds: the time, or a figure of it; its upper end counts.

    Raises:
        UsageError: a time that is negative or not a number.
    """
    longest = seconds.high if isinstance(seconds, CostFigure) else seconds
    if not longest >= 0:
        raise UsageError(f"an energy bound needs a time of 0 s or more, got {longest}")
    if device.tdp_w is None or math.isinf(longest):
        return None
    joules = device.tdp_w * longest
    return CostFigure(value=joules, low=0.0, high=joules, basis=Basis.BOUND)


def missing_reason(device: Device, seconds: float | CostFigure = 0.0) -> str | None:
    """Say why `bound` returns None, in one clause; None where it does not."""
    if device.tdp_w is None:
        return f"energy unknown: no power rating of {device.name} is published"
    longest = seconds.high if isinstance(seconds, CostFigure) else seconds
    if math.isinf(longest):
        return "energy unknown: the time has no upper end"
    return None


def carbon_g(energy_j: CostFigure, *, grid_g_per_kwh: float, pue: float) -> CostFigure:
    """Return grams of CO2 equivalent for an energy, J; both factors are the user's, there is no default.

    Args:
        energy_j: as measured or bounded; its interval and basis are carried over.
        grid_g_per_kwh: carbon intensity of the electricity, g/kWh.
        pue: power usage effectiveness of the building, at least 1.

    Raises:
        UsageError: a factor out of range.
    """
    if not 0 <= grid_g_per_kwh < math.inf:
        raise UsageError(f"carbon intensity must be 0 g/kWh or more, got {grid_g_per_kwh}")
    if not 1 <= pue < math.inf:
        raise UsageError(f"power usage effectiveness must be at least 1, got {pue}")
    factor = grid_g_per_kwh * pue / JOULES_PER_KWH
    return CostFigure(
        value=energy_j.value * factor,
        low=energy_j.low * factor,
        high=energy_j.high * factor,
        basis=energy_j.basis,
    )
