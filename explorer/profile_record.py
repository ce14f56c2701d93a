"""What a profile says: times in placements and scenarios, tails, energy, and what was fitted to them."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from explorer.convention import Basis
from explorer.record import CostFigure, LatencyRun
from explorer.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class TailBound:
    """One percentile of a run's samples, and what is known about the true one."""

    quantile: float
    """In (0, 1)."""
    value: float
    """Of the samples."""
    low: float | None
    """The true quantile is at least this, with ``confidence``; None: too few samples to say."""
    high: float | None
    """The true quantile is at most this, with ``confidence``; None: too few samples to say."""
    confidence: float
    early_stopping: float | None
    """What MLPerf's LoadGen would report after this many samples; None: it would ask for more."""
    samples_needed: int
    """Fewest samples from which LoadGen reports this percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTimes:
    """One ensemble under a placement beside its members alone, all in the same rounds; seconds a call."""

    placement: str
    """Text of the placement: ``sequential``, ``parallel:2`` (`explorer.accounting.interference`)."""
    members: tuple[str, ...]
    members_s: tuple[float, ...]
    """Median of each alone."""
    combination_s: float
    """Averaging their answers, alone."""
    interference: CostFigure | None
    """Time over the ideal, members as fast as alone and the combination; no unit. None: it did not run."""
    over_sum: CostFigure | None
    over_slowest: CostFigure | None
    """Time over the sum of the members, and over the slowest of them; no unit."""
    composed: CostFigure | None
    """What follows from the members' times without an interference factor; None: nothing does."""
    details: Mapping[str, object] = field(default_factory=dict)
    """How it was made: JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyPart:
    """What one example takes in energy: measured, a bound, or unknown."""

    figure: CostFigure | None
    """Joules an example; None: unknown, and never 0 for want of a meter."""
    reason: str | None = None
    """Why it was not measured; None where it was."""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One model (or design) under one workload: timed, predicted, or the reason why not."""

    subject: str
    """Canonical text of the model or design."""
    workload: Workload
    figure: CostFigure | None = None
    """Seconds of one call of the whole batch; None where there is none, and ``error`` says why."""
    run: LatencyRun | None = None
    """The samples behind it, where it was measured."""
    tails: Mapping[str, TailBound] = field(default_factory=dict)
    """``p50``, ``p90``, ``p99`` of the run."""
    doubtful_reasons: tuple[str, ...] = ()
    series_medians_s: tuple[float, ...] = ()
    """Median of each repeated series, in the order taken."""
    memory_bytes: int | None = None
    """Peak memory on the device; None: unknown."""
    from_store: bool = False
    """Measured earlier, under the same conditions."""
    error: str | None = None
    """Why there is no figure, one line: out of memory, a runtime that refuses the model."""
    notes: tuple[str, ...] = ()
    """What to say beside the figure: why it is only a bound, what it was never compared with."""
    details: Mapping[str, object] = field(default_factory=dict)
    """What a figure that was not timed rests on: JSON values."""
    placed: PlacedTimes | None = None
    """Where the subject is an ensemble that was timed in a placement."""
    energy: EnergyPart | None = None
    """None: not asked for."""

    @property
    def series_spread(self) -> float | None:
        """Largest minus smallest series median over their median; None with fewer than two series."""
        if len(self.series_medians_s) < 2:
            return None
        middle = statistics.median(self.series_medians_s)
        return (max(self.series_medians_s) - min(self.series_medians_s)) / middle


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRow:
    """How fast one model is when it is used in one way (MLPerf inference's scenarios)."""

    subject: str
    scenario: str
    """``single-stream``, ``offline`` or ``server``."""
    workload: Workload
    """The batch is the one that was chosen: for a server the largest it forms."""
    unit: str
    """``s`` (single-stream: p90 of one call) or ``1/s`` (examples a second)."""
    value: float | None
    low: float | None
    high: float | None
    basis: Basis
    details: Mapping[str, object] = field(default_factory=dict)
    """Settings and seed: JSON values."""
    error: str | None = None
    """Why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPredictor:
    """A predictor of latency that was fitted or calibrated, and kept in a file."""

    workload: Workload
    path: str
    rows: int
    """Measured models that it learnt from."""
    left_out: tuple[str, ...] = ()
    """Rows that could not be used, each with the reason."""
