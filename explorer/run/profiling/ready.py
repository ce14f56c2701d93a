"""Make one row ready to be timed, its caches as warm as in use."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from explorer.errors import UsageError
from explorer.measure.memory_limits import OutOfMemory, is_out_of_memory, out_of_memory
from explorer.measure.precision import measuring
from explorer.measure.runtime import Prepared, prepare
from explorer.run.profiling.devices import here
from explorer.run.profiling.plan import Job
from explorer.run.profiling.subjects import network, open_onnx
from explorer.workload import Runtime

_COLD_MATTERS_S = 0.05
"""On CPUs, shorter calls are preceded by untimed ones. What ran before, another model or the reference
workload, has emptied the caches; to fill them again takes some tenths of a millisecond, which made a network
of 17 microseconds look 17 times slower, and one of 8 milliseconds no slower."""
_REFILL_S = 0.001
"""Untimed calls go on for so long, and are one at least."""
_MOST_CALLS = 100
_TRIALS = 3


def make_ready(job: Job, seed: int) -> Prepared | OutOfMemory | str:
    """Build the job's network with random weights and prepare it; or return why that is not possible.

    Raises:
        EnvironmentMissingError: the device or a package is not here.
    """
    subject = job.subject
    try:
        model = network(subject)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return out_of_memory(job.workload, error)
    try:
        found = prepare(
            model,
            here(job.workload),
            channels=subject.channels,
            resolution=subject.resolution,
            seed=seed,
            open_onnx=open_onnx if job.workload.runtime is Runtime.ONNXRUNTIME else None,
        )
    except UsageError as error:
        return str(error)
    return _warmed(found) if isinstance(found, Prepared) else found


def _warmed(ready: Prepared) -> Prepared:
    """Let untimed calls precede each timed one, where the caches' state decides the time.

    One call after the other is what the figure stands for. On GPUs nothing is done here: their cache is
    emptied before each call on purpose, and the observations say so.
    """
    if ready.conditions.device != "cpu":
        return ready
    usual = _call_s(ready)
    if usual >= _COLD_MATTERS_S:
        return ready
    calls = min(_MOST_CALLS, max(1, math.ceil(_REFILL_S / usual)))
    return replace(
        ready,
        before=_in_turn(ready.before, ready.call, calls),
        observations={**ready.observations, "untimed_calls_before_each": calls},
    )


def _call_s(ready: Prepared) -> float:
    """Return the shortest of a few calls."""
    times = []
    with measuring(ready.workload):
        for _ in range(_TRIALS):
            if ready.before is not None:
                ready.before()
            start = time.perf_counter()
            ready.call()
            times.append(time.perf_counter() - start)
    return min(times)


def _in_turn(
    first: Callable[[], object] | None, second: Callable[[], object], times: int
) -> Callable[[], object]:
    def both() -> None:
        if first is not None:
            first()
        for _ in range(times):
            second()

    return both
