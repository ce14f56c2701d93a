"""Find the largest size of a scaling rule within a budget: step to it, then close in.

Costs go in steps, as blocks, channels and pixels are whole, and almost always grow with the size; what is
found costs nearly the budget, or lies within 0.4 % of a size that is beyond it.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from explorer.errors import UsageError
from explorer.report.scaling import ScaledRow
from zoo.registry import ZooError
from zoo.scaling.rules import Network, Rule, Scalable

CLOSE_ENOUGH = 0.99
"""A choice that costs this share of the budget is taken without a further look."""
FINEST_STEP = 1.004
"""Sizes nearer than this are one size."""
STEP = 1.4
"""Between two sizes tried on the way to the limit."""
MOST_TRIES, END_TRIES = 14, 4


@dataclass(slots=True, kw_only=True)
class Search:
    """Sizes tried of one rule, and what they cost."""

    to: Scalable
    rule: Rule
    kind: str
    limit: float
    count: Callable[[Network], ScaledRow]
    tried: dict[float, bool] = dataclasses.field(default_factory=dict)
    """Size -> whether it is within the limit; without those the rule refuses."""
    best: tuple[float, ScaledRow] | None = None
    """Costliest within the limit; of equal ones the first tried."""
    least: ScaledRow | None = None
    """Cheapest of all tried."""
    refused: str = ""
    """Why the last size was refused."""

    def within(self, size: float) -> bool | None:
        """Tell whether ``size`` costs no more than the limit; None where the rule has no such network."""
        row = self.row(size)
        if row is None:
            return None
        cost = row.cost(self.kind)
        self.tried[size] = cost <= self.limit
        if self.tried[size] and (self.best is None or cost > self.best[1].cost(self.kind)):
            self.best = (size, row)
        if self.least is None or cost < self.least.cost(self.kind):
            self.least = row
        return self.tried[size]

    def row(self, size: float) -> ScaledRow | None:
        """Return the counted network of ``size``; None where the rule or the family refuses it."""
        try:
            return self.count(self.rule.network(self.to, size))
        except (ZooError, UsageError) as error:
            self.refused = str(error)
            return None

    def bracket(self) -> tuple[float | None, float | None]:
        """Return the largest size within the limit and the least one beyond it that is larger."""
        low = max((size for size, fits in self.tried.items() if fits), default=None)
        over = [size for size, fits in self.tried.items() if not fits and (low is None or size > low)]
        return low, min(over, default=None)


def explore(search: Search, start: float) -> None:
    """Try sizes from ``start`` on, up or down, until the limit or the end of the rule lies between two."""
    size, fits = start, search.within(start)
    for _ in range(MOST_TRIES):
        if fits is not None:
            break
        size = size / STEP if size > 1.0 else size * STEP  # towards the base, which every family has
        fits = search.within(size)
    end = search.rule.high if fits else search.rule.low
    while fits is not None and size != end:
        before, size = size, (min(size * STEP, end) if fits else max(size / STEP, end))
        found = search.within(size)
        if found is None:
            _find_end(search, before, size)
        if found is not fits:
            return


def _find_end(search: Search, inside: float, outside: float) -> None:
    """Try sizes near the last one the rule has, between one it has and one it has not."""
    for _ in range(END_TRIES):
        middle = math.sqrt(inside * outside)
        if search.within(middle) is None:
            outside = middle
        else:
            inside = middle


def close_in(search: Search, low: float, high: float) -> None:
    """Try sizes ever nearer to the largest within the limit, aiming by the costs at both ends."""
    for _ in range(MOST_TRIES):
        below, above = search.row(low), search.row(high)
        if below is None or above is None or high / low <= FINEST_STEP:
            return
        if below.cost(search.kind) >= CLOSE_ENOUGH * search.limit:
            return
        size = _aimed(search, (low, below), (high, above))
        fits = search.within(size)
        if fits is None:
            return
        low, high = (size, high) if fits else (low, size)


def _aimed(search: Search, low: tuple[float, ScaledRow], high: tuple[float, ScaledRow]) -> float:
    """Return the size between two where a power law through both costs a little under the limit."""
    first, last = math.log(low[0]), math.log(high[0])
    costs = [math.log(row.cost(search.kind)) for _, row in (low, high)]
    share = 0.5
    if costs[1] > costs[0]:
        share = (math.log(0.997 * search.limit) - costs[0]) / (costs[1] - costs[0])
    # Never close to an end: costs go in steps, and the search would creep along one.
    return math.exp(first + min(max(share, 0.35), 0.65) * (last - first))
