"""The exact search under budgets on several cost axes at once; see `explorer.analysis.advice.several`.

Designs are scored once; each axis composes its own costs. A two-stage cascade's cost is ``base + slope x
share that stays`` with slopes of 0 or more on every axis, so a budget is an upper bound on the examples that
stay: of one pair of stages the feasible steps (see `search.gates`) are those from some step on, the same way
on every axis, and among steps with equally many right answers the last one is the cheapest on all axes. A
budget on a held cost (parameters, a peak) takes or leaves the whole pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.tables import AnswerTable, answer_table
from explorer.analysis.search.gates import Gates, find_gates
from explorer.analysis.search.handover import handovers
from explorer.analysis.search.plan import Space, plan_search
from explorer.analysis.search.scan import cascade_of, order_keys, right_counts
from explorer.analysis.search.scan_kernels import NO_KEY
from explorer.analysis.search.space import StageSets, stage_sets
from explorer.analysis.search.subsets import in_threads
from explorer.spec import Candidate, CandidateKind

ANY = -1
"""Right answers needed where no target was set."""
_SETS_A_TASK = 256

Chosen = dict[CandidateKind, tuple[Candidate, int]]
"""The best design of each kind, with its right answers on ``select``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """Several questions over the same axes, answered in one search."""

    limits: np.ndarray
    """float64 ``[question, axis]``, infinite where there is none; the first axis is the primary one."""
    need: int
    """Right answers that are needed, in all questions; `ANY`: as many as possible are wanted."""


def search_under(
    pools: Sequence[Pool],
    questions: Questions,
    space: Space,
) -> tuple[list[Chosen], tuple[str, ...]]:
    """Return the best designs for each question, of all that `search.exact.search` looks at, and notes.

    Args:
        pools: one an axis, in the order of the questions' axes, of the same members and predictions.
        questions: what to answer.
        space: the designs to look at.
    """
    pool = pools[0]
    plan = plan_search(space, len(pool.members), len(pool.select_labels))
    sets = [stage_sets(each, plan.ensemble_size, space.averaging) for each in pools]
    table = answer_table(pool.select, pool.select_labels, space.averaging)
    found = _best_sets(sets, right_counts(table, sets[0]), questions)
    seconds = sets[0].count_up_to(plan.second_size)
    if not seconds:
        return found, plan.notes
    gates = find_gates(pool, table, sets[0], plan.first_size, space.signals)
    if gates is None:
        return found, plan.notes
    best = _best_cascades(pools, table, sets, gates, seconds, questions)
    for question, (gate, second, step) in enumerate(best[3].tolist()):
        if gate >= 0:
            cascade = cascade_of(sets[0], gates, gate, second, step)
            found[question][CandidateKind.CASCADE] = cascade, int(best[0][question])
    return found, plan.notes


_Best = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def no_pairs(questions: int, axes: int) -> _Best:
    """Return the best cascades of no pairs at all, see `best_pairs`."""
    return (
        np.full(questions, -1, np.int64),
        np.full((questions, axes), np.inf),
        np.full(questions, NO_KEY),
        np.full((questions, 3), -1, np.int64),
    )


def _best_cascades(
    pools: Sequence[Pool],
    table: AnswerTable,
    sets: Sequence[StageSets],
    gates: Gates,
    seconds: int,
    questions: Questions,
) -> _Best:
    """Return each question's best cascade from a gate to one of the first ``seconds`` sets."""
    shape = len(questions.limits), len(pools)
    one, kinds = sets[0], [pool.axis.kind for pool in pools]
    examples = np.array([table.examples, len(table.always_right)])

    def work(start: int) -> _Best:
        chosen, mine = slice(start, min(start + _SETS_A_TASK, seconds)), no_pairs(*shape)
        given = [handovers(kind, of, gates.sets, chosen) for kind, of in zip(kinds, sets, strict=True)]
        base, slope = np.stack([each.base for each in given]), np.stack([each.slope for each in given])
        key = order_keys(one, gates, given[0])
        second = table.right(one.rows[chosen]), np.arange(chosen.start, chosen.stop), key, base, slope
        best_pairs(gates.tables, second, (questions.limits, questions.need, examples), mine)
        return mine

    best = no_pairs(*shape)
    for mine in in_threads(work, range(0, seconds, _SETS_A_TASK)):
        for question in np.flatnonzero(mine[0] >= 0).tolist():
            found = int(mine[0][question]), mine[1][question], int(mine[2][question])
            if _goes_first(*found, questions.need, question, best):
                for kept, other in zip(best, mine, strict=True):
                    kept[question] = other[question]
    return best


def _best_sets(sets: Sequence[StageSets], right: np.ndarray, questions: Questions) -> list[Chosen]:
    """Return for each question the best single, distilled one and ensemble."""
    one = sets[0]
    costs = np.stack([of.costs for of in sets])
    alone = one.sizes == 1
    distilled = alone & np.isin(one.rows[:, 0], [r for r, m in enumerate(one.members) if m.distilled])
    kinds = {
        CandidateKind.SINGLE: alone & ~distilled,
        CandidateKind.DISTILLED: distilled,
        CandidateKind.ENSEMBLE: ~alone,
    }
    found: list[Chosen] = []
    for limits in questions.limits:
        fits = (costs <= limits[:, None]).all(axis=0) & (right >= questions.need)
        found.append({})
        for kind, mask in kinds.items():
            rows = np.flatnonzero(fits & mask)
            wanted = [-right[rows], *costs[:, rows]]
            if questions.need != ANY:
                wanted[:2] = wanted[1::-1]
            order = np.lexsort((one.text_rank[rows], one.sizes[rows], *wanted[::-1]))
            if len(rows):
                index = int(rows[order[0]])
                found[-1][kind] = one.stage(index), int(right[index])
    return found


