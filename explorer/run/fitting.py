"""Fit predictors to tables of measured times, and calibrate them by a few runs."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.data.devices import find_device_entry
from explorer.data.timm_tables import BenchmarkTable, read_benchmark_table
from explorer.errors import InputDataError, UsageError
from explorer.prediction import Sample, TransferredPredictor, calibrate, fit, plan
from explorer.prediction.families import family
from explorer.prediction.files import save
from explorer.prediction.library import Answering, file_name, moved_base, user_folder
from explorer.prediction.predictor import is_cpu
from explorer.prediction.rates import RatePredictor, fit_rates
from explorer.profile_record import FittedPredictor
from explorer.run.kernel_tables import Traced, kernel_tables, needs_autocast
from explorer.run.predicting import known_device, sample_table
from explorer.workload import Workload

Update = Callable[[float, str], None]

CANDIDATES = (
    *("resnet18", "resnet50", "resnet101", "resnext50_32x4d", "seresnet50", "regnetx_008", "regnety_016"),
    *("efficientnet_b0", "efficientnet_b3", "tf_efficientnetv2_s", "mobilenetv2_100"),
    *("mobilenetv3_large_100", "mobilenetv3_small_100", "mobilenetv4_conv_medium", "mnasnet_100"),
    *("vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224", "deit3_small_patch16_224"),
    *("swin_tiny_patch4_window7_224", "convnext_tiny", "convnextv2_nano", "mixer_b16_224", "resmlp_12_224"),
    *("densenet121", "vgg16", "inception_v3", "xcit_tiny_12_p16_224", "poolformer_s12", "coatnet_0_rw_224"),
    *("maxvit_tiny_tf_224", "mobilevit_s", "fastvit_t8", "ghostnet_100", "dpn68", "hrnet_w18_small"),
    *("levit_192", "pvt_v2_b1", "rexnet_100", "edgenext_small", "repvgg_b0", "nfnet_f0", "gcresnet50t"),
)
"""timm models to choose calibration runs from: each sort of kernel has some, and any card runs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One model's measured time on the device that is calibrated."""

    model: str
    """Zoo name, ``timm:resnet50``."""
    resolution: int
    batch: int
    seconds: float
    """Of one call."""


def fit_table(
    path: Path,
    *,
    device: str | None = None,
    folder: Path | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    update: Update = lambda share, text: None,
) -> FittedPredictor:
    """Fit a predictor to a table in the form of timm's benchmark files, and keep it.

    Args:
        path: the table; its name says precision, runtime and device.
        device: what was timed, where the name does not say.
        folder: where the predictor goes; the user's by default.
        cache: where traced models are kept.
        workers: processes that trace.
        update: told how far it is.

    Raises:
        InputDataError: not such a table, or too small.
        UsageError: the device is not known and was not said.
    """
    table = read_benchmark_table(path)
    workload = _workload(table, device)
    samples, left_out = _samples(table, workload, cache, workers, update)
    update(1.0, f"fitting {len(samples)} models")
    predictor = fit(samples)
    target = (folder or user_folder()) / file_name(predictor.workload)
    save(predictor, target, source=path.stem)
    asked = replace(predictor.workload, batch=predictor.batches[1])
    return FittedPredictor(workload=asked, path=str(target), rows=len(samples), left_out=left_out)


def base_of(workload: Workload) -> tuple[TransferredPredictor, Answering]:
    """Return the predictor that runs on the workload's device would correct.

    Raises:
        UsageError: nothing fitted is anything like it.
    """
    answering = moved_base(workload)
    if answering is None or not isinstance(answering.predictor, TransferredPredictor):
        raise UsageError(
            f"no predictor to calibrate for {workload}: fit one with `explorer devices fit TABLE`"
        )
    return answering.predictor, answering


def default_runs(workload: Workload) -> int:
    """Return how many models to time: rates of a processor's own take more than a correction."""
    return 20 if is_cpu(workload.device) else 10


def planned_runs(
    workload: Workload,
    runs: int,
    *,
    candidates: Sequence[str] = CANDIDATES,
    resolution: int = 224,
    cache: Path | None = None,
    update: Update = lambda share, text: None,
) -> tuple[str, ...]:
    """Return the models to time on a device, those that tell most about all candidates.

    Args:
        workload: device, precision, runtime and batch of the runs.
        runs: how many.
        candidates: timm names.
        resolution: side of the images.
        cache: where traced models are kept.
        update: told how far it is.

    Raises:
        UsageError: more runs than candidates, or nothing to calibrate.
    """
    predictor, _ = base_of(workload)
    asked = [
        Timed(model=f"timm:{name}", resolution=resolution, batch=workload.batch, seconds=math.nan)
        for name in candidates
    ]
    samples, _ = _timed_samples(asked, workload, cache, update)
    return tuple(f"{samples[place].model}@{resolution}" for place in plan(predictor, samples, runs))


