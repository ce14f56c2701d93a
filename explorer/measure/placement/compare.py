"""Time one ensemble in several placements against its members alone, all in the same rounds.

Members are timed in eager torch, each as it runs on its own; every round times each member, the
combination of their outputs and each placement once, in shuffled order. Ratios are taken round by
round, so that a busy spell of the machine falls on both sides, and their median is quoted. Each timed
call is preceded by an untimed one of another member, as a member is within an ensemble: without it what
came before in the shuffled order told, most of all after worker processes had run.

Before a placement is timed its members' outputs must equal those of the members run one after the
other, on every input. What cannot run, or answers otherwise, is refused with the reason.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import nn

from explorer.accounting.interference import Interference, Placement, Reference, reference_time
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.environment import conditions
from explorer.measure.latency import Step, measure_interleaved
from explorer.measure.placement.ready import COMBINATION, DEFAULT_PLACEMENTS, ReadyPlacement, ready_ensemble
from explorer.measure.precision import dtype_text
from explorer.measure.stopping import StopOptions, median_interval
from explorer.record import Conditions, LatencyRun
from explorer.workload import Runtime, Workload

_WARM_S = {"cpu": 0.0, "cuda": 1.0}
"""Time all calls run before timing begins: clocks rise, and cuDNN tries its algorithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRun:
    """One ensemble in one placement: timed beside its members, or the reason why not."""

    placement: Placement
    run: LatencyRun | None
    """Whole ensemble, combination included; None where it was refused."""
    members: tuple[LatencyRun, ...]
    """Each alone, from the same rounds."""
    combination: LatencyRun
    """Averaging the members' outputs, from the same rounds."""
    refused: str = ""
    """Why it was not timed, one line; empty where it was."""
    difference: float | None = None
    """Largest difference of a member's output from sequential's, over the largest output."""
    prepare_s: float | None = None
    """Stacking, capturing or starting workers, once."""
    memory_bytes: int | None = None
    """Weights and peak activations on the device; None: unknown, as on CPUs."""
    assignment: tuple[tuple[int, ...], ...] = ()
    """Members of each worker; empty where there are no workers."""

    def interference(self, against: Reference = Reference.IDEAL) -> Interference:
        """Return the ensemble's time over that of its members, the median of the rounds' ratios.

        Raises:
            UsageError: the placement was refused.
        """
        return interference_of([self], against)

    def ratios(self, against: Reference) -> list[float]:
        """Return the ensemble's time over that of its members, one a round.

        Raises:
            UsageError: the placement was refused.
        """
        if self.run is None:
            raise UsageError(f"placement {self.placement} was not timed: {self.refused}")
        rounds = zip(
            self.run.samples_s,
            self.combination.samples_s,
            zip(*(member.samples_s for member in self.members), strict=True),
            strict=True,
        )
        return [
            whole
            / reference_time(
                times,
                against,
                self.placement,
                combination=combination,
                assignment=self.assignment or None,
            )
            for whole, combination, times in rounds
        ]


def interference_of(series: Sequence[PlacementRun], against: Reference = Reference.IDEAL) -> Interference:
    """Return the interference of one ensemble in one placement, the rounds of all ``series`` together.

    Raises:
        UsageError: no series, or one in which the placement was refused.
    """
    ratios = [ratio for run in series for ratio in run.ratios(against)]
    low, high = median_interval(ratios)
    return Interference(
        placement=series[0].placement,
        against=against,
        factor=statistics.median(ratios),
        low=low,
        high=high,
        basis=Basis.MEASURED,
    )


def measure_placements(
    members: Sequence[nn.Module],
    workload: Workload,
    *,
    channels: int,
    resolution: int,
    placements: Sequence[str] = DEFAULT_PLACEMENTS,
    names: Sequence[str] | None = None,
    seed: int = 0,
    worker_setup: Callable[[], object] | None = None,
    **stop: Unpack[StopOptions],
) -> tuple[PlacementRun, ...]:
    """Time the ensemble of ``members`` in several placements, against its members alone.

    Args:
        members: networks that take images and return ``[example, class]``, with weights; copies are run.
        workload: device, batch, precision (not int8), memory format, threads; runtime eager or deploy.
        channels: of the images.
        resolution: of the images, in pixels a side.
        placements: their texts; see `explorer.accounting.interference`.
        names: of the members; their classes' names where None.
        seed: of images and of the order within rounds.
        worker_setup: called in each worker process before it loads its members: a function of a module,
            for classes that cannot be imported without it.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Returns:
        One a placement, in the order given.

    Raises:
        UsageError: no members, an unknown placement, a member that does not run, or one without weights.
        EnvironmentMissingError: the device is not here.
    """
    shape = (workload.batch, channels, resolution, resolution)
    with ready_ensemble(
        members,
        workload,
        shape=shape,
        placements=placements,
        names=names,
        seed=seed,
        worker_setup=worker_setup,
    ) as ready:
        device = ready.ensemble.device
        steps = ready.steps()
        _warm(steps, _WARM_S[device.type])
        runs = measure_interleaved(
            steps,
            conditions=_conditions(workload, device),
            seed=seed,
            timer=ready.timer(),
            **stop,
        )
    alone = tuple(runs[name] for name in ready.member_calls)
    return tuple(_result(one, runs, alone) for one in ready.placements)


def _result(
    one: ReadyPlacement, runs: Mapping[str, LatencyRun], alone: tuple[LatencyRun, ...]
) -> PlacementRun:
    return PlacementRun(
        placement=one.placement,
        run=runs.get(str(one.placement)),
        members=alone,
        combination=runs[COMBINATION],
        refused=one.refused,
        difference=one.difference,
        prepare_s=one.placed.prepare_s if one.placed else None,
        memory_bytes=one.memory_bytes,
        assignment=one.placed.assignment if one.placed else (),
    )


def _conditions(workload: Workload, device: torch.device) -> Conditions:
    return conditions(
        str(device),
        dtype_text(workload.precision, device),
        batch=workload.batch,
        threads=workload.threads,
        memory_format="channels_last" if workload.channels_last else "contiguous",
        form="deploy" if workload.runtime is Runtime.DEPLOY else "as-built",
    )


def _warm(steps: Mapping[str, Step], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for step in steps.values():
            step.call()
