"""Answer a profile's question by measuring on this machine: models, then ensembles, then energy."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from explorer.errors import UsageError
from explorer.profile_record import ProfileRow
from explorer.run.profile_asked import CHANNELS, CLASSES, Answer, PlannedRow, Planning, Question
from explorer.run.profiling import count_subjects
from explorer.run.profiling.designs import DesignJob, design_jobs, jobs_by_time, run_designs
from explorer.run.profiling.energy import ROW_S, Subjects, with_energy
from explorer.run.profiling.job import Outcome, run_plan
from explorer.run.profiling.plan import Options, Plan, Planned, plan_rows
from explorer.run.profiling.scenarios import scenario_batches
from explorer.run.profiling.subjects import Subject, subjects
from explorer.run.workload_grid import grid
from explorer.store import Store
from explorer.workload import Runtime, Workload

Update = Callable[[float, str], None]
Progress = Callable[[str], AbstractContextManager[Update]]
"""Shows progress under a title until the block ends."""


def measured(
    store: Store,
    question: Question,
    *,
    say: Callable[[str], None],
    show_plan: Callable[[Planning], None],
    progress: Progress,
) -> Answer:
    """Plan, show the plan, and run it unless only the plan was asked for.

    Args:
        store: gets counts, times, energies and raw samples of models; ensembles are not kept.
        question: what is asked.
        say: told what a person should know.
        show_plan: called once, before anything is timed.
        progress: shows how far it is.

    Raises:
        EnvironmentMissingError: the device is known, but not here.
        UsageError: an unknown device, or nothing that can be measured.
    """
    begin = time.monotonic()
    options = options_of(question)
    work = _work(store, question, options, say)
    if question.plan_only:
        return Answer(planning=work.planning)
    show_plan(work.planning)
    until = None if question.minutes is None else begin + 60.0 * question.minutes
    with progress("profile") as update:
        models = run_plan(store, work.plan, options, update=update) if work.chosen else _NOTHING
        timed, late = run_designs(store, work.fit, options, until=until, update=update)
    rows = (*models.rows, *timed, *work.refused)
    if rows and not any(row.figure is not None for row in rows):
        raise UsageError(f"nothing could be measured: {rows[0].subject}: {rows[0].error}")
    if question.energy:
        with progress("energy") as update:
            rows = with_energy(store, rows, work.subjects, options, until=until, update=update)
    return Answer(
        planning=work.planning,
        rows=rows,
        left_out=(
            *((str(job.subject.model), job.workload) for job in models.left_out),
            *((str(job.design), job.workload) for job in (*late, *work.rest)),
        ),
    )


_NOTHING = Outcome(rows=(), left_out=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is to be done for a question."""

    chosen: tuple[Subject, ...]
    plan: Plan
    """Of the models."""
    fit: tuple[DesignJob, ...]
    rest: tuple[DesignJob, ...]
    """Do not fit in the time given."""
    refused: tuple[ProfileRow, ...]
    """Designs that cannot be timed."""
    planning: Planning

    @property
    def subjects(self) -> Subjects:
        """What the rows are made of."""
        return Subjects(
            models={str(subject.model): subject for subject in self.chosen},
            designs={(str(job.design), job.workload): job for job in self.fit},
        )


def _work(store: Store, question: Question, options: Options, say: Callable[[str], None]) -> _Work:
    """Count the models, and divide everything into what is there, what is done, and what does not fit."""
    workloads = asked_workloads(question)
    chosen = named_subjects(store, question)
    jobs, refused = design_jobs(
        store,
        question.named.designs,
        _placeable(workloads, question),
        placements=question.placements,
        dataset=question.dataset,
        channels=question.channels or CHANNELS,
        classes=question.classes or CLASSES,
    )
    macs, notes = count_subjects(chosen, None if question.plan_only else store)
    for note in notes:
        say(note)
    plan = _plan_of_models(store, chosen, workloads, options, macs)
    fit, rest = jobs_by_time(jobs, options, spent_s=plan.seconds)
    planning = Planning(
        planned=(*map(_planned, plan.planned), *(_planned_job(job, options) for job in fit)),
        left_out=(*map(_planned, plan.left_out), *(_planned_job(job, options) for job in rest)),
        stored=len(plan.stored),
        refused=(*plan.refused, *refused),
    )
    return _Work(
        chosen=chosen, plan=plan, fit=tuple(fit), rest=tuple(rest), refused=refused, planning=planning
    )


def named_subjects(store: Store, question: Question) -> tuple[Subject, ...]:
    """Return the models that are asked for; where only designs were named, none.

    Raises:
        UsageError: the data set has no members in the store.
        ZooError: unknown model.
    """
    if question.named.designs and not question.named.models:
        return ()
    return subjects(
        store,
        list(question.named.models),
        dataset=question.dataset,
        channels=question.channels or CHANNELS,
        classes=question.classes or CLASSES,
        resolutions=question.resolutions,
    )


def options_of(question: Question) -> Options:
    """Return how rows are measured."""
    return Options(
        seconds=question.seconds,
        repeat=question.repeat,
        minutes=question.minutes,
        max_age_days=question.max_age_days,
        again=question.again,
        full_time=bool({"single-stream", "server"} & set(question.scenarios)),
        beside_s=ROW_S if question.energy and _has_meter(question) else 0.0,
    )


def asked_workloads(question: Question) -> tuple[Workload, ...]:
    """Return every combination of the options that say how a model runs."""
    scenarios = question.scenarios
    return grid(
        question.device,
        batches=question.batches or (scenario_batches(question.device, scenarios) if scenarios else ()),
        precisions=question.precisions,
        runtimes=question.runtimes,
        threads=question.threads,
        channels_last=question.channels_last,
    )


def _placeable(workloads: tuple[Workload, ...], question: Question) -> tuple[Workload, ...]:
    """Return what ensembles are timed under: not in the file that ships, unless that was asked for."""
    if question.says_runtime:
        return workloads
    return tuple(one for one in workloads if one.runtime is not Runtime.ONNXRUNTIME)


def _plan_of_models(
    store: Store,
    chosen: tuple[Subject, ...],
    workloads: tuple[Workload, ...],
    options: Options,
    macs: dict[Subject, float],
) -> Plan:
    if not chosen:
        return Plan(planned=(), left_out=(), stored=(), refused=())
    return plan_rows(store, chosen, workloads, options, macs=macs)


def _planned(one: Planned) -> PlannedRow:
    return str(one.job.subject.model), one.job.workload, one.seconds


def _planned_job(job: DesignJob, options: Options) -> PlannedRow:
    return str(job.design), job.workload, job.seconds(options)


def _has_meter(question: Question) -> bool:
    from explorer.measure.energy_meters import energy_meter
    from explorer.run.profiling.devices import here

    return energy_meter(here(Workload.parse(question.device)).device)[0] is not None
