"""How far off the latency predictor is on a study's rows: moved from other cards, and after ten runs."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np

from benchmarks.device_study_plan import subject_of
from benchmarks.device_study_rows import Row
from explorer.accounting.kernels import KernelTable
from explorer.data.devices import find_device_entry
from explorer.errors import UsageError
from explorer.prediction import LatencyPredictor, Sample, Scaling, TransferredPredictor, calibrate
from explorer.prediction.decision import DecisionBin, decision_test
from explorer.prediction.evaluation import Accuracy, accuracy, coverage
from explorer.prediction.families import family
from explorer.prediction.files import load
from explorer.prediction.library import FOLDER_VARIABLE, moved_base, peaks_scaling
from explorer.prediction.predictor import is_cpu
from explorer.prediction.transfer import LEAST_RUNS
from explorer.record import CostFigure
from explorer.run.kernel_tables import Traced, needs_autocast
from explorer.run.predicting import sample_table
from explorer.workload import Runtime, Workload

Tables = Callable[[Sequence[Traced]], Mapping[Traced, KernelTable | str]]
_FUSED = (Runtime.COMPILED, Runtime.ONNXRUNTIME, Runtime.XLA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Of predictions of some rows."""

    accuracy: Accuracy
    coverage90: float
    """Share of rows within their 90 % intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One predictor on the rows of one workload, tried on models that it was not calibrated with."""

    workload: Workload
    base: str
    """What it was fitted to."""
    moved: bool
    """Whether the peaks of both devices are known."""
    runs: int
    """Measured models that it was calibrated with; 0: too few of them were measured."""
    before: Errors
    after: Errors | None
    unseen_before: Errors | None
    unseen_after: Errors | None
    """On the models whose family no run was of; None where there are none."""
    decisions: tuple[DecisionBin, ...]
    """Of the calibrated predictor where there is one, on models of unseen families where there are some."""


def scores(
    rows: Sequence[Row], planned: Sequence[str], device: str, tables: Tables
) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    """Score every predictor that ships on every workload of four rows or more.

    Args:
        rows: of one machine.
        planned: models that it is calibrated with.
        device: its key in the device table, where it is there.
        tables: gives the kernels of models.

    Returns:
        Scores by workload, and notes on what could not be predicted.
    """
    groups: dict[Workload, list[Row]] = {}
    for row in rows:
        if row["kind"] == "time" and row["latency_s"] is not None:
            workload = dataclasses.replace(Workload.parse(row["workload"]), device=device)
            groups.setdefault(workload, []).append(row)
    wanted = {workload: [_traced(row, workload) for row in some] for workload, some in groups.items()}
    found = tables(list(dict.fromkeys(one for some in wanted.values() for one in some)))
    notes = [f"{one} cannot be predicted: {why}" for one, why in found.items() if isinstance(why, str)]
    scored: list[Score] = []
    for workload in sorted(groups, key=_order):
        pairs = zip(groups[workload], wanted[workload], strict=True)
        samples = [
            _sample(row, workload, table)
            for row, one in pairs
            for table in (found[one],)
            if not isinstance(table, str)
        ]
        if len(samples) > LEAST_RUNS:
            scored += [
                _score(samples, set(planned), predictor, source, moved)
                for predictor, source, moved in _predictors(workload)
            ]
    return tuple(scored), tuple(dict.fromkeys(notes))


def _order(workload: Workload) -> tuple[object, ...]:
    return str(workload.runtime), workload.channels_last, str(workload.precision), workload.batch


def _traced(row: Row, workload: Workload) -> Traced:
    subject = subject_of(row["model"])
    return Traced(
        model=subject.model.name,
        resolution=subject.resolution,
        channels=subject.channels,
        classes=subject.classes,
        autocast=needs_autocast(workload.precision),
    )


def _sample(row: Row, workload: Workload, table: KernelTable) -> Sample:
    return Sample(
        model=row["model"],
        family=family(row["model"]),
        kernels=sample_table(table, workload.precision),
        batch=workload.batch,
        workload=workload,
        device=workload.device,
        seconds=row["latency_s"]["p50"],
    )


