"""How fast a device could be at best: the roofline bound from its published peaks.

Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 2009: time is at least
operations over peak rate, and at least bytes over bandwidth. Nothing is fitted; real models take 2 to 6 times
as long, so this is never a prediction.
"""

import math

from explorer.convention import Basis
from explorer.data.devices import Device
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.workload import Precision


def bound(device: Device, precision: Precision, macs: float, bytes_moved: float) -> CostFigure:
    """Return the least time, s, in which a device could do the work of one call.

    The figure says "not faster than this" and no more: ``low`` is the value and ``high`` is infinite. Where
    the device's bandwidth is unknown only the operations count, which is still a bound.

    Args:
        device: an entry of the device table; `explorer.data.devices.per_program_device` for half a chip.
        precision: which peak counts.
        macs: multiply-accumulates of the call, two operations each.
        bytes_moved: bytes that cannot but go through the main memory.

    Raises:
        UsageError: a negative amount of work, or no peak known at this precision.
    """
    if not (0 <= macs < math.inf and 0 <= bytes_moved < math.inf):
        raise UsageError(f"a roofline needs amounts of 0 or more, got {macs} MACs and {bytes_moved} B")
    seconds = 2 * macs / device.peak(precision)
    if device.bandwidth is not None:
        seconds = max(seconds, bytes_moved / device.bandwidth)
    return CostFigure(value=seconds, low=seconds, high=math.inf, basis=Basis.BOUND)


def ridge(device: Device, precision: Precision) -> float | None:
    """Return the MACs per byte above which operations and not memory bound the time; None: unknown bandwidth.

    Raises:
        UsageError: no peak known at this precision.
    """
    peak = device.peak(precision)
    return None if device.bandwidth is None else peak / 2 / device.bandwidth
