"""Work out how long an ensemble takes under a placement, from its members' times and a measured factor.

A **placement** is how the members of one ensemble share a device or several:

    sequential      one after the other
    streams         each on a CUDA stream of its own
    graph           one after the other in one CUDA graph
    graph+streams   one CUDA graph with a branch for each member
    batched         one pass with the members' weights stacked; one architecture only
    parallel:W      W workers that keep their members: processes of one thread on a CPU, otherwise devices

The **interference factor** says how much longer the whole takes than its ideal, the time it would take
if members ran together as fast as alone. It is measured, never assumed: where it was not, the time of
a placement is a bound, or nothing is said.
"""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite

from explorer.convention import Basis
from explorer.errors import ConventionError, UsageError, unknown_name
from explorer.record import CostFigure


class Placing(StrEnum):
    """A way to place members; see the module's text."""

    SEQUENTIAL = "sequential"
    STREAMS = "streams"
    GRAPH = "graph"
    GRAPH_STREAMS = "graph+streams"
    BATCHED = "batched"
    PARALLEL = "parallel"


_PARALLEL = re.compile(r"parallel:([1-9][0-9]*)")
_KNOWN = (*(str(kind) for kind in Placing if kind is not Placing.PARALLEL), "parallel:W")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How the members of one ensemble are run.

    >>> str(Placement.parse("parallel:2"))
    'parallel:2'
    """

    kind: Placing
    workers: int = 1
    """Processes or devices; 1 for all kinds but ``parallel``."""

    @staticmethod
    def parse(text: str) -> "Placement":
        """Read the text of a placement.

        Raises:
            UsageError: no such placement.
        """
        wanted = text.strip().lower()
        if match := _PARALLEL.fullmatch(wanted):
            return Placement(kind=Placing.PARALLEL, workers=int(match[1]))
        if wanted not in _KNOWN:
            raise unknown_name("placement", text, _KNOWN)
        return Placement(kind=Placing(wanted))

    def __str__(self) -> str:
        return f"{self.kind}:{self.workers}" if self.kind is Placing.PARALLEL else str(self.kind)


class Reference(StrEnum):
    """What the time of a whole ensemble is divided by."""

    IDEAL = "ideal"
    """Members as fast as alone, each worker's one after the other, then the combination of their outputs."""
    SUM = "sum"
    """All members one after the other, without the combination."""
    SLOWEST = "slowest"
    """The slowest member alone, without the combination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interference:
    """How long an ensemble took under a placement, over what its members took alone in the same run."""

    placement: Placement
    against: Reference = Reference.IDEAL
    factor: float
    """1: members ran together as fast as alone."""
    low: float
    high: float
    basis: Basis
    """``measured`` on the very ensemble; ``fitted`` where it is pooled over other ensembles."""

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.factor <= self.high < inf:
            raise UsageError(
                "an interference factor needs 0 < low <= factor <= high, "
                f"got {self.low!r}, {self.factor!r}, {self.high!r}"
            )


def assign(times: Sequence[float], workers: int) -> tuple[tuple[int, ...], ...]:
    """Deal members to workers, longest first, each to the worker with the least to do.

    Within 4/3 - 1/(3 workers) of the best makespan (R. L. Graham, Bounds on multiprocessing timing
    anomalies, 1969). Workers without a member are left out.

    Returns:
        Members' indices in rising order, ``[worker][...]``.

    Raises:
        UsageError: fewer than one worker, no members, or a time that is negative or not a number.
    """
    _check_times(times)
    if workers < 1:
        raise UsageError(f"members need 1 worker or more, got {workers}")
    loads = [0.0] * workers
    dealt: list[list[int]] = [[] for _ in range(workers)]
    for member in sorted(range(len(times)), key=lambda index: -times[index]):
        worker = min(range(workers), key=lambda index: (loads[index], len(dealt[index]), index))
        loads[worker] += times[member]
        dealt[worker].append(member)
    return tuple(tuple(sorted(part)) for part in dealt if part)


def reference_time(
    times: Sequence[float],
    against: Reference,
    placement: Placement,
    *,
    combination: float = 0.0,
    assignment: Sequence[Sequence[int]] | None = None,
) -> float:
    """Return what an ensemble's time is divided by, in the unit of ``times``.

    Args:
        times: of the members alone.
        against: which reference.
        placement: matters for the ideal of ``parallel``: its busiest worker.
        combination: time of averaging the members' outputs; part of the ideal alone.
        assignment: members of each worker; `assign` deals where it is None.
    """
    _check_times(times)
    if against is Reference.SLOWEST:
        return max(times)
    if against is Reference.SUM:
        return sum(times)
    if placement.kind is not Placing.PARALLEL:
        return sum(times) + combination
    dealt = assign(times, placement.workers) if assignment is None else assignment
    return max(sum(times[member] for member in part) for part in dealt) + combination


def pool_interference(found: Sequence[Interference]) -> Interference:
    """Return one factor for ensembles that were not measured, from those that were.

    The factor is the median of theirs; the interval reaches from the lowest to the highest of theirs.
    A further ensemble of the same population falls outside that range of n with probability 2 / (n + 1)
    (exchangeability), so n = 19 make a 90 % interval. Fewer make a narrower one than that.

    Raises:
        ConventionError: factors of different placements or references.
        UsageError: fewer than two.
    """
    if len(found) < 2:
        raise UsageError(f"a pooled interference factor needs 2 ensembles or more, got {len(found)}")
    kinds = {(str(one.placement), str(one.against)) for one in found}
    if len(kinds) > 1:
        listed = ", ".join(f"{placement} against {against}" for placement, against in sorted(kinds))
        raise ConventionError(f"these interference factors cannot be pooled: {listed}")
    factors = [one.factor for one in found]
    return Interference(
        placement=found[0].placement,
        against=found[0].against,
        factor=statistics.median(factors),
        low=min(factors),
        high=max(factors),
        basis=Basis.FITTED,
    )


def compose_latency(
    members: Sequence[CostFigure],
    placement: Placement,
    interference: Interference | None = None,
    *,
    combination: CostFigure | None = None,
) -> CostFigure:
    """Return the time of an ensemble from its members' times.

    With a factor: its reference over the members, times the factor, the intervals' ends multiplied;
    composed. Without one: ``sequential`` is the sum, composed. For ``streams`` and ``parallel`` the time
    is a bound: no better than all work shared out evenly, and no better than the slowest member. It has
    no upper end: the sum, what running one after the other takes, is not one, as small members on two
    processes were measured to take longer (benchmarks/results/placements_cpu.md). ``graph`` and
    ``batched`` change what a member itself costs: nothing can be said.

    The ends of members' intervals are added: their errors share causes, so they are not taken to cancel.

    Args:
        members: time of each member alone, in seconds a call, all for the same workload.
        placement: how they are run.
        interference: measured or pooled factor of this placement.
        combination: time of averaging the outputs; None where it is not known or in the factor.

    Raises:
        UsageError: no members, a time that is negative or not finite, or a factor is needed and missing.
        ConventionError: the factor is of another placement, or a figure is no time (``counted``).
    """
    _check_figures(members)
    extra = combination or CostFigure(value=0.0, low=0.0, high=0.0, basis=Basis.MEASURED)
    used = (*members, extra)
    if interference is None:
        if placement.kind is Placing.SEQUENTIAL:
            low, value, high = (sum(ends) for ends in zip(*map(_ends, used), strict=True))
            return CostFigure(value=value, low=low, high=high, basis=_weakest(used))
        return _bound(members, placement, extra)
    if interference.placement != placement:
        raise ConventionError(
            f"an interference factor of {interference.placement} was given for members placed {placement}"
        )
    dealt = assign([figure.value for figure in members], placement.workers)
    low, value, high = (
        reference_time(times[:-1], interference.against, placement, combination=times[-1], assignment=dealt)
        * factor
        for times, factor in zip(
            zip(*map(_ends, used), strict=True),
            (interference.low, interference.factor, interference.high),
            strict=True,
        )
    )
    return CostFigure(value=value, low=low, high=high, basis=_weakest((*used, interference)))


def _bound(members: Sequence[CostFigure], placement: Placement, extra: CostFigure) -> CostFigure:
    if placement.kind not in (Placing.STREAMS, Placing.PARALLEL):
        raise UsageError(
            f"what an ensemble placed {placement} takes does not follow from its members' times: "
            "it needs a measured interference factor"
        )
    workers = placement.workers if placement.kind is Placing.PARALLEL else len(members)
    lows = [figure.low for figure in members]
    low = max(*lows, sum(lows) / workers) + extra.low if len(lows) > 1 else lows[0] + extra.low
    return CostFigure(value=low, low=low, high=inf, basis=Basis.BOUND)


def _ends(figure: CostFigure) -> tuple[float, float, float]:
    return figure.low, figure.value, figure.high


_STRENGTH = (
    Basis.MEASURED,
    Basis.COMPOSED,
    Basis.FITTED,
    Basis.TRANSFERRED,
    Basis.COMPILED,
    Basis.PUBLISHED,
    Basis.BOUND,
)
"""Bases of a time, strongest first: a whole stands on the weakest of its parts."""


def _weakest(parts: Sequence[CostFigure | Interference]) -> Basis:
    """Return what a composed time stands on; measured parts make a composed whole."""
    weakest = max((part.basis for part in parts), key=_STRENGTH.index)
    return Basis.COMPOSED if weakest is Basis.MEASURED else weakest


def _check_figures(members: Sequence[CostFigure]) -> None:
    _check_times([figure.value for figure in members])
    for figure in members:
        if figure.basis not in _STRENGTH:
            raise ConventionError(f"a {figure.basis} figure is no time: latencies cannot be composed of it")
        if not (0.0 <= figure.low <= figure.value <= figure.high and isfinite(figure.value)):
            raise UsageError(f"not an interval around its value: {figure}")


def _check_times(times: Sequence[float]) -> None:
    if not times:
        raise UsageError("an ensemble needs the time of 1 member or more, got none")
    if not all(time >= 0.0 for time in times):  # an interval may end at infinity; NaN is refused here
        raise UsageError(f"times of members must be 0 or more, got {list(times)}")
