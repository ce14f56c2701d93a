"""Time calls: warm-up kept, raw samples kept, stopped by a rule that is stated.

Models are compared by interleaving: each round times every call once, in shuffled order, so that
a busy spell of the machine falls on all of them alike. A fixed reference workload can run in every
round (it halved the disagreement of repeated runs in our trials: 5.9 to 3.1 %).
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, Protocol, Unpack

from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.reference import REFERENCE
from explorer.measure.stopping import MIN_SAMPLES, StopOptions, StopRule, median_interval
from explorer.record import Conditions, CostFigure, LatencyRun

Call = Callable[[], object]
Clock = Callable[[], float]

_CHECK_GROWTH = 1.1
"""The stop rule sorts the samples, so it is asked again only after they grew by a tenth."""
LAUNCH_BOUND = 0.8
"""Share of a call's device time that the host spent launching it, from which launching sets the pace."""


class Step(NamedTuple):
    """A call to be timed, and what has to be done before it outside the timed span."""

    call: Call
    before: Call | None = None


class Timing(NamedTuple):
    """One call's time, and on devices that work beside the host, the host's part in it."""

    seconds: float
    """The sample: by the host's clock, or by the device's own where it has one."""
    host_s: float | None = None
    """Host clock from the call until the device had finished."""
    issue_s: float | None = None
    """Host clock from the call until it returned: the time to launch the work."""


class Timer(Protocol):
    """Times the calls of one round, in the order given."""

    def round(self, steps: Sequence[Step]) -> list[Timing]:
        """Return one timing a step."""
        ...


class HostTimer:
    """Times by the host's clock; ``synchronise``, where given, is waited for inside the span."""

    def __init__(self, clock: Clock = time.perf_counter, synchronise: Call | None = None) -> None:
        self._clock, self._synchronise = clock, synchronise

    def round(self, steps: Sequence[Step]) -> list[Timing]:
        """Time each step from a device at rest."""
        return [Timing(self._timed(*step)) for step in steps]

    def _timed(self, call: Call, before: Call | None) -> float:
        clock, synchronise = self._clock, self._synchronise
        if before is not None:
            before()
            if synchronise is not None:
                synchronise()
        begin = clock()
        call()
        if synchronise is not None:
            synchronise()
        return clock() - begin


@dataclass(slots=True)
class _Taken:
    """What was timed of one subject."""

    warmup: list[Timing] = field(default_factory=list)
    samples: list[Timing] = field(default_factory=list)

    def seconds(self) -> list[float]:
        return [timing.seconds for timing in self.samples]


def measure_latency(
    call: Call,
    *,
    subject: str,
    conditions: Conditions,
    clock: Clock = time.perf_counter,
    synchronise: Call | None = None,
    timer: Timer | None = None,
    **stop: Unpack[StopOptions],
) -> LatencyRun:
    """Time ``call`` until its median is steady or time is up.

    Args:
        call: what is timed; its result is dropped.
        subject: canonical text of the model or design.
        conditions: under what it runs; part of the record.
        clock: returns seconds; replaced in tests.
        synchronise: waits until the device has finished; called inside the timed span.
        timer: takes the samples in place of ``clock`` and ``synchronise``.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Raises:
        UsageError: impossible limits.
    """
    timer = timer or HostTimer(clock, synchronise)
    if synchronise is not None:
        synchronise()
    return measure_interleaved({subject: call}, conditions=conditions, clock=clock, timer=timer, **stop)[
        subject
    ]


def measure_interleaved(
    calls: Mapping[str, Call | Step],
    *,
    conditions: Conditions,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    synchronise: Call | None = None,
    timer: Timer | None = None,
    reference: Call | None = None,
    **stop: Unpack[StopOptions],
) -> dict[str, LatencyRun]:
    """Time several calls in rounds, each once a round in an order shuffled by ``seed``.

    Every call has as many samples as there were rounds. Sampling ends when all are steady, or when
    the rounds have taken ``max_seconds`` times the number of calls, the reference among them.

    Args:
        calls: subject -> what is timed; a `Step` where something precedes it outside the timed span.
        conditions: under what they all run.
        seed: of the order.
        clock: returns seconds; also what the time limits are judged by.
        synchronise: waits until the device has finished; called inside the timed span.
        timer: takes the samples in place of ``clock`` and ``synchronise``.
        reference: fixed work, timed in every round; see `normalised_samples_s`.
        stop: see `StopRule`.

    Returns:
        One run a call, by subject, in the order given.

    Raises:
        UsageError: no calls, or impossible limits.
    """
    if not calls:
        raise UsageError("nothing to measure: no calls were given")
    rule = StopRule(**stop)
    timer = timer or HostTimer(clock, synchronise)
    steps = {name: call if isinstance(call, Step) else Step(call) for name, call in calls.items()}
    if reference is not None:
        if REFERENCE in steps:
            raise UsageError(f"{REFERENCE!r} is the reference workload's name: no model can have it")
        steps[REFERENCE] = Step(reference)
    with _without_collector():
        if synchronise is not None:
            synchronise()
        taken = _rounds(steps, rule, timer, clock, random.Random(seed))
    beside = taken.pop(REFERENCE, None) if reference is not None else None
    shared: dict[str, object] = {"interleaved": len(taken)} if len(steps) > 1 else {}
    return {
        subject: LatencyRun(
            subject=subject,
            samples_s=tuple(one.seconds()),
            warmup_s=tuple(timing.seconds for timing in one.warmup),
            conditions=conditions,
            stop_reason="steady" if rule.steady(one.seconds()) else "time",
            observations=shared | _host_part(one.samples) | _beside(one.seconds(), beside),
        )
        for subject, one in taken.items()
    }


