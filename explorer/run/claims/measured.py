"""Measured ratios of claims: those that were kept, and how they are measured here.

Both models of a ratio are timed in the same rounds, so that a busy spell of the machine falls on both, and
the ratio is the median of the rounds' ratios with its distribution-free interval.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from explorer.data.claims import Check, Claim, Quantity
from explorer.errors import InputDataError

KEPT_FILE = Path(__file__).parents[2] / "data" / "tables" / "claims_measured.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one check found on one machine."""

    claim: str
    condition: str
    found: float
    low: float
    """Of the 95 % interval over rounds of one run; other runs scatter more."""
    high: float
    parts: Mapping[str, float]
    """Model -> median in the quantity's unit."""
    rounds: int
    machine: str
    date: str
    command: str


class Measurements(Protocol):
    """Where measured figures come from."""

    def find(self, claim: Claim, check: Check) -> Measurement | str:
        """Return the measurement of a check, or why there is none."""
        ...


class KeptMeasurements:
    """Measurements that were made before."""

    def __init__(self, kept: Iterable[Measurement]) -> None:
        self._kept = {(one.claim, one.condition): one for one in kept}

    def find(self, claim: Claim, check: Check) -> Measurement | str:
        """Return the measurement of a check, or why there is none."""
        missing = f"nothing kept for {check.workload}; `explorer claims --measure {claim.id}` measures here"
        return self._kept.get((claim.id, check.condition), missing)


def read_measurements(path: Path = KEPT_FILE) -> tuple[Measurement, ...]:
    """Read measurements that were kept.

    Raises:
        InputDataError: no such file, or not what `write_measurements` wrote.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Measurement(**row) for row in document["measurements"])
    except FileNotFoundError:
        raise InputDataError(f"no such file: {path}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputDataError(f"{path} does not hold measurements of claims: {error}") from error


def write_measurements(path: Path, measurements: Iterable[Measurement]) -> None:
    """Write measurements, whole or not at all."""
    rows = [asdict(one) for one in sorted(measurements, key=lambda one: (one.claim, one.condition))]
    part = path.with_name(path.name + ".part")
    part.write_text(
        json.dumps({"schema_version": 1, "measurements": rows}, indent=1) + "\n", encoding="utf-8"
    )
    part.replace(path)


class MeasuredHere:
    """Measure what this machine can; what it cannot is taken from ``kept``."""

    def __init__(self, kept: KeptMeasurements, *, seconds: float, command: str) -> None:
        self._kept, self._seconds, self._command = kept, seconds, command
        self.made: list[Measurement] = []

    def find(self, claim: Claim, check: Check) -> Measurement | str:
        """Measure a check here, or return the kept measurement, or why there is neither.

        Raises:
            UsageError: a model cannot be built or run.
        """
        from explorer.workload import Workload

        if check.quantity is Quantity.TRAINING_STEP:
            return self._kept.find(claim, check)
        if not _device_is_here(Workload.parse(check.workload).device):
            return self._kept.find(claim, check)
        made = self._measure(claim, check)
        self.made.append(made)
        return made

    def _measure(self, claim: Claim, check: Check) -> Measurement:
        import datetime

        models = [model for model in (check.model, check.against) if model]
        samples, batch, machine = interleaved(models, check.workload, self._seconds)
        found, low, high = ratio_with_interval(check, [samples[model] for model in models], batch)
        return Measurement(
            claim=claim.id,
            condition=check.condition,
            found=found,
            low=low,
            high=high,
            parts={model: _amount(check.quantity, median(samples[model]), batch) for model in models},
            rounds=len(samples[models[0]]),
            machine=machine,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            command=self._command,
        )


def _device_is_here(device: str) -> bool:
    import torch

    return device == "cpu" or (device.split(":")[0] == "cuda" and torch.cuda.is_available())


def interleaved(
    models: Iterable[str], workload: str, seconds: float
) -> tuple[dict[str, tuple[float, ...]], int, str]:
    """Time models in the same rounds; return samples in seconds by model, the batch, and the machine.

    Raises:
        UsageError: a model cannot be built, or does not run as ``workload``, or does not fit.
    """
    from explorer.errors import UsageError
    from explorer.measure.memory_limits import OutOfMemory
    from explorer.measure.model_latency import measure_prepared
    from explorer.measure.runtime import prepare
    from explorer.run.claims.counted import buildable
    from explorer.workload import Workload

    asked = Workload.parse(workload)
    ready = {}
    for model in models:
        subject = buildable(model, weights=True)
        one = prepare(
            subject.network,
            asked,
            channels=subject.channels,
            resolution=subject.model.resolution or 0,
        )
        if isinstance(one, OutOfMemory):
            raise UsageError(f"{model} does not fit: {one.reason}")
        ready[model] = one
    runs = measure_prepared(ready, min_seconds=seconds, max_seconds=seconds)
    name = next(iter(ready.values())).conditions.device_name
    for one in ready.values():
        one.close()
    samples: dict[str, tuple[float, ...]] = {}
    for model, run in runs.items():
        if isinstance(run, OutOfMemory):
            raise UsageError(f"{model} does not fit: {run.reason}")
        samples[model] = run.samples_s
    return samples, asked.batch, name


def ratio_with_interval(
    check: Check, samples: list[tuple[float, ...]], batch: int
) -> tuple[float, float, float]:
    """Return what the check makes of seconds a call, and its interval of 95 %.

    Args:
        check: kind and quantity.
        samples: seconds by round, of the model and of the one it is compared with, if any.
        batch: examples a call.
    """
    from explorer.measure.stopping import median_interval

    rounds = list(zip(*samples, strict=False))
    amounts = [[_amount(check.quantity, seconds, batch) for seconds in one] for one in rounds]
    values = [check.kind.combine(*one) for one in amounts]
    low, high = median_interval(values)
    return median(values), low, high


def _amount(quantity: Quantity | None, seconds: float, batch: int) -> float:
    return batch / seconds if quantity is Quantity.THROUGHPUT else seconds


__all__ = [
    "KEPT_FILE",
    "KeptMeasurements",
    "MeasuredHere",
    "Measurement",
    "Measurements",
    "interleaved",
    "ratio_with_interval",
    "read_measurements",
    "write_measurements",
]
