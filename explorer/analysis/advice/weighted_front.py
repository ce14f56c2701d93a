"""A front of weighted ensembles over cost, where there are too many to look at each.

Greedy selection (`explorer.analysis.search.greedy`) under a ladder of budgets, from the cheapest member's
cost to that of all members together, each step the same factor dearer. Every prefix of every selection is a
candidate; those that no other one beats on ``select`` are the front. It is a heuristic: nothing says how far
the true front is, and exhaustive search (`explorer.analysis.search.exact`) should be used where it reaches.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from explorer.analysis.advice.scores import score_designs
from explorer.analysis.advice.weighted import RULE, Quoted, Wanted, limits_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import PoolSummary
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.scoring.score_parts import ScoreName
from explorer.analysis.search.greedy import Selection, check_rounds, greedy_over
from explorer.analysis.search.greedy_limits import Allowed
from explorer.analysis.search.greedy_objectives import objective_tables
from explorer.analysis.search.pareto import pareto_front
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.spec import Candidate, Member, ensemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A weighted ensemble that nothing else beats on ``select``."""

    design: Candidate
    cost: float
    score: float
    """The metric on ``select``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """What greedy selection found under a ladder of budgets."""

    rungs: tuple[Rung, ...]
    """Cheapest first."""
    budgets: tuple[float, ...]
    """Those that were searched, in the unit of the pool's axis."""
    scored: int
    """Ensembles."""
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedFront:
    """A front of weighted ensembles, chosen on ``select`` and quoted on ``report``."""

    pool: PoolSummary
    axis: CostAxis
    wanted: Wanted
    ladder: Ladder
    points: tuple[Quoted, ...]
    """Cheapest first."""
    notes: tuple[str, ...]


def search_ladder(
    pools: Sequence[Pool],
    wanted: Wanted,
    steps: int,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Ladder:
    """Select greedily under each of a ladder of budgets, and keep what nothing else beats.

    Args:
        pools: see `explorer.analysis.advice.weighted.search_weighted`.
        wanted: what, within which limits; ``max_cost`` is the top of the ladder.
        steps: how many budgets.
        should_stop: asked between rounds; True ends with the budgets that are done.
        on_progress: told the share of the work done.

    Raises:
        UsageError: a beam or a cost penalty (a front has no use for them), less than two steps, or what
            `search_weighted` refuses.
    """
    if wanted.width > 1 or wanted.cost_penalty:
        raise UsageError("a front is searched greedily and without a cost penalty: leave out the other")
    if steps < 2:
        raise UsageError(f"a ladder has at least 2 budgets, got {steps}")
    check_rounds(wanted.rounds)
    pool, rule = pools[0], replace(RULE, seed=wanted.seed)
    whole = limits_of(pools, wanted)
    limited = Allowed(whole, len(pool.members))  # refuses what cannot be met before anything is read
    budgets = ladder_of(pool, limited, steps, wanted.max_cost)
    tables = objective_tables(pool.select, pool.select_labels, wanted.objective, rule, should_stop)
    found: list[Selection] = []
    for number, budget in enumerate(budgets if tables is not None else ()):
        assert tables is not None
        if should_stop is not None and should_stop():
            break
        allowed = Allowed(replace(whole, max_cost=budget), len(pool.members))
        one = greedy_over(
            tables, allowed, wanted.objective, rule, rounds=wanted.rounds, should_stop=should_stop
        )
        if one.stopped:
            break
        found.append(one)
        if on_progress is not None:
            on_progress((number + 1) / len(budgets))
    return Ladder(
        rungs=_rungs(pool, found, len(whole.must_include)),
        budgets=budgets[: len(found)],
        scored=sum(one.scored for one in found),
        stopped=len(found) < len(budgets),
    )


def ladder_of(pool: Pool, allowed: Allowed, steps: int, top: float | None) -> tuple[float, ...]:
    """Return budgets from the cheapest ensemble allowed to the dearest, in equal factors, ascending."""
    none = np.zeros(len(pool.members), bool)
    if allowed.must.any():
        obliged = pool.costs[allowed.must]
        lowest = float(obliged.max() if allowed.limits.largest_cost else obliged.sum())
    else:
        lowest = float(pool.costs[allowed.candidates(none)].min())
    highest = float(pool.costs.max() if allowed.limits.largest_cost else pool.costs.sum())
    highest = max(lowest, highest if top is None else min(top, highest))
    if lowest <= 0:
        # what costs nothing has no factor to something: the cheapest that costs anything is next
        paid = pool.costs[pool.costs > 0]
        rest = np.geomspace(paid.min(), highest, steps - 1) if len(paid) and highest > 0 else np.zeros(0)
        return (0.0, *map(float, rest))
    rungs = np.geomspace(lowest, highest, steps)
    rungs[0], rungs[-1] = lowest, highest  # powers round
    return tuple(dict.fromkeys(map(float, rungs)))


def quote_ladder(
    pools: Sequence[Pool], wanted: Wanted, ladder: Ladder, *, notes: tuple[str, ...] = ()
) -> WeightedFront:
    """Quote the front on ``report``."""
    pool, metric = pools[0], ScoreName(wanted.objective.metric.value)
    designs = [rung.design for rung in ladder.rungs]
    scores = {}
    if metric is not ScoreName.ACCURACY and designs:
        scores = {one.design: one.scores[metric] for one in score_designs(pool, designs).designs}
    memo: Memo = {}
    points = []
    for rung in ladder.rungs:
        point = evaluate(pool, rung.design, pool.axis, memo=memo)
        score = scores.get(rung.design, point.accuracy)
        points.append(Quoted(point=point, chosen_on=rung.score, score=score))
    return WeightedFront(
        pool=pool.summary, axis=pool.axis, wanted=wanted, ladder=ladder, points=tuple(points), notes=notes
    )


def _rungs(pool: Pool, found: Sequence[Selection], obliged: int) -> tuple[Rung, ...]:
    """Return the prefixes that no other prefix of any selection beats on cost and metric."""
    seen: dict[Candidate, tuple[float, float]] = {}
    for one in found:
        for length in range(max(1, obliged), len(one.picks) + 1):
            design = ensemble(_lowest_terms([pool.members[row] for row in sorted(one.picks[:length])]))
            seen.setdefault(design, (float(one.costs[length - 1]), float(one.scores[length - 1])))
    designs = list(seen)
    if not designs:
        return ()
    costs, scores = np.array(list(seen.values())).T
    higher = found[0].objective.metric.higher_is_better
    front = pareto_front(costs, scores if higher else -scores)
    return tuple(
        Rung(design=designs[row], cost=float(costs[row]), score=float(scores[row])) for row in front.tolist()
    )


def _lowest_terms(members: list[Member]) -> list[Member]:
    """Return a multiset without the common divisor of its weights: it averages alike."""
    times = Counter(members)
    common = gcd(*times.values())
    return [member for member, count in times.items() for _ in range(count // common)]
