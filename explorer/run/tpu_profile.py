"""Answer a profile's question for a TPU that need not be here: XLA's own compiler, or the bound.

A question that was answered before comes from the cache without torch, which alone takes longer to
import than the answer takes: so nothing heavy is imported before it is known to be needed.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explorer import __version__
from explorer.accounting import energy as rated
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.profile_record import EnergyPart, ProfileRow
from explorer.record import CostRecord
from explorer.run.profile_asked import CHANNELS, CLASSES, Answer, Planning, Question
from explorer.run.workload_grid import convention, grid
from explorer.spec import Ensemble, ModelSpec
from explorer.store import Store
from explorer.tpu import cache
from explorer.tpu.answer import TpuAnswer, tpu_latency
from explorer.tpu.chips import Chip, find_chip
from explorer.tpu.compiling import CompileError, Limits
from explorer.tpu.estimate import TpuEstimate, TpuRequest
from explorer.workload import Precision, Runtime, Workload

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

_COMPILE_S = 60.0
"""Guess of one compilation, for the plan."""
_NATIVE = 32
"""Resolution of families that have none of their own, as where models are timed."""

Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is compiled as one: a model, or an ensemble of one architecture."""

    text: str
    """Canonical text of the model or design."""
    model: ModelSpec
    """Resolution set."""
    channels: int
    classes: int
    members: int = 1
    error: str | None = None
    """Why it cannot be one program."""


def is_tpu(device: str) -> bool:
    """Tell whether a workload's text names a TPU.

    Raises:
        UsageError: an unknown device.
    """
    from explorer.data.devices import find_device_entry

    name = Workload.parse(device).device
    local = name == "cpu" or name.partition(":")[0] == "cuda"
    return not local and find_device_entry(name).kind == "tpu"


def compiled(
    store: Store,
    question: Question,
    *,
    show_plan: Callable[[Planning], None],
    progress: "Callable[[str], AbstractContextManager[Callable[[float, str], None]]]",
) -> Answer:
    """Have every model compiled for every workload, one at a time, and keep the estimates in the store.

    Args:
        store: gets counts, and estimates that are the compiler's; a bound is no cost to choose by.
        question: what is asked; ``minutes`` bounds all compilations together.
        show_plan: called before, where there is more than one row.
        progress: shows stage and seconds.

    Raises:
        UsageError: an option that TPUs do not have, or nothing that could be compiled.
        ZooError: unknown model.
    """
    begin = time.monotonic()
    workloads = _workloads(question)
    programs = _programs(store, question)
    rows = [(program, workload) for workload in workloads for program in programs]
    todo = [(program.text, workload, _COMPILE_S) for program, workload in rows if program.error is None]
    refused = [_without(*row, row[0].error) for row in rows if row[0].error is not None]
    planning = Planning(planned=tuple(todo), refused=tuple(refused))
    if question.plan_only:
        return Answer(planning=planning)
    if len(todo) > 1:
        show_plan(planning)
    found: list[ProfileRow] = []
    left_out = []
    with progress("compile") as update:
        for number, (program, workload) in enumerate(rows):
            if program.error is not None:
                continue
            minutes = _minutes_left(question, begin)
            if minutes is not None and minutes <= 0.0 and found:
                left_out.append((program.text, workload))
                continue
            limits = Limits() if minutes is None else Limits(minutes=max(minutes, 0.0))
            tell = _telling(update, number / len(rows), f"{program.text} on {workload}")
            row = _compiled(store, program, workload, limits, tell)
            found.append(_with_energy(row) if question.energy else row)
    answers = (*found, *refused)
    if answers and not any(row.figure is not None for row in answers):
        raise UsageError(f"nothing could be compiled: {answers[0].subject}: {answers[0].error}")
    return Answer(planning=planning, rows=answers, left_out=tuple(left_out))


# ---- what is compiled ---------------------------------------------------------------------------