def _rounds(
    steps: Mapping[str, Step], rule: StopRule, timer: Timer, clock: Clock, random_order: random.Random
) -> dict[str, _Taken]:
    """Time rounds until all models are steady or time is up; the reference need not be steady."""
    taken = {subject: _Taken() for subject in steps}
    models = [subject for subject in steps if subject != REFERENCE] or list(steps)
    order = list(steps)

    def one_round() -> Iterator[tuple[str, Timing]]:
        random_order.shuffle(order)
        return zip(order, timer.round([steps[subject] for subject in order]), strict=True)

    for _ in range(rule.warmup):
        for subject, timing in one_round():
            taken[subject].warmup.append(timing)
    start, next_check, rounds = clock(), MIN_SAMPLES, 0
    while True:
        for subject, timing in one_round():
            taken[subject].samples.append(timing)
        rounds += 1
        elapsed = (clock() - start) / len(steps)
        if rounds < MIN_SAMPLES:
            continue
        if elapsed >= rule.max_seconds:
            return taken
        if elapsed >= rule.min_seconds and rounds >= next_check:
            if all(rule.steady(taken[subject].seconds()) for subject in models):
                return taken
            next_check = int(rounds * _CHECK_GROWTH) + 1


def _host_part(samples: Sequence[Timing]) -> dict[str, object]:
    """Say how the device's time compares to the host's, where the device has a clock of its own."""
    host = [timing.host_s for timing in samples if timing.host_s is not None]
    issue = [timing.issue_s for timing in samples if timing.issue_s is not None]
    if not host or not issue:
        return {}
    device = median(timing.seconds for timing in samples)
    return {
        "host_median_s": median(host),
        "issue_median_s": median(issue),
        "launch_bound": median(issue) >= LAUNCH_BOUND * device,
    }


def _beside(samples: Sequence[float], reference: _Taken | None) -> dict[str, object]:
    if reference is None:
        return {}
    times = reference.seconds()
    return {
        "reference": REFERENCE,
        "reference_median_s": median(times),
        "reference_ratio": median(_normalised(samples, times)) / median(samples),
        "reference_samples_s": tuple(times),
    }


def normalised_samples_s(run: LatencyRun) -> tuple[float, ...]:
    """Return the samples, each divided by how much slower than usual the reference was in its round.

    "Usual" is the reference's median over the same run: this takes out what the machine did during the
    run. Two runs are compared by dividing each by its ``reference_median_s``.

    Raises:
        UsageError: no reference was timed beside the run.
    """
    seen = run.observations.get("reference_samples_s")
    times = [float(time) for part in _parts(seen) for time in part]
    if len(times) != len(run.samples_s):
        raise UsageError(
            f"{run.subject} has {len(run.samples_s)} samples and {len(times)} of the reference workload: "
            "it was not timed beside it"
        )
    return tuple(_normalised(run.samples_s, times))


def _normalised(samples: Sequence[float], reference: Sequence[float]) -> list[float]:
    usual = median(reference)
    return [sample * usual / now for sample, now in zip(samples, reference, strict=True)]


def _parts(seen: object) -> list[Sequence[float]]:
    """Return the reference's samples as parts: one, or those of the runs that were pooled."""
    if not isinstance(seen, list | tuple):
        return []
    if seen and any(isinstance(part, list | tuple) or part is None for part in seen):
        return [part for one in seen for part in _parts(one)]
    return [seen]


def latency_figure(run: LatencyRun) -> CostFigure:
    """Return the median time of one call in seconds, with its 95 % interval by order statistics.

    Raises:
        UsageError: fewer samples than an interval needs.
    """
    low, high = median_interval(run.samples_s)
    return CostFigure(value=run.median_s, low=low, high=high, basis=Basis.MEASURED)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's garbage collector off inside: its pauses belong to no call, as in ``timeit``."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
