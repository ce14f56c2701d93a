"""What a person asks: a budget on a cost, or a target for the accuracy.

macs<=4M          latency@cpu<=2ms          param_bytes<=1.5MB          accuracy>=0.97
"""

import math
import re
from dataclasses import dataclass

from explorer.convention import CostAxis
from explorer.errors import UsageError

_BUDGET = re.compile(r"(?P<axis>[^<>=]+)<=(?P<limit>[^<>=]+)")
_TARGET = re.compile(r"accuracy\s*>=(?P<limit>[^<>=]+)")
_AMOUNT = re.compile(r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>[A-Za-z%]*)")
_COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_BYTES = {
    **_COUNTS,
    **{f"{prefix}B": factor for prefix, factor in _COUNTS.items()},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
_JOULES = {"": 1.0, "J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "kJ": 1e3}
_DOLLARS = {"": 1.0, "USD": 1.0}
_UNITS = {"s": _SECONDS, "B": _BYTES, "J": _JOULES, "USD": _DOLLARS}


@dataclass(frozen=True, slots=True)
class Budget:
    """Ship nothing that costs more than ``limit``."""

    axis: CostAxis
    limit: float
    """In the axis's own unit (MAC, s, B, ...)."""

    @staticmethod
    def parse(text: str) -> "Budget":
        """Read ``KIND[@DEVICE]<=AMOUNT``, the amount with an optional unit (4M, 2ms, 1.5MB).

        Raises:
            UsageError: not of that form, unknown cost kind, or an amount that is not positive.
        """
        match = _BUDGET.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"not a budget: {text!r}; wanted KIND[@DEVICE]<=AMOUNT, e.g. macs<=4M")
        axis = CostAxis.parse(match["axis"])
        return Budget(axis, parse_amount(match["limit"], axis.kind.unit))

    def __str__(self) -> str:
        return f"{self.axis}<={self.limit!r}"


@dataclass(frozen=True, slots=True)
class Target:
    """Ship the cheapest thing that is at least this accurate."""

    accuracy: float
    """Share of examples answered right, in [0, 1]."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.accuracy <= 1.0:
            raise UsageError(f"target accuracy must be in [0, 1], got {self.accuracy!r}")

    @staticmethod
    def parse(text: str) -> "Target":
        """Read ``accuracy>=SHARE``; ``97%`` and ``0.97`` are the same.

        Raises:
            UsageError: not of that form, or a share outside [0, 1].
        """
        match = _TARGET.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"not a target: {text!r}; wanted accuracy>=SHARE, e.g. accuracy>=0.97")
        amount = _AMOUNT.fullmatch(match["limit"].strip())
        if amount is None or amount["unit"] not in ("", "%"):
            raise UsageError(f"not a share: {match['limit'].strip()!r}; wanted e.g. 0.97 or 97%")
        return Target(float(amount["number"]) / (100.0 if amount["unit"] else 1.0))

    def __str__(self) -> str:
        return f"accuracy>={self.accuracy!r}"


def parse_amount(text: str, unit: str) -> float:
    """Read a positive amount with an optional suffix, in the cost kind's ``unit``.

    >>> parse_amount("4M", "MAC"), parse_amount("2ms", "s"), parse_amount("1KiB", "B")
    (4000000.0, 0.002, 1024.0)

    Raises:
        UsageError: not a number, unknown suffix for the unit, or not positive and finite.
    """
    match = _AMOUNT.fullmatch(text.strip())
    suffixes = _UNITS.get(unit, _COUNTS)
    if match is None or match["unit"] not in suffixes:
        known = ", ".join(s for s in suffixes if s)
        raise UsageError(f"not an amount in {unit}: {text.strip()!r}; wanted a number, suffixes: {known}")
    value = float(match["number"]) * suffixes[match["unit"]]
    if not (0 < value < math.inf):
        raise UsageError(f"an amount must be above 0, got {text.strip()!r}")
    return value
