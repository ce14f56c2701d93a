"""What a weighted ensemble may consist of: bounds on its distinct members, together."""

from dataclasses import dataclass, field

import numpy as np

from explorer.errors import InputDataError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """A bound on something that distinct members have together: parameters, members of a family."""

    name: str
    """What is bounded, for a message."""
    amounts: np.ndarray
    """Of each member, float64 ``[member]``; 1 for each member of a family, 0 for the others."""
    most: float
    largest: bool = False
    """Whether the largest amount counts instead of the sum: memory that one after the other uses again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """What a selection may consist of. Repeating a member costs nothing: only distinct ones count."""

    max_distinct: int | None = None
    """Most distinct members."""
    costs: np.ndarray | None = None
    """Of each member, float64 ``[member]``, in any one unit."""
    largest_cost: bool = False
    """Whether a selection costs as much as its dearest member, instead of all together."""
    max_cost: float | None = None
    """Most cost of the distinct members together, in that unit."""
    cost_penalty: float = 0.0
    """Added to the error per unit of cost of the distinct members together."""
    must_include: tuple[int, ...] = ()
    """Members picked before all others, the best first; prefixes without one of them are no answer."""
    exclude: tuple[int, ...] = ()
    """Members never picked."""
    bounds: tuple[Bound, ...] = field(default=())
    """All of them hold."""


class Allowed:
    """Which members may still be picked, and what they cost. Sets of members are bool ``[member]``."""

    def __init__(self, limits: Limits, members: int) -> None:
        """Check the limits against a number of members.

        Raises:
            UsageError: limits that cannot be met.
            InputDataError: costs or amounts of the wrong shape or range.
        """
        self.limits = limits
        self.costs = costs = _costs(limits, members)
        self.must = np.zeros(members, bool)
        self._open = np.ones(members, bool)
        for name, rows in (("must_include", limits.must_include), ("exclude", limits.exclude)):
            wrong = [row for row in rows if not 0 <= row < members]
            if wrong:
                raise UsageError(f"{name} must hold member indices 0 to {members - 1}, got {wrong[0]}")
        self._open[list(limits.exclude)] = False
        self.must[list(limits.must_include)] = True
        if (self.must & ~self._open).any():
            both = np.flatnonzero(self.must & ~self._open).tolist()
            raise UsageError(f"members cannot be both in must_include and in exclude, got {both}")
        self._bounds = _bounds(limits, costs, members)
        for bound in self._bounds:
            together = _together(bound, self.must)
            if together > bound.most:
                raise UsageError(
                    f"the members of must_include do not fit {bound.name}: {together:g}, "
                    f"at most {bound.most:g} wanted"
                )
        none = np.zeros(members, bool)
        if not self.candidates(none).size:
            raise UsageError(f"no member may be picked: {self._why_none()}")

    def candidates(self, used: np.ndarray) -> np.ndarray:
        """Return the members that fit beside those used, int64 ``[candidate]``; obliged ones first."""
        missing = self.must & ~used
        return np.flatnonzero(missing) if missing.any() else np.flatnonzero(self._fitting(used))

    def cost_after(self, used: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the distinct members' cost with each candidate, float64 ``[candidate]``."""
        spent = self.costs[used]
        if self.limits.largest_cost:
            return np.asarray(np.maximum(spent.max(initial=0.0), self.costs[candidates]))
        return np.asarray(spent.sum() + np.where(used[candidates], 0.0, self.costs[candidates]))

    def _why_none(self) -> str:
        for bound in self._bounds if self._open.any() else ():
            least = float(bound.amounts[self._open].min())
            if least > bound.most:
                return f"{bound.name} is {bound.most:g}, the least of any member {least:g}"
        return "the limits leave none of them"

    def _fitting(self, used: np.ndarray) -> np.ndarray:
        fits = self._open.copy()
        for bound in self._bounds:
            if bound.largest:
                fits &= bound.amounts <= bound.most
            else:
                fits &= bound.amounts[used].sum() + bound.amounts <= bound.most
        return fits | used


def _bounds(limits: Limits, costs: np.ndarray, members: int) -> tuple[Bound, ...]:
    found = list(limits.bounds)
    for bound in found:
        _check_amounts(bound.amounts, members, bound.name)
    if limits.max_distinct is not None:
        found.append(Bound(name="max_distinct", amounts=np.ones(members), most=limits.max_distinct))
    if limits.max_cost is not None:
        found.append(Bound(name="max_cost", amounts=costs, most=limits.max_cost, largest=limits.largest_cost))
    return tuple(found)


def _together(bound: Bound, used: np.ndarray) -> float:
    amounts = bound.amounts[used]
    return float(amounts.max(initial=0.0) if bound.largest else amounts.sum())


def _costs(limits: Limits, members: int) -> np.ndarray:
    if limits.costs is None:
        if limits.max_cost is not None or limits.cost_penalty:
            raise UsageError("max_cost and cost_penalty need the members' costs, got none")
        return np.zeros(members)
    costs = np.asarray(limits.costs, dtype=np.float64)
    _check_amounts(costs, members, "costs")
    if not (np.isfinite(limits.cost_penalty) and limits.cost_penalty >= 0):
        raise UsageError(f"cost_penalty must be 0 or more, got {limits.cost_penalty}")
    return costs


def _check_amounts(amounts: np.ndarray, members: int, name: str) -> None:
    if amounts.shape != (members,) or not np.isfinite(amounts).all() or (amounts < 0).any():
        raise InputDataError(f"{name} must be {members} finite numbers of 0 or more, got {amounts}")
