"""Score a predictor on a table of measured times, families held out, and its transfer to another device.

The predictor comes in as functions, so that any can be put to the same test. What is asked of it never
holds the answer: the seconds of the rows to predict are taken out first.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from explorer.errors import InputDataError
from explorer.prediction import baselines
from explorer.prediction.decision import DecisionBin, decision_test
from explorer.prediction.evaluation import (
    Accuracy,
    AccuracyInterval,
    accuracy,
    accuracy_interval,
    by_fold,
    coverage,
    worst_rows,
)
from explorer.prediction.families import FOLDS, folds
from explorer.record import CostFigure

OURS, MACS, MACS_ACTIVATIONS, ROOFLINE = "ours", "macs", "macs_activations", "roofline"


class Timed(Protocol):
    """What a row must know to be scored; a dataclass, so that its seconds can be taken out."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def family(self) -> str:
        """What is held out together."""

    @property
    def batch(self) -> int:
        """Examples a call."""

    @property
    def seconds(self) -> float:
        """Measured time of one call."""


S = TypeVar("S", bound=Timed)


class Predictor(Protocol):
    """What was fitted: gives the seconds of one call of each row with a 90 % interval."""

    def predict(self, samples: Sequence[Any]) -> Sequence[CostFigure]:
        """Return one figure for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What a device does at best in the precision of a run."""

    flops: float
    """Operations a second, dense."""
    bandwidth: float
    """Bytes a second of main memory."""
    item_bytes: int
    """Bytes of one activation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableScore:
    """How predictors did on one table."""

    name: str
    rows: int
    accuracy: Mapping[str, Accuracy | None]
    """`OURS`, `MACS`, `MACS_ACTIVATIONS`, `ROOFLINE` -> figures; None where it could not be worked out.
    The simple ones are scored on the rows whose totals the table gives."""
    interval: AccuracyInterval
    """Of ours, families drawn again."""
    coverage90: float
    """Share of measured times within our 90 % intervals."""
    decisions: tuple[DecisionBin, ...]
    figures: tuple[CostFigure, ...]
    """Our prediction of each row, seconds of one call."""
    worst: tuple[int, ...]
    """Rows by the factor they are off, worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferScore:
    """How a predictor fitted on one device did on another."""

    rows: int
    peaks: Accuracy
    """From the two devices' peaks alone."""
    calibrated: Accuracy | None
    """After a few runs on the target; None where none were asked for."""
    peaks_interval: AccuracyInterval
    calibrated_interval: AccuracyInterval | None
    peaks_coverage90: float
    calibrated_coverage90: float | None
    calibration_models: tuple[tuple[str, ...], ...]
    """What was run on the target, for each fold."""


def score_table(
    name: str,
    samples: Sequence[S],
    totals: np.ndarray,
    *,
    fit: Callable[[Sequence[S]], Predictor],
    peaks: Peaks | None = None,
) -> TableScore:
    """Fit and test a predictor, and the simple ones, on the same folds of one table.

    Args:
        name: what to call the table.
        samples: its rows.
        totals: multiply-adds and activations of one example [row, 2]; NaN where not known.
        fit: makes a predictor from rows with their seconds.
        peaks: the device's, for the roofline; None: no roofline.

    Raises:
        InputDataError: too few families for the folds.
    """
    fold = _folds(samples)
    seconds = np.array([sample.seconds for sample in samples])
    figures = _held_out_figures(samples, fold, fit)
    predicted = np.array([figure.value for figure in figures])
    low, high = (np.array([getattr(figure, end) for figure in figures]) for end in ("low", "high"))
    batch = np.array([sample.batch for sample in samples])
    models = [sample.model for sample in samples]
    return TableScore(
        name=name,
        rows=len(samples),
        accuracy={
            OURS: accuracy(predicted, seconds),
            **_baseline_accuracies(totals, seconds / batch, fold, peaks),
        },
        interval=accuracy_interval(predicted, seconds, [sample.family for sample in samples]),
        coverage90=coverage(low, high, seconds),
        decisions=decision_test(
            [figure.per_example(sample.batch) for figure, sample in zip(figures, samples, strict=True)],
            seconds / batch,
            models,
        ),
        figures=figures,
        worst=tuple(worst_rows(predicted, seconds, len(samples))),
    )


