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
`explorer.analysis.search.beam` keeps several multisets a round instead of one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, check_members
from explorer.analysis.search.greedy_limits import Allowed, Limits
from explorer.analysis.search.greedy_objectives import (
    ROUNDED_ABOVE,
    Objective,
    Rule,
    Table,
    least,
    objective_tables,
)
from explorer.analysis.search.greedy_tables import threads
from explorer.errors import UsageError

MOST_ROUNDS = 127
"""Sums of more int32 fixed-point probabilities could overflow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """What a selection picked, round by round."""

    objective: Objective
    picks: np.ndarray
    """Members in the order picked, int64 ``[round]``."""
    scores: np.ndarray
    """Of the picks so far, float64 ``[round]``: a share of right answers, log loss in nats, Brier score or
    calibration error; not rounded."""
    compared: np.ndarray
    """What was made least, float64 ``[round]``: the rounded error (1 - share) and the cost penalty."""
    costs: np.ndarray
    """Of the distinct members so far, float64 ``[round]``; zeros when no costs were given."""
    tied: np.ndarray
    """How many candidates were equally good before ties were broken, int64 ``[round]``."""
    rounds: int
    """Length of the best prefix, first with the least of ``compared``; 0 if stopped before there is any."""
    weights: np.ndarray
    """How often each member is in the best prefix, int64 ``[member]``."""
    searched: int
    """Rounds done; those of a beam go on beyond its picks, which end with the best multiset."""
    scored: int
    """Multisets of members scored."""
    stopped: bool
    """Whether it was told to stop before all rounds were done."""

    @property
    def members(self) -> np.ndarray:
        """Return the distinct members of the best prefix, int64 ``[distinct]``."""
        return np.flatnonzero(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One pick, and what became of the average."""

    pick: int
    error: float
    compared: float
    cost: float
    tied: int


