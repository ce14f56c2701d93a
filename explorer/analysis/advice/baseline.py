"""Did the front get worse since an earlier one, beyond what luck explains?

For each design of the earlier front: the best that costs no more today, chosen on ``select`` as ever, against
the earlier one on the same ``report`` examples. An earlier front knows which examples each of its designs
answered right, so that the comparison is paired even where the design no longer exists. Where the earlier
design's members were trained again, or are gone, the luck of their seeds counts as well. A front has hundreds
of designs: Holm's rule (1979) keeps the chance of any false alarm at 5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr

from explorer.analysis.binomial import at_most, normal_quantile
from explorer.analysis.bootstrap import paired_interval
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Interval, Point
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.analysis.statistics.guarantee import holm
from explorer.analysis.statistics.seeds import seed_deviation
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.record import CostFigure
from explorer.spec import Candidate

ALARM = 0.05
"""Chance of any false alarm over the whole front."""
_Z = normal_quantile(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One design of an earlier front."""

    design: Candidate
    select_cost: float
    cost_slack: float
    """How far above its value a measured cost's interval reached, as a share of the value; a count: 0."""
    accuracy: float
    """On ``report``."""
    n: int
    right: bytes | None
    """Which ``report`` examples it answered right, eight to a byte (`numpy.packbits`); None: not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """An earlier front, with what a later one is compared by."""

    dataset: str
    axis: CostAxis
    split_digest: str
    points: tuple[Kept, ...]


class Change(StrEnum):
    """What became of one design's place on the front."""

    SAME = "same"
    """Every example is answered as right as before."""
    WITHIN_NOISE = "within noise"
    BETTER = "better"
    """Beyond noise, after Holm's rule over the whole front."""
    WORSE = "worse"
    """Beyond noise and beyond the tolerance, after Holm's rule over the whole front."""
    DEARER = "dearer"
    """Nothing costs as little as it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One design of the earlier front, and the best that costs no more today."""

    before: Kept
    now: Point | None
    """None where everything costs more."""
    difference: Interval | None
    """Accuracy now minus before, on ``report``."""
    retrained: bool
    """Whether the earlier design answers otherwise today, or is gone: then seeds' luck is in the interval."""
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The verdict on a front."""

    checked: tuple[Checked, ...]
    seed_deviation: float | None
    """Standard deviation of an accuracy over seeds; None where no model has two seeds or none was needed."""
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Say whether no design's place got worse."""
        return all(one.change not in (Change.WORSE, Change.DEARER) for one in self.checked)


def baseline_of(pool: Pool, front: Front) -> Baseline:
    """Keep of a front what a later one can be compared by."""
    memo: Memo = {}
    return Baseline(
        dataset=front.pool.dataset,
        axis=front.axis,
        split_digest=front.pool.split_digest,
        points=tuple(
            Kept(
                design=point.design,
                select_cost=point.select_cost,
                cost_slack=slack_of(point.cost),
                accuracy=point.accuracy.value,
                n=point.accuracy.n,
                right=np.packbits(_right(pool, point.design, memo)).tobytes(),
            )
            for point in front.points
        ),
    )


def slack_of(cost: CostFigure) -> float:
    """Return how far above its value a cost may be found again, as a share of the value.

    What was counted is found again exactly: the interval of a cascade's count is about other examples.
    """
    return 0.0 if cost.basis is Basis.COUNTED or not cost.value else cost.high / cost.value - 1


def check_front(
    pool: Pool, front: Front, baseline: Baseline, *, tolerance: float = 0.0, cost_tolerance: float = 0.0
) -> Check:
    """Compare a front with an earlier one of the same data set, split and cost.

    Args:
        pool: what ``front`` was searched in.
        front: today's.
        baseline: the earlier one.
        tolerance: loss of accuracy that is accepted, a share.
        cost_tolerance: rise of cost that is accepted, a share, beyond the interval of the earlier figure.

    Raises:
        ConventionError: another data set, split or cost axis.
        UsageError: a tolerance that is not a share, or a baseline without designs.
    """
    for name, value in (("tolerance", tolerance), ("cost tolerance", cost_tolerance)):
        if not 0 <= value < 1:
            raise UsageError(f"{name} is a share of at least 0 and below 1; got {value:g}")
    if not baseline.points:
        raise UsageError("the baseline holds no design: nothing to compare with")
    _check_same(front, baseline)
    memo: Memo = {}
    found = [_matched(pool, front, kept, cost_tolerance, memo) for kept in baseline.points]
    deviation, notes = _seeds(pool, any(one.retrained for one in found))
    judged = [_judged(pool, one, deviation, tolerance, memo) for one in found]
    return Check(
        checked=_after_holm([one for one, _ in judged], np.array([p for _, p in judged])),
        seed_deviation=deviation,
        notes=notes + _unpaired_notes(baseline.points),
    )


