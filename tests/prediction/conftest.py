"""A predictor simple enough to be checked by hand, and rows for it; kernels made by hand."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.accounting.kernels import KERNEL, KIND, KernelTable
from explorer.convention import Basis
from explorer.prediction import LatencyPredictor, Sample
from explorer.prediction import fit as fit_predictor
from explorer.prediction.baselines import relative_nnls
from explorer.prediction.features import work
from explorer.record import CostFigure
from explorer.workload import Precision, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    model: str
    family: str
    kernels: tuple[float, ...]
    batch: int
    workload: Any
    device: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Additive:
    """Seconds of a call = batch x (totals of an example @ weights)."""

    weights: np.ndarray
    spread: tuple[float, float]

    def predict(self, samples: Sequence[Row]) -> list[CostFigure]:
        assert all(np.isnan(sample.seconds) for sample in samples), "the answer was given away"
        return self.figures(samples)

    def figures(self, samples: Sequence[Row]) -> list[CostFigure]:
        values = [sample.batch * float(np.dot(sample.kernels, self.weights)) for sample in samples]
        low, high = self.spread
        return [CostFigure(value=v, low=v * low, high=v * high, basis=Basis.FITTED) for v in values]


def fit(samples: Sequence[Row]) -> Additive:
    features = np.array([sample.kernels for sample in samples])
    seconds = np.array([sample.seconds / sample.batch for sample in samples])
    weights = relative_nnls(features, seconds)
    low, high = np.quantile(seconds / (features @ weights), [0.05, 0.95])
    return Additive(weights, (float(low), float(high)))


def calibrate(predictor: Additive, samples: Sequence[Row]) -> Additive:
    ratio = np.median([s.seconds / f.value for s, f in zip(samples, predictor.figures(samples), strict=True)])
    return Additive(predictor.weights * ratio, predictor.spread)


def rows(rates: Sequence[float], *, seed: int = 0, scatter: float = 0.0, families: int = 20) -> list[Row]:
    """Return rows whose times are linear in three totals, with lognormal scatter."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(families * 6):
        totals = np.exp(generator.normal(0, 1, 3)) * [1e9, 1e7, 1e6]
        batch = int(generator.choice([1, 8, 64]))
        seconds = batch * float(totals @ np.asarray(rates)) * float(np.exp(generator.normal(0, scatter)))
        made.append(
            Row(
                model=f"{chr(97 + number % families)}net{number}",
                family=f"{chr(97 + number % families)}net",
                kernels=tuple(totals.tolist()),
                batch=batch,
                workload=None,
                device="a",
                seconds=seconds,
            )
        )
    return made


@pytest.fixture
def stand_in() -> SimpleNamespace:
    """The stand-in predictor and its rows."""
    return SimpleNamespace(Row=Row, Additive=Additive, fit=fit, calibrate=calibrate, rows=rows)


# ---- kernels made by hand -----------------------------------------------------------------------

WORKLOAD = Workload(device="rtx3090", precision=Precision.AMP)


def kernel(kind: str, **fields: float) -> np.ndarray:
    """Return one kernel [1], plain but for what is named."""
    row = np.zeros(1, KERNEL)
    plain = dict.fromkeys(("rows", "columns", "depth", "groups", "taps", "stride", "operands"), 1)
    plain |= {"count": 1, "per_example": True, "item": 4, "item_in": 4, "operators": 1}
    for name, value in {**plain, "read": 4, "written": 4, "kind": KIND[kind], **fields}.items():
        row[name] = value
    return row


def drawn_kernels(generator: np.random.Generator, kinds: Sequence[str], size: int = 12) -> np.ndarray:
    """Return kernels of random sizes [kernel]."""
    made = []
    for kind in generator.choice(kinds, size):
        rows, columns, depth = np.exp(generator.normal(0, 0.7, 3)) * [3000, 96, 96]
        product = kind in ("conv", "pointwise", "product", "depthwise")
        made.append(
            kernel(
                kind,
                count=int(generator.integers(1, 5)),
                macs=rows * columns * depth if product else 0.0,
                read=4 * rows * depth,
                written=4 * rows * columns,
                weights=4 * columns * depth if product else 0.0,
                steps=0.0 if product else rows * columns,
                rows=rows,
                columns=columns,
                depth=depth,
                taps=9 if kind == "conv" else 1,
            )
        )
    return np.concatenate(made)


def timed(
    rates: Callable[[np.ndarray, int], np.ndarray],
    *,
    families: int = 20,
    per_family: int = 6,
    seed: int = 0,
    kinds: Sequence[str] = ("conv", "pointwise", "elementwise", "copy"),
    family_scatter: float = 0.0,
    scatter: float = 0.0,
    prefix: str = "",
) -> list[Sample]:
    """Return models with the times that ``rates`` gives each kernel once, per example [kernel]."""
    generator = np.random.default_rng(seed)
    made = []
    for family in range(families):
        off = generator.normal(0, family_scatter)
        for number in range(per_family):
            table = drawn_kernels(generator, kinds)
            batch = int(generator.choice([1, 16, 128]))
            seconds = batch * float(rates(table, batch) @ table["count"])
            made.append(
                Sample(
                    model=f"{prefix}{chr(97 + family % 26)}{'net' * (1 + family // 26)}{number}",
                    family=f"{prefix}{family}",
                    kernels=KernelTable(operators=table, fused=table[: len(table) // 2]),
                    batch=batch,
                    workload=dataclasses.replace(WORKLOAD, batch=batch),
                    device=WORKLOAD.device,
                    seconds=seconds * float(np.exp(off + generator.normal(0, scatter))),
                )
            )
    return made


def plain_rates(table: np.ndarray, batch: int) -> np.ndarray:
    """Return seconds of each kernel: one rate a sort of work, convolutions slower than the rest."""
    speed = np.where(table["kind"] == KIND["conv"], 2.0, 1.0)
    macs, moved, launches = work(table, batch).T
    return macs * speed * 2e-13 + moved * 1e-12 + launches * 5e-6


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """Kernels and timed models made by hand."""
    return SimpleNamespace(
        kernel=kernel, drawn=drawn_kernels, timed=timed, rates=plain_rates, workload=WORKLOAD
    )


@pytest.fixture(scope="session")
def fitted(made) -> LatencyPredictor:
    """A predictor of models whose times are sums of rates times work."""
    return fit_predictor(made.timed(made.rates, scatter=0.02))
