"""Do the arithmetic on records: count a trace, find its memory peak, compose designs' costs.

Pure: no torch, nothing is run. `explorer.measure` makes the traces.
"""

from explorer.accounting.compose import (
    cascade_cost,
    cascade_costs,
    ensemble_cost,
    ensemble_costs,
    worst_cost,
    worst_costs,
)
from explorer.accounting.conventions import CONVENTIONS, COUNT_CONVENTION
from explorer.accounting.count import count, roll_up
from explorer.accounting.memory import activation_peak_bytes, live_bytes

__all__ = [
    "CONVENTIONS",
    "COUNT_CONVENTION",
    "activation_peak_bytes",
    "cascade_cost",
    "cascade_costs",
    "count",
    "ensemble_cost",
    "ensemble_costs",
    "live_bytes",
    "roll_up",
    "worst_cost",
    "worst_costs",
]