# ---- predictors ---------------------------------------------------------------------------------


def shipped() -> tuple[tuple[LatencyPredictor, str], ...]:
    """Return the predictors that come with the program, and what each was fitted to."""
    found = []
    for entry in sorted(files("explorer.prediction").joinpath("fitted").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".npz"):
            with as_file(entry) as path:
                predictor, source = load(path)
            if isinstance(predictor, LatencyPredictor):
                found.append((predictor, source))
    return tuple(found)


@contextlib.contextmanager
def _without_own() -> Iterator[None]:
    """Leave out what the user fitted: a report must come out the same everywhere."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ[FOLDER_VARIABLE]
        else:
            os.environ[FOLDER_VARIABLE] = before


def _predictors(workload: Workload) -> Iterator[tuple[TransferredPredictor, str, bool]]:
    """Yield the predictors of the same sort of device and runtime, moved here by the peaks.

    How far they are trusted before any run, the product says (`moved_base`).
    """
    with _without_own():
        answering = moved_base(workload)
    if answering is None or not isinstance(answering.predictor, TransferredPredictor):
        return
    able = [p for p, _ in shipped() if is_cpu(p.workload.device) == is_cpu(workload.device)]
    same = [p for p in able if (p.workload.runtime in _FUSED) == (workload.runtime in _FUSED)] or able
    for base in same:
        alike = [other for other in same if other.workload.device == base.workload.device]
        if any(other.workload.channels_last == workload.channels_last for other in alike) and (
            base.workload.channels_last != workload.channels_last
        ):
            continue  # the same card was timed in this memory format
        scaling = _scaling(base.workload, workload)
        yield (
            dataclasses.replace(
                answering.predictor,
                base=dataclasses.replace(base, scaling=scaling or Scaling()),
                batches=base.batches,
            ),
            str(base.workload),
            scaling is not None,
        )


def _scaling(fitted: Workload, asked: Workload) -> Scaling | None:
    try:
        here, there = find_device_entry(fitted.device), find_device_entry(asked.device)
        return peaks_scaling(here, fitted.precision, there, asked.precision)
    except UsageError:
        return None


# ---- scoring ------------------------------------------------------------------------------------


def _score(
    samples: Sequence[Sample], planned: set[str], predictor: TransferredPredictor, base: str, moved: bool
) -> Score:
    runs = [one for one in samples if one.model in planned]
    tested = [one for one in samples if one.model not in planned]
    if len(runs) < LEAST_RUNS or not tested:
        runs, tested = [], list(samples)
    known = {one.family for one in runs}
    unseen = [place for place, one in enumerate(tested) if one.family not in known] if runs else []
    blind = [dataclasses.replace(one, seconds=float("nan")) for one in tested]
    before = predictor.predict(blind)
    after = calibrate(predictor, runs).predict(blind) if runs else None
    asked = unseen if len({tested[place].model for place in unseen}) > 1 else range(len(tested))
    return Score(
        workload=samples[0].workload,
        base=base,
        moved=moved,
        runs=len(runs),
        before=_errors(before, tested, range(len(tested))),
        after=None if after is None else _errors(after, tested, range(len(tested))),
        unseen_before=_errors(before, tested, unseen) if unseen else None,
        unseen_after=_errors(after, tested, unseen) if unseen and after is not None else None,
        decisions=_decisions(before if after is None else after, tested, asked),
    )


def _errors(figures: Sequence[CostFigure], tested: Sequence[Sample], places: Sequence[int]) -> Errors:
    some = [figures[place] for place in places]
    seconds = np.array([tested[place].seconds for place in places])
    low, high = np.array([one.low for one in some]), np.array([one.high for one in some])
    return Errors(
        accuracy=accuracy([one.value for one in some], seconds), coverage90=coverage(low, high, seconds)
    )


def _decisions(
    figures: Sequence[CostFigure], tested: Sequence[Sample], places: Sequence[int]
) -> tuple[DecisionBin, ...]:
    return decision_test(
        [figures[place].per_example(tested[place].batch) for place in places],
        np.array([tested[place].seconds / tested[place].batch for place in places]),
        [tested[place].model for place in places],
    )
