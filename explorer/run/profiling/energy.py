"""Energy beside time: read from the device's counter, or bounded by its rated power, or unknown.

A model's energy is stored as cost kind ``energy``, joules an example, with one sample a window. A bound
is only printed: rated power times time ranks nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from explorer import __version__
from explorer.convention import Basis
from explorer.data.devices import Device, find_device_entry
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.energy import EnergyRun, energy_bound, energy_figure, measure_energy
from explorer.measure.energy_meters import Meter, energy_meter
from explorer.measure.model_latency import device_wait
from explorer.measure.placement.ready import ready_ensemble
from explorer.measure.precision import measuring
from explorer.measure.runtime import Prepared
from explorer.profile_record import EnergyPart, ProfileRow
from explorer.record import CostRecord
from explorer.run.profiling.designs import DesignJob
from explorer.run.profiling.devices import here
from explorer.run.profiling.plan import Job, Options
from explorer.run.profiling.ready import make_ready
from explorer.run.profiling.subjects import Subject
from explorer.run.workload_grid import convention
from explorer.store import Store
from explorer.workload import Workload

ROW_S = 20.0
"""What one row's energy takes: idle power and six windows of 2 s, and pauses."""
LATE = "not measured for lack of time; the same command continues"

Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """What the rows of a profile are made of, by the rows' texts."""

    models: Mapping[str, Subject]
    designs: Mapping[tuple[str, Workload], DesignJob]


def with_energy(
    store: Store,
    rows: Sequence[ProfileRow],
    subjects: Subjects,
    options: Options,
    *,
    until: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[ProfileRow, ...]:
    """Return the rows with what an example takes in energy; those without a time have none.

    Args:
        store: gets models' measured energies; those under the same conditions are not measured again.
        rows: timed here.
        subjects: what they are made of.
        options: the age and whether to measure anew.
        until: reading of ``clock`` after which no other is begun; None: never.
        clock: returns seconds; replaced in tests.
        update: called with the share done and what is going on.
    """
    found: list[ProfileRow] = []
    for number, row in enumerate(rows):
        if row.figure is None or row.run is None:
            found.append(row)
            continue
        device = here(row.workload).device
        meter, reason = energy_meter(device)
        kept = _stored(store, row, subjects, options)
        if kept is not None:
            part = kept
        elif meter is None:
            part = bound_part(row, device_entry(row), reason)
        elif until is not None and clock() > until:
            part = bound_part(row, device_entry(row), LATE)
        else:
            update(number / len(rows), f"energy of {row.subject} on {row.workload}")
            part = _measured(store, row, subjects, meter)
        found.append(replace(row, energy=part))
    return tuple(found)


def bound_part(row: ProfileRow, entry: Device | None, reason: str) -> EnergyPart:
    """Return rated power x time for a row that has a time, labelled a bound, or why that is unknown."""
    if row.figure is None:
        raise AssertionError("a row without a time has no energy to bound")
    answer = energy_bound(
        row.workload.device, latency=row.figure, entry=entry, batch=row.workload.batch, reason=reason
    )
    details = {} if answer.figure is None or entry is None else {"tdp_w": entry.tdp_w, "device": entry.name}
    return EnergyPart(figure=answer.figure, reason=" ".join(answer.reason.split()), details=details)


def device_entry(row: ProfileRow) -> Device | None:
    """Return the table's entry of the device that a row was timed on; None where the table lacks it."""
    names = [row.workload.device]
    if row.run is not None:
        # a processor's name is followed by its vector instructions
        name = row.run.conditions.device_name
        names.append(name.rpartition(" (")[0] if row.run.conditions.device == "cpu" else name)
    for name in names:
        try:
            return find_device_entry(name)
        except UsageError:
            continue  # not in the table under this name
    return None


# ---- reading the counter ------------------------------------------------------------------------


def _measured(store: Store, row: ProfileRow, subjects: Subjects, meter: Meter) -> EnergyPart:
    try:
        if row.placed is None:
            run = _of_model(Job(subject=subjects.models[row.subject], workload=row.workload), meter)
        else:
            job = subjects.designs[row.subject, row.workload]
            run = _of_design(store, job, row.placed.placement, meter)
    except (UsageError, EnvironmentMissingError) as error:
        return bound_part(row, device_entry(row), str(error))
    figure = energy_figure(run, batch=row.workload.batch)
    part = EnergyPart(figure=figure, details=_details(run))
    if row.placed is None:
        _keep(store, row, subjects.models[row.subject], part, run)
    return part


def _of_model(job: Job, meter: Meter) -> EnergyRun:
    """Make a model ready as it was timed, and read the counter around its calls."""
    ready = make_ready(job, seed=0)
    if not isinstance(ready, Prepared):
        raise UsageError(ready if isinstance(ready, str) else ready.reason)
    try:
        with measuring(ready.workload):
            return measure_energy(ready.call, meter, wait=ready.wait)
    finally:
        ready.close()


def _of_design(store: Store, job: DesignJob, placement: str, meter: Meter) -> EnergyRun:
    """Make an ensemble ready in one placement, and read the counter around its calls."""
    from zoo.families.timm_bridge import declare_torchvision_ops

    side = job.shape.native
    with ready_ensemble(
        job.networks(store, 0),
        here(job.workload),
        shape=(job.workload.batch, job.shape.channels, side, side),
        placements=[placement],
        names=[str(model) for model in job.models],
        worker_setup=declare_torchvision_ops,
    ) as ready:
        (one,) = ready.placements
        if one.placed is None:
            raise UsageError(one.refused)
        return measure_energy(one.placed.call, meter, wait=device_wait(ready.ensemble.device))


def _details(run: EnergyRun) -> dict[str, object]:
    return {
        "meter": run.meter,
        "scope": run.scope,
        "power_w": run.power_w,
        "idle_w": run.idle_w,
        "windows": len(run.windows),
        "window_s": run.window_s,
        "update_s": run.update_s,
    }


# ---- the store ----------------------------------------------------------------------------------


def _keep(store: Store, row: ProfileRow, subject: Subject, part: EnergyPart, run: EnergyRun) -> None:
    if part.figure is None or row.run is None:
        raise AssertionError("what was measured has a figure and conditions")
    store.put_cost(
        CostRecord(
            model=subject.model,
            channels=subject.channels,
            classes=subject.classes,
            kind="energy",
            device=str(row.workload),
            figure=part.figure,
            convention=convention(row.workload),
            source=f"explorer {__version__}, {run.meter}",
            conditions=row.run.conditions,
        ),
        [joules / row.workload.batch for joules in run.samples],
        notes=part.details,
    )


def _stored(store: Store, row: ProfileRow, subjects: Subjects, options: Options) -> EnergyPart | None:
    """Return what was measured earlier, under the conditions that the row was timed under."""
    if options.again or row.placed is not None or row.run is None:
        return None
    for record in reversed(list(_recent(store, row, options))):
        subject = Subject(model=record.model, channels=record.channels, classes=record.classes)
        if subject == subjects.models[row.subject] and record.conditions == row.run.conditions:
            notes = {} if record.samples_digest is None else store.sample_notes(record.samples_digest)
            return EnergyPart(figure=record.figure, details={**notes, "from_store": True})
    return None


def _recent(store: Store, row: ProfileRow, options: Options) -> Iterator[CostRecord]:
    since = datetime.now(UTC) - timedelta(days=options.max_age_days)
    for record in store.costs("energy", str(row.workload), since=since.isoformat(timespec="microseconds")):
        if record.figure.basis is Basis.MEASURED:
            yield record