def _check_same(front: Front, baseline: Baseline) -> None:
    pairs = (
        ("data set", baseline.dataset, front.pool.dataset),
        ("cost", str(baseline.axis), str(front.axis)),
        ("split", baseline.split_digest[:12], front.pool.split_digest[:12]),
    )
    for what, before, now in pairs:
        if before != now:
            raise ConventionError(f"the baseline is of {what} {before}, this front of {now}: not comparable")


def _matched(pool: Pool, front: Front, kept: Kept, cost_tolerance: float, memo: Memo) -> Checked:
    """Find what is best today at the earlier design's cost."""
    limit = kept.select_cost * (1 + kept.cost_slack) * (1 + cost_tolerance)
    affordable = [point for point in front.points if point.select_cost <= limit]
    return Checked(
        before=kept,
        # a front is sorted by cost, and of what is affordable the dearest is the most accurate
        now=affordable[-1] if affordable else None,
        difference=None,
        retrained=_retrained(pool, kept, memo),
        change=Change.WITHIN_NOISE if affordable else Change.DEARER,
    )


def _retrained(pool: Pool, kept: Kept, memo: Memo) -> bool:
    if not set(kept.design.members) <= set(pool.members):
        return True
    right = _right(pool, kept.design, memo)
    if kept.right is None:
        return round(kept.accuracy * kept.n) != int(right.sum())
    return np.packbits(right).tobytes() != kept.right


def _seeds(pool: Pool, needed: bool) -> tuple[float | None, tuple[str, ...]]:
    if not needed:
        return None, ()
    try:
        return seed_deviation(pool), ()
    except UsageError as error:
        return None, (f"members were trained again, and {error}: only the examples' luck is counted",)


def _judged(
    pool: Pool, one: Checked, deviation: float | None, tolerance: float, memo: Memo
) -> tuple[Checked, float]:
    """Return one design with its difference, and the p-value of "no worse than the tolerance allows".

    A difference upwards gets the p-value of "no better", as a negative number.
    """
    if one.now is None:
        return one, 1.0
    kept, n = one.before, one.before.n
    now = _right(pool, one.now.design, memo)
    seeds = 2 * deviation**2 if one.retrained and deviation is not None else 0.0
    if kept.right is None:
        interval, variance, sign = _unpaired(float(now.mean()), kept.accuracy, n), None, None
    else:
        before = np.unpackbits(np.frombuffer(kept.right, np.uint8), count=n).astype(bool)
        won, lost = int((now & ~before).sum()), int((before & ~now).sum())
        interval, variance = paired_interval(won, lost, n), (won + lost - (won - lost) ** 2 / n) / n**2
        sign = (won, lost)
        if won == lost == 0:
            return replace(one, difference=interval, change=Change.SAME), 1.0
    half_down, half_up = interval.value - interval.low, interval.high - interval.value
    # not the sum: how seeds scatter on the examples at hand holds the examples they disagree about
    wide = replace(
        interval,
        low=interval.value - max(half_down, _Z * seeds**0.5),
        high=interval.value + max(half_up, _Z * seeds**0.5),
        method=f"{interval.method} and seeds" if seeds else interval.method,
    )
    if variance is None:
        variance = (half_down / _Z) ** 2
    p = _p_value(interval.value, tolerance, max(variance, seeds), None if seeds or tolerance else sign)
    return replace(one, difference=wide), p


def _p_value(value: float, tolerance: float, variance: float, sign: tuple[int, int] | None) -> float:
    """Return the one-sided p-value of a fall; of a rise, negative."""
    worse = value < 0
    if sign is not None:
        fewer, both = min(sign), sum(sign)
        p = at_most(fewer, both, 0.5)
    else:
        allowed = tolerance if worse else 0.0
        p = float(ndtr((allowed - abs(value)) / variance**0.5)) if variance else 1.0
    return p if worse else -p


def _unpaired(now: float, before: float, n: int) -> Interval:
    half = _Z * ((now * (1 - now) + before * (1 - before)) / n) ** 0.5
    return Interval(
        value=now - before, low=now - before - half, high=now - before + half, n=n, method="unpaired"
    )


def _after_holm(checked: Sequence[Checked], p_values: np.ndarray) -> tuple[Checked, ...]:
    worse = holm(np.where(p_values > 0, p_values, 1.0), ALARM)
    better = holm(np.where(p_values < 0, -p_values, 1.0), ALARM)
    return tuple(
        replace(one, change=Change.WORSE if fell else Change.BETTER if rose else one.change)
        for one, fell, rose in zip(checked, worse, better, strict=True)
    )


def _unpaired_notes(points: Sequence[Kept]) -> tuple[str, ...]:
    without = sum(kept.right is None for kept in points)
    if not without:
        return ()
    return (
        f"{without} of {len(points)} designs of the baseline come without their right answers: compared "
        "unpaired, which sees less; a baseline written by `explorer check --write` has them",
    )


def _right(pool: Pool, design: Candidate, memo: Memo) -> np.ndarray:
    return np.asarray(candidate_decisions(pool, design, "report", memo=memo)[0] == pool.report_labels)
