"""Time torch models on a device, and leave model and process as they were."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Unpack

import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure.environment import conditions, find_device
from explorer.measure.latency import Call, Clock, Step, Timer, measure_interleaved, measure_latency
from explorer.measure.memory_limits import OutOfMemory, is_out_of_memory, out_of_memory
from explorer.measure.observe import Observation, doubtful_reasons, observe
from explorer.measure.precision import limited_threads, measuring
from explorer.measure.reference import reference_call
from explorer.measure.runtime import Prepared
from explorer.measure.stopping import StopOptions
from explorer.record import LatencyRun

__all__ = ["device_wait", "limited_threads", "measure_prepared", "model_latency"]

_WARM_SECONDS = 1.0


def measure_prepared(
    prepared: Mapping[str, Prepared],
    *,
    seed: int = 0,
    reference: bool = True,
    warm_seconds: float | None = None,
    clock: Clock = time.perf_counter,
    **stop: Unpack[StopOptions],
) -> dict[str, LatencyRun | OutOfMemory]:
    """Time what `explorer.measure.runtime.prepare` made ready, interleaved, under its workload.

    The process is set up as the workload says, and restored after. The machine is looked at before
    and after; what was seen goes into each run's observations: those of the preparation, ``before``,
    ``after``, ``doubtful`` (reasons), ``prepare_s``, ``first_call_s``, ``memory_bytes``, and the
    reference workload's, see `explorer.measure.latency.normalised_samples_s`.

    Args:
        prepared: subject -> model ready under one workload, the same for all.
        seed: of the order.
        reference: time the fixed reference workload in every round.
        warm_seconds: keep the device busy with these models for so long before anything is looked at or
            timed, beside the warm-up calls; None: 1 s on CUDA, whose clocks rise under load, 0 on CPUs.
        clock: returns seconds; replaced in tests.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Returns:
        A run a subject; one that runs out of memory now is closed, and the others are timed without it.

    Raises:
        UsageError: nothing was given, workloads differ, or impossible limits.
    """
    first = _one_workload(prepared)
    results: dict[str, LatencyRun | OutOfMemory] = {}
    left = dict(prepared)
    device = first.conditions.device
    if warm_seconds is None:
        warm_seconds = 0.0 if device == "cpu" else _WARM_SECONDS
    with measuring(first.workload):
        beside = reference_call(device) if reference else None
        while left:
            steps: dict[str, Call | Step] = {name: _named(name, one) for name, one in left.items()}
            try:
                _warm(steps, first.timer, warm_seconds, clock)
                before = observe(device)
                runs = measure_interleaved(
                    steps,
                    conditions=first.conditions,
                    seed=seed,
                    clock=clock,
                    timer=first.timer,
                    reference=beside,
                    **stop,
                )
            except _DidNotFitError as error:
                results[error.subject] = out_of_memory(first.workload, error.reason)
                left.pop(error.subject).close()
                continue
            after = observe(device)
            results |= {name: _observed(run, left[name], before, after) for name, run in runs.items()}
            break
    return {subject: results[subject] for subject in prepared}


def _one_workload(prepared: Mapping[str, Prepared]) -> Prepared:
    """Return the first, after a check that all are there for the same workload."""
    if not prepared:
        raise UsageError("nothing to measure: no models were prepared")
    first = next(iter(prepared.values()))
    for subject, one in prepared.items():
        if one.workload != first.workload:
            raise UsageError(
                f"models are interleaved under one workload: {subject} was prepared for {one.workload}, "
                f"others for {first.workload}"
            )
    return first


def _warm(steps: Mapping[str, Call | Step], timer: Timer, seconds: float, clock: Clock) -> None:
    """Run rounds, nothing kept, until ``seconds`` have passed."""
    rounds = [step if isinstance(step, Step) else Step(step) for step in steps.values()]
    end = clock() + seconds
    while clock() < end:
        timer.round(rounds)


class _DidNotFitError(Exception):
    """Carries which of the interleaved models ran out of memory."""

    def __init__(self, subject: str, reason: BaseException) -> None:
        super().__init__(subject)
        self.subject, self.reason = subject, reason


def _named(subject: str, one: Prepared) -> Step:
    """Return the model's step, whose lack of memory says whose it is."""

    def run(call: Call) -> Call:
        def guarded() -> object:
            try:
                return call()
            except Exception as error:
                if is_out_of_memory(error):
                    raise _DidNotFitError(subject, error) from error
                raise

        return guarded

    return Step(run(one.call), None if one.before is None else run(one.before))


def _observed(run: LatencyRun, one: Prepared, before: Observation, after: Observation) -> LatencyRun:
    return replace(
        run,
        conditions=one.conditions,
        observations={
            **one.observations,
            "prepare_s": one.prepare_s,
            "first_call_s": one.first_call_s,
            "memory_bytes": one.memory_bytes,
            "before": before.document(),
            "after": after.document(),
            "doubtful": doubtful_reasons(before, after, run),
            **run.observations,
        },
    )


def model_latency(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    subject: str,
    device: str = "cpu",
    threads: int = 1,
    clock: Clock = time.perf_counter,
    **stop: Unpack[StopOptions],
) -> LatencyRun:
    """Time forward passes of ``model`` in evaluation mode, eager, in the precision of its weights.

    For networks that take something else than square images; those are better timed through
    `explorer.measure.runtime.prepare`, which has every runtime and precision.

    Args:
        model: any network that takes one tensor, with real weights. A copy on ``device`` is run.
        input_shape: example first; uniform noise is fed.
        subject: canonical text of the model or design.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: threads one operator may use on the CPU; set for the measurement only.
        clock: returns seconds; replaced in tests.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Raises:
        UsageError: the model is on meta or cannot be copied, or limits or device name are impossible.
        EnvironmentMissingError: the device is not here.
    """
    where = find_device(device)
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise UsageError(f"{subject} has no weights (it was built on meta): it can be counted, not timed")
    dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    described = conditions(
        str(where), str(dtype).removeprefix("torch."), batch=input_shape[0], threads=threads
    )
    try:
        twin = copy.deepcopy(model).to(where).eval()
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{subject} cannot be copied to {where} for timing: {error}") from error
    # A generator of our own: the caller's random state stays as it was.
    noise = torch.rand(input_shape, generator=torch.Generator().manual_seed(0)).to(where, dtype)
    with torch.inference_mode(), limited_threads(threads):
        return measure_latency(
            partial(twin, noise),
            subject=subject,
            conditions=described,
            clock=clock,
            synchronise=device_wait(where),
            **stop,
        )


def device_wait(device: torch.device) -> Callable[[], object] | None:
    """Return what waits until ``device`` has finished its queued work; None where calls already wait."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else None
