"""What to ship when every mistake has a price: total = cost + price x error, example by example.

Under one price the best design has the smallest total; over all prices the best ones are the lower convex
hull of (error, cost), and each is best over one range of prices (Zellinger and Thomson 2025, arXiv
2507.03834, put a price on an error). A design off the hull is never the answer, whatever a mistake costs,
though it may be on the Pareto front. Chosen on ``select``; judged on ``report``, paired on the same examples.

A price is in the unit of the cost axis per mistake: USD for money, MAC for macs.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from explorer.accounting.lifetime import lower_envelope
from explorer.accounting.money import INFERENCES
from explorer.analysis.bootstrap import LEVEL, mean_interval, paired_interval, tells
from explorer.analysis.costs import paying, stage_costs, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Interval, Point, Verdict
from explorer.analysis.scoring.score import Memo, candidate_decisions, reached_counts
from explorer.analysis.search.space import design_order
from explorer.convention import PREDICTED, Composition, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.spec import Candidate, CandidateKind, ModelSpec

_A_MILLION = ("money", "price")
"""Cost kinds whose figures are for a million examples."""
_DRAWS = 4_000
_SEED = 20005


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalComparison:
    """Total of ``first`` minus total of ``second`` under one price, on the same ``report`` examples."""

    first: Candidate
    second: Candidate
    price: float
    difference: Interval
    """An example, in the unit of the axis; below zero: ``first`` is the better choice. The interval holds
    which examples were drawn and the noise of the members' measured costs."""
    error_difference: float
    """Share of examples."""
    cost_difference: float
    """An example, in the unit of the axis."""
    verdict: Verdict
    """``better``: the smaller total; ``cannot tell`` where the interval holds zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """A range of prices of a mistake, with the design whose total is smallest over all of it."""

    low: float
    high: float
    """Infinite in the last range."""
    point: Point
    high_on_report: Interval | None
    """The price at which the next design takes over by the figures of ``report``: percentile bootstrap over
    examples; infinite where the next one is no more accurate there. None in the last range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MistakeAnswer:
    """The answer under one price of a mistake, and how sure it is."""

    axis: CostAxis
    price: float
    answer: Point
    total: Interval
    """Of the answer on ``report``: an example, in the unit of the axis."""
    select_total: float
    """What it was chosen by: optimistic."""
    best_of_kind: dict[CandidateKind, Point]
    """The smallest total of each kind on ``select``, the answer included."""
    runner_up: Point | None
    """Smallest total among all other kinds."""
    comparisons: tuple[TotalComparison, ...]
    """The answer against the best of every other kind, best first."""
    cannot_tell: bool
    """Whether the answer and the runner-up cannot be told apart on ``report``."""
    alike: tuple[Point, ...]
    """Those of `best_of_kind` that the answer cannot be told from."""
    price_range: PriceRange | None
    """The range of prices over which the answer stays; None where two tie at this price alone."""


def price_ranges(pool: Pool, front: Front) -> tuple[PriceRange, ...]:
    """Return the best design for every price of a mistake, from 0 up.

    Exact over all that was searched: whatever has the smallest total under some price is on the Pareto
    front. Right answers are whole numbers and costs are compared as the fractions that they are, so that
    what lies on the hull's line between two others is told from what lies below it. At 0 the cheapest
    design wins, in the last range the most accurate one.

    Args:
        pool: what ``front`` was searched in.
        front: the result of `explorer.analysis.search.exact.search`.

    Raises:
        UsageError: ``front`` is of another pool, or empty.
        ConventionError: costs on the front's axis are not paid by the example.
    """
    per_example = _per_example(front.axis)
    points = _points(pool, front)
    examples = len(pool.select_labels)
    lines = [(Fraction(point.select_cost), Fraction(_wrong(point, examples), examples)) for point in points]
    found = lower_envelope(lines)
    memo: Memo = {}
    ranges = []
    for number, (index, low, high) in enumerate(found):
        following = points[found[number + 1][0]] if number + 1 < len(found) else None
        on_report = None
        if following is not None:
            on_report = _takeover(pool, points[index].design, following.design, memo)
        ranges.append(
            PriceRange(
                low=low * per_example,
                high=high * per_example,
                point=points[index],
                high_on_report=on_report,
            )
        )
    return tuple(ranges)


