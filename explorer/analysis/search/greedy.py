"""Greedy forward selection of members with replacement, from stored probabilities.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection from Libraries of Models" (ICML 2004),
section 2: start from nothing, add the member that makes the average best, again and again; a member may be
added more than once, which is its weight. The best prefix of that sequence is the answer.

With the default `Rule`, picks, scores and best prefix are those of AutoGluon's ``EnsembleSelection`` (1.6)
but for the last tie-break, which is the lowest index instead of chance; ``Rule(seed=0)`` draws as AutoGluon
does. Two things may still differ, both near ties. Accuracy: an average whose two best classes are exactly
equal goes to the lower class index here (integers), there to whichever a float64 rounding favours, which
moves a score by an example. Log loss: sums of probabilities are exact here and rounded at every step there
(relative 1e-16), which matters when a score falls within that of half a unit of the sixth decimal.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from explorer.analysis.scoring.blocks import Members, check_members
from explorer.analysis.scoring.combine import FIXED_POINT
from explorer.analysis.search.greedy_tables import (
    AccuracyTable,
    BrierTable,
    LogLossTable,
    Table,
    Tables,
    Wanted,
    read_tables,
    threads,
)
from explorer.errors import InputDataError, UsageError

MOST_ROUNDS = 127
"""Sums of more int32 fixed-point probabilities could overflow."""
_ROUNDED_ABOVE = 1e-4
"""A first score at or below this is too small for six decimals: then none is rounded."""
_SAME = 1e-12
"""Relative difference below which two scores are a tie."""


class Objective(StrEnum):
    """What the average of the picks is to be good at, on the labels given."""

    ACCURACY = "accuracy"
    """Most right answers; exact, a tie of classes goes to the lowest index."""
    LOG_LOSS = "log-loss"
    """Least mean of -log of the true class's probability, in nats."""
    BRIER = "brier"
    """Least mean squared distance to the one-hot truth, in [0, 2]; averages as they are, not normalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How scores are compared, and which of equally good members is picked.

    Of equals a member already picked comes first, because it adds no cost. Then, when accuracy is the
    objective, the one with the lower log loss: accuracy has few distinct values, and a tie in it is broken by
    what shows progress below the decision. What is left goes to the lowest index, so that the answer depends
    on nothing but the input; with a ``seed`` it goes by chance.
    """

    decimals: int | None = 6
    """Errors after the first round are rounded, unless the first one is below 1e-4; None: never."""
    second_metric: bool = True
    """Whether log loss, of averages that are not normalised, decides ties in accuracy."""
    seed: int | None = None
    """Draw among the remaining ties with ``numpy.random.RandomState(seed)``; None: lowest index."""
    normalise: bool = True
    """Whether log loss divides the average by its sum over classes, which rounding keeps from being 1."""
    floor: float = 2.0**-52
    """Log loss clips probabilities to ``[floor, 1 - 2^-52]``; `ZERO_PROBABILITY` of
    `explorer.analysis.scoring.combine`, without ``normalise``, is what
    `explorer.analysis.scoring.metrics.negative_log_likelihood` reports."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """What a selection may consist of. Repeating a member costs nothing: only distinct ones count."""

    max_distinct: int | None = None
    """Most distinct members."""
    costs: np.ndarray | None = None
    """Of each member, float64 ``[member]``, in any one unit."""
    max_cost: float | None = None
    """Most cost of the distinct members together, in that unit."""
    cost_penalty: float = 0.0
    """Added to the error per unit of cost of the distinct members together."""
    must_include: tuple[int, ...] = ()
    """Members picked before all others, the best first; prefixes without one of them are no answer."""
    exclude: tuple[int, ...] = ()
    """Members never picked."""
    families: Sequence[Hashable] | None = None
    """A label of each member."""
    family_limits: Mapping[Hashable, int] = field(default_factory=dict)
    """Most distinct members with a label; labels not in it are not limited."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """What greedy selection picked, round by round."""

    objective: Objective
    picks: np.ndarray
    """Members in the order picked, int64 ``[round]``."""
    scores: np.ndarray
    """Of the picks so far, float64 ``[round]``: accuracy, log loss in nats, or Brier score; not rounded."""
    compared: np.ndarray
    """What was made least, float64 ``[round]``: the rounded error (1 - accuracy) and the cost penalty."""
    costs: np.ndarray
    """Of the distinct members so far, float64 ``[round]``; zeros when no costs were given."""
    tied: np.ndarray
    """How many candidates were equally good before ties were broken, int64 ``[round]``."""
    rounds: int
    """Length of the best prefix, first with the least of ``compared``; 0 if stopped before there is any."""
    weights: np.ndarray
    """How often each member is in the best prefix, int64 ``[member]``."""
    stopped: bool
    """Whether it was told to stop before all rounds were done."""

    @property
    def members(self) -> np.ndarray:
        """Return the distinct members of the best prefix, int64 ``[distinct]``."""
        return np.flatnonzero(self.weights)


def greedy(
    members: Members,
    labels: np.ndarray,
    *,
    objective: Objective,
    rounds: int = 25,
    limits: Limits | None = None,
    rule: Rule | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Selection:
    """Pick members one after the other, each time the one that makes the average best.

    Every probability is read once, block by block; what the rounds need is far smaller.

    Args:
        members: probabilities to choose by, of one split (not the one that is reported on).
        labels: true classes int ``[example]``.
        objective: what to be good at.
        rounds: how many picks, 1 to 127; a single member is picked once.
        limits: what may be picked; nothing is limited by default.
        rule: of comparing and of ties.
        should_stop: asked between blocks and rounds; True ends the search with what it has so far.

    Raises:
        UsageError: rounds or limits that cannot be met.
        InputDataError: members, labels or costs of the wrong shape or range.
    """
    limits, rule = limits or Limits(), rule or Rule()
    check_members(members)
    if not 1 <= rounds <= MOST_ROUNDS:
        raise UsageError(f"rounds must be 1 to {MOST_ROUNDS}, got {rounds}")
    if not 0 < rule.floor < 0.5:
        raise UsageError(f"floor must be above 0 and below 0.5, got {rule.floor}")
    allowed = _Allowed(limits, len(members))
    by_accuracy, by_log_loss = objective is Objective.ACCURACY, objective is Objective.LOG_LOSS
    wanted = Wanted(
        accuracy=by_accuracy,
        true=by_log_loss or (by_accuracy and rule.second_metric),
        totals=by_log_loss and rule.normalise,
        brier=objective is Objective.BRIER,
    )
    tables = read_tables(members, labels, wanted, should_stop)
    if tables is None:
        return _selection(objective, [], len(members), 0, stopped=True)
    second = _log_loss(tables, rule) if by_accuracy and rule.second_metric else None
    with ThreadPoolExecutor(threads()) as pool:
        search = _Search(_table(tables, objective, rule), second, rule, allowed, pool)
        stopped = False
        for _ in range(rounds if len(members) > 1 else 1):
            if should_stop is not None and should_stop():
                stopped = True
                break
            search.pick()
    return _selection(objective, search.rounds, len(members), len(set(limits.must_include)), stopped=stopped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    pick: int
    error: float
    compared: float
    cost: float
    tied: int


class _Running:
    """A table and its sums over the picks so far."""

    def __init__(self, table: Table, pool: ThreadPoolExecutor) -> None:
        self.table, self.pool = table, pool
        self.sums = table.start()
        self.picked = 0

    def add(self, member: int) -> None:
        self.table.add(self.sums, member)
        self.picked += 1

    def errors(self, candidates: np.ndarray) -> np.ndarray:
        parts = [part for part in np.array_split(candidates, threads()) if len(part)]
        if len(parts) < 2:
            return self.table.errors(self.sums, self.picked, candidates)
        done = self.pool.map(lambda part: self.table.errors(self.sums, self.picked, part), parts)
        return np.concatenate(list(done))


class _Search:
    """The picks so far, and how to make the next one."""

    def __init__(
        self, table: Table, second: Table | None, rule: Rule, allowed: "_Allowed", pool: ThreadPoolExecutor
    ) -> None:
        self.first = _Running(table, pool)
        self.second = None if second is None else _Running(second, pool)
        self.rule, self.allowed = rule, allowed
        self.random = None if rule.seed is None else np.random.RandomState(rule.seed)
        self.rounds: list[_Round] = []
        self.decimals: int | None = None

    def pick(self) -> None:
        candidates = self.allowed.candidates()
        errors = self.first.errors(candidates)
        after = self.allowed.cost_after(candidates)
        compared = errors if self.decimals is None else errors.round(self.decimals)
        penalty = self.allowed.limits.cost_penalty
        compared = compared + penalty * after if penalty else compared
        best = _least(compared)
        chosen = self._break_tie(candidates, best)
        value = float(compared[chosen])
        if not self.rounds and self.rule.decimals is not None and abs(float(errors[chosen])) > _ROUNDED_ABOVE:
            self.decimals = self.rule.decimals
            value = float(errors[chosen].round(self.decimals) + penalty * after[chosen])
        member = int(candidates[chosen])
        self.rounds.append(
            _Round(
                pick=member,
                error=float(errors[chosen]),
                compared=value,
                cost=float(after[chosen]),
                tied=len(best),
            )
        )
        self.allowed.add(member)
        self.first.add(member)
        if self.second is not None:
            self.second.add(member)

    def _break_tie(self, candidates: np.ndarray, best: np.ndarray) -> int:
        if len(best) > 1:
            again = best[self.allowed.used[candidates[best]]]
            best = again if len(again) else best
        if len(best) > 1 and self.second is not None:
            best = best[_least(self.second.errors(candidates[best]))]
        return int(best[0] if self.random is None else self.random.choice(best))


class _Allowed:
    """Which members may still be picked, and what they cost."""

    def __init__(self, limits: Limits, members: int) -> None:
        self.limits = limits
        self.costs = _costs(limits, members)
        self.used = np.zeros(members, bool)
        self.open = np.ones(members, bool)
        for name, rows in (("must_include", limits.must_include), ("exclude", limits.exclude)):
            wrong = [row for row in rows if not 0 <= row < members]
            if wrong:
                raise UsageError(f"{name} must hold member indices 0 to {members - 1}, got {wrong[0]}")
        self.open[list(limits.exclude)] = False
        self.must = np.zeros(members, bool)
        self.must[list(limits.must_include)] = True
        if (self.must & ~self.open).any():
            both = np.flatnonzero(self.must & ~self.open).tolist()
            raise UsageError(f"members cannot be both in must_include and in exclude, got {both}")
        self.labels, self.room = _family_room(limits, members)
        together = self._copy_with(self.must)
        if together is not None:
            raise UsageError(f"the members of must_include do not fit {together}")
        if not self.candidates().size:
            raise UsageError("no member may be picked: the limits leave none of them")

    def candidates(self) -> np.ndarray:
        """Return the members that fit beside those picked, int64 ``[candidate]``."""
        missing = self.must & ~self.used
        if missing.any():
            return np.flatnonzero(missing)
        fits = np.ones(len(self.used), bool)
        limits = self.limits
        if limits.max_distinct is not None and self.used.sum() >= limits.max_distinct:
            fits[:] = False
        if limits.max_cost is not None:
            fits &= self.costs[self.used].sum() + self.costs <= limits.max_cost
        taken = np.bincount(self.labels[self.used], minlength=len(self.room))
        fits &= (taken < self.room)[self.labels]
        return np.flatnonzero((fits & self.open) | self.used)

    def cost_after(self, candidates: np.ndarray) -> np.ndarray:
        """Return the distinct members' cost with each candidate, float64 ``[candidate]``."""
        extra = np.where(self.used[candidates], 0.0, self.costs[candidates])
        return np.asarray(self.costs[self.used].sum() + extra)

    def add(self, member: int) -> None:
        """Note down a pick."""
        self.used[member] = True

    def _copy_with(self, chosen: np.ndarray) -> str | None:
        """Say which limit a set of members breaks, if any."""
        limits = self.limits
        if limits.max_distinct is not None and chosen.sum() > limits.max_distinct:
            return f"max_distinct {limits.max_distinct}"
        if limits.max_cost is not None and self.costs[chosen].sum() > limits.max_cost:
            return f"max_cost {limits.max_cost:g}"
        taken = np.bincount(self.labels[chosen], minlength=len(self.room))
        return "the family limits" if (taken > self.room).any() else None


