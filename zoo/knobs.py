"""Checks and text of knob values, shared by the families."""

import math

from zoo.registry import ZooError


def integer_knob(what: str, value: int, *, low: int, high: int) -> int:
    """Return ``value`` when it is an integer in ``[low, high]``.

    Raises:
        ZooError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ZooError(f"{what} must be an integer from {low} to {high}, got {value!r}")
    return value


def real_knob(what: str, value: float, *, low: float, high: float) -> float:
    """Return ``value`` when it is a finite number in ``[low, high]``.

    Raises:
        ZooError: it is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and low <= value <= high):
        raise ZooError(f"{what} must be a number from {shortest(low)} to {shortest(high)}, got {value!r}")
    return float(value)


def shortest(value: float) -> str:
    """Write a number with the fewest digits that read back equal; whole numbers without a point.

    >>> shortest(4.0), shortest(0.25), shortest(0.1)
    ('4', '0.25', '0.1')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))