def at_price(
    pool: Pool, front: Front, price: float, *, ranges: Sequence[PriceRange] | None = None
) -> MistakeAnswer:
    """Answer what to ship when a mistake costs ``price``.

    Args:
        pool: what ``front`` was searched in.
        front: the result of `explorer.analysis.search.exact.search`.
        price: of one mistake, in the unit of the front's axis.
        ranges: the result of `price_ranges`, if it is at hand.

    Raises:
        UsageError: a price that is negative or not finite; ``front`` is of another pool, or empty.
        ConventionError: costs on the front's axis are not paid by the example.
    """
    if not 0 <= price < math.inf:
        raise UsageError(f"the price of a mistake must be 0 or more, got {price}")
    per_example = _per_example(front.axis)
    points, examples = _points(pool, front), len(pool.select_labels)

    def preference(point: Point) -> tuple:
        total = point.select_cost * per_example + price * (_wrong(point, examples) / examples)
        return total, *design_order(point.design)

    kinds = front.fronts_by_kind or {
        kind: tuple(point for point in points if point.kind is kind)
        for kind in {point.kind for point in points}
    }
    best = {kind: min(of, key=preference) for kind, of in kinds.items() if of}
    ranked = sorted(best.values(), key=preference)
    answer = ranked[0]
    memo: Memo = {}
    comparisons = tuple(
        compare_totals(pool, answer.design, other.design, price, memo=memo) for other in ranked[1:]
    )
    ranges = price_ranges(pool, front) if ranges is None else ranges
    return MistakeAnswer(
        axis=front.axis,
        price=price,
        answer=answer,
        total=total_interval(pool, answer.design, price, memo=memo),
        select_total=preference(answer)[0],
        best_of_kind=best,
        runner_up=ranked[1] if len(ranked) > 1 else None,
        comparisons=comparisons,
        cannot_tell=bool(comparisons) and comparisons[0].verdict is Verdict.CANNOT_TELL,
        alike=tuple(
            other
            for other, comparison in zip(ranked[1:], comparisons, strict=True)
            if comparison.verdict is Verdict.CANNOT_TELL
        ),
        price_range=next((r for r in ranges if r.point.design == answer.design), None),
    )


def compare_totals(
    pool: Pool, first: Candidate, second: Candidate, price: float, *, memo: Memo | None = None
) -> TotalComparison:
    """Compare two designs' totals on ``report``, paired on the same examples.

    Percentile bootstrap of the examples' differences in total (a cascade's cost differs from example to
    example too), never narrower than what the sign test allows for the difference in error (see
    `explorer.analysis.bootstrap.paired_interval`), and widened in quadrature by the noise of
    the members' measured costs; what two designs share of that cancels.

    Raises:
        UsageError: a member is not in the pool.
        ConventionError: costs on the pool's axis are not paid by the example.
    """
    memo = {} if memo is None else memo
    scale, examples = _per_example(pool.axis), len(pool.report_labels)
    wrong, cost, weights = zip(
        *(_by_example(pool, design, "report", memo) for design in (first, second)), strict=True
    )
    cost_gaps, error_gaps = scale * (cost[0] - cost[1]), wrong[0].astype(np.int64) - wrong[1]
    value = float(cost_gaps.mean() + price * error_gaps.mean())
    drawn = _bootstrapped(cost_gaps + price * error_gaps)
    error = paired_interval(int((error_gaps > 0).sum()), int((error_gaps < 0).sum()), examples)
    signs = [float(cost_gaps.mean()) + price * end for end in (error.low, error.high)]
    below, above = _noise(pool, weights[0], weights[1])
    low = value - math.hypot(value - min(drawn[0], signs[0], value), scale * below)
    high = value + math.hypot(max(drawn[1], signs[1], value) - value, scale * above)
    difference = Interval(value=value, low=low, high=high, n=examples, method="bootstrap")
    verdict = Verdict.CANNOT_TELL
    if tells(difference):
        verdict = Verdict.BETTER if value < 0 else Verdict.WORSE
    return TotalComparison(
        first=first,
        second=second,
        price=price,
        difference=difference,
        error_difference=float(error_gaps.mean()),
        cost_difference=float(cost_gaps.mean()),
        verdict=verdict,
    )


def total_interval(pool: Pool, design: Candidate, price: float, *, memo: Memo | None = None) -> Interval:
    """Return a design's mean total on ``report``, with the interval of `compare_totals`.

    Raises:
        UsageError: a member is not in the pool.
        ConventionError: costs on the pool's axis are not paid by the example.
    """
    scale = _per_example(pool.axis)
    wrong, cost, weights = _by_example(pool, design, "report", {} if memo is None else memo)
    totals = scale * cost + price * wrong
    value = float(totals.mean())
    drawn = _bootstrapped(totals)
    below, above = _noise(pool, weights, {})
    return Interval(
        value=value,
        low=max(0.0, value - math.hypot(value - min(drawn[0], value), scale * below)),
        high=value + math.hypot(max(drawn[1], value) - value, scale * above),
        n=len(totals),
        method="bootstrap",
    )


