"""Predict latency from a few dozen measured models: rates alone, held together by a prior.

A network wants hundreds of models. With forty, what can be learnt is a rate for each kind of kernel and
sort of work, and most kinds are seen in a few models only. So every rate is a common one times a factor
that a prior keeps near 1: kinds that the data say nothing about stay with the others (a hierarchical
model, its posterior's mode found by L-BFGS). Intervals come from leaving each family out in turn.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.kernels import KIND, KINDS
from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.prediction.features import WORK, work
from explorer.prediction.predictor import LEVEL, Sample, conformal, one_workload, require_times
from explorer.record import CostFigure
from explorer.workload import Runtime, Workload

LEAST_ROWS, LEAST_FAMILIES = 12, 6
SPREAD = 0.5
"""Prior standard deviation of a kind's rate about the common one, in logarithms."""
ERROR = 0.05
"""Relative error of a model about its rates that the fit reckons with; larger ones pull less."""
_SHARES = (0.5, 0.3, 0.1)
"""Of the median model's time that each sort of work is given to begin with."""
_COMMON_SPREAD = 2.0
BLOCK = 16
"""Channels that onnxruntime's convolutions take at once (MLAS, NCHWc layout, 512-bit vectors). Those that
do not fill blocks run another, slower way: to a rate of their own."""
_BLOCKED = ("conv", "pointwise", "grouped", "depthwise")
_COLUMNS = len(KINDS) + len(_BLOCKED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatePredictor:
    """Rates fitted to a few measured models of one device and workload."""

    workload: Workload
    rates: np.ndarray
    """Seconds for one unit of work: [sort of work, kind, then convolutions that do not fill blocks]."""
    low: float
    """How far the interval's lower end lies below a prediction, in logarithms."""
    high: float
    rows: int
    families: int
    batches: tuple[int, int]

    def predict(self, samples: Sequence[Sample]) -> tuple[CostFigure, ...]:
        """Return seconds of one call of each sample, with its 90 % interval.

        Raises:
            UsageError: a sample of another workload.
        """
        for sample in samples:
            if dataclasses.replace(sample.workload, batch=1) != self.workload:
                raise UsageError(f"this predictor is for {self.workload}, not for {sample.workload}")
        if not samples:
            return ()
        seconds = _totals(samples, self.rates) * [sample.batch for sample in samples]
        down, up = math.exp(-self.low), math.exp(self.high)
        return tuple(
            CostFigure(value=one, low=one * down, high=one * up, basis=Basis.FITTED)
            for one in seconds.tolist()
        )


def fit_rates(samples: Sequence[Sample]) -> RatePredictor:
    """Fit rates to measured times of one device and workload; batches may differ.

    Raises:
        InputDataError: too few models or families, several workloads, or times that are not above 0.
    """
    families = np.array([sample.family for sample in samples])
    if len(samples) < LEAST_ROWS or len(set(families)) < LEAST_FAMILIES:
        raise InputDataError(
            f"{len(samples)} measured models of {len(set(families))} families; "
            f"rates want {LEAST_ROWS} of {LEAST_FAMILIES}"
        )
    workload = one_workload(samples)
    require_times(samples)
    seconds = np.array([sample.seconds / sample.batch for sample in samples])
    amounts = _amounts(samples)
    unseen = np.zeros(len(samples))
    for family in sorted(set(families)):
        known = families != family
        unseen[~known] = np.log((amounts[~known] * _mode(amounts[known], seconds[known])).sum(axis=(1, 2)))
    off = np.log(seconds) - unseen
    batches = [sample.batch for sample in samples]
    return RatePredictor(
        workload=workload,
        rates=_mode(amounts, seconds),
        low=max(-conformal(off, (1 - LEVEL) / 2), 0.0),
        high=max(conformal(off, (1 + LEVEL) / 2), 0.0),
        rows=len(samples),
        families=len(set(families)),
        batches=(min(batches), max(batches)),
    )


def _totals(samples: Sequence[Sample], rates: np.ndarray) -> np.ndarray:
    return np.asarray((_amounts(samples) * rates).sum(axis=(1, 2)))


def _amounts(samples: Sequence[Sample]) -> np.ndarray:
    """Return the work of each kind per example: [model, sort of work, column of rates]."""
    found = np.zeros((len(samples), len(WORK), _COLUMNS))
    for place, sample in enumerate(samples):
        shipped = sample.workload.runtime is Runtime.ONNXRUNTIME
        kernels = sample.kernels.fused if shipped else sample.kernels.operators
        column = kernels["kind"].astype(int)
        if shipped:
            column = np.where(_unfilled(kernels), _blocked_column(column), column)
        each = work(kernels, sample.batch) * kernels["count"][:, None]
        for sort in range(len(WORK)):
            np.add.at(found[place, sort], column, each[:, sort])
    return found


def _blocked_column(kind: np.ndarray) -> np.ndarray:
    column = kind.copy()
    for place, name in enumerate(_BLOCKED):
        column[kind == KIND[name]] = len(KINDS) + place
    return column


def _unfilled(kernels: np.ndarray) -> np.ndarray:
    """Tell which convolutions' channels do not fill blocks; images, of 3 channels or fewer, do not count."""
    given = kernels["depth"] / np.maximum(kernels["taps"], 1)
    grouped = kernels["kind"] == KIND["grouped"]
    groups = np.where(grouped, 1, kernels["groups"])
    made, given = kernels["columns"] * groups, given * groups
    return (made % BLOCK != 0) | ((given % BLOCK != 0) & (given > 3))


def _mode(amounts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the posterior's most likely rates: [sort of work, column]."""
    import torch

    quantity, target = torch.tensor(amounts), torch.log(torch.tensor(seconds))
    sums = np.maximum(amounts.sum(axis=2), 1e-30)
    first = np.log(np.array(_SHARES) * np.median(seconds[:, None] / sums, axis=0))
    centre = torch.tensor(first)
    common = centre.clone().requires_grad_()
    own = torch.zeros(amounts.shape[1:], dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [common, own], max_iter=400, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        total = (quantity * torch.exp(common[:, None] + own)).sum((1, 2))
        error = (torch.log(total) - target) / ERROR
        # Pseudo-Huber: square near 0, linear for the few models that no rate explains.
        value = (torch.sqrt(1 + error**2) - 1).sum() + (own**2).sum() / (2 * SPREAD**2)
        value = value + ((common - centre) ** 2).sum() / (2 * _COMMON_SPREAD**2)
        value.backward()
        return float(value.detach())

    optimiser.step(loss)
    return np.asarray(torch.exp(common[:, None] + own).detach().numpy())
