"""Which predictor answers for a device: one fitted there, calibrated there, or moved from another.

Some come with the program, fitted to the times that timm publishes; the user's own are kept in a folder
(`explorer devices fit`, `explorer devices calibrate`) and go first.
"""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import platformdirs

from explorer.data.devices import Device, find_device_entry
from explorer.errors import UsageError
from explorer.prediction.files import Predictor, load
from explorer.prediction.predictor import LatencyPredictor, Scaling, is_cpu
from explorer.prediction.transfer import TransferredPredictor, transfer
from explorer.workload import Precision, Runtime, Workload

FOLDER_VARIABLE = "EXPLORER_PREDICTORS"
HALVES = frozenset((Precision.AMP, Precision.FP16, Precision.BF16))
_OPERATOR_RUNTIMES = frozenset((Runtime.EAGER, Runtime.DEPLOY, Runtime.GRAPH))
_UNKNOWN_SD = 1.0
"""Of the constant, in logarithms, where the peaks of a device are not known."""
_OTHER_SD = 0.3
"""Added to it where precision, runtime or memory format are not those that were fitted."""


_BATCH_SD = 0.5
"""Added to it at batches outside those fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A predictor ready for a workload, and what to say of it."""

    predictor: Predictor
    source: str
    """Where the measured times come from."""
    notes: tuple[str, ...]
    """What differs from what was fitted."""


def user_folder() -> Path:
    """Return where the user's predictors are: $EXPLORER_PREDICTORS, or the user's data folder."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_data_dir("scale-or-ensemble")) / "predictors"


def file_name(workload: Workload) -> str:
    """Return what a predictor's file is called."""
    plain = dataclasses.replace(workload, batch=1)
    return f"{str(plain).replace('/', '_').replace(':', '-')}.npz"


def find_predictor(workload: Workload) -> Answering | None:
    """Return the best predictor for a workload; None where none was fitted on anything like it.

    In this order: the user's for the very workload, one fitted there that came with the program, and else
    the one most like it, moved by the devices' peaks.

    Raises:
        InputDataError: a damaged file in the user's folder.
    """
    for predictor, source in _known():
        if _is_for(predictor, workload) and not _outside(predictor, workload):
            return Answering(predictor=predictor, source=source, notes=())
    return moved_base(workload)


def moved_base(workload: Workload) -> Answering | None:
    """Return the predictor most like a workload, moved there by the devices' peaks; None where none is.

    Raises:
        InputDataError: a damaged file in the user's folder.
    """
    bases = [(p, source) for p, source in _known() if isinstance(p, LatencyPredictor)]
    kind = _kind(workload.device)
    able = [(p, source) for p, source in bases if _kind(p.workload.device) == kind]
    if not able or kind not in ("cpu", "gpu") or workload.precision is Precision.INT8:
        return None
    base, source = min(able, key=lambda pair: _distance(pair[0].workload, workload))
    return _moved(base, workload, source)


def _kind(device: str) -> str:
    """Return what sort of device it is; one that the table lacks and is no CPU is this machine's GPU."""
    if is_cpu(device):
        return "cpu"
    try:
        return find_device_entry(device).kind
    except UsageError:
        return "gpu"


def _known() -> Iterator[tuple[Predictor, str]]:
    folder = user_folder()
    if folder.is_dir():
        for path in sorted(folder.glob("*.npz")):
            yield load(path)
    shipped = files("explorer.prediction").joinpath("fitted")
    for entry in sorted(shipped.iterdir(), key=lambda found: found.name):
        if entry.name.endswith(".npz"):
            with as_file(entry) as path:
                yield load(path)


def _is_for(predictor: Predictor, workload: Workload) -> bool:
    mine = predictor.workload
    return (
        mine.device == workload.device
        and mine.precision is workload.precision
        and mine.runtime is workload.runtime
        and mine.channels_last == workload.channels_last
        and mine.threads == workload.threads
    )


def _outside(predictor: Predictor, workload: Workload) -> bool:
    """Tell whether a batch lies outside those fitted: small calls wait for launches, large ones do not."""
    low, high = predictor.batches
    return not low <= workload.batch <= high


def _distance(fitted: Workload, asked: Workload) -> tuple[int, ...]:
    """Return how unlike two workloads are, the worst difference first."""
    operators = (fitted.runtime in _OPERATOR_RUNTIMES) != (asked.runtime in _OPERATOR_RUNTIMES)
    halves = (fitted.precision in HALVES) != (asked.precision in HALVES)
    return (
        int(operators),
        int(halves),
        int(fitted.device != asked.device),
        int(fitted.precision is not asked.precision),
        int(fitted.runtime is not asked.runtime),
        int(fitted.channels_last != asked.channels_last),
        -_bandwidth(fitted.device),
    )


def _bandwidth(device: str) -> int:
    """Return a device's memory bandwidth in GB/s: of equals, the faster card is moved from."""
    try:
        return round((find_device_entry(device).bandwidth or 0.0) / 1e9)
    except UsageError:
        return 0


def _moved(base: LatencyPredictor, workload: Workload, source: str) -> Answering:
    notes = [f"from a predictor fitted on {base.workload} to {base.rows} models"]
    extra = 0.0
    if base.workload.device != workload.device:
        notes.append(f"moved to {workload.device} by the devices' peaks")
        scaling = _scaling(base.workload, workload)
        if scaling is None:
            notes.append(f"the peaks of {workload.device} are not known: calibrate it")
            extra += _UNKNOWN_SD
    else:
        scaling = Scaling()
    aspects = {"precision": "precision", "runtime": "runtime", "channels_last": "memory format"}
    aspects |= {"threads": "number of threads"}
    for name, words in aspects.items():
        if getattr(base.workload, name) != getattr(workload, name):
            extra += _OTHER_SD
            notes.append(f"nothing was fitted in this {words}")
    if _outside(base, workload):
        extra += _BATCH_SD
        low, high = base.batches
        notes.append(f"fitted at batches from {low} to {high}: nobody checked it at {workload.batch}")
    moved: TransferredPredictor = transfer(base, workload, scaling or Scaling(), extra_sd=extra)
    return Answering(predictor=moved, source=source, notes=tuple(notes))


def _scaling(fitted: Workload, asked: Workload) -> Scaling | None:
    """Return how much longer a unit of work takes by the devices' peaks; None where one is not known."""
    try:
        here, there = find_device_entry(fitted.device), find_device_entry(asked.device)
        return peaks_scaling(here, fitted.precision, there, asked.precision)
    except UsageError:
        return None


def peaks_scaling(source: Device, precision: Precision, target: Device, wanted: Precision) -> Scaling:
    """Return how much longer a unit of work takes on ``target`` than on ``source``, by their peaks.

    Raises:
        UsageError: a peak that is not known.
    """
    if source.bandwidth is None or target.bandwidth is None:
        unknown = source if source.bandwidth is None else target
        raise UsageError(f"the memory bandwidth of {unknown.name} is not known")
    return Scaling(
        macs=source.peak(precision) / target.peak(wanted), bytes=source.bandwidth / target.bandwidth
    )