def calibrate_device(
    workload: Workload,
    timed: Sequence[Timed],
    *,
    source: str,
    folder: Path | None = None,
    cache: Path | None = None,
    update: Update = lambda share, text: None,
) -> tuple[FittedPredictor, float | None, float]:
    """Correct the predictor for a device by models measured there, and keep it.

    Returns:
        What was written, and the mean relative error on these very models before (None for a CPU, whose
        rates are fitted anew) and after: that after is no test, as they were used.

    Raises:
        InputDataError: too few models, or times that are not above 0.
        UsageError: nothing to calibrate.
    """
    samples, left_out = _timed_samples(timed, workload, cache, update)
    before = None
    after: TransferredPredictor | RatePredictor
    if is_cpu(workload.device):
        # Processors differ in more than their peaks, and this machine's are not known: rates of its own.
        after = fit_rates(samples)
    else:
        predictor, _ = base_of(workload)
        after = calibrate(predictor, samples)
        before = _mean_error(predictor, samples)
    target = (folder or user_folder()) / file_name(workload)
    save(after, target, source=source)
    written = FittedPredictor(workload=workload, path=str(target), rows=len(samples), left_out=left_out)
    return written, before, _mean_error(after, samples)


def _mean_error(predictor: TransferredPredictor | RatePredictor, samples: Sequence[Sample]) -> float:
    figures = predictor.predict(samples)
    return sum(abs(f.value / s.seconds - 1) for f, s in zip(figures, samples, strict=True)) / len(samples)


def read_timed(path: Path, workload: Workload) -> tuple[Timed, ...]:
    """Read times measured as ``workload`` says: a table in timm's form, or ``explorer profile --json``.

    Batches may differ. Ensembles and rows of another precision, runtime or memory format are left out.

    Raises:
        InputDataError: neither of the two, or none of its times is of the workload.
    """
    wanted = replace(workload, batch=1)
    if path.suffix != ".json":
        table = read_benchmark_table(path)
        if not _is_of_table(table, workload):
            raise InputDataError(f"{path} has times of {table.workload(1)}; wanted {wanted}")
        return _timed_rows(table)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in document["rows"] if row.get("basis") == "measured" and "model" in row]
        found = tuple(_timed_row(row) for row in rows if _is_of(row, workload))
    except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputDataError(f"{path} is not the output of `explorer profile --json`: {error}") from error
    if not found:
        there = ", ".join(sorted({f"{row['workload']} ({row['device_name']})" for row in rows})) or "none"
        raise InputDataError(f"{path} has no measured model of {wanted}; it has {there}")
    return found


def _is_of(row: Mapping[str, Any], wanted: Workload) -> bool:
    """Tell whether a row of a profile was measured under a workload, the batch aside."""
    there = Workload.parse(row["workload"])
    return _same_way(there, wanted) and _may_be(row["device_name"], wanted.device)


def _is_of_table(table: BenchmarkTable, wanted: Workload) -> bool:
    """Tell whether a table was measured under a workload; what its name leaves out may be anything."""
    there = replace(table.workload(1), threads=wanted.threads)
    if table.precision is None:
        there = replace(there, precision=wanted.precision)
    if table.channels_last is None:
        there = replace(there, channels_last=wanted.channels_last)
    return _same_way(there, wanted) and _may_be(table.device, wanted.device)


def _same_way(there: Workload, wanted: Workload) -> bool:
    return replace(there, device=wanted.device, batch=wanted.batch) == wanted


def _may_be(name: str | None, device: str) -> bool:
    """Tell whether what calls itself ``name`` may be a device: not where the table knows it as another."""
    try:
        return name is None or find_device_entry(name).key == find_device_entry(device).key
    except UsageError:
        return True


def _timed_rows(table: BenchmarkTable) -> tuple[Timed, ...]:
    return tuple(
        Timed(model=f"timm:{r.model}", resolution=r.resolution, batch=r.batch, seconds=r.seconds)
        for r in table.rows
    )


def _timed_row(row: Mapping[str, Any]) -> Timed:
    name, _, size = str(row["model"]).rpartition("@")
    return Timed(
        model=name, resolution=int(size), batch=int(row["batch"]), seconds=float(row["latency_s"]["p50"])
    )


def _workload(table: BenchmarkTable, device: str | None) -> Workload:
    named = device or table.device
    if named is None:
        raise UsageError(
            f"{table.name} does not say what was timed: give --device, one of `explorer devices list`"
        )
    return known_device(replace(table.workload(1), device=named))


def _samples(
    table: BenchmarkTable, workload: Workload, cache: Path | None, workers: int | None, update: Update
) -> tuple[list[Sample], tuple[str, ...]]:
    return _timed_samples(_timed_rows(table), workload, cache, update, workers)


def _timed_samples(
    timed: Sequence[Timed],
    workload: Workload,
    cache: Path | None,
    update: Update,
    workers: int | None = None,
) -> tuple[list[Sample], tuple[str, ...]]:
    """Trace the models and return rows to fit, and those that cannot be traced with the reason."""
    autocast = needs_autocast(workload.precision)
    wanted = [Traced(model=one.model, resolution=one.resolution, autocast=autocast) for one in timed]
    found = kernel_tables(wanted, cache=cache, workers=workers, update=update)
    samples, left_out = [], []
    for one, traced in zip(timed, wanted, strict=True):
        table = found[traced]
        if isinstance(table, str):
            left_out.append(f"{traced}: {table}")
            continue
        samples.append(
            Sample(
                model=one.model,
                family=family(one.model),
                kernels=sample_table(table, workload.precision),
                batch=one.batch,
                workload=replace(workload, batch=one.batch),
                device=workload.device,
                seconds=one.seconds,
            )
        )
    return samples, tuple(left_out)
