"""Time ensembles in placements, beside their members alone, and say what follows from the members.

Placements run in torch, so what is timed is eager or deployed; the one file that ships is timed by
`explorer verify`. A member that the store has is timed with its weights, any other with random ones.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from explorer.accounting.interference import Interference, Placement, Reference, compose_latency
from explorer.errors import InputDataError, UsageError
from explorer.measure.environment import find_device
from explorer.measure.latency import latency_figure
from explorer.measure.memory_limits import is_out_of_memory, lacking_memory, out_of_memory
from explorer.measure.observe import Observation, doubtful_reasons, observe
from explorer.measure.placement.compare import PlacementRun, interference_of, measure_placements
from explorer.measure.precision import refuse_impossible
from explorer.measure.tail import tail_bounds
from explorer.profile_record import PlacedTimes, ProfileRow
from explorer.record import CostFigure, LatencyRun, MemberRecord
from explorer.run.placements import ImageShape, random_classifier, with_resolution
from explorer.run.profiling.devices import here
from explorer.run.profiling.job import SERIES_DIFFER
from explorer.run.profiling.plan import Options
from explorer.run.profiling.subjects import dataset_members
from explorer.spec import Ensemble, Member, ModelSpec
from explorer.store import Store
from explorer.workload import Runtime, Workload

if TYPE_CHECKING:
    from zoo import Classifier

USUAL_PLACEMENTS = {"cpu": ("sequential",), "cuda": ("sequential", "streams", "graph", "batched")}
"""What is timed where no placement is named."""
_PREPARE_S = 3.0
"""Guess of the time before one placement can be timed: stacking, capturing, starting workers."""
_RANDOM = "random: time does not depend on them"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignJob:
    """One ensemble under one workload, in all its placements: timed in the same rounds."""

    design: Ensemble
    workload: Workload
    """As asked for: the rows' label."""
    placements: tuple[str, ...]
    shape: ImageShape
    weights: Mapping[Member, MemberRecord]
    """Members that the store has."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Each once: a member that is named twice has more weight, and runs once."""
        return tuple(dict.fromkeys(self.design.members))

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """The members' models, canonical, in the design's order."""
        return tuple(with_resolution(member.model, self.shape.native) for member in self.members)

    def seconds(self, options: Options) -> float:
        """Estimate how long it takes."""
        steps = len(self.members) + 1 + len(self.placements)
        timing = options.repeat * (options.seconds * steps + _PREPARE_S * len(self.placements))
        return timing + options.beside_s * len(self.placements)

    def networks(self, store: Store, seed: int) -> "list[Classifier]":
        """Build the members, each with its own weights."""
        return [
            _network(store, self.weights.get(member), model, self.shape, seed + number)
            for number, (member, model) in enumerate(zip(self.members, self.models, strict=True))
        ]


def design_jobs(
    store: Store,
    designs: Sequence[Ensemble],
    workloads: Sequence[Workload],
    *,
    placements: Sequence[str],
    dataset: str | None,
    channels: int,
    classes: int,
) -> tuple[tuple[DesignJob, ...], tuple[ProfileRow, ...]]:
    """Return what to time, the workloads' order kept, and rows that cannot be, with the reason.

    Args:
        store: asked for the members of ``dataset``.
        designs: ensembles that average probabilities.
        workloads: from `explorer.run.workload_grid.grid`.
        placements: texts; empty for the device's usual ones.
        dataset: takes the place of ``channels`` and ``classes``, and says where members are.
        channels: of the images.
        classes: told apart.

    Raises:
        UsageError: an unknown placement, one named twice, or a data set without members.
        EnvironmentMissingError: the device is known, but not here.
        ZooError: unknown model.
    """
    wanted = tuple(str(Placement.parse(text)) for text in placements)
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"a placement is named twice: {', '.join(wanted)}")
    records = dataset_members(store, dataset) if designs and dataset is not None else ()
    jobs, refused = [], []
    for workload in workloads:
        usual = here(workload)
        kind = find_device(usual.device).type
        for design in designs:
            native = min((r.member.resolution for r in records), default=0) or max(
                member.resolution for member in design.members
            )
            job = DesignJob(
                design=design,
                workload=workload,
                placements=wanted or USUAL_PLACEMENTS[kind],
                shape=ImageShape(
                    native=native,
                    channels=records[0].channels if records else channels,
                    classes=records[0].classes if records else classes,
                ),
                weights=_stored(design, records),
            )
            _ = job.models  # an unknown model is refused before anything is timed
            reason = _impossible(usual)
            if reason:
                refused.append(ProfileRow(subject=str(design), workload=workload, error=reason))
            else:
                jobs.append(job)
    return tuple(jobs), tuple(refused)


