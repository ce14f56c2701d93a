"""Designs over their lives: what they cost to train and to serve, from the ledger's trainings and latencies.

Which of two designs is cheaper depends on how much is served: an ensemble of small networks may be cheaper
by the example and dearer to train. A cheaper one may also be a worse one, so accuracies are compared too.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.accounting.lifetime import (
    BreakEven,
    LifetimeCost,
    VolumeRange,
    VolumeRow,
    break_even,
    cheapest_ranges,
    lower_envelope,
    volume_table,
)
from explorer.analysis.advice.advise import best_of_kinds, fits
from explorer.analysis.planning.billing import Billing, PriceUsed
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Front, Point
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import UsageError, unknown_name
from explorer.question import Target
from explorer.record import CostFigure
from explorer.spec import Candidate, Single

SHOWN = 8
"""Designs of a front that are compared where none was named."""
ALL_PAIRS = 8
"""Designs up to which every pair gets a break-even; of more, only neighbours in the ranges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One design over its life."""

    point: Point
    """Accuracy and time of one example."""
    cost: LifetimeCost
    against_best: Comparison | None
    """Its accuracy against that of the most accurate design (on ``select``); None: it is that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Designs over their lives, beside each other."""

    axis: CostAxis
    """What an example is served in."""
    target: Target | None
    utilisation: float
    prices: tuple[PriceUsed, ...]
    lives: tuple[Life, ...]
    volumes: tuple[float, ...]
    table: tuple[VolumeRow, ...]
    ranges: tuple[VolumeRange, ...]
    break_evens: tuple[BreakEven, ...]
    given_hours: tuple[str, ...]
    """Members, as the store names them, whose hours of training were given."""
    ranged: int
    """Trainings whose range is of several seeds."""
    notes: tuple[str, ...]


def over_lifetime(
    pool: Pool,
    designs: Sequence[Candidate],
    billing: Billing,
    volumes: Sequence[float],
    *,
    target: Target | None = None,
    notes: Sequence[str] = (),
) -> Lifetimes:
    """Return what designs cost over their lives, and from which volume on one overtakes another.

    Args:
        pool: over ``time_per_example@DEVICE``.
        designs: at least one; the same one twice counts once.
        billing: at what prices; of this pool.
        volumes: numbers of examples to show.
        target: what the designs were chosen for, to be told with the answer.
        notes: of the pool, to be told with the answer.

    Raises:
        UsageError: see `Billing.cost`; no designs; hours were given of a member that is not among them.
    """
    memo: Memo = {}
    points = [evaluate(pool, design, pool.axis, memo=memo) for design in dict.fromkeys(designs)]
    costs = [billing.cost(point.design, point.cost) for point in points]
    _check_hours(costs, billing)
    best = max(points, key=lambda point: point.select_accuracy, default=None)
    lives = [
        Life(
            point=point,
            cost=cost,
            against_best=None
            if best is None or point is best
            else compare(pool, point.design, best.design, memo=memo),
        )
        for point, cost in zip(points, costs, strict=True)
    ]
    lives.sort(key=lambda life: (life.cost.training_usd.value, life.cost.usd_per_million.value))
    costs = [life.cost for life in lives]
    ranges = cheapest_ranges(costs)
    runs = {run.member: run for cost in costs for run in cost.runs}
    return Lifetimes(
        axis=pool.axis,
        target=target,
        utilisation=billing.tariff.utilisation,
        prices=billing.prices,
        lives=tuple(lives),
        volumes=tuple(volumes),
        table=volume_table(costs, volumes),
        ranges=ranges,
        break_evens=tuple(break_even(first, second) for first, second in _pairs(costs, ranges)),
        given_hours=tuple(sorted(map(str, billing.tariff.hours))),
        ranged=sum(run.seconds.low < run.seconds.high for run in runs.values()),
        notes=tuple(notes),
    )


def designs_of_front(front: Front, most: int = SHOWN) -> tuple[tuple[Candidate, ...], str]:
    """Return at most ``most`` designs of a front, evenly by place, both ends among them; and a note."""
    points = front.points
    if len(points) > most:
        points = tuple(points[round(i * (len(points) - 1) / (most - 1))] for i in range(most))
    return (
        tuple(point.design for point in points),
        f"{len(points)} of the {len(front.points)} designs of the front (accuracy against serving time), "
        "evenly by place; name designs, or give --target to compare those that are equally good",
    )


def designs_for_target(
    pool: Pool, front: Front, billing: Billing, target: Target
) -> tuple[tuple[Candidate, ...], str]:
    """Return designs that reach a target: those cheapest at some volume, and each kind's cheapest to serve.

    Looked at are each kind's front over accuracy and serving time, and every single: chosen on ``select``.

    Raises:
        UsageError: none reaches it; see `Billing.cost`.
    """
    singles = [evaluate(pool, Single(member), pool.axis) for member in pool.members]
    known = {p.design: p for p in (*singles, *itertools.chain(*front.fronts_by_kind.values()))}
    fitting = [point for point in known.values() if fits(point, target)]
    if not fitting:
        best = max(point.select_accuracy for point in known.values())
        raise UsageError(f"no design searched reaches {target} on select; the most is {best:.4f}")
    lines = []
    for point in fitting:
        cost = point.select_cost
        figure = CostFigure(value=cost, low=cost, high=cost, basis=point.cost.basis)
        life = billing.cost(point.design, figure)
        lines.append((life.training_usd.value, life.usd_per_million.value))
    chosen = [fitting[index].design for index, _, _ in lower_envelope(lines)]
    chosen += [point.design for point in best_of_kinds(front.fronts_by_kind, target).values()]
    return (
        tuple(dict.fromkeys(chosen)),
        f"of {len(fitting)} designs that reach {target} on select (each kind's front, every single): those "
        "cheapest over some range of volumes, and of each kind the one cheapest to serve",
    )


def _pairs(
    costs: Sequence[LifetimeCost], ranges: Sequence[VolumeRange]
) -> list[tuple[LifetimeCost, LifetimeCost]]:
    if len(costs) <= ALL_PAIRS:
        return list(itertools.combinations(costs, 2))
    by_design = {cost.design: cost for cost in costs}
    return [(by_design[one.design], by_design[two.design]) for one, two in itertools.pairwise(ranges)]


def _check_hours(costs: Sequence[LifetimeCost], billing: Billing) -> None:
    paid = sorted({run.member for cost in costs for run in cost.runs})
    for member in billing.tariff.hours:
        if str(member) not in paid:
            raise unknown_name("member of these designs", str(member), paid)