def _workloads(question: Question) -> tuple[Workload, ...]:
    """Return the workloads asked for, in bf16 unless a precision is said: what TPUs multiply in."""
    base = Workload.parse(question.device)
    for what, said in (
        ("--threads", bool(question.threads) or base.threads != 1),
        ("--scenario", bool(question.scenarios)),
        ("--placement", bool(question.placements)),
    ):
        if said:
            raise UsageError(f"{what} is for devices that are here; {base.device} is compiled for")
    runtimes = {*question.runtimes, base.runtime} - {Runtime.XLA}
    if runtimes:
        raise UsageError(f"a TPU runs one program by XLA, not {', '.join(sorted(runtimes))}")
    found = grid(
        question.device,
        batches=question.batches,
        precisions=question.precisions if question.says_precision else (Precision.BF16,),
        channels_last=question.channels_last,
    )
    key = find_chip(base.device).key
    for workload in found:
        if workload.precision not in (Precision.BF16, Precision.FP32):
            raise UsageError(f"a TPU program is compiled in bf16 or fp32, not {workload.precision}")
    return tuple(replace(workload, device=key) for workload in found)


def _programs(store: Store, question: Question) -> tuple[Program, ...]:
    if question.dataset is not None:
        from explorer.run.profiling.answer import named_subjects
        from explorer.run.profiling.subjects import dataset_members

        chosen = named_subjects(store, question)
        records = dataset_members(store, question.dataset)
        channels, classes = records[0].channels, records[0].classes
        models: Sequence[ModelSpec] = [subject.model for subject in chosen]
    else:
        channels, classes = question.channels or CHANNELS, question.classes or CLASSES
        models = [
            _canonical(model, resolution)
            for resolution in question.resolutions or (None,)
            for model in question.named.models
        ]
    return (
        *(
            Program(text=str(model), model=model, channels=channels, classes=classes)
            for model in dict.fromkeys(models)
        ),
        *(_one_program(design, channels, classes) for design in question.named.designs),
    )


def _one_program(design: Ensemble, channels: int, classes: int) -> Program:
    # each once: a member that is named twice has more weight, and runs once
    members = tuple(dict.fromkeys(design.members))
    models = dict.fromkeys(_canonical(member.model) for member in members)
    error = None
    if len(models) > 1:
        named = ", ".join(map(str, models))
        error = (
            f"an ensemble is compiled as one program when its members are of one architecture, not {named}"
        )
    return Program(
        text=str(design),
        model=next(iter(models)),
        channels=channels,
        classes=classes,
        members=len(members),
        error=error,
    )


def _canonical(model: ModelSpec, resolution: int | None = None) -> ModelSpec:
    """Return the model as the zoo spells it, with a resolution: once by the zoo, then from the cache."""
    asked = {"named": str(model), "resolution": resolution, "versions": cache.versions()}
    key = cache.key_of({**asked, "code": cache.code_digest()})
    folder = cache.default_folder()
    kept = cache.read(folder, "named", key)
    if kept is None:
        from zoo import canonical_name, default_resolution

        size = model.resolution or resolution or default_resolution(model.name, _NATIVE)
        kept = {"name": canonical_name(model.name), "resolution": size}
        cache.write(folder, "named", key, kept)
    return ModelSpec(str(kept["name"]), int(kept["resolution"]))


# ---- one row ------------------------------------------------------------------------------------


def _compiled(store: Store, program: Program, workload: Workload, limits: Limits, tell: Tell) -> ProfileRow:
    """Return the compiler's row, or the bound's, or the reason why there is none."""
    side = program.model.resolution or 0
    request = TpuRequest(
        # all that shapes the network: answers are kept under it
        model=f"{program.model}, {program.channels} channels, {program.classes} classes, normalised",
        input_shape=_input_shape(workload, program.channels, side),
        device=workload.device,
        precision=workload.precision,
        channels_last=workload.channels_last,
        members=program.members,
    )
    _count(store, program)
    try:
        answer = tpu_latency(
            lambda: _network(program),
            request,
            macs=lambda: workload.batch * _macs(store, program),
            limits=limits,
            progress=tell,
        )
    except (CompileError, UsageError) as error:
        return _without(program, workload, str(error))
    row = _row(program, workload, answer)
    if answer.estimate is not None and math.isfinite(answer.figure.high) and program.members == 1:
        _keep(store, program, workload, answer.estimate)
    return row


def _input_shape(workload: Workload, channels: int, side: int) -> tuple[int, int, int, int]:
    return (workload.batch, channels, side, side)


def _network(program: Program) -> "nn.Module":
    """Return what would be timed where the device is, without numbers."""
    from explorer.measure.trace import build_on_meta
    from explorer.run.profiling.subjects import Subject, network

    subject = Subject(model=program.model, channels=program.channels, classes=program.classes)
    return build_on_meta(lambda: network(subject))[0]


