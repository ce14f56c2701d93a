"""One two-stage cascade from all sides: its thresholds, its signals, its costs' tail, what could replace it.

The thresholds and signals are placed on ``select`` by how many examples go on there, which needs no label;
their figures are those of ``report``.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.advice.advise import best_of_kinds
from explorer.analysis.advice.third_stage import Progress, ThirdStage, third_stage
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Front, Point
from explorer.analysis.scoring.cascade import Cuts, cuts
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.scoring.signals import leaves, signal_values
from explorer.analysis.search.pareto import knee
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.compare import compare
from explorer.analysis.statistics.post_hoc import Deferral, plain_signals, post_hoc
from explorer.analysis.tail_costs import TailCosts, tail_costs
from explorer.errors import UsageError
from explorer.question import Budget
from explorer.spec import Candidate, CandidateKind, Cascade, Exit, Signal, averaging_of

GOES_ON = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8)
"""Shares of ``select`` near which a threshold is shown."""


class Picked(StrEnum):
    """How the cascade came to be looked at."""

    NAMED = "named"
    BUDGET = "budget"
    """The most accurate cascade within the budget, on ``select``."""
    KNEE = "knee"
    """The knee of the front of cascades, see `explorer.analysis.search.pareto.knee`."""
    MOST_ACCURATE = "most accurate"
    """That front has no knee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One threshold; or an end of the curve, a stage alone."""

    point: Point
    tail: TailCosts
    """On ``report``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    """The same stages left by another signal, with as many examples going on as the threshold allows."""

    signal: Signal
    point: Point | None
    """None: no threshold of this signal lets so few go on, but some."""
    comparison: Comparison | None
    """Against the cascade looked at, on ``report``; None for its own signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeView:
    """A cascade from all sides."""

    picked: Picked
    point: Point
    tail: TailCosts
    curve: tuple[CurveRow, ...]
    """From everybody leaving to everybody going on, the cascade itself among them."""
    signals: tuple[SignalRow, ...]
    deferral: Deferral
    third: ThirdStage


def pick(front: Front, budget: Budget | None = None) -> tuple[Cascade, Picked]:
    """Return the cascade to look at: the best within a budget, or the knee of the front of cascades.

    Raises:
        UsageError: no cascade was searched, or none is within the budget.
    """
    points = front.fronts_by_kind.get(CandidateKind.CASCADE, ())
    if not points:
        raise UsageError(
            f"no cascade was found for {front.pool.dataset}: it takes 2 members, one of them sure at times"
        )
    if budget is None:
        place = knee([p.select_cost for p in points], [p.select_accuracy for p in points])
        chosen, why = (points[-1], Picked.MOST_ACCURATE) if place is None else (points[place], Picked.KNEE)
    else:
        best = best_of_kinds({CandidateKind.CASCADE: points}, budget)
        if not best:
            raise UsageError(
                f"no cascade is within {budget}; the cheapest costs {points[0].select_cost:.6g} "
                f"{front.axis.kind.unit}: {points[0].design}"
            )
        chosen, why = best[CandidateKind.CASCADE], Picked.BUDGET
    assert isinstance(chosen.design, Cascade)
    return chosen.design, why


def look_at(
    pool: Pool,
    design: Candidate,
    space: Space,
    *,
    picked: Picked = Picked.NAMED,
    limit: float | None = None,
    update: Progress = lambda share, text: None,
) -> CascadeView:
    """Look at a two-stage cascade from all sides.

    Args:
        pool: members, labels and costs.
        design: the cascade.
        space: what a third stage is searched among.
        picked: how the cascade was come by.
        limit: most that a cascade of three stages may cost, in the unit of the pool's axis.
        update: told how far the work is.

    Raises:
        UsageError: not a cascade of two stages, a member is not in the pool, or too few examples.
    """
    cascade = two_stages(design)
    memo: Memo = {}
    point = evaluate(pool, cascade, pool.axis, memo=memo)
    update(0.0, "thresholds and signals")
    return CascadeView(
        picked=picked,
        point=point,
        tail=tail_costs(pool, cascade, memo=memo),
        curve=threshold_curve(pool, cascade, memo=memo),
        signals=signals_compared(pool, cascade, memo=memo),
        deferral=post_hoc(pool, cascade, memo=memo),
        third=third_stage(pool, space, limit=limit, update=update),
    )


def two_stages(design: Candidate) -> Cascade:
    """Return the design, a cascade of two stages.

    Raises:
        UsageError: it is something else.
    """
    if not isinstance(design, Cascade):
        raise UsageError(f"wanted a cascade, e.g. 'A -> [p>=0.8] B', got {design}")
    if len(design.stages) != 2:
        raise UsageError(f"wanted a cascade of two stages, got {len(design.stages)}: {design}")
    return design


def threshold_curve(pool: Pool, cascade: Cascade, *, memo: Memo | None = None) -> tuple[CurveRow, ...]:
    """Return what the cascade does at thresholds near which `GOES_ON` of ``select`` go on, and at its own.

    Raises:
        UsageError: a member is not in the pool.
    """
    memo = {} if memo is None else memo
    first, second = cascade.combined
    (own,) = cascade.exits
    values = _values(pool, cascade, own.signal)
    stays = int((~leaves(values, own)).sum())
    found = _cuts(values, own.signal)
    n = len(values)
    designs: dict[int, Candidate] = {0: first, n: second, stays: cascade}
    for share in GOES_ON:
        if not len(found.leavers):
            break
        place = int(np.abs((n - found.leavers) - share * n).argmin())
        goes_on = n - int(found.leavers[place])
        designs.setdefault(goes_on, _with_exit(cascade, found, place, own.signal))
    return tuple(
        CurveRow(
            point=evaluate(pool, designs[goes_on], pool.axis, memo=memo),
            tail=tail_costs(pool, designs[goes_on], memo=memo),
        )
        for goes_on in sorted(designs)
    )


def signals_compared(pool: Pool, cascade: Cascade, *, memo: Memo | None = None) -> tuple[SignalRow, ...]:
    """Return the cascade left by each signal its first stage has, at most as many going on (on ``select``).

    Raises:
        UsageError: a member is not in the pool.
    """
    memo = {} if memo is None else memo
    (own,) = cascade.exits
    stays = int((~leaves(_values(pool, cascade, own.signal), own)).sum())
    rows = []
    for signal in plain_signals(cascade.combined[0]):
        if signal is own.signal:
            point = evaluate(pool, cascade, pool.axis, memo=memo)
            rows.append(SignalRow(signal=signal, point=point, comparison=None))
            continue
        values = _values(pool, cascade, signal)
        found = _cuts(values, signal)
        fitting = np.flatnonzero(len(values) - found.leavers <= stays)
        if not len(fitting):
            rows.append(SignalRow(signal=signal, point=None, comparison=None))
            continue
        other = _with_exit(cascade, found, int(fitting[0]), signal)
        rows.append(
            SignalRow(
                signal=signal,
                point=evaluate(pool, other, pool.axis, memo=memo),
                comparison=compare(pool, other, cascade, memo=memo),
            )
        )
    return tuple(rows)


def _values(pool: Pool, cascade: Cascade, signal: Signal) -> np.ndarray:
    first = cascade.combined[0]
    return signal_values(signal, np.asarray(pool.select[pool.rows(first.members)]), averaging_of(first))


def _cuts(values: np.ndarray, signal: Signal) -> Cuts:
    return cuts(-values if signal is Signal.ENTROPY else values)


def _with_exit(cascade: Cascade, found: Cuts, place: int, signal: Signal) -> Cascade:
    threshold = found.threshold(place)
    leave = Exit(-threshold if signal is Signal.ENTROPY else threshold, signal)
    return Cascade(cascade.stages, (leave,), cascade.joined)
