"""Predict what models and ensembles take on devices that are not here, and keep the figures.

A predictor fitted there, or moved there by the devices' peaks (`explorer.prediction.library`); where there
is none, the roofline, which is only a bound. An ensemble is its members one after the other: what a
placement would save was not measured there, so it is not assumed.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from explorer import __version__
from explorer.accounting import energy, roofline
from explorer.accounting.kernels import KernelTable
from explorer.data.devices import find_device_entry
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.prediction import Sample
from explorer.prediction.families import family
from explorer.prediction.library import HALVES, Answering, find_predictor
from explorer.profile_record import EnergyPart, ProfileRow
from explorer.record import CostFigure, CostRecord
from explorer.run.kernel_tables import Traced, kernel_tables, needs_autocast
from explorer.run.profile_asked import CHANNELS, CLASSES, Answer, Planning, Question
from explorer.run.profiling.answer import asked_workloads, named_subjects
from explorer.run.profiling.subjects import Subject, subjects
from explorer.spec import Ensemble, ModelSpec
from explorer.store import Store
from explorer.workload import Precision, Workload

CONVENTION = "predicted-call"
"""Of predicted figures in the store: seconds of one call, network alone, data on the device."""
Update = Callable[[float, str], None]
_TRACE_S = 0.5
"""What tracing a model takes, where it is not kept from before."""


def predicted(
    store: Store,
    question: Question,
    *,
    show_plan: Callable[[Planning], None],
    progress: Callable[[str], AbstractContextManager[Update]],
    cache: Path | None = None,
) -> Answer:
    """Answer a question from predictors instead of by measuring; models' figures go to the store.

    Raises:
        UsageError: unknown device, a scenario or placement, which are not predicted, or no model that can
            be traced.
        EnvironmentMissingError: nothing is known of the device that a prediction could stand on.
    """
    if question.scenarios:
        raise UsageError("--scenario is worked out from measured times; leave it out with --predict")
    if others := sorted(set(question.placements) - {"sequential"}):
        raise UsageError(
            f"a placement has to be measured: --predict takes members one after the other, not in "
            f"{', '.join(others)}"
        )
    chosen = named_subjects(store, question)
    workloads = tuple(map(known_device, asked_workloads(question)))
    members = _member_subjects(store, question)
    parts = list(dict.fromkeys((*chosen, *members.values())))
    planned = tuple((str(subject.model), one, _TRACE_S) for one in workloads for subject in parts)
    planning = Planning(planned=planned)
    if question.plan_only:
        return Answer(planning=planning)
    show_plan(planning)
    rows: list[ProfileRow] = []
    with progress("predict") as update:
        for workload in workloads:
            tables = _tables(parts, workload.precision, cache, update)
            singles = _rows(parts, tables, workload)
            for subject in chosen:
                row = singles[subject]
                rows.append(row)
                _keep(store, subject, row)
            for design in question.named.designs:
                ran = [singles[members[member.model]] for member in dict.fromkeys(design.members)]
                rows.append(_ensemble_row(design, ran, workload))
    if rows and not any(row.figure is not None for row in rows):
        raise UsageError(f"nothing could be predicted: {rows[0].subject}: {rows[0].error}")
    if question.energy:
        rows = [_with_energy(row) for row in rows]
    return Answer(planning=planning, rows=tuple(rows))


def predict_latency(
    tables: Sequence[KernelTable], names: Sequence[str], workload: Workload
) -> tuple[tuple[CostFigure, ...], Answering | None]:
    """Return seconds of one call of each model on a device, and what they stand on.

    Args:
        tables: kernels of each model, as `sample_table` gives them for the precision.
        names: of the models; a family's name alone matters.
        workload: the device and how the models run.

    Raises:
        EnvironmentMissingError: no predictor, and no peaks for a bound either.
    """
    answering = find_predictor(workload)
    if answering is None:
        return tuple(_bound(table, workload) for table in tables), None
    samples = [
        Sample(
            model=name,
            family=family(name),
            kernels=table,
            batch=workload.batch,
            workload=workload,
            device=workload.device,
        )
        for name, table in zip(names, tables, strict=True)
    ]
    return answering.predictor.predict(samples), answering


def sample_table(table: KernelTable, precision: Precision) -> KernelTable:
    """Return the kernels in a precision, from those traced in float32 or under autocast.

    In a half precision throughout, every number takes half the bytes; nothing else of a pass changes.
    """
    if precision not in HALVES or needs_autocast(precision):
        return table
    return KernelTable(operators=_halved(table.operators), fused=_halved(table.fused))


def _halved(kernels: np.ndarray) -> np.ndarray:
    made = kernels.copy()
    for name in ("read", "written", "weights"):
        made[name] = kernels[name] / 2
    for name in ("item", "item_in"):
        made[name] = np.where(kernels[name] == 4, 2, kernels[name])
    return made


def _tables(
    parts: Sequence[Subject], precision: Precision, cache: Path | None, update: Update
) -> dict[Subject, KernelTable | str]:
    wanted = {
        subject: Traced(
            model=subject.model.name,
            resolution=subject.resolution,
            channels=subject.channels,
            classes=subject.classes,
            autocast=needs_autocast(precision),
        )
        for subject in parts
    }
    found = kernel_tables(list(wanted.values()), cache=cache, update=update)
    return {
        subject: table if isinstance(table, str) else sample_table(table, precision)
        for subject, one in wanted.items()
        for table in (found[one],)
    }


def _rows(
    parts: Sequence[Subject], tables: dict[Subject, KernelTable | str], workload: Workload
) -> dict[Subject, ProfileRow]:
    """Return a row for each model: its predicted time, or why there is none."""
    rows = {
        subject: ProfileRow(subject=str(subject.model), workload=workload, error=why)
        for subject, why in tables.items()
        if isinstance(why, str)
    }
    able = [(subject, table) for subject, table in tables.items() if not isinstance(table, str)]
    if not able:
        return rows
    names = [subject.model.name for subject, _ in able]
    figures, answering = predict_latency([table for _, table in able], names, workload)
    notes: tuple[str, ...] = ("no measured times to predict from: not faster than this",)
    details: dict[str, object] = {"predictor": None}
    if answering is not None:
        notes = answering.notes
        details = {"predictor": str(answering.predictor.workload), "fitted_to": answering.source}
    for (subject, _), figure in zip(able, figures, strict=True):
        rows[subject] = ProfileRow(
            subject=str(subject.model), workload=workload, figure=figure, notes=notes, details=details
        )
    return rows


def _bound(table: KernelTable, workload: Workload) -> CostFigure:
    """Return the roofline of one call: products at peak, or fused traffic at the memory's full speed.

    Traced in float32, so in int8 it may move a quarter of the bytes, and a bound takes the least.
    """
    kernels, batch = table.fused, workload.batch
    times = np.where(kernels["per_example"], batch, 1) * kernels["count"]
    macs = float((kernels["macs"] * times).sum())
    moved = float(
        ((kernels["read"] + kernels["written"]) * times + kernels["weights"] * kernels["count"]).sum()
    )
    if workload.precision is Precision.INT8:
        moved /= 4
    try:
        return roofline.bound(find_device_entry(workload.device), workload.precision, macs, moved)
    except UsageError as error:
        raise EnvironmentMissingError(
            f"nothing to predict {workload} from: no predictor, and {error}; "
            "fit one to times measured there with `explorer devices fit TABLE`"
        ) from error


def known_device(workload: Workload) -> Workload:
    """Return the workload with the device's key in the table; this machine's own keep their names.

    Raises:
        UsageError: unknown device.
    """
    if workload.device == "cpu" or workload.device.partition(":")[0] == "cuda":
        return workload
    return dataclasses.replace(workload, device=find_device_entry(workload.device).key)


def _keep(store: Store, subject: Subject, row: ProfileRow) -> None:
    """Store a predicted time; a bound has no upper end and is not kept."""
    if row.figure is None or not math.isfinite(row.figure.high):
        return
    store.put_cost(
        CostRecord(
            model=subject.model,
            channels=subject.channels,
            classes=subject.classes,
            kind="latency",
            device=str(row.workload),
            figure=row.figure,
            convention=f"{CONVENTION}, {row.details.get('predictor')}",
            source=f"explorer {__version__}; {row.details.get('fitted_to')}",
        ),
        None,
    )


# ---- ensembles and energy ------------------------------------------------------------------------------


def _member_subjects(store: Store, question: Question) -> dict[ModelSpec, Subject]:
    """Return the model of every ensemble's member, as it is traced."""
    found: dict[ModelSpec, Subject] = {}
    for design in question.named.designs:
        for member in design.members:
            [found[member.model]] = subjects(
                store,
                [member.model],
                dataset=question.dataset,
                channels=question.channels or CHANNELS,
                classes=question.classes or CLASSES,
                resolutions=question.resolutions,
            )
    return found