@njit(nogil=True, cache=True)
def best_pairs(gates: tuple, seconds: tuple, questions: tuple, best: tuple) -> None:
    """Find for each question the best cascade among some pairs of stages, over all their steps.

    Args:
        gates: right uint8 ``[gate, place]`` and undecided example int32 ``[gate, place]``, both by falling
            confidence; undecided leavers int32 ``[step]`` and all leavers int32 ``[step]`` of all gates'
            steps; where each gate's steps are int64 ``[gate + 1]``; its set int64 ``[gate]``.
        seconds: right uint8 ``[second, undecided]``, its set int64 ``[second]``, tie-break key int64
            ``[gate, second]``, base and slope of the cost float64 ``[axis, gate, second]``.
        questions: limits float64 ``[question, axis]``, the first axis the primary one; right answers
            needed, below 0: as many as possible; examples, and those always right, int64 ``[2]``.
        best: of each question right answers int64 ``[question]``, cost of all examples together float64
            ``[question, axis]``, key int64 ``[question]``, (gate, set, step) int64 ``[question, 3]``.
            Updated in place.
    """
    bounds, leavers, (limits, need, examples) = gates[4], gates[3], questions
    second_set, key, base, slope = seconds[1:]
    count = np.empty(len(leavers), np.int64)  # right answers at each step
    most = np.empty(len(leavers), np.int64)  # step with most of them from each step on
    costs = np.empty(len(base), np.float64)
    for g in range(len(bounds) - 1):
        last = bounds[g + 1] - 1
        for q in range(len(second_set)):
            if second_set[q] == gates[5][g] or last < bounds[g]:
                continue
            counted = False
            for question in range(len(limits)):
                lowest = _first_feasible(g, q, gates, seconds, examples[0], limits[question])
                if lowest > last:
                    continue
                if not counted:
                    counted = True
                    _count_steps(g, seconds[0][q], gates, examples[1], count, most)
                step = most[lowest]
                if count[step] < need:
                    continue
                if need >= 0 and slope[0, g, q] > 0:
                    step = last  # the cheapest that is right often enough
                    while count[step] < need:
                        step -= 1
                for axis in range(len(base)):
                    stay = examples[0] - leavers[step]
                    costs[axis] = base[axis, g, q] * examples[0] + slope[axis, g, q] * stay
                if _goes_first(count[step], costs, key[g, q], need, question, best):
                    best[0][question], best[2][question] = count[step], key[g, q]
                    best[1][question] = costs
                    best[3][question, 0] = g
                    best[3][question, 1] = second_set[q]
                    best[3][question, 2] = step - bounds[g]


@njit(nogil=True, cache=True)
def _count_steps(
    g: int, second_right: np.ndarray, gates: tuple, settled: int, count: np.ndarray, most: np.ndarray
) -> None:
    """Count right answers at a pair's steps, and find the step with most of them from each step on."""
    gate_right, order, undecided_leavers, _, bounds, _ = gates
    right, place = np.int64(settled), 0
    for e in range(len(second_right)):
        right += second_right[e]
    for step in range(bounds[g], bounds[g + 1]):
        while place < undecided_leavers[step]:
            right += np.int64(gate_right[g, place]) - np.int64(second_right[order[g, place]])
            place += 1
        count[step] = right
    last = bounds[g + 1] - 1
    most[last] = last
    for step in range(last - 1, bounds[g] - 1, -1):
        later = most[step + 1]
        most[step] = step if count[step] > count[later] else later


@njit(nogil=True, cache=True)
def _first_feasible(g: int, q: int, gates: tuple, seconds: tuple, examples: int, limits: np.ndarray) -> int:
    """Return the first step of a pair from which on it is within the limits of all axes."""
    leavers, bounds = gates[3], gates[4]
    base, slope = seconds[3], seconds[4]
    low = bounds[g]
    for axis in range(len(base)):
        high = bounds[g + 1]
        while low < high:
            middle = (low + high) // 2
            stay = examples - leavers[middle]
            # as `costs.mean_cost` reckons, so that both agree on what is exactly at the limit
            mean = (base[axis, g, q] * examples + slope[axis, g, q] * stay) / examples
            if slope[axis, g, q] == 0:
                mean = base[axis, g, q]
            if mean <= limits[axis]:
                high = middle
            else:
                low = middle + 1
    return low


@njit(nogil=True, cache=True)
def _goes_first(right: int, costs: np.ndarray, key: int, need: int, question: int, best: tuple) -> bool:
    """Say whether a design is preferred to the question's best one so far."""
    if best[0][question] < 0:
        return True
    if need < 0 and right != best[0][question]:
        return right > best[0][question]
    if costs[0] != best[1][question, 0]:
        return costs[0] < best[1][question, 0]
    if right != best[0][question]:
        return right > best[0][question]
    for axis in range(1, len(costs)):
        if costs[axis] != best[1][question, axis]:
            return costs[axis] < best[1][question, axis]
    return key < best[2][question]