def _per_example(axis: CostAxis) -> float:
    """Return what a figure on the axis is multiplied by to be of one example.

    Raises:
        ConventionError: it is not paid by the example, or a whole batch's.
    """
    kind = axis.kind
    if kind.composition is not Composition.EXPECTED:
        raise ConventionError(
            f"{kind.name} is not paid by the example: no price of a mistake compares with it; "
            "use money, price, energy, time_per_example or macs"
        )
    if axis.workload is not None and axis.workload.batch > 1 and kind.name == "latency":
        raise ConventionError(
            f"{axis} is the time of a whole call; with a price a mistake use time_per_example@{axis.device}"
        )
    return 1 / INFERENCES if kind.name in _A_MILLION else 1.0


def _points(pool: Pool, front: Front) -> tuple[Point, ...]:
    if front.pool != pool.summary:
        raise UsageError("this front was not searched in this pool; search again")
    if not front.points:
        raise UsageError("this front is empty; search first")
    return tuple(sorted(front.points, key=lambda point: design_order(point.design)))


def _wrong(point: Point, examples: int) -> int:
    return examples - round(point.select_accuracy * examples)


def _by_example(
    pool: Pool, design: Candidate, split: str, memo: Memo
) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Return where a design is wrong, what each example costs, and how often each member runs."""
    decisions, left_at = candidate_decisions(pool, design, split, memo=memo)
    costs = np.cumsum(stage_costs(pool, design))[left_at]
    stages = stages_of(design)
    runs: dict[int, float] = defaultdict(float)
    for stage, count in zip(stages, reached_counts(left_at, len(stages)), strict=True):
        for row in pool.rows(paying(pool, stage)):
            runs[row] += count / len(left_at)
    return decisions != pool.arrays(split)[1], costs, dict(runs)


def _bootstrapped(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of the mean of ``values`` ``[example]``: they take few values."""
    distinct, counts = np.unique(values, return_counts=True)
    return mean_interval(counts.tolist(), distinct.tolist())


def _noise(pool: Pool, first: dict[int, float], second: dict[int, float]) -> tuple[float, float]:
    """Return how far below and above the difference in cost may lie because members' costs are uncertain.

    Seeds of one model share one figure: what both designs run of it cancels. Models err apart, unless
    one predictor made all figures.
    """
    below: dict[ModelSpec, float] = defaultdict(float)
    above: dict[ModelSpec, float] = defaultdict(float)
    for row in first.keys() | second.keys():
        weight, figure = first.get(row, 0.0) - second.get(row, 0.0), pool.cost_figures[row]
        below[pool.members[row].model] += weight * (figure.value - figure.low)
        above[pool.members[row].model] += weight * (figure.high - figure.value)
    # what the second design runs more of errs the other way round
    down = [max(below[model], -above[model], 0.0) for model in below]
    up = [max(above[model], -below[model], 0.0) for model in below]
    if pool.basis in PREDICTED:
        return sum(down), sum(up)
    return math.hypot(*down), math.hypot(*up)


def _takeover(pool: Pool, before: Candidate, after: Candidate, memo: Memo) -> Interval:
    """Return the price at which ``after`` takes over on ``report``: more cost over fewer mistakes."""
    scale, examples = _per_example(pool.axis), len(pool.report_labels)
    wrong, cost, _ = zip(
        *(_by_example(pool, design, "report", memo) for design in (before, after)), strict=True
    )
    pairs = np.stack([scale * (cost[1] - cost[0]), wrong[0].astype(np.int64) - wrong[1]], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    shares = counts / examples
    drawn = np.random.default_rng(_SEED).multinomial(examples, shares, size=_DRAWS) / examples
    dearer, fewer = (np.vstack([shares, drawn]) @ distinct).T
    # no fewer mistakes: no price makes up for a higher cost, and any for a lower one
    prices = np.where(fewer > 0, np.maximum(dearer, 0) / np.where(fewer > 0, fewer, 1), np.inf)
    prices[(fewer <= 0) & (dearer <= 0)] = 0.0
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(prices[1:], [tail, 1 - tail], method="closest_observation")
    return Interval(value=float(prices[0]), low=float(low), high=float(high), n=examples, method="bootstrap")
