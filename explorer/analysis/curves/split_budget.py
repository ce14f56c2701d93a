"""Into how many members should a fixed budget of parameters or MACs be split?

Lobacheva et al., arXiv 2007.08483: loss is a power law in members and in their size, so that a few trained
networks foretell the best split. Here: the loss of one network of ``budget / n`` by the curve of single
networks, times what n members leave of it by the law of members, ``L(n) / L(1)``. Where laws of members of
several scales are known, that ratio is taken between them in the logarithm of cost; outside of them at the
nearest, and the split is marked extrapolated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.analysis.curves.crossover import along
from explorer.analysis.curves.member_law import MEMBERS, MemberLaw
from explorer.analysis.curves.power_law import PowerLaw, Prediction, refuse_mixed
from explorer.analysis.statistics.seeds import percentiles
from explorer.errors import ConventionError, UsageError

MOST_MEMBERS = 16
"""Splits looked at, unless asked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One way to spend the budget."""

    members: int
    member_cost: float
    """Of each member, in the budget's unit."""
    loss: Prediction
    """``x`` is the member's cost; extrapolated where the members, their cost or their law are outside of
    what was measured, by the largest of those factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSplit:
    """The splits of a budget and the best of them: predicted, never measured."""

    budget: float
    quantity: str
    """What the budget counts: ``parameters``, ``macs``."""
    splits: tuple[Split, ...]
    """By members, 1 first."""
    best: int
    """Members of the split with the lowest predicted loss; of equals the fewest."""
    low: int
    """Ends of its 95 % interval over draws; all splits looked at where there are no draws."""
    high: int
    shares: Mapping[int, float]
    """How often each number of members is best over draws; empty without draws."""
    gain: Prediction
    """Loss of one network of the whole budget minus that of the best split."""


def split_budget(
    budget: float, singles: PowerLaw, members: Mapping[float, MemberLaw], *, most: int = MOST_MEMBERS
) -> BudgetSplit:
    """Predict the loss of 1 to ``most`` members that share a budget equally.

    Args:
        budget: in the unit of the singles' quantity, above zero.
        singles: loss of one network by its cost.
        members: laws of members by the cost of the member they were fitted at, one or more. Draws are
            taken pairwise: those of one `Resampling` stay paired, those of standard errors independent.
        most: largest number of members looked at.

    Raises:
        UsageError: no law of members, a budget that is not above zero, or laws with different draws.
        ConventionError: laws of another recipe, data set or figure than the singles', or singles by members.
    """
    if not members or not budget > 0 or most < 1:
        raise UsageError(
            f"a split needs a budget above 0, 1 member or more and a law of members, got {budget:g}, {most} "
            f"and {len(members)} laws"
        )
    if singles.points.of.quantity == MEMBERS:
        raise ConventionError("the singles' curve must be by cost, got one by members")
    for law in members.values():
        refuse_mixed(singles.points.of, law.law.points.of, but=("quantity",))
    if len({0 if law.draws is None else len(law.draws) for law in _laws(singles, members)}) > 1:
        raise UsageError(
            "the singles' curve and every law of members need as many draws, or none of them any"
        )
    found = [_split(budget, singles, members, n) for n in range(1, most + 1)]
    losses = np.array([split.loss.value for split, _ in found])
    best = int(losses.argmin())
    draws = np.stack([each for _, each in found])
    low, high, shares = 1, most, {}
    interval = (-math.inf, math.inf)
    if draws.shape[1]:
        winners = draws.argmin(axis=0)
        low, high = (1 + int(end) for end in percentiles(winners))
        shares = {n: float((winners == n - 1).mean()) for n in range(1, most + 1)}
        interval = percentiles(draws[0] - draws[best])
    value = float(losses[0] - losses[best])
    outside = (found[0][0].loss, found[best][0].loss)
    gain = Prediction(
        x=budget,
        value=value,
        low=min(interval[0], value),
        high=max(interval[1], value),
        extrapolated=any(one.extrapolated for one in outside),
        factor=max(one.factor for one in outside),
    )
    return BudgetSplit(
        budget=budget,
        quantity=singles.points.of.quantity,
        splits=tuple(split for split, _ in found),
        best=best + 1,
        low=min(low, best + 1),
        high=max(high, best + 1),
        shares=shares,
        gain=gain,
    )


def _laws(singles: PowerLaw, members: Mapping[float, MemberLaw]) -> list[PowerLaw]:
    return [singles, *(law.law for law in members.values())]


def _split(
    budget: float, singles: PowerLaw, members: Mapping[float, MemberLaw], n: int
) -> tuple[Split, np.ndarray]:
    """Return one split and its loss in every draw, ``[draw]``."""
    cost = budget / n
    single, single_draws = singles.values(cost)
    costs = sorted(members)
    ratios = [members[scale].ratio(n) for scale in costs]
    inside = np.clip(np.array([cost]), costs[0], costs[-1])
    grid = np.array(costs)
    value = single * float(along(grid, np.array([ratio for ratio, _ in ratios]), inside)[0])
    draws = single_draws
    if len(single_draws):
        draws = single_draws * along(grid, np.stack([each for _, each in ratios], axis=1), inside)[:, 0]
    factors = [singles.predict(cost).factor]
    # one member alone needs no law of members
    if n > 1:
        factors += [max(law.law.predict(n).factor for law in members.values())]
        factors += [max(1.0, cost / costs[-1], costs[0] / cost)] if len(costs) > 1 else []
    factor = max(factors)
    low, high = percentiles(draws) if len(draws) else (-math.inf, math.inf)
    loss = Prediction(
        x=cost,
        value=value,
        low=min(low, value),
        high=max(high, value),
        extrapolated=factor > 1,
        factor=factor,
    )
    return Split(members=n, member_cost=cost, loss=loss), draws
