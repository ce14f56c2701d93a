"""What a million inferences cost at an hourly price."""

import math

from explorer.data.prices import Price
from explorer.errors import UsageError
from explorer.record import CostFigure

SECONDS_PER_HOUR = 3600.0
INFERENCES = 1e6


def money_per_million(
    time_per_example: CostFigure, price: Price, *, utilisation: float = 1.0, units: float = 1.0
) -> CostFigure:
    """Return USD per million inferences: ``price / 3600 x seconds / utilisation x 1e6``.

    Interval and basis are those of the time: the price is taken as it is written, however old.

    Args:
        time_per_example: seconds of one example, not of a batch.
        price: of one unit for one hour.
        utilisation: share of the paid time that the device works, in (0, 1]; at 0.3 everything costs 3.3
            times as much.
        units: how many units are paid for at once: cards, chips, virtual CPUs.

    Raises:
        UsageError: a utilisation outside (0, 1], or units that are not above 0.
    """
    if not 0 < utilisation <= 1:
        raise UsageError(f"utilisation is a share above 0 and at most 1, got {utilisation}")
    if not 0 < units < math.inf:
        raise UsageError(f"units must be a number above 0, got {units}")
    factor = price.usd_per_hour * units / SECONDS_PER_HOUR / utilisation * INFERENCES
    return CostFigure(
        value=time_per_example.value * factor,
        low=time_per_example.low * factor,
        high=time_per_example.high * factor,
        basis=time_per_example.basis,
    )