def _row(program: Program, workload: Workload, answer: TpuAnswer) -> ProfileRow:
    estimate = answer.estimate
    if estimate is None:
        why = f"only the bound by published peaks: {answer.reason}"
        return ProfileRow(subject=program.text, workload=workload, figure=answer.figure, notes=(why,))
    notes = estimate.notes
    if not estimate.memory.fits:
        notes = (*notes, "the compiler's memory plan is larger than the device")
    return ProfileRow(
        subject=program.text,
        workload=workload,
        figure=answer.figure,
        memory_bytes=estimate.memory.peak_bytes,
        notes=notes,
        details=_details(estimate),
    )


def _details(estimate: TpuEstimate) -> dict[str, object]:
    memory = estimate.memory
    return {
        "cycles": estimate.cycles,
        "clock_hz": estimate.chip.clock_hz,
        "roofline_s": estimate.roofline_s,
        "weight_read_s": estimate.weight_read_s,
        "custom_calls": estimate.custom_calls,
        "memory": {name: getattr(memory, name) for name in memory.__dataclass_fields__},
        "fits": memory.fits,
        "per_second_and_chip": estimate.per_second_and_chip,
        "compile_s": estimate.compile_s,
        "from_cache": estimate.from_cache,
        "versions": dict(estimate.versions),
    }


def _without(program: Program, workload: Workload, reason: str | None) -> ProfileRow:
    text = " ".join((reason or "not compiled").split())
    return ProfileRow(subject=program.text, workload=workload, error=text)


def _with_energy(row: ProfileRow) -> ProfileRow:
    """Return the row with its energy's bound: no counter of a TPU that is not here can be read."""
    if row.figure is None:
        return row
    part = _bound_of(row, find_chip(row.workload.device))
    return replace(row, energy=part)


def _bound_of(row: ProfileRow, chip: Chip) -> EnergyPart:
    if row.figure is None:
        raise AssertionError("a row without a time has no energy to bound")
    reason = f"no energy counter: {row.workload.device} is not here"
    figure = rated.bound(chip.device, row.figure)
    if figure is None:
        why = rated.missing_reason(chip.device, row.figure) or "energy unknown"
        return EnergyPart(figure=None, reason=f"{reason}; {why}")
    figure = figure.per_example(row.workload.batch)
    return EnergyPart(
        figure=figure, reason=reason, details={"tdp_w": chip.device.tdp_w, "device": chip.device.name}
    )


# ---- the store ----------------------------------------------------------------------------------


def _keep(store: Store, program: Program, workload: Workload, estimate: TpuEstimate) -> None:
    store.put_cost(
        CostRecord(
            model=program.model,
            channels=program.channels,
            classes=program.classes,
            kind="latency",
            device=str(workload),
            figure=estimate.figure,
            convention=convention(workload),
            source=f"explorer {__version__}, libtpu {estimate.versions.get('libtpu', 'unknown')}",
        )
    )


def _stored_macs(store: Store, program: Program) -> float | None:
    wanted = (program.model, program.channels, program.classes)
    for record in store.costs("macs"):
        if (record.model, record.channels, record.classes) == wanted and record.figure.basis is Basis.COUNTED:
            return record.figure.value
    return None


def _count(store: Store, program: Program) -> None:
    """Count the model and keep the counts, unless the store has them: counting needs torch."""
    if _stored_macs(store, program) is None:
        from explorer.run.profiling import count_subjects
        from explorer.run.profiling.subjects import Subject

        subject = Subject(model=program.model, channels=program.channels, classes=program.classes)
        count_subjects([subject], store)


def _macs(store: Store, program: Program) -> float:
    """Return one network's products for one example; 0 where they cannot be counted, which bounds still."""
    return _stored_macs(store, program) or 0.0


# ---- time ---------------------------------------------------------------------------------------


def _minutes_left(question: Question, begin: float) -> float | None:
    return None if question.minutes is None else question.minutes - (time.monotonic() - begin) / 60.0


def _telling(update: Callable[[float, str], None], share: float, what: str) -> Tell:
    return lambda stage, seconds: update(share, f"{what}: {stage}, {seconds:.0f} s")