def _costs(limits: Limits, members: int) -> np.ndarray:
    if limits.costs is None:
        if limits.max_cost is not None or limits.cost_penalty:
            raise UsageError("max_cost and cost_penalty need the members' costs, got none")
        return np.zeros(members)
    costs = np.asarray(limits.costs, dtype=np.float64)
    if costs.shape != (members,) or not np.isfinite(costs).all() or (costs < 0).any():
        raise InputDataError(f"costs must be {members} finite numbers of 0 or more, got {limits.costs}")
    if not (np.isfinite(limits.cost_penalty) and limits.cost_penalty >= 0):
        raise UsageError(f"cost_penalty must be 0 or more, got {limits.cost_penalty}")
    return costs


def _family_room(limits: Limits, members: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each member's family as a number, and how many members each family may have."""
    families = limits.families if limits.families is not None else [None] * members
    if len(families) != members:
        raise InputDataError(f"families must hold {members} labels, one a member, got {len(families)}")
    known = list(dict.fromkeys(families))
    unknown = [label for label in limits.family_limits if label not in known]
    if unknown:
        raise UsageError(f"family_limits names {unknown[0]!r}; the members' families are {known}")
    place = {label: number for number, label in enumerate(known)}
    labels = np.array([place[label] for label in families], dtype=np.int64)
    return labels, np.array([limits.family_limits.get(label, members) for label in known], dtype=np.int64)


def _table(tables: Tables, objective: Objective, rule: Rule) -> Table:
    if objective is Objective.ACCURACY:
        assert isinstance(tables.accuracy, AccuracyTable)
        return tables.accuracy
    if objective is Objective.BRIER:
        assert tables.gram is not None
        return BrierTable(gram=tables.gram)
    return _log_loss(tables, rule)


def _log_loss(tables: Tables, rule: Rule) -> LogLossTable:
    """Return the table of log losses; without sums over classes averages are not normalised."""
    true, totals = tables.true, tables.totals
    assert true is not None
    if totals is None:
        totals = np.full(true.shape, float(FIXED_POINT))
    return LogLossTable(true=true, total=totals, floor=rule.floor)


def _least(values: np.ndarray) -> np.ndarray:
    """Return where the least value is, and every one that is as good as equal to it."""
    return np.flatnonzero(np.isclose(values, values.min(), atol=0, rtol=_SAME))


def _selection(
    objective: Objective, rounds: list[_Round], members: int, obliged: int, *, stopped: bool
) -> Selection:
    compared = np.array([done.compared for done in rounds])
    errors = np.array([done.error for done in rounds])
    picks = np.array([done.pick for done in rounds], dtype=np.int64)
    first = max(0, obliged - 1)
    best = first + int(compared[first:].argmin()) + 1 if len(rounds) > first else 0
    return Selection(
        objective=objective,
        picks=picks,
        scores=1.0 - errors if objective is Objective.ACCURACY else errors,
        compared=compared,
        costs=np.array([done.cost for done in rounds]),
        tied=np.array([done.tied for done in rounds], dtype=np.int64),
        rounds=best,
        weights=np.bincount(picks[:best], minlength=members),
        stopped=stopped,
    )
