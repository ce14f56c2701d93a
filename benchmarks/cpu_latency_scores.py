"""How well the times of whole model families held out are predicted: by simple features, and by ours."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.kernels import KernelTable
from explorer.errors import UsageError
from explorer.prediction import Sample
from explorer.prediction.baselines import held_out, macs_only, relative_nnls
from explorer.prediction.evaluation import (
    Accuracy,
    AccuracyInterval,
    accuracy,
    accuracy_interval,
    by_fold,
    coverage,
    worst_rows,
)
from explorer.prediction.families import family, folds
from explorer.prediction.scores import Predictor
from explorer.record import CostFigure
from explorer.workload import Runtime, Workload

_WORST = 5


Ours = Callable[[Sequence[Sample]], Predictor]
"""Fits our predictor to the samples of one runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one predictor did on held-out families of one runtime."""

    runtime: str
    predictor: str
    """``macs``, ``three`` or ``ours``."""
    accuracy: Accuracy
    interval: AccuracyInterval
    coverage90: float | None
    worst: tuple[tuple[str, float], ...]
    """Model and predicted over measured, furthest off first."""


def totals(table: KernelTable) -> tuple[float, float, float]:
    """Return multiply-adds, bytes moved (weights among them) and operators of one call on one example."""
    ops = table.operators
    moved = ops["read"] + ops["written"] + ops["weights"]
    macs, bytes_moved = (float((ops["count"] * one).sum()) for one in (ops["macs"], moved))
    return macs, bytes_moved, float(ops["count"].sum())


def three_features(fitted: np.ndarray, seconds: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predict seconds as three constants, 0 or more, times multiply-adds, bytes and operators."""
    return asked @ relative_nnls(fitted, seconds)


def score_held_out(
    times: Mapping[str, float],
    runtime: str,
    tables: Mapping[str, KernelTable],
    ours: Ours | None,
    fold_count: int | None,
) -> list[Score]:
    """Return the score of each predictor on one runtime.

    Args:
        times: model -> seconds of one call.
        runtime: what ran them.
        tables: model -> its kernels.
        ours: fits our predictor; None leaves it out.
        fold_count: folds of families; None holds one family out at a time.

    Raises:
        UsageError: too few families.
    """
    samples = [
        Sample(
            model=f"timm:{model}",
            family=family(model),
            kernels=tables[model],
            batch=1,
            workload=Workload(device="cpu", runtime=Runtime(runtime)),
            device="cpu",
            seconds=seconds,
        )
        for model, seconds in times.items()
    ]
    families = [sample.family for sample in samples]
    if len(set(families)) < max(2, fold_count or 0):
        raise UsageError(
            f"{len(samples)} models of {len(set(families))} families are too few to hold any out"
        )
    fold = folds(families, count=fold_count or len(set(families)))
    features, seconds = np.array([totals(one.kernels) for one in samples]), np.array(list(times.values()))
    predicted: dict[str, np.ndarray] = {
        "macs": held_out(macs_only, features, seconds, fold),
        "three": held_out(three_features, features, seconds, fold),
    }
    inside = None
    if ours is not None:
        figures = predict_held_out(samples, fold, ours)
        predicted["ours"] = np.array([figure.value for figure in figures])
        low, high = (np.array([getattr(figure, end) for figure in figures]) for end in ("low", "high"))
        inside = coverage(low, high, seconds)
    return [
        Score(
            runtime=runtime,
            predictor=name,
            accuracy=accuracy(values, seconds),
            interval=accuracy_interval(values, seconds, families),
            coverage90=inside if name == "ours" else None,
            worst=tuple(
                (samples[row].model, float(values[row] / seconds[row]))
                for row in worst_rows(values, seconds, _WORST)
            ),
        )
        for name, values in predicted.items()
    ]


def predict_held_out(samples: Sequence[Sample], fold: np.ndarray, ours: Ours) -> list[CostFigure]:
    """Return our figure of each sample, fitted on the other folds; the samples asked for hold no times."""

    def predict(known: np.ndarray, asked: np.ndarray) -> Sequence[CostFigure]:
        predictor = ours([samples[row] for row in known.tolist()])
        return predictor.predict(
            [dataclasses.replace(samples[row], seconds=math.nan) for row in asked.tolist()]
        )

    return by_fold(fold, predict)