def _ensemble_row(design: Ensemble, members: Sequence[ProfileRow], workload: Workload) -> ProfileRow:
    """Return an ensemble's time: its members', one after the other.

    The interval's ends are added up as they are: what the predictor gets wrong for one member it gets
    wrong for its like, so errors do not average out.
    """
    failed = next((row for row in members if row.figure is None), None)
    if failed is not None:
        return ProfileRow(subject=str(design), workload=workload, error=f"{failed.subject}: {failed.error}")
    figures = [row.figure for row in members if row.figure is not None]
    total = CostFigure(
        value=sum(figure.value for figure in figures),
        low=sum(figure.low for figure in figures),
        high=sum(figure.high for figure in figures),
        basis=figures[0].basis,
    )
    notes = (*members[0].notes, "members one after the other; averaging their answers is not in it")
    return ProfileRow(
        subject=str(design), workload=workload, figure=total, notes=notes, details=members[0].details
    )


def _with_energy(row: ProfileRow) -> ProfileRow:
    """Return the row with the most an example can take in energy: rated power for the predicted time."""
    if row.figure is None:
        return row
    device = row.workload.device
    figure = row.figure.per_example(row.workload.batch)
    try:
        entry = find_device_entry(device)
    except UsageError as error:
        return dataclasses.replace(row, energy=EnergyPart(figure=None, reason=str(error)))
    reason = energy.missing_reason(entry, figure) or "not measured: rated power for the predicted time"
    part = EnergyPart(
        figure=energy.bound(entry, figure),
        reason=reason,
        details={"tdp_w": entry.tdp_w, "device": entry.name},
    )
    return dataclasses.replace(row, energy=part)
