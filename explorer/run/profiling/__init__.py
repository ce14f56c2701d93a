"""Time models under workloads, interleaved and planned, and keep the raw samples.

On the CPU a model is timed as what would be shipped, an ONNX file run by onnxruntime (workload ``cpu``),
and in eager torch (``cpu/eager``): the ratio of two models differs between the two, so they are two
workloads and never share an axis. Weights and images are random: time does not depend on them, but for
zeros, which are avoided.
"""

from collections.abc import Callable, Sequence

from explorer.errors import UncountedError
from explorer.record import CostFigure, LatencyRun
from explorer.run.costs import counted_costs
from explorer.run.profiling.job import Outcome, run_plan
from explorer.run.profiling.plan import Job, Options, Plan, Planned, plan_rows
from explorer.run.profiling.subjects import Subject, subjects
from explorer.run.workload_grid import grid
from explorer.store import Store

__all__ = [
    "Job",
    "Options",
    "Outcome",
    "Plan",
    "Planned",
    "Subject",
    "count_subjects",
    "grid",
    "plan_rows",
    "profile_models",
    "run_plan",
    "subjects",
]

_EVER = 36_500.0
"""Days: a century."""


def count_subjects(
    chosen: Sequence[Subject], store: Store | None = None
) -> tuple[dict[Subject, float], tuple[str, ...]]:
    """Count one example of every subject; with ``store``, keep the counts.

    Returns:
        MACs by subject, and a note on each that has operators without a formula: it can be timed still.
    """
    macs, notes = {}, []
    for subject in chosen:
        try:
            records = counted_costs(subject.model, channels=subject.channels, classes=subject.classes)
        except UncountedError as error:
            notes.append(f"{subject.model} is timed, but not counted: {error}")
            continue
        for record in records:
            if record.kind == "macs":
                macs[subject] = record.figure.value
            if store is not None:
                store.put_cost(record, None)
    return macs, tuple(notes)


def profile_models(
    store: Store,
    chosen: Sequence[Subject],
    *,
    device: str = "cpu",
    seconds: float = 2.0,
    reuse: bool = False,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[tuple[LatencyRun, CostFigure], ...]:
    """Count and time every subject one example at a time, store the figures, and return the new runs.

    Args:
        store: gets counts, medians and raw samples.
        chosen: what to profile.
        device: ``cpu``, ``cuda``, ``cuda:1``, or a workload's text.
        seconds: time limit for each model under each workload.
        reuse: leave out subjects that are in the store already, measured under the same conditions.
        update: called with the share done and what is going on.

    Raises:
        EnvironmentMissingError: the device is not here.
        UsageError: none of them can be timed.
    """
    macs, _ = count_subjects(chosen, store)
    options = Options(seconds=seconds, again=not reuse, max_age_days=_EVER)
    plan = plan_rows(store, chosen, grid(device), options, macs=macs)
    rows = run_plan(store, plan, options, update=update).rows
    return tuple((row.run, row.figure) for row in rows if row.run and row.figure and not row.from_store)
