"""Tables of measured inference times in the form timm publishes them (``results/benchmark-infer-*.csv``).

What was run stands in the file's name, ``benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv``: precision,
memory format, versions, device and, with ``-dynamo``, that the model was compiled. Each row is one model
at one image size and one batch. Numbers may carry thousands separators.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.data.csv_table import numbered_rows
from explorer.errors import InputDataError
from explorer.workload import Precision, Runtime, Workload

MODEL, SIZE, BATCH = "model", "infer_img_size", "infer_batch_size"
THROUGHPUT, STEP = "infer_samples_per_sec", "infer_step_time"
GMACS, MACTS, PARAMS = "infer_gmacs", "infer_macts", "param_count"
REQUIRED = (MODEL, SIZE, THROUGHPUT, BATCH)

UNKNOWN_DEVICE = "unknown"
"""What stands for the device in a workload where the file's name does not say it."""

_THROUGHPUT_ROUNDING, _STEP_ROUNDING = 0.005, 0.0005
"""Half of the last digit printed: examples per second and milliseconds."""

_PRECISIONS = {"amp": Precision.AMP, "fp32": Precision.FP32, "float32": Precision.FP32}
_PRECISIONS |= {"fp16": Precision.FP16, "float16": Precision.FP16, "tf32": Precision.TF32}
_PRECISIONS |= {"bf16": Precision.BF16, "bfloat16": Precision.BF16}
_VERSION = re.compile(r"(pt|cu|torch|rocm)[0-9.]+|cpu|gpu")
_FORMATS = {"nhwc": True, "nchw": False}
_COMPILED = {"dynamo", "inductor", "compile", "compiled"}
_PREFIX = "benchmark-infer-"
_GEFORCE = re.compile(r"(rtx)?([2-5]0[5-9]0)(-?ti|-?super)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """One model at one image size, timed."""

    model: str
    """As the table names it, without ``timm:``."""
    resolution: int
    """Side of the square image in pixels."""
    batch: int
    """Examples a call."""
    seconds: float
    """One call, the whole batch."""
    gmacs: float | None = None
    """1e9 multiply-adds of one example; None where the table does not say."""
    macts: float | None = None
    """1e6 activations of one example: outputs of convolutions and linear layers."""
    params: float | None = None
    """1e6 parameters."""
    line: int = 0
    """Where it stands in the file, from 1."""

    @property
    def seconds_per_example(self) -> float:
        """One call's time over its batch."""
        return self.seconds / self.batch

    @property
    def key(self) -> tuple[str, int]:
        """Model and image size: what is timed once in a table."""
        return self.model, self.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkTable:
    """What one file holds, and what its name says about the run."""

    name: str
    """The file's name without ending."""
    device: str | None
    """Device as the file's name has it, lower-case, ``rtx3090``; None where it does not say."""
    precision: Precision | None
    channels_last: bool | None
    runtime: Runtime
    """Compiled with ``-dynamo``, eager otherwise."""
    rows: tuple[BenchmarkRow, ...]
    skipped: tuple[str, ...] = ()
    """Rows left out and why, one line each; only where that was asked for."""

    def workload(self, batch: int) -> Workload:
        """Return how a row of ``batch`` examples was run; what the name leaves out is the default.

        A CPU's number of threads is nowhere in such a table and stays 1 here: rows of one table agree in
        it, rows of different tables may not.
        """
        return Workload(
            device=self.device or UNKNOWN_DEVICE,
            batch=batch,
            precision=self.precision or Precision.FP32,
            runtime=self.runtime,
            channels_last=bool(self.channels_last),
        )


def read_benchmark_table(path: Path | str, *, skip_bad: bool = False) -> BenchmarkTable:
    """Read one file of measured inference times.

    Args:
        path: a CSV file with at least the columns of `REQUIRED`.
        skip_bad: list rows that cannot be used in ``skipped`` instead of refusing the file.

    Raises:
        InputDataError: no such file, missing columns, no rows; unless ``skip_bad`` a row with a time,
            size or batch that is missing, not a finite number or not positive, or that stands twice.
    """
    path = Path(path)
    rows: dict[tuple[str, int], BenchmarkRow] = {}
    skipped: list[str] = []
    for line, cells in numbered_rows(path, REQUIRED):
        try:
            row = _row(cells, line)
            if row.key in rows:
                first = rows[row.key].line
                raise ValueError(f"{row.model} at {row.resolution} stands in line {first} already")
        except ValueError as error:
            problem = f"{path}, line {line}: {error}"
            if not skip_bad:
                raise InputDataError(problem) from None
            skipped.append(problem)
        else:
            rows[row.key] = row
    if not rows:
        raise InputDataError(f"{path} has no usable rows{': ' + skipped[0] if skipped else ''}")
    return BenchmarkTable(name=path.stem, rows=tuple(rows.values()), skipped=tuple(skipped), **_said(path))


def _row(cells: Mapping[str, str], line: int) -> BenchmarkRow:
    """Return the row in ``cells``, or raise ValueError with what is wrong with it."""
    if cells.get(""):
        raise ValueError(f"more cells than columns: {cells['']}")
    model = cells[MODEL].strip()
    if not model:
        raise ValueError("no model name")
    batch = _whole(cells, BATCH)
    throughput = _positive(cells, THROUGHPUT)
    step = _positive(cells, STEP) if cells.get(STEP, "").strip() else None
    return BenchmarkRow(
        model=model,
        resolution=_whole(cells, SIZE),
        batch=batch,
        seconds=_seconds(batch, throughput, step),
        gmacs=_known(cells, GMACS),
        macts=_known(cells, MACTS),
        params=_known(cells, PARAMS),
        line=line,
    )


def _seconds(batch: int, throughput: float, step_ms: float | None) -> float:
    """Return a call's time: from the throughput, or the step time where that says the same with more digits.

    Both are printed with a fixed number of decimals: 0.22 examples a second is known to 2 %.
    """
    from_rate = batch / throughput
    if step_ms is None:
        return from_rate
    rate_error, step_error = _THROUGHPUT_ROUNDING / throughput, _STEP_ROUNDING / step_ms
    agrees = abs(step_ms / 1e3 / from_rate - 1) <= rate_error + step_error
    return step_ms / 1e3 if agrees and step_error < rate_error else from_rate


def _number(cells: Mapping[str, str], column: str) -> float:
    text = cells[column].strip()
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise ValueError(f"{column} is {text!r}, not a number") from None


def _positive(cells: Mapping[str, str], column: str) -> float:
    value = _number(cells, column)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{column} is {cells[column].strip()!r}, wanted a finite number above 0")
    return value


def _whole(cells: Mapping[str, str], column: str) -> int:
    value = _positive(cells, column)
    if value != int(value):
        raise ValueError(f"{column} is {cells[column].strip()!r}, wanted a whole number")
    return int(value)


def _known(cells: Mapping[str, str], column: str) -> float | None:
    """Return a count, None where the cell is empty or the column missing."""
    if not cells.get(column, "").strip():
        return None
    value = _number(cells, column)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{column} is {cells[column].strip()!r}, wanted a finite number, 0 or more")
    return value


def _said(path: Path) -> dict[str, Any]:
    """Return what the file's name says about the run: device, precision, memory format, runtime."""
    stem = path.stem.lower()
    parts = stem.removeprefix(_PREFIX).split("-")
    known = {*_PRECISIONS, *_FORMATS, *_COMPILED}
    words = [part for part in parts if part and part not in known and not _VERSION.fullmatch(part)]
    device = _device_key(re.sub(r"[^a-z0-9.]+", "-", "-".join(words)).strip("-"))
    return {
        "device": device if device and stem.startswith(_PREFIX) else None,
        "precision": next((_PRECISIONS[part] for part in parts if part in _PRECISIONS), None),
        "channels_last": next((_FORMATS[part] for part in parts if part in _FORMATS), None),
        "runtime": Runtime.COMPILED if _COMPILED & set(parts) else Runtime.EAGER,
    }


def _device_key(text: str) -> str:
    """Return ``rtx4090`` for ``4090`` too; anything else as it is."""
    match = _GEFORCE.fullmatch(text)
    return f"rtx{match[2]}{(match[3] or '').replace('-', '')}" if match else text
