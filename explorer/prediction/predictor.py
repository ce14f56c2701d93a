"""Predict how long a model takes on a device, from measured times of other models there.

Five networks (`explorer.prediction.network`), each fitted without one fifth of the model families; the
prediction is their geometric mean. What each network gets wrong on the families it never saw tells how
wide an interval must be (cross-conformal prediction, "CV+" of Barber et al. 2021, on the logarithm of time).
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.kernels import KernelTable
from explorer.convention import Basis
from explorer.data.devices import find_device_entry
from explorer.errors import InputDataError, UsageError
from explorer.prediction.families import FOLDS, folds
from explorer.prediction.features import describe, work
from explorer.prediction.network import Kernels, Network, fit_network
from explorer.record import CostFigure
from explorer.workload import Runtime, Workload

LEVEL = 0.9
"""Share of measured times that an interval is to hold."""
LEAST_ROWS, LEAST_FAMILIES = 50, 10
"""Fewer measured models than this cannot fit the network; calibrate a predictor of another device."""
_FUSING = frozenset((Runtime.COMPILED, Runtime.ONNXRUNTIME, Runtime.XLA))
"""Runtimes that fuse what lies between products."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One model under one workload, and how long it took where that is known."""

    model: str
    family: str
    kernels: KernelTable
    batch: int
    workload: Workload
    device: str
    seconds: float = math.nan
    """Of one call; NaN where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How much longer a unit of each sort of work takes than where the networks were fitted."""

    macs: float = 1.0
    bytes: float = 1.0
    launches: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyPredictor:
    """What was fitted; `fit` makes one, `explorer.prediction.transfer` moves it."""

    workload: Workload
    """What it was fitted on; the batch may be any."""
    networks: tuple[Network, ...]
    centre: float
    """Added to the logarithm of time: where the mean relative error on unseen families is least."""
    low: float
    """How far the interval's lower end lies below a prediction, in logarithms."""
    high: float
    rows: int
    families: int
    batches: tuple[int, int]
    """Smallest and largest batch among the rows fitted, the hundredth at either end left out."""
    scaling: Scaling = Scaling()

    def predict(self, samples: Sequence[Sample]) -> tuple[CostFigure, ...]:
        """Return seconds of one call of each sample, with its 90 % interval.

        Raises:
            UsageError: a sample of another precision, runtime or memory format.
        """
        if not samples:
            return ()
        batch = np.array([sample.batch for sample in samples])
        value = np.exp(self.log_seconds(samples)) * batch
        down, up = math.exp(-self.low), math.exp(self.high)
        return tuple(
            CostFigure(value=v, low=v * down, high=v * up, basis=Basis.FITTED) for v in value.tolist()
        )

    def log_seconds(self, samples: Sequence[Sample]) -> np.ndarray:
        """Return the logarithm of each sample's seconds per example [sample]."""
        for sample in samples:
            self._check(sample.workload)
        kernels = pack(samples, self.scaling)
        each = np.log([network.model_seconds(kernels) for network in self.networks])
        return np.asarray(each.mean(axis=0)) + self.centre

    def _check(self, other: Workload) -> None:
        mine = self.workload
        for name in ("precision", "runtime", "channels_last"):
            if getattr(mine, name) != getattr(other, name):
                raise UsageError(
                    f"this predictor was fitted on {mine}, {other} differs in {name.replace('_', ' ')}"
                )


def fit(samples: Sequence[Sample], *, seed: int = 0) -> LatencyPredictor:
    """Fit a predictor to measured times of one device under one workload; batches may differ.

    Raises:
        InputDataError: times that are not above 0, several workloads, or too few models or families.
    """
    _require_enough(samples)
    workload = one_workload(samples)
    require_times(samples)
    fold = folds([sample.family for sample in samples])
    seconds = np.array([sample.seconds / sample.batch for sample in samples])
    kernels = pack(samples, Scaling())
    networks, unseen = [], np.zeros(len(samples))
    for number in range(FOLDS):
        known = np.flatnonzero(fold != number)
        network = fit_network(select(kernels, known), seconds[known], seed=seed + number)
        networks.append(network)
        asked = np.flatnonzero(fold == number)
        unseen[asked] = np.log(network.model_seconds(select(kernels, asked)))
    centre = _least_relative_error(seconds / np.exp(unseen))
    off = np.log(seconds) - unseen - centre
    return LatencyPredictor(
        workload=workload,
        networks=tuple(networks),
        centre=centre,
        low=max(-conformal(off, (1 - LEVEL) / 2), 0.0),
        high=max(conformal(off, (1 + LEVEL) / 2), 0.0),
        rows=len(samples),
        families=len({sample.family for sample in samples}),
        batches=_batches(samples),
    )


