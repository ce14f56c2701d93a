"""Is a third stage worth it? Chosen on one half of ``select``, compared on the other, both ways.

Long cascades are easily oversold: with thousands of triples and two thresholds each, some look better than
every pair on the examples they are chosen on. (Bouchard 2026, arXiv 2605.06350, found that longer chains
brought nothing held out.) So on each half the exact front of at most two stages is searched anew, its
stages make the triples (`explorer.analysis.search.three_stages`), and within ranges of cost the triple
furthest above that front is taken; the range where it is furthest for its noise gives the one that is
tried. It meets, on the other half,

- the front of at most two stages: its first design that costs no less there;
- the best that its own members do in at most two stages, likewise: else a triple would pass for a good
  third stage because its members were the luckier choice.

Right answers are paired, over both halves together. A third stage is recommended where both intervals are
above zero. ``report`` has no part in that; what is then chosen on all of ``select`` is quoted on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from explorer.analysis.blocks import MemberArrays
from explorer.analysis.bootstrap import paired_interval
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Front, Interval, Point
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.three_stages import Triples, best_triples, candidate_stages
from explorer.analysis.statistics.compare import compare
from explorer.analysis.tail_costs import TailCosts, tail_costs
from explorer.errors import UsageError
from explorer.spec import Candidate, Cascade, Member

RANGES = 8
"""Ranges of cost that are looked at, even on a logarithmic scale."""
_FEWEST = 4
Progress = Callable[[float, str], None]
"""Called with the share of the work done and what is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One half's choice on the other half. In the points, ``accuracy`` and ``cost`` are of the other half."""

    chosen: Point
    """A cascade of three stages; its ``select`` figures are of the half it was chosen on."""
    rival: Point
    """The front's first design that costs no less on the other half, or its last."""
    own: Point
    """The same, of what the same members do in at most two stages."""
    gain: float
    """Share of examples right above the front at equal or lower cost, where it was chosen: optimistic."""
    against_rival: Comparison
    against_own: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRange:
    """What the best triples of a range of cost do on the halves they were not chosen on."""

    low: float
    high: float
    """Infinite at the end; in the unit of the pool's axis."""
    gain: float
    """Mean over the halves, where chosen."""
    difference: Interval
    """Against the front, paired; one of several looks, so it decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """The triple chosen on all of ``select``, and what ``report`` says of it."""

    point: Point
    tail: TailCosts
    rival: Point
    """The front's first design that costs no less on ``report``, or its last."""
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdStage:
    """Whether a third stage is worth it."""

    recommended: Recommended | None
    """None: it is not worth it here, as far as these examples tell."""
    trials: tuple[Trial, ...]
    """One a half; fewer than two where a half has no triple to try."""
    against_front: Interval | None
    """Held out, over both halves; None without two trials."""
    against_own: Interval | None
    """Against the same members in at most two stages, likewise."""
    ranges: tuple[CostRange, ...]
    triples: int
    """Ordered triples of stages scored, both halves together."""
    exact: bool
    """Whether every pair of thresholds was tried; else a grid."""
    limit: float | None
    """Most that a triple was allowed to cost where it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Searched:
    """A split's front of at most two stages, and the triples made of its stages."""

    pool: Pool
    front: Front
    triples: Triples
    memo: Memo


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picked:
    design: Cascade
    gain: float
    evidence: float
    """Its lead over the front in units of the lead's noise."""