def greedy(
    members: Members,
    labels: np.ndarray,
    *,
    objective: Objective,
    rounds: int = 25,
    limits: Limits | None = None,
    rule: Rule | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Selection:
    """Pick members one after the other, each time the one that makes the average best.

    Every probability is read once, block by block (twice where the objective has no table of its own); what
    the rounds need is far smaller.

    Args:
        members: probabilities to choose by, of one split (not the one that is reported on).
        labels: true classes int ``[example]``.
        objective: what to be good at.
        rounds: how many picks, 1 to 127; a single member is picked once.
        limits: what may be picked; nothing is limited by default.
        rule: of comparing and of ties.
        should_stop: asked between blocks and rounds; True ends the search with what it has so far.
        on_progress: told the share of the rounds done, after each.

    Raises:
        UsageError: rounds or limits that cannot be met.
        InputDataError: members, labels or costs of the wrong shape or range.
    """
    limits, rule = limits or Limits(), rule or Rule()
    check_members(members)
    check_rounds(rounds)
    allowed = Allowed(limits, len(members))
    tables = objective_tables(members, labels, objective, rule, should_stop)
    if tables is None:
        return selection(objective, [], allowed, searched=0, scored=0, stopped=True)
    return greedy_over(
        tables, allowed, objective, rule, rounds=rounds, should_stop=should_stop, on_progress=on_progress
    )


def greedy_over(
    tables: tuple[Table, Table | None],
    allowed: Allowed,
    objective: Objective,
    rule: Rule,
    *,
    rounds: int,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Selection:
    """Do what `greedy` does from tables that were read before: once for many limits.

    Args:
        tables: of `explorer.analysis.search.greedy_objectives.objective_tables`.
        allowed: what may be picked.
        objective: what the tables are of.
        rule: of comparing and of ties.
        rounds: how many picks; a single member is picked once.
        should_stop: asked between rounds.
        on_progress: told the share of the rounds done, after each.
    """
    rounds = rounds if len(allowed.must) > 1 else 1
    with ThreadPoolExecutor(threads()) as pool:
        search = _Search(tables, rule, allowed, pool)
        stopped = False
        for done in range(rounds):
            if should_stop is not None and should_stop():
                stopped = True
                break
            search.pick()
            if on_progress is not None:
                on_progress((done + 1) / rounds)
    found = search.rounds
    return selection(objective, found, allowed, searched=len(found), scored=search.scored, stopped=stopped)


def check_rounds(rounds: int) -> None:
    """Refuse a number of rounds that sums cannot hold.

    Raises:
        UsageError: below 1 or above `MOST_ROUNDS`.
    """
    if not 1 <= rounds <= MOST_ROUNDS:
        raise UsageError(f"rounds must be 1 to {MOST_ROUNDS}, got {rounds}")


def selection(
    objective: Objective,
    rounds: list[Round],
    allowed: Allowed,
    *,
    searched: int,
    scored: int,
    stopped: bool,
) -> Selection:
    """Return the rounds with their best prefix: the first of those with the least error and all obliged."""
    compared = np.array([done.compared for done in rounds])
    errors = np.array([done.error for done in rounds])
    picks = np.array([done.pick for done in rounds], dtype=np.int64)
    first = max(0, int(allowed.must.sum()) - 1)
    best = first + int(compared[first:].argmin()) + 1 if len(rounds) > first else 0
    return Selection(
        objective=objective,
        picks=picks,
        scores=1.0 - errors if objective.metric.higher_is_better else errors,
        compared=compared,
        costs=np.array([done.cost for done in rounds]),
        tied=np.array([done.tied for done in rounds], dtype=np.int64),
        rounds=best,
        weights=np.bincount(picks[:best], minlength=len(allowed.must)),
        searched=searched,
        scored=scored,
        stopped=stopped,
    )


def errors_of(
    table: Table, running: np.ndarray, picked: int, candidates: np.ndarray, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Return the error of a sum with each candidate added, float64 ``[candidate]``, by all threads."""
    parts = [part for part in np.array_split(candidates, threads()) if len(part)]
    if len(parts) < 2:
        return table.errors(running, picked, candidates)
    done = pool.map(lambda part: table.errors(running, picked, part), parts)
    return np.concatenate(list(done))


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
        return errors_of(self.table, self.sums, self.picked, candidates, self.pool)


class _Search:
    """The picks so far, and how to make the next one."""

    def __init__(
        self, tables: tuple[Table, Table | None], rule: Rule, allowed: Allowed, pool: ThreadPoolExecutor
    ) -> None:
        first, second = tables
        self.first = _Running(first, pool)
        self.second = None if second is None else _Running(second, pool)
        self.rule, self.allowed = rule, allowed
        self.random = None if rule.seed is None else np.random.RandomState(rule.seed)
        self.used = np.zeros(len(allowed.must), bool)
        self.rounds: list[Round] = []
        self.decimals: int | None = None
        self.scored = 0

    def pick(self) -> None:
        candidates = self.allowed.candidates(self.used)
        errors = self.first.errors(candidates)
        self.scored += len(candidates)
        after = self.allowed.cost_after(self.used, candidates)
        compared = errors if self.decimals is None else errors.round(self.decimals)
        penalty = self.allowed.limits.cost_penalty
        compared = compared + penalty * after if penalty else compared
        best = least(compared)
        chosen = self._break_tie(candidates, best)
        value = float(compared[chosen])
        if not self.rounds and self.rule.decimals is not None and abs(float(errors[chosen])) > ROUNDED_ABOVE:
            self.decimals = self.rule.decimals
            value = float(errors[chosen].round(self.decimals) + penalty * after[chosen])
        member = int(candidates[chosen])
        self.rounds.append(
            Round(
                pick=member,
                error=float(errors[chosen]),
                compared=value,
                cost=float(after[chosen]),
                tied=len(best),
            )
        )
        self.used[member] = True
        self.first.add(member)
        if self.second is not None:
            self.second.add(member)

    def _break_tie(self, candidates: np.ndarray, best: np.ndarray) -> int:
        if len(best) > 1:
            again = best[self.used[candidates[best]]]
            best = again if len(again) else best
        if len(best) > 1 and self.second is not None:
            best = best[least(self.second.errors(candidates[best]))]
        return int(best[0] if self.random is None else self.random.choice(best))