def run_design(
    store: Store,
    job: DesignJob,
    options: Options,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[ProfileRow, ...]:
    """Time one ensemble in its placements: a row each, those that cannot run with the reason.

    Args:
        store: has the weights of some members.
        job: what is timed.
        options: how long, and in how many series.
        seed: of weights, images and orders; the next series has the next seed.
        say: told what is going on.

    Raises:
        EnvironmentMissingError: the device is not here.
    """
    from zoo.families.timm_bridge import declare_torchvision_ops

    usual = here(job.workload)
    series, seen = [], []
    try:
        for number in range(options.repeat):
            say(f"timing {job.design} on {job.workload}" + (f", series {number + 1}" if number else ""))
            networks = job.networks(store, seed)
            if usual.device == "cpu" and (reason := _lacking(job, networks)):
                return _failed(job, reason)
            before = observe(usual.device)
            runs = measure_placements(
                networks,
                usual,
                channels=job.shape.channels,
                resolution=job.shape.native,
                placements=job.placements,
                names=[str(model) for model in job.models],
                seed=seed + number,
                worker_setup=declare_torchvision_ops,
                max_seconds=options.seconds,
            )
            series.append(runs)
            seen.append((before, observe(usual.device)))
    except UsageError as error:
        return _failed(job, str(error))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return _failed(job, out_of_memory(job.workload, error).reason)
    return tuple(_row(job, same, seen) for same in zip(*series, strict=True))


def jobs_by_time(
    jobs: Sequence[DesignJob], options: Options, *, spent_s: float = 0.0
) -> tuple[list[DesignJob], list[DesignJob]]:
    """Divide jobs into those that fit in the minutes given, after ``spent_s`` of others, and the rest."""
    fit: list[DesignJob] = []
    rest: list[DesignJob] = []
    spent = spent_s
    for job in jobs:
        fits = options.minutes is None or spent + job.seconds(options) <= options.minutes * 60.0
        fits = fits or spent == 0.0  # one is timed however little time there is
        (fit if fits else rest).append(job)
        spent += job.seconds(options) if fits else 0.0
    return fit, rest


def run_designs(
    store: Store,
    jobs: Sequence[DesignJob],
    options: Options,
    *,
    until: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[tuple[ProfileRow, ...], tuple[DesignJob, ...]]:
    """Time ensembles one after the other; return their rows, and those left out for lack of time.

    Args:
        store: has the weights of some members.
        jobs: in order of importance.
        options: how long, and in how many series.
        until: reading of ``clock`` after which no other is begun; None: never.
        clock: returns seconds; replaced in tests.
        update: called with the share done and what is going on.
    """
    rows: list[ProfileRow] = []
    for number, job in enumerate(jobs):
        if until is not None and clock() > until:
            return tuple(rows), tuple(jobs[number:])
        share = number / len(jobs)
        rows += run_design(store, job, options, say=lambda text, share=share: update(share, text))  # type: ignore[misc]
    return tuple(rows), ()


# ---- members ------------------------------------------------------------------------------------


def _stored(design: Ensemble, records: Sequence[MemberRecord]) -> dict[Member, MemberRecord]:
    """Return the store's records of a design's members; of several recipes any will do to time it."""
    return {
        member: record
        for record in reversed(records)
        for member in design.members
        if record.member == replace(member, recipe=member.recipe or record.member.recipe)
    }


def _network(
    store: Store, record: MemberRecord | None, model: ModelSpec, shape: ImageShape, seed: int
) -> "Classifier":
    network = random_classifier(model, shape, seed)
    if record is not None:
        import safetensors.torch

        try:
            network.load_state_dict(safetensors.torch.load(store.weights(record.weights_digest)))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InputDataError(
                f"stored weights of {record.member} do not fit its architecture: {reason}"
            ) from error
    return network


def _lacking(job: DesignJob, networks: "Sequence[Classifier]") -> str:
    """Return why a member's batch cannot be in main memory; asked before it is tried, as trying may kill."""
    shape = (job.workload.batch, job.shape.channels, job.shape.native, job.shape.native)
    return next((reason for one in networks if (reason := lacking_memory(one, shape))), "")


def _weights_text(job: DesignJob) -> str:
    found = sum(member in job.weights for member in job.members)
    if found == len(job.members):
        return "of the store's members"
    return f"{found} of {len(job.members)} of the store, others {_RANDOM}" if found else _RANDOM


def _impossible(workload: Workload) -> str:
    """Return why placements cannot be timed under a workload; empty where they can."""
    if workload.runtime not in (Runtime.EAGER, Runtime.DEPLOY):
        return f"placements are timed in torch, eager or deploy, not {workload.runtime}"
    try:
        refuse_impossible(workload, find_device(workload.device))
    except UsageError as error:
        return str(error)
    return ""


# ---- rows ---------------------------------------------------------------------------------------


def _failed(job: DesignJob, reason: str) -> tuple[ProfileRow, ...]:
    return (ProfileRow(subject=str(job.design), workload=job.workload, error=" ".join(reason.split())),)


def _row(
    job: DesignJob,
    series: Sequence[PlacementRun],
    seen: Sequence[tuple[Observation, Observation]],
) -> ProfileRow:
    """Return one placement's row, its series pooled."""
    timed = [one.run for one in series if one.run is not None]
    whole = len(timed) == len(series)
    row = ProfileRow(subject=str(job.design), workload=job.workload, placed=_placed(job, series, timed=whole))
    if not whole:
        refused = next(one.refused for one in series if one.run is None)
        return replace(row, error=" ".join(refused.split()))
    run = replace(_pooled(timed), subject=str(job.design))
    reasons = [
        reason for one, looks in zip(timed, seen, strict=True) for reason in doubtful_reasons(*looks, one)
    ]
    row = replace(
        row,
        figure=latency_figure(run),
        run=run,
        tails=tail_bounds(run.samples_s),
        series_medians_s=tuple(one.median_s for one in timed),
        memory_bytes=max((m for one in series if (m := one.memory_bytes) is not None), default=None),
    )
    if row.series_spread is not None and row.series_spread > SERIES_DIFFER:
        reasons.append(f"medians of the {len(timed)} series differ by {row.series_spread:.0%}")
    return replace(row, doubtful_reasons=tuple(dict.fromkeys(reasons)))


def _pooled(runs: Sequence[LatencyRun]) -> LatencyRun:
    return reduce(LatencyRun.pooled, runs)


def _placed(job: DesignJob, series: Sequence[PlacementRun], *, timed: bool) -> PlacedTimes:
    placement = series[0].placement
    members = [_pooled(same) for same in zip(*(one.members for one in series), strict=True)]
    combination = _pooled([one.combination for one in series])
    details: dict[str, object] = {
        "weights": _weights_text(job),
        "images": f"{job.shape.channels} x {job.shape.native} x {job.shape.native}",
        "difference": series[0].difference,
        "prepare_s": series[0].prepare_s,
        "assignment": [list(part) for part in series[0].assignment],
    }
    composed, why_not = _composed([latency_figure(run) for run in members], placement, combination)
    if why_not:
        details["not_composed"] = why_not

    def over(against: Reference) -> CostFigure | None:
        return _as_figure(interference_of(series, against)) if timed else None

    return PlacedTimes(
        placement=str(placement),
        members=tuple(str(model) for model in job.models),
        members_s=tuple(run.median_s for run in members),
        combination_s=combination.median_s,
        interference=over(Reference.IDEAL),
        over_sum=over(Reference.SUM),
        over_slowest=over(Reference.SLOWEST),
        composed=composed,
        details=details,
    )


def _composed(
    members: Sequence[CostFigure], placement: Placement, combination: LatencyRun
) -> tuple[CostFigure | None, str]:
    """Return what the members' times say without a factor of this very ensemble, or why they say nothing."""
    try:
        return compose_latency(members, placement, combination=latency_figure(combination)), ""
    except UsageError as error:
        return None, str(error)


def _as_figure(found: Interference) -> CostFigure:
    return CostFigure(value=found.factor, low=found.low, high=found.high, basis=found.basis)
