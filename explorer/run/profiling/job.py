"""Run a plan: prepare each group of rows, time it interleaved, store each row at once."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import reduce

from explorer import __version__
from explorer.errors import UsageError
from explorer.measure.latency import latency_figure
from explorer.measure.memory_limits import OutOfMemory
from explorer.measure.model_latency import measure_prepared
from explorer.measure.runtime import Prepared
from explorer.measure.stopping import StopRule
from explorer.measure.tail import tail_bounds
from explorer.profile_record import ProfileRow
from explorer.record import CostRecord, LatencyRun
from explorer.run.profiling.plan import GROUP, Job, Options, Plan, row_without
from explorer.run.profiling.ready import make_ready
from explorer.run.workload_grid import convention
from explorer.store import Store

SERIES_DIFFER = 0.1
"""A spread of the series' medians beyond which a row is doubtful."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a profile gave."""

    rows: tuple[ProfileRow, ...]
    """Stored earlier, measured now, and failed: one for every row of the plan but those left out."""
    left_out: tuple[Job, ...]
    """Not measured for lack of time."""


@dataclass(slots=True)
class _Found:
    """What was found so far of one job."""

    runs: list[LatencyRun] = field(default_factory=list)
    error: str | None = None


def run_plan(
    store: Store,
    plan: Plan,
    options: Options,
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> Outcome:
    """Measure what the plan says; each row is in the store before the next group begins.

    The first series keeps the plan's order, so that what is cut off matters least; later ones are
    shuffled. A row that does not fit in memory, or that its runtime refuses, is a row with the reason.

    Args:
        store: gets medians, raw samples and what was seen beside them.
        plan: from `explorer.run.profiling.plan.plan_rows`.
        options: those of the plan.
        seed: of orders and images.
        clock: replaced in tests.
        update: called with the share of the estimated time done, and what is going on.

    Raises:
        EnvironmentMissingError: a package that a runtime needs is missing.
        UsageError: no row of all could be measured, with the first reason.
    """
    start, done, total = clock(), 0.0, plan.seconds or 1.0
    found = {one.job: _Found() for one in plan.planned}
    share = {one.job: one.seconds / options.repeat for one in plan.planned}
    for series in range(options.repeat):
        for group in _groups(list(found), series, seed):
            late = options.minutes is not None and clock() - start > options.minutes * 60.0
            todo = [job for job in group if found[job].error is None]
            if todo and not (late and done):
                say = _saying(update, done / total, f"series {series + 1}, " if options.repeat > 1 else "")
                for job, result in _measured(todo, options, seed + series, say):
                    _keep(store, job, found[job], result)
            done += sum(share[job] for job in group)
    rows = [_row(job, one) for job, one in found.items() if one.runs or one.error]
    measured = [row for row in (*plan.stored, *rows) if row.figure is not None]
    failed = (*plan.refused, *rows)
    if failed and not measured:
        raise UsageError(f"nothing could be measured: {failed[0].subject}: {failed[0].error}")
    late_rows = [job for job, one in found.items() if not (one.runs or one.error)]
    return Outcome(
        rows=(*plan.stored, *rows, *plan.refused),
        left_out=(*late_rows, *(one.job for one in plan.left_out)),
    )


def _saying(update: Callable[[float, str], None], share: float, series: str) -> Say:
    return lambda text: update(min(1.0, share), series + text)


def _groups(jobs: Sequence[Job], series: int, seed: int) -> Iterator[list[Job]]:
    """Yield jobs that are timed in the same rounds: of one workload, at most `GROUP`."""
    shuffle = random.Random(f"{seed} {series}").shuffle
    ordered = list(jobs)
    if series:
        shuffle(ordered)
    by_workload: dict[object, list[Job]] = {}
    for job in ordered:
        by_workload.setdefault(job.workload, []).append(job)
    groups = []
    for same in by_workload.values():
        # evenly, so that no model is left to be timed alone
        count = -(-len(same) // GROUP)
        groups += [same[i * len(same) // count : (i + 1) * len(same) // count] for i in range(count)]
    if series:
        shuffle(groups)
    yield from groups


def _measured(
    group: Sequence[Job], options: Options, seed: int, say: Say
) -> Iterator[tuple[Job, LatencyRun | str]]:
    """Yield each job's series or the reason why there is none.

    What does not fit beside the others is tried again alone.
    """
    alone = len(group) == 1
    for job, result in _together(group, options, seed, say).items():
        if not isinstance(result, OutOfMemory):
            yield job, result
        elif alone:
            yield job, result.reason
        else:
            yield from _measured([job], options, seed, say)


def _together(
    group: Sequence[Job], options: Options, seed: int, say: Say
) -> dict[Job, LatencyRun | OutOfMemory | str]:
    """Prepare all of a group, time what is ready in the same rounds, free it."""
    results: dict[Job, LatencyRun | OutOfMemory | str] = {}
    ready: dict[str, Prepared] = {}
    jobs = {str(job.subject.model): job for job in group}
    with ExitStack() as stack:
        for name, job in jobs.items():
            say(f"preparing {job.text}")
            one = make_ready(job, seed)
            if isinstance(one, Prepared):
                stack.callback(one.close)
                ready[name] = one
            else:
                results[job] = one
        if ready:
            say(f"timing {len(ready)} models on {group[0].workload}")
            least = options.seconds if options.full_time else StopRule().min_seconds
            runs = measure_prepared(ready, seed=seed, min_seconds=least, max_seconds=options.seconds)
            results |= {jobs[name]: run for name, run in runs.items()}
    return results


def _keep(store: Store, job: Job, found: _Found, result: LatencyRun | str) -> None:
    """Take a series into account, and store the row as it now is."""
    if isinstance(result, str):
        found.error = " ".join(result.split())
        return
    found.runs.append(result)
    row = _row(job, found)
    if row.run is None or row.figure is None:
        raise AssertionError("a row with a series has a run and a figure")
    store.put_cost(
        CostRecord(
            model=job.subject.model,
            channels=job.subject.channels,
            classes=job.subject.classes,
            kind="latency",
            device=str(job.workload),
            figure=row.figure,
            convention=convention(job.workload),
            source=f"explorer {__version__}",
            conditions=row.run.conditions,
        ),
        row.run.samples_s,
        warmup=row.run.warmup_s,
        notes={
            "stop_reason": row.run.stop_reason,
            "series_medians_s": row.series_medians_s,
            "doubtful_reasons": row.doubtful_reasons,
            "memory_bytes": row.memory_bytes,
            "observations": row.run.observations,
        },
    )


def _row(job: Job, found: _Found) -> ProfileRow:
    if not found.runs:
        return row_without(job, found.error or "not measured")
    run = _joined(found.runs)
    reasons = [reason for one in found.runs for reason in _strings(one.observations.get("doubtful"))]
    memory = [one.observations.get("memory_bytes") for one in found.runs]
    row = ProfileRow(
        subject=run.subject,
        workload=job.workload,
        figure=latency_figure(run),
        run=run,
        tails=tail_bounds(run.samples_s),
        doubtful_reasons=tuple(dict.fromkeys(reasons)),
        series_medians_s=tuple(one.median_s for one in found.runs),
        memory_bytes=max((size for size in memory if isinstance(size, int)), default=None),
    )
    spread = row.series_spread
    if spread is not None and spread > SERIES_DIFFER:
        reason = f"medians of the {len(found.runs)} series differ by {spread:.0%}"
        row = replace(row, doubtful_reasons=(*row.doubtful_reasons, reason))
    return row


def _strings(found: object) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def _joined(runs: Sequence[LatencyRun]) -> LatencyRun:
    """Pool the series; an observation on which they differ becomes the list of all of them."""
    if len(runs) == 1:
        return runs[0]
    pooled = reduce(LatencyRun.pooled, runs)
    names = dict.fromkeys(name for run in runs for name in run.observations)
    seen = {name: [run.observations.get(name) for run in runs] for name in names}
    return replace(
        pooled,
        observations={
            name: values[0] if all(value == values[0] for value in values) else tuple(values)
            for name, values in seen.items()
        },
    )
