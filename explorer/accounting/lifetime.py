"""What a design costs over its life: its trainings once, and then every example it answers.

``total(volume) = training + serving x volume``. Two such lines cross at most once, at the break-even volume
``(T2 - T1) / (S1 - S2)``; of many designs the cheapest at each volume is the lower envelope of their lines.

Intervals are added end to end and opposed in differences, not squared: training and serving are paid at one
price on one machine, so their errors may well have one direction. Prices are taken as they are written,
however old; their dates and sources come along.
"""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from explorer.accounting.money import INFERENCES, SECONDS_PER_HOUR
from explorer.convention import Basis
from explorer.data.prices import Price
from explorer.errors import UsageError, unknown_name
from explorer.record import CostFigure

_WEAKEST_FIRST = (
    Basis.BOUND,
    Basis.TRANSFERRED,
    Basis.FITTED,
    Basis.COMPILED,
    Basis.PUBLISHED,
    Basis.COMPOSED,
    Basis.MEASURED,
    Basis.COUNTED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One training that has to be paid for once, whatever is made of it."""

    member: str
    """Canonical text of the member it makes."""
    seconds: CostFigure
    """Time of this member alone: of several trained side by side, its share."""
    price: Price
    units: float = 1.0
    """How many priced units were busy: cards, chips, virtual CPUs."""
    teachers: tuple[str, ...] = ()
    """Members whose answers it learned; they had to be trained first."""
    goes_on_from: tuple[str, ...] = ()
    """Members that are earlier snapshots of the same run: their parts of it came first."""

    def __post_init__(self) -> None:
        _check_figure(self.seconds, f"training time of {self.member}")
        if not 0 < self.units < math.inf:
            raise UsageError(f"units must be a number above 0, got {self.units}")

    @property
    def usd(self) -> CostFigure:
        """What the run costs at its price."""
        return _scaled(self.seconds, self.price.usd_per_hour * self.units / SECONDS_PER_HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeCost:
    """What a design costs before its first example, and with every one."""

    design: str
    runs: tuple[TrainingRun, ...]
    """Trainings to pay, each once, by member."""
    taught_by: tuple[str, ...]
    """Those of ``runs`` that are paid only because a member learned from them."""
    gone_on_from: tuple[str, ...]
    """Those of ``runs`` that are paid only because a member's run goes on from them."""
    teachers_left_out: tuple[str, ...]
    """Teachers that are not paid here, because they were asked to be left out."""
    usd_per_million: CostFigure
    """Serving, for a million examples."""
    serving_price: Price | None
    """What an hour of the serving device costs; None where a seller charges by the call."""

    @property
    def training_usd(self) -> CostFigure:
        """All trainings together; nothing where there is none to pay."""
        if not self.runs:
            return CostFigure(value=0.0, low=0.0, high=0.0, basis=Basis.COUNTED)
        return _sum([run.usd for run in self.runs])

    @property
    def prices(self) -> tuple[Price, ...]:
        """Every price that the figures stand on, with date and source; oldest first."""
        used = [run.price for run in self.runs]
        used += [] if self.serving_price is None else [self.serving_price]
        return tuple(sorted(dict.fromkeys(used), key=lambda price: (price.date, price.device, price.source)))

    def old_prices(self, today: datetime.date | None = None) -> tuple[Price, ...]:
        """Return those of `prices` that are older than a year."""
        return tuple(price for price in self.prices if price.is_old(today))

    def total(self, volume: float) -> CostFigure:
        """Return USD for training and ``volume`` examples.

        Raises:
            UsageError: a volume that is negative or not finite.
        """
        _check_volume(volume)
        return _sum([self.training_usd, _scaled(self.usd_per_million, volume / INFERENCES)])


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which volume on the second of two designs' costs is the lower one."""

    first: str
    second: str
    volume: float | None
    """Examples at which both cost the same; None where one is never cheaper than the other."""
    low: float
    """Fewest examples at which the intervals allow both to cost the same; infinite: at none."""
    high: float
    """Most of them; infinite where the dearer-to-train design need not be the cheaper one to serve."""
    cheaper_below: str | None
    """Cheaper below the volume; None where both cost the same throughout."""
    cheaper_above: str | None
    """Cheaper above it: the same design where there is no break-even."""

    @property
    def certain(self) -> bool:
        """Whether the intervals bear out that there is a break-even, or that there is none."""
        return math.isfinite(self.high) if self.volume is not None else math.isinf(self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRow:
    """What every design costs at one volume."""

    volume: float
    totals: tuple[CostFigure, ...]
    """USD, in the order of the designs."""
    cheapest: str
    alike: tuple[str, ...]
    """Other designs whose interval meets that of the cheapest: cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRange:
    """A range of volumes with the design that is cheapest over all of it."""

    low: float
    high: float
    """Infinite in the last range."""
    design: str


def lifetime_cost(
    design: str,
    members: Sequence[str],
    runs: Mapping[str, TrainingRun],
    usd_per_million: CostFigure,
    *,
    serving_price: Price | None = None,
    teachers: bool = True,
) -> LifetimeCost:
    """Return what a design costs over its life.

    A member is trained once, however often the design names it. A distilled one could not have been made
    without its teachers: their trainings are paid too, and those of their teachers. A snapshot could not have
    been made without the part of its run before it.

    Args:
        design: canonical text.
        members: the texts of its members, repeats allowed.
        runs: member's text -> its training.
        usd_per_million: serving a million examples.
        serving_price: what the serving figure stands on.
        teachers: whether to pay for teachers that are no members of the design themselves.

    Raises:
        UsageError: no members, or the training of one is not known.
    """
    if not members:
        raise UsageError(f"{design} has no members to train")
    _check_figure(usd_per_million, f"serving cost of {design}")
    gone_on_from = _needed(members, runs, lambda run: run.goes_on_from)
    own = dict.fromkeys((*members, *gone_on_from))
    taught_by = _needed(tuple(own), runs, lambda run: (*run.teachers, *run.goes_on_from))
    paid = sorted((*own, *taught_by) if teachers else own)
    return LifetimeCost(
        design=design,
        runs=tuple(_run(member, runs) for member in paid),
        taught_by=taught_by if teachers else (),
        gone_on_from=gone_on_from,
        teachers_left_out=() if teachers else taught_by,
        usd_per_million=usd_per_million,
        serving_price=serving_price,
    )


def break_even(first: LifetimeCost, second: LifetimeCost) -> BreakEven:
    """Return the volume at which two designs cost the same.

    Trainings that both need cancel, with their errors; all else is taken to err apart.
    """
    shared = {run.member for run in first.runs if run in second.runs}
    training = _difference(_training_without(second, shared), _training_without(first, shared))
    serving = _difference(first.usd_per_million, second.usd_per_million)
    flipped = training.value < 0 or (training.value == 0 and serving.value > 0)
    if flipped:  # seen from the design that is cheaper to train; equal: from the one cheaper to serve
        first, second, training, serving = second, first, _negated(training), _negated(serving)
    low, high = _crossing_interval(training, serving)
    crosses = training.value > 0 and serving.value > 0
    equal = training.value == 0 and serving.value == 0
    names = (second.design, first.design) if flipped else (first.design, second.design)
    return BreakEven(
        first=names[0],
        second=names[1],
        volume=training.value / serving.value * INFERENCES if crosses else None,
        low=low * INFERENCES,
        high=high * INFERENCES,
        cheaper_below=None if equal else first.design,
        cheaper_above=None if equal else second.design if crosses else first.design,
    )


def volume_table(costs: Sequence[LifetimeCost], volumes: Sequence[float]) -> tuple[VolumeRow, ...]:
    """Return what each design costs at each volume; of equals the first one is called cheapest.

    Raises:
        UsageError: no designs, or a volume that is negative or not finite.
    """
    _check_designs(costs)
    rows = []
    for volume in volumes:
        totals = tuple(cost.total(volume) for cost in costs)
        best = min(range(len(costs)), key=lambda index: totals[index].value)
        alike = tuple(
            cost.design
            for index, cost in enumerate(costs)
            if index != best and totals[index].low <= totals[best].high
        )
        rows.append(VolumeRow(volume=volume, totals=totals, cheapest=costs[best].design, alike=alike))
    return tuple(rows)


def cheapest_ranges(costs: Sequence[LifetimeCost]) -> tuple[VolumeRange, ...]:
    """Return which design is cheapest at which volumes, exact for the figures' values.

    Raises:
        UsageError: no designs.
    """
    _check_designs(costs)
    lines = [(cost.training_usd.value, cost.usd_per_million.value) for cost in costs]
    return tuple(
        VolumeRange(low=low * INFERENCES, high=high * INFERENCES, design=costs[index].design)
        for index, low, high in lower_envelope(lines)
    )


def lower_envelope(
    lines: Sequence[tuple[float | Fraction, float | Fraction]],
) -> tuple[tuple[int, float, float], ...]:
    """Return which of the lines ``start + slope x t`` is lowest where, for t from 0 up.

    Exact: starts and slopes are compared as the fractions that they are. Lines that only touch the envelope
    in a point are not on it; of equal lines the first one stays.

    Args:
        lines: (start, slope) of each, finite.

    Returns:
        (index, from, to) in the order of t; the last range ends at infinity.

    Raises:
        UsageError: no lines, or one that is not finite.
    """
    if not lines or not all(math.isfinite(number) for line in lines for number in line):
        raise UsageError(f"an envelope needs at least 1 line, all finite, got {lines!r:.80}")
    exact = [(Fraction(start), Fraction(slope)) for start, slope in lines]
    at = Fraction(0)
    # lowest at 0; of those the one that stays lowest right after
    index = min(range(len(exact)), key=lambda line: (*exact[line], line))
    ranges: list[tuple[int, float, float]] = []
    while True:
        start, slope = exact[index]
        overtaking = [
            ((other_start - start) / (slope - other_slope), other_slope, line)
            for line, (other_start, other_slope) in enumerate(exact)
            if other_slope < slope
        ]
        if not overtaking:
            return (*ranges, (index, float(at), math.inf))
        until, _, following = min(overtaking)
        ranges.append((index, float(at), float(until)))
        at, index = until, following


def _needed(
    members: Sequence[str],
    runs: Mapping[str, TrainingRun],
    first: Callable[[TrainingRun], tuple[str, ...]],
) -> tuple[str, ...]:
    """Return who had to be trained before the members, and who before those, themselves left out; sorted."""
    known, waiting = set(members), list(members)
    while waiting:
        for needed in first(_run(waiting.pop(), runs)):
            if needed not in known:
                known.add(needed)
                waiting.append(needed)
    return tuple(sorted(known - set(members)))


def _run(member: str, runs: Mapping[str, TrainingRun]) -> TrainingRun:
    if member not in runs:
        raise unknown_name("training of member", member, runs)
    return runs[member]


def _training_without(cost: LifetimeCost, members: set[str]) -> CostFigure:
    rest = [run.usd for run in cost.runs if run.member not in members]
    return _sum(rest) if rest else CostFigure(value=0.0, low=0.0, high=0.0, basis=Basis.COUNTED)


def _crossing_interval(training: CostFigure, serving: CostFigure) -> tuple[float, float]:
    """Return the smallest and largest t >= 0 at which ``training = serving x t`` is possible; inf: none."""
    if training.low >= 0 and serving.high <= 0:
        return math.inf, math.inf
    if training.low <= 0:
        # no training to make up for, at one end: the lines may start together, and one may be below for good
        return 0.0, training.high / serving.low if serving.low > 0 else math.inf
    return training.low / serving.high, training.high / serving.low if serving.low > 0 else math.inf


def _sum(figures: Sequence[CostFigure]) -> CostFigure:
    return CostFigure(
        value=math.fsum(figure.value for figure in figures),
        low=math.fsum(figure.low for figure in figures),
        high=math.fsum(figure.high for figure in figures),
        basis=_joined_basis([figure.basis for figure in figures]),
    )


def _difference(first: CostFigure, second: CostFigure) -> CostFigure:
    return _sum([first, _negated(second)])


def _negated(figure: CostFigure) -> CostFigure:
    return CostFigure(value=-figure.value, low=-figure.high, high=-figure.low, basis=figure.basis)


def _scaled(figure: CostFigure, factor: float) -> CostFigure:
    # an end that is open stays open, but nothing of it is nothing
    low, high = ((0.0 if factor == 0 else end * factor) for end in (figure.low, figure.high))
    return CostFigure(value=figure.value * factor, low=low, high=high, basis=figure.basis)


def _joined_basis(bases: Sequence[Basis]) -> Basis:
    """Return what a sum stands on: the weakest of its parts; a sum of measured figures was not measured."""
    weakest = min(bases, key=_WEAKEST_FIRST.index)
    return Basis.COMPOSED if weakest is Basis.MEASURED and len(bases) > 1 else weakest


def _check_figure(figure: CostFigure, what: str) -> None:
    if not (0 <= figure.low <= figure.value <= figure.high and math.isfinite(figure.value)):
        raise UsageError(f"{what} must be finite, 0 or more and within its interval, got {figure}")


def _check_volume(volume: float) -> None:
    if not 0 <= volume < math.inf:
        raise UsageError(f"a volume is a number of examples, 0 or more, got {volume}")


def _check_designs(costs: Sequence[LifetimeCost]) -> None:
    if not costs:
        raise UsageError("no designs to compare over their lifetimes")