def score_transfer(
    source: Sequence[S],
    target: Sequence[S],
    *,
    move: Callable[[Sequence[S], S], Predictor],
    calibrate: Callable[[Predictor, Sequence[S]], Predictor],
    plan: Callable[[Predictor, Sequence[S], int], Sequence[int]],
    runs: int,
) -> TransferScore:
    """Fit on one device, predict another; families asked for are in neither the fit nor the calibration.

    Args:
        source: rows measured on the first device.
        target: rows measured on the second.
        move: given rows of the source and any row of the target (without seconds), a predictor for it.
        calibrate: given that predictor and rows of the target with seconds, a better one.
        plan: given the predictor, rows of the target without seconds and a number, the indices of those
            to run.
        runs: how many; 0 for no calibration.

    Raises:
        InputDataError: too few families for the folds, or fewer rows than runs.
    """
    both = [*source, *target]
    fold = _folds(both)
    source_fold, target_fold = fold[: len(source)], fold[len(source) :]
    blind = [_without_seconds(sample) for sample in target]
    plain: list[CostFigure | None] = [None] * len(target)
    better: list[CostFigure | None] = [None] * len(target)
    ran: list[tuple[str, ...]] = []
    for number in np.unique(target_fold):
        known = [source[row] for row in np.flatnonzero(source_fold != number).tolist()]
        asked = np.flatnonzero(target_fold == number).tolist()
        predictor = move(known, blind[asked[0]])
        _place(plain, asked, predictor.predict([blind[row] for row in asked]))
        if runs:
            free = np.flatnonzero(target_fold != number).tolist()
            chosen = [free[place] for place in _planned(plan, predictor, [blind[row] for row in free], runs)]
            ran.append(tuple(target[row].model for row in chosen))
            calibrated = calibrate(predictor, [target[row] for row in chosen])
            _place(better, asked, calibrated.predict([blind[row] for row in asked]))
    first, first_interval, first_coverage = _scored([f for f in plain if f is not None], target)
    second = _scored([f for f in better if f is not None], target) if runs else (None, None, None)
    return TransferScore(
        rows=len(target),
        peaks=first,
        calibrated=second[0],
        peaks_interval=first_interval,
        calibrated_interval=second[1],
        peaks_coverage90=first_coverage,
        calibrated_coverage90=second[2],
        calibration_models=tuple(ran),
    )


def _folds(samples: Sequence[Timed]) -> np.ndarray:
    families = [sample.family for sample in samples]
    names = sorted(set(families))
    if len(names) < FOLDS:
        raise InputDataError(
            f"{len(samples)} rows of {len(names)} model families ({', '.join(names)}); "
            f"holding families out takes at least {FOLDS}"
        )
    return folds(families)


def _without_seconds(sample: S) -> S:
    """Return the row without its answer."""
    return dataclasses.replace(sample, seconds=math.nan)  # type: ignore[type-var]


def _held_out_figures(
    samples: Sequence[S], fold: np.ndarray, fit: Callable[[Sequence[S]], Predictor]
) -> tuple[CostFigure, ...]:
    """Return our figure of each row, fitted on the other folds."""

    def predict(known: np.ndarray, asked: np.ndarray) -> Sequence[CostFigure]:
        predictor = fit([samples[row] for row in known.tolist()])
        return predictor.predict([_without_seconds(samples[row]) for row in asked.tolist()])

    return tuple(by_fold(fold, predict))


def _baseline_accuracies(
    totals: np.ndarray, seconds: np.ndarray, fold: np.ndarray, peaks: Peaks | None
) -> dict[str, Accuracy | None]:
    """Return the simple predictors' figures on the rows whose totals are known."""
    estimators: dict[str, baselines.Estimator | None] = {
        MACS: baselines.macs_only,
        MACS_ACTIVATIONS: baselines.macs_activations,
        ROOFLINE: baselines.roofline(peaks.flops, peaks.bandwidth, peaks.item_bytes) if peaks else None,
    }
    known = np.isfinite(totals).all(axis=1) & (totals[:, baselines.MACS] > 0)
    found: dict[str, Accuracy | None] = {}
    for name, estimator in estimators.items():
        if estimator is None or len(np.unique(fold[known])) < FOLDS:
            found[name] = None
            continue
        predicted = baselines.held_out(estimator, totals[known], seconds[known], fold[known])
        found[name] = accuracy(predicted, seconds[known])
    return found


def _place(into: list[CostFigure | None], rows: Sequence[int], figures: Sequence[CostFigure]) -> None:
    for row, figure in zip(rows, figures, strict=True):
        into[row] = figure


def _planned(
    plan: Callable[[Predictor, Sequence[S], int], Sequence[int]],
    predictor: Predictor,
    rows: Sequence[S],
    runs: int,
) -> list[int]:
    if runs > len(rows):
        raise InputDataError(f"{runs} calibration runs asked for, but only {len(rows)} rows to choose from")
    chosen = list(plan(predictor, rows, runs))
    if len(set(chosen)) != runs:
        raise ValueError(f"the planner was to choose {runs} different rows, it chose {chosen}")
    return chosen


def _scored(
    figures: Sequence[CostFigure], samples: Sequence[Timed]
) -> tuple[Accuracy, AccuracyInterval, float]:
    seconds = np.array([sample.seconds for sample in samples])
    predicted = [figure.value for figure in figures]
    low, high = (np.array([getattr(figure, end) for figure in figures]) for end in ("low", "high"))
    return (
        accuracy(predicted, seconds),
        accuracy_interval(predicted, seconds, [sample.family for sample in samples]),
        coverage(low, high, seconds),
    )
