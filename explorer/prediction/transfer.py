"""Move a predictor to a device that it was not fitted on, and correct it by a few runs there.

By peaks: products take longer by the ratio of the devices' peaks, bytes by that of their bandwidths,
launches as long. What is left is a constant, and how each sort of kernel differs from its peak: a linear
model of the logarithm of time in the shares that sorts of kernels have of it, with a normal prior, which a
few measured models turn into a posterior (Bayesian linear regression). The prior also says which models
to measure: those after which the least is left unknown of all.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.kernels import KIND
from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.prediction.network import Kernels
from explorer.prediction.predictor import LatencyPredictor, Sample, Scaling, pack, require_times
from explorer.record import CostFigure
from explorer.workload import Workload

SORTS = (
    ("conv", "transposed"),
    ("pointwise", "product"),
    ("grouped", "depthwise"),
    ("batched_product", "attention", "attention_masked", "attention_apart", "softmax", "recurrent"),
    ("batch_norm", "layer_norm", "group_norm", "reduction", "fused_reduction", "pool", "resize"),
    ("copy", "concatenate", "cast", "weight_cast", "weight_work"),
    ("activation", "activation_exp", "elementwise", "fused_elementwise", "other"),
)
"""Kinds whose departure from the devices' peaks is taken to be the same."""
CONSTANT_SD, SHARE_SD = 0.30, 0.20
"""Prior standard deviations, of logarithms: of the whole model, and of a sort of kernels against the rest.
Chosen among ten settings on timm's two cards, both ways (benchmarks/results/latency_prediction.md)."""
NOISE_SD = 0.10
"""Of one model about the linear model: what the networks themselves get wrong."""
LEAST_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferredPredictor:
    """A predictor of one device, moved to another, with what is known of the difference."""

    base: LatencyPredictor
    """Scaled by the devices' peaks."""
    workload: Workload
    mean: np.ndarray
    """Of the correction's coefficients: constant, then one a sort [coefficient]."""
    covariance: np.ndarray
    runs: int
    """Measured on the target; 0: peaks alone."""
    batches: tuple[int, int]
    """Smallest and largest batch of those runs; without any, of the rows that the base was fitted to."""

    def predict(self, samples: Sequence[Sample]) -> tuple[CostFigure, ...]:
        """Return seconds of one call of each sample, with its 90 % interval."""
        if not samples:
            return ()
        moved = self._as_base(samples)
        seen = correction_terms(self.base, moved)
        centre = self.base.log_seconds(moved) + seen @ self.mean
        unknown = np.sqrt(np.einsum("sc,cd,sd->s", seen, self.covariance, seen))
        batch = np.array([sample.batch for sample in samples])
        value = np.exp(centre) * batch
        # 1.645: the normal's own 90 %, as the networks' quantiles know nothing of the correction
        low = np.exp(-np.hypot(self.base.low, 1.645 * unknown))
        high = np.exp(np.hypot(self.base.high, 1.645 * unknown))
        return tuple(
            CostFigure(value=float(v), low=float(v * down), high=float(v * up), basis=Basis.TRANSFERRED)
            for v, down, up in zip(value, low, high, strict=True)
        )

    def _as_base(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples as if they ran where the base was fitted.

        Raises:
            UsageError: samples of another workload than this predictor's.
        """
        for sample in samples:
            if dataclasses.replace(sample.workload, batch=1) != self.workload:
                raise UsageError(f"this predictor is for {self.workload}, not for {sample.workload}")
        base = self.base.workload
        return [
            dataclasses.replace(sample, workload=dataclasses.replace(base, batch=sample.batch))
            for sample in samples
        ]


def transfer(
    base: LatencyPredictor, workload: Workload, scaling: Scaling, *, extra_sd: float = 0.0
) -> TransferredPredictor:
    """Move a predictor to another device by the ratio of what the two can do at most.

    Args:
        base: fitted on the device with measurements.
        workload: what is asked of the other device.
        scaling: how much longer a unit of work takes there, by the peaks.
        extra_sd: added to the constant's prior standard deviation where more differs than the device.
    """
    size = 1 + len(SORTS)
    spread = np.array([CONSTANT_SD + extra_sd] + [SHARE_SD] * len(SORTS))
    return TransferredPredictor(
        base=dataclasses.replace(base, scaling=scaling),
        workload=dataclasses.replace(workload, batch=1),
        mean=np.zeros(size),
        covariance=np.diag(spread**2),
        runs=0,
        batches=base.batches,
    )


def calibrate(predictor: TransferredPredictor, measured: Sequence[Sample]) -> TransferredPredictor:
    """Correct a moved predictor by models measured on its device.

    Raises:
        InputDataError: fewer than `LEAST_RUNS` models, or times that are not above 0.
    """
    if len(measured) < LEAST_RUNS:
        raise InputDataError(
            f"{len(measured)} runs do not calibrate a predictor; wanted {LEAST_RUNS} or more"
        )
    require_times(measured)
    moved = predictor._as_base(measured)
    centre = predictor.base.log_seconds(moved)
    seconds = np.array([sample.seconds / sample.batch for sample in measured])
    seen = correction_terms(predictor.base, moved)
    precision = np.linalg.inv(predictor.covariance)
    covariance = np.linalg.inv(precision + seen.T @ seen / NOISE_SD**2)
    right = precision @ predictor.mean + seen.T @ (np.log(seconds) - centre) / NOISE_SD**2
    sizes = [sample.batch for sample in measured] + (list(predictor.batches) if predictor.runs else [])
    return dataclasses.replace(
        predictor,
        mean=covariance @ right,
        covariance=covariance,
        runs=predictor.runs + len(measured),
        batches=(min(sizes), max(sizes)),
    )


def plan(predictor: TransferredPredictor, samples: Sequence[Sample], runs: int) -> tuple[int, ...]:
    """Choose the models to measure: each time the one after which the least is unknown of all samples.

    Args:
        predictor: before the runs.
        samples: to choose from, and to be predicted.
        runs: how many to choose.

    Raises:
        UsageError: more runs than samples.
    """
    if not 0 < runs <= len(samples):
        raise UsageError(f"cannot choose {runs} of {len(samples)} models to measure")
    seen = correction_terms(predictor.base, predictor._as_base(samples))
    covariance = predictor.covariance
    chosen: list[int] = []
    for _ in range(runs):
        # A run at x lowers the sum of variances by |S C x|^2 / (noise + x' C x), S the samples' terms.
        towards = seen @ covariance
        gain = ((towards @ seen.T) ** 2).sum(axis=0) / (NOISE_SD**2 + (towards * seen).sum(axis=1))
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        direction = covariance @ seen[best]
        covariance = covariance - np.outer(direction, direction) / (NOISE_SD**2 + seen[best] @ direction)
    return tuple(chosen)


def correction_terms(base: LatencyPredictor, samples: Sequence[Sample]) -> np.ndarray:
    """Return a 1 and the share that each sort of kernel has of a sample's time [sample, coefficient]."""
    kernels = pack(samples, base.scaling)
    times = np.mean([network.seconds(kernels) for network in base.networks], axis=0)
    parts = np.column_stack([_share(kernels, times, names) for names in SORTS])
    return np.column_stack((np.ones(len(samples)), parts / kernels.totals(times)[:, None]))


def _share(kernels: Kernels, times: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return kernels.totals(np.where(np.isin(kernels.kind, [KIND[name] for name in names]), times, 0.0))