def third_stage(
    pool: Pool, space: Space, *, limit: float | None = None, update: Progress = lambda share, text: None
) -> ThirdStage:
    """Say whether any cascade of three stages is worth more than those of two, held out.

    Args:
        pool: members, labels and costs.
        space: what is searched in at most two stages, and the signals of all exits.
        limit: most that a triple may cost, in the unit of the pool's axis; None for any.
        update: told how far the work is.

    Raises:
        UsageError: ``select`` is too small to be halved, or cascades are not to be searched.
    """
    if len(pool.select_labels) < _FEWEST:
        raise UsageError(
            f"halving select needs {_FEWEST} examples or more, {pool.summary.dataset} has "
            f"{len(pool.select_labels)}"
        )
    if not space.cascades:
        raise UsageError("a third stage needs cascades to be searched")
    # work goes with examples: half of the limit lets each half look at the same designs as all of select
    on_half = replace(space, max_designs=max(1, space.max_designs // 2))
    searched = []
    for number, half in enumerate(halves(pool)):
        update(0.4 * number, f"two and three stages, half {number + 1} of 2")
        searched.append(_searched(half, on_half))
    edges = _edges([each.front for each in searched], limit)
    picked = [_picked(each, edges) for each in searched]
    trials = []
    for each, found in zip(searched, picked, strict=True):
        there = [one for one in found if one is not None]
        if there:
            trials.append(_trial(each, space, max(there, key=lambda one: one.evidence)))
    both = len(trials) == len(searched)
    against_front = _pooled([trial.against_rival for trial in trials]) if both else None
    against_own = _pooled([trial.against_own for trial in trials]) if both else None
    worth = all(one is not None and one.low > 0 for one in (against_front, against_own))
    update(0.8, "the choice on all of select" if worth else "comparing")
    return ThirdStage(
        recommended=_recommended(pool, space, edges) if worth else None,
        trials=tuple(trials),
        against_front=against_front,
        against_own=against_own,
        ranges=_ranges(searched, picked, edges),
        triples=sum(each.triples.triples for each in searched),
        exact=all(each.triples.exact for each in searched),
        limit=limit,
    )


def halves(pool: Pool) -> tuple[Pool, Pool]:
    """Return two pools of every second ``select`` example: chosen on one half, reported on the other."""
    rows = [[row[start::2] for row in pool.select] for start in (0, 1)]
    labels = [pool.select_labels[start::2] for start in (0, 1)]
    made = []
    for here in (0, 1):
        there = 1 - here
        summary = replace(pool.summary, select_examples=len(labels[here]), report_examples=len(labels[there]))
        made.append(
            replace(
                pool,
                summary=summary,
                select=MemberArrays(rows[here]),
                select_labels=labels[here],
                report=MemberArrays(rows[there]),
                report_labels=labels[there],
            )
        )
    return made[0], made[1]


def no_cheaper(points: Sequence[Point], cost: float) -> Point:
    """Return the first point of a front that costs no less than ``cost`` on ``report``, or its last."""
    return next((point for point in points if point.cost.value >= cost), points[-1])


def _searched(pool: Pool, space: Space) -> _Searched:
    front = search(pool, pool.axis, space, drawn=False)
    triples = best_triples(pool, candidate_stages(front), space.signals)
    return _Searched(pool=pool, front=front, triples=triples, memo={})


def _edges(fronts: Sequence[Front], limit: float | None) -> np.ndarray:
    """Return the ends of the ranges of cost, ascending, float64 ``[range + 1]``."""
    costs = [point.select_cost for front in fronts for point in front.points]
    low, high = min(costs), max(costs)
    top = np.inf if limit is None else limit
    high = min(high, top)
    if high <= low:
        return np.array([0.0, top])
    inner = np.geomspace(low, high, RANGES + 1) if low > 0 else np.linspace(low, high, RANGES + 1)
    return np.array([0.0, *inner[1:-1], top])


def _picked(searched: _Searched, edges: np.ndarray) -> list[_Picked | None]:
    """Return each range's triple that is furthest above the front where both were chosen."""
    points, triples = searched.front.points, searched.triples
    n = len(searched.pool.select_labels)
    rights = triples.front()
    costs = triples.cost[rights]
    paid = np.array([point.select_cost for point in points])
    right = np.array([round(point.select_accuracy * n) for point in points])
    below = np.searchsorted(paid, costs, side="right") - 1
    gains = np.where(below >= 0, rights - right[below], -n - 1)
    found: list[_Picked | None] = []
    for low, high in pairwise(edges):
        inside = np.flatnonzero((costs > low) & (costs <= high) & (below >= 0))
        if not len(inside):
            found.append(None)
            continue
        # the first of equals is the cheapest
        place = int(inside[np.argmax(gains[inside])])
        design, rival = triples.design(int(rights[place])), points[int(below[place])]
        ahead = compare(searched.pool, design, rival.design, split="select", memo=searched.memo)
        won, lost = ahead.only_first_right, ahead.only_second_right
        evidence = (won - lost) / max(1.0, float(won + lost) ** 0.5)
        found.append(_Picked(design=design, gain=int(gains[place]) / n, evidence=evidence))
    return found


def _trial(searched: _Searched, space: Space, picked: _Picked) -> Trial:
    pool, memo = searched.pool, searched.memo
    chosen = evaluate(pool, picked.design, pool.axis, memo=memo)
    rival = no_cheaper(searched.front.points, chosen.cost.value)
    most = max(len(stage.members) for stage in picked.design.combined)
    two = replace(space, max_members=most, first_members=most)
    own_front = search(_only(pool, picked.design), pool.axis, two)
    own = no_cheaper(own_front.points, chosen.cost.value)
    return Trial(
        chosen=chosen,
        rival=rival,
        own=own,
        gain=picked.gain,
        against_rival=compare(pool, chosen.design, rival.design, memo=memo),
        against_own=compare(pool, chosen.design, own.design, memo=memo),
    )


def _only(pool: Pool, design: Candidate) -> Pool:
    """Return the pool of a design's members alone."""
    members: tuple[Member, ...] = tuple(sorted(set(design.members)))
    rows = pool.rows(members)
    return replace(
        pool,
        summary=replace(pool.summary, members=tuple(map(str, members))),
        members=members,
        select=MemberArrays([pool.select[row] for row in rows]),
        report=MemberArrays([pool.report[row] for row in rows]),
        cost_figures=tuple(pool.cost_figures[row] for row in rows),
    )


def _pooled(comparisons: Sequence[Comparison]) -> Interval:
    """Return the difference over the examples of all comparisons together."""
    won = sum(one.only_first_right for one in comparisons)
    lost = sum(one.only_second_right for one in comparisons)
    return paired_interval(won, lost, sum(one.difference.n for one in comparisons))


def _ranges(
    searched: Sequence[_Searched], picked: Sequence[Sequence[_Picked | None]], edges: np.ndarray
) -> tuple[CostRange, ...]:
    ranges = []
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        comparisons, gains = [], []
        for each, found in zip(searched, picked, strict=True):
            one = found[number]
            if one is None:
                continue
            point = evaluate(each.pool, one.design, each.pool.axis, memo=each.memo)
            rival = no_cheaper(each.front.points, point.cost.value)
            comparisons.append(compare(each.pool, point.design, rival.design, memo=each.memo))
            gains.append(one.gain)
        if comparisons:
            mean = sum(gains) / len(gains)
            ranges.append(CostRange(low=low, high=high, gain=mean, difference=_pooled(comparisons)))
    return tuple(ranges)


def _recommended(pool: Pool, space: Space, edges: np.ndarray) -> Recommended | None:
    """Choose on all of ``select`` as on a half; quote on ``report``."""
    searched = _searched(pool, space)
    there = [one for one in _picked(searched, edges) if one is not None]
    if not there:
        return None
    design = max(there, key=lambda one: one.evidence).design
    point = evaluate(pool, design, pool.axis, memo=searched.memo)
    rival = no_cheaper(searched.front.points, point.cost.value)
    comparison = compare(pool, design, rival.design, memo=searched.memo)
    tail = tail_costs(pool, design, memo=searched.memo)
    return Recommended(point=point, tail=tail, rival=rival, comparison=comparison)