def pack(samples: Sequence[Sample], scaling: Scaling) -> Kernels:
    """Put the kernels of all samples end to end, described for their batches.

    Fused kernels for runtimes that fuse. Not on CPUs: there the operators told more on the measured table
    (12.7 against 13.5 % off), as memory is less of what a compiler saves.
    """
    workload = samples[0].workload
    fused = workload.runtime in _FUSING and not is_cpu(workload.device)
    tables = [sample.kernels.fused if fused else sample.kernels.operators for sample in samples]
    pairs = [(table, sample.batch) for table, sample in zip(tables, samples, strict=True)]
    factors = np.array([scaling.macs, scaling.bytes, scaling.launches])
    return Kernels(
        seen=np.concatenate([describe(table, batch) for table, batch in pairs]),
        work=np.concatenate([work(table, batch) for table, batch in pairs]) * factors,
        kind=np.concatenate([table["kind"].astype(np.int64) for table in tables]),
        count=np.concatenate([table["count"].astype(float) for table in tables]),
        first=np.concatenate([[0], np.cumsum([len(table) for table in tables])]),
    )


def is_cpu(device: str) -> bool:
    """Tell whether a device's name is that of a processor: this machine's, or one of the table."""
    if device in ("cpu", "cuda"):
        return device == "cpu"
    try:
        return find_device_entry(device).kind == "cpu"
    except UsageError:
        return False


def select(kernels: Kernels, models: np.ndarray) -> Kernels:
    """Return the kernels of some of the models."""
    sizes = np.diff(kernels.first)[models]
    rows = np.concatenate([np.arange(kernels.first[m], kernels.first[m + 1]) for m in models])
    return Kernels(
        seen=kernels.seen[rows],
        work=kernels.work[rows],
        kind=kernels.kind[rows],
        count=kernels.count[rows],
        first=np.concatenate([[0], np.cumsum(sizes)]),
    )


def _batches(samples: Sequence[Sample]) -> tuple[int, int]:
    low, high = np.quantile([sample.batch for sample in samples], (0.01, 0.99), method="nearest")
    return int(low), int(high)


def _least_relative_error(ratios: np.ndarray) -> float:
    """Return the logarithm of the factor f that makes the mean of ``|f - ratio| / ratio`` least.

    That is the median of the ratios, true over predicted, each weighted with its inverse: too slow by
    half counts more than too fast by half.
    """
    order = np.argsort(ratios)
    weights = np.cumsum(1 / ratios[order])
    return float(np.log(ratios[order][np.searchsorted(weights, weights[-1] / 2)]))


def conformal(errors: np.ndarray, level: float) -> float:
    """Return the quantile that a new error lies within with the level's probability (n + 1 rule)."""
    count = len(errors)
    step = math.floor(level * (count + 1)) if level < 0.5 else math.ceil(level * (count + 1))
    return float(np.sort(errors)[min(max(step - 1, 0), count - 1)])


def one_workload(samples: Sequence[Sample]) -> Workload:
    """Return what all samples, one at least, ran under; batch left out.

    Raises:
        InputDataError: several workloads.
    """
    kinds = {dataclasses.replace(sample.workload, batch=1) for sample in samples}
    if len(kinds) > 1:
        raise InputDataError(f"times of several workloads: {', '.join(map(str, sorted(kinds)))}; wanted one")
    return kinds.pop()


def require_times(samples: Sequence[Sample]) -> None:
    """Refuse samples that were not timed.

    Raises:
        InputDataError: a time that is not above 0.
    """
    bad = [sample for sample in samples if not 0 < sample.seconds < math.inf]
    if bad:
        raise InputDataError(f"{bad[0].model} took {bad[0].seconds} s; wanted times above 0")


def _require_enough(samples: Sequence[Sample]) -> None:
    families = {sample.family for sample in samples}
    if len(samples) < LEAST_ROWS or len(families) < LEAST_FAMILIES:
        raise InputDataError(
            f"{len(samples)} measured models of {len(families)} families; a fit wants {LEAST_ROWS} of "
            f"{LEAST_FAMILIES}: measure more, or calibrate a predictor of another device"
        )
