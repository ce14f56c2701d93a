"""Check the latency predictor on tables of measured times, beside three simple predictors on the same folds.

    python benchmarks/latency_prediction.py TABLE.csv ... [--json] [--worst N]
    python benchmarks/latency_prediction.py --transfer FROM.csv TO.csv [--calibrate 10] [--json]

Tables have the form of timm's results/benchmark-infer-*.csv. Whole model families are held out, five
folds. The first run traces every model of a table (minutes); what was traced is kept. Errors are in percent.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer import prediction
from explorer.data.devices import find_device_entry
from explorer.data.timm_tables import BenchmarkRow, BenchmarkTable, read_benchmark_table
from explorer.errors import ExplorerError, UsageError
from explorer.prediction.causes import largest_share
from explorer.prediction.decision import DecisionBin
from explorer.prediction.evaluation import Accuracy, AccuracyInterval
from explorer.prediction.families import family
from explorer.prediction.scores import (
    Peaks,
    Predictor,
    TableScore,
    TransferScore,
    score_table,
    score_transfer,
)
from explorer.run.kernel_tables import Traced, kernel_tables, needs_autocast
from explorer.workload import Precision

PERCENT = 100.0
PREDICTORS = {
    "ours": "per-operator model",
    "macs": "MACs, one constant",
    "macs_activations": "MACs + activations, two constants",
    "roofline": "roofline at the device's peaks, no fit",
}
ITEM_BYTES = {Precision.FP32: 4, Precision.TF32: 4, Precision.INT8: 1}
"""Bytes of one activation; 2 for the others."""
Update = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What the benchmark asks of the product; tests put others in."""

    kernels: Callable[[Sequence[tuple[str, int]], Precision, Update], Mapping[tuple[str, int], Any]]
    """Traces models at image sizes: (model, resolution) -> its kernels, or the reason why not as a text."""
    sample: Callable[..., Any]
    """Makes a row to fit from model, family, kernels, batch, workload, device, seconds."""
    fit: Callable[[Sequence[Any]], Predictor]
    move: Callable[[Sequence[Any], Any], Predictor]
    calibrate: Callable[[Predictor, Sequence[Any]], Predictor]
    plan: Callable[[Any, Sequence[Any], int], Sequence[int]]
    peaks: Callable[[str, Precision], tuple[float, float]]
    """Operations a second and bytes a second of a device, or raises UsageError."""
    cause: Callable[[Any], str]
    """What dominates a row's predicted time, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A table whose rows are ready to be fitted."""

    table: BenchmarkTable
    rows: tuple[BenchmarkRow, ...]
    samples: tuple[Any, ...]
    left_out: tuple[str, ...]


def main(arguments: Sequence[str] | None = None, ways: Ways | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        document = _transfer(options, ways) if options.transfer else _tables(options, ways)
    except ExplorerError as error:
        print(f"latency_prediction: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("latency_prediction: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    print(json.dumps(document, indent=1) if options.json else _text(document))
    return 0


def _parser() -> argparse.ArgumentParser:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", type=Path, metavar="TABLE.csv")
    parser.add_argument("--transfer", nargs=2, type=Path, metavar=("FROM.csv", "TO.csv"))
    parser.add_argument("--calibrate", type=int, default=10, metavar="N", help="runs on the target; 10")
    parser.add_argument("--worst", type=int, default=5, metavar="N", help="worst rows to list; 5")
    parser.add_argument("--skip-bad", action="store_true", help="leave out rows without a usable time")
    parser.add_argument(
        "--peaks",
        action="append",
        default=[],
        metavar="DEVICE=TFLOPS,GBS",
        help="peaks of a device that the device table does not have",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where traced models are kept")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that trace; all cores")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _check(options: argparse.Namespace) -> None:
    if bool(options.tables) == bool(options.transfer):
        raise UsageError("name tables, or --transfer FROM.csv TO.csv (see --help)")
    for name, least in (("calibrate", 0), ("worst", 0), ("workers", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}, wanted {least} or more")


# ---- the two questions -----------------------------------------------------------------------------


def _tables(options: argparse.Namespace, ways: Ways | None) -> dict[str, Any]:
    given = _given_peaks(options.peaks)
    tables = [read_benchmark_table(path, skip_bad=options.skip_bad) for path in options.tables]
    ways = ways or product(options, given)
    entries = []
    for loaded in _load(tables, ways):
        peaks, why = _peaks(loaded.table, given, ways)
        totals = np.array([[_total(row.gmacs, 1e9), _total(row.macts, 1e6)] for row in loaded.rows])
        score = score_table(loaded.table.name, loaded.samples, totals, fit=ways.fit, peaks=peaks)
        entries.append(_table_entry(score, loaded, why, options.worst, ways))
    return {"unit": "percent", "tables": entries}


def _transfer(options: argparse.Namespace, ways: Ways | None) -> dict[str, Any]:
    tables = [read_benchmark_table(path, skip_bad=options.skip_bad) for path in options.transfer]
    ways = ways or product(options, _given_peaks(options.peaks))
    source, target = _load(tables, ways)
    score = score_transfer(
        source.samples,
        target.samples,
        move=ways.move,
        calibrate=ways.calibrate,
        plan=ways.plan,
        runs=options.calibrate,
    )
    return {"unit": "percent", "transfer": _transfer_entry(score, source, target)}


def _load(tables: Sequence[BenchmarkTable], ways: Ways) -> list[Loaded]:
    """Trace what the tables name and make rows to fit of them."""
    loaded = []
    for table in tables:
        wanted = list(dict.fromkeys(row.key for row in table.rows))
        traced = ways.kernels(wanted, table.precision or Precision.FP32, _Progress())
        usable = tuple(row for row in table.rows if not isinstance(traced[row.key], str))
        gone = [
            f"{row.model} at {row.resolution}: {traced[row.key]}" for row in table.rows if row not in usable
        ]
        samples = tuple(
            ways.sample(
                model=row.model,
                family=family(row.model),
                kernels=traced[row.key],
                batch=row.batch,
                workload=table.workload(row.batch),
                device=table.workload(row.batch).device,
                seconds=row.seconds,
            )
            for row in usable
        )
        loaded.append(Loaded(table=table, rows=usable, samples=samples, left_out=(*table.skipped, *gone)))
    return loaded


class _Progress:
    """Say on stderr how far tracing is, once in a while."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, share: float, text: str) -> None:
        if time.monotonic() - self._said > 5 or share == 1:
            self._said = time.monotonic()
            print(f"{share:4.0%} {text}", file=sys.stderr, flush=True)


def _total(value: float | None, unit: float) -> float:
    return float("nan") if value is None else value * unit


# ---- peaks -----------------------------------------------------------------------------------------


def _given_peaks(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Read ``DEVICE=TFLOPS,GBS``."""
    found = {}
    for text in texts:
        device, _, figures = text.partition("=")
        try:
            flops, bandwidth = (float(figure) for figure in figures.split(","))
        except ValueError:
            raise UsageError(f"--peaks {text!r} is not DEVICE=TFLOPS,GBS, as in rtx4090=165,1008") from None
        if not (0 < flops < np.inf and 0 < bandwidth < np.inf):
            raise UsageError(f"--peaks {text!r}: both figures must be above 0")
        found[device.lower()] = (flops * 1e12, bandwidth * 1e9)
    return found


def _peaks(
    table: BenchmarkTable, given: Mapping[str, tuple[float, float]], ways: Ways
) -> tuple[Peaks | None, str]:
    """Return the peaks for a table's roofline, or None and the reason."""
    precision = table.precision or Precision.FP32
    try:
        name = table.device or table.name.lower()
        flops, bandwidth = given[name] if name in given else ways.peaks(name, precision)
    except UsageError as error:
        return None, f"no roofline: {error}"
    return Peaks(flops=flops, bandwidth=bandwidth, item_bytes=ITEM_BYTES.get(precision, 2)), ""


# ---- the document ----------------------------------------------------------------------------------


def _table_entry(score: TableScore, loaded: Loaded, why: str, worst: int, ways: Ways) -> dict[str, Any]:
    return {
        "name": score.name,
        "rows": score.rows,
        "device": loaded.table.device,
        "workload": str(loaded.table.workload(1)),
        **{name: _accuracy(score.accuracy[name]) for name in PREDICTORS},
        "ours_interval95": _interval(score.interval),
        "coverage90": score.coverage90 * PERCENT,
        "decisions": [_decision(entry) for entry in score.decisions],
        "worst": [_worst(score, loaded, row, ways) for row in score.worst[:worst]],
        "left_out": list(loaded.left_out),
        "notes": [why] if why else [],
    }


def _worst(score: TableScore, loaded: Loaded, row: int, ways: Ways) -> dict[str, Any]:
    given, figure = loaded.rows[row], score.figures[row]
    return {
        "model": given.model,
        "resolution": given.resolution,
        "batch": given.batch,
        "measured_s": given.seconds,
        "predicted_s": figure.value,
        "low_s": figure.low,
        "high_s": figure.high,
        "predicted_over_measured": figure.value / given.seconds,
        "cause": ways.cause(loaded.samples[row]),
    }


def _transfer_entry(score: TransferScore, source: Loaded, target: Loaded) -> dict[str, Any]:
    calibrated, interval = score.calibrated, score.calibrated_interval
    coverage = score.calibrated_coverage90
    return {
        "from": source.table.name,
        "to": target.table.name,
        "rows": score.rows,
        "mape_peaks": score.peaks.mape * PERCENT,
        "mape_calibrated": None if calibrated is None else calibrated.mape * PERCENT,
        "peaks": _accuracy(score.peaks),
        "calibrated": _accuracy(calibrated),
        "peaks_interval95": _interval(score.peaks_interval),
        "calibrated_interval95": None if interval is None else _interval(interval),
        "peaks_coverage90": score.peaks_coverage90 * PERCENT,
        "calibrated_coverage90": None if coverage is None else coverage * PERCENT,
        "calibration_models": [list(models) for models in score.calibration_models],
        "left_out": list(dict.fromkeys((*source.left_out, *target.left_out))),
    }


def _accuracy(value: Accuracy | None) -> dict[str, Any] | None:
    if value is None:
        return None
    errors = {name: getattr(value, name) * PERCENT for name in ("mape", "median", "p90")}
    return {**errors, "rows": value.rows}


def _interval(value: AccuracyInterval) -> dict[str, list[float]]:
    return {name: [end * PERCENT for end in getattr(value, name)] for name in ("mape", "median", "p90")}


def _decision(entry: DecisionBin) -> dict[str, Any]:
    decided = entry.right_of_decided
    return {
        "ratio": [entry.low, entry.high],
        "pairs": entry.pairs,
        "right": entry.right * PERCENT,
        "wrong": entry.wrong * PERCENT,
        "too_close": entry.too_close * PERCENT,
        "right_of_decided": None if decided is None else decided * PERCENT,
    }


# ---- text ------------------------------------------------------------------------------------------


def _text(document: Mapping[str, Any]) -> str:
    if "transfer" in document:
        return "\n".join(_transfer_text(document["transfer"]))
    return "\n\n".join("\n".join(_table_text(entry)) for entry in document["tables"])


def _table_text(entry: Mapping[str, Any]) -> list[str]:
    low, high = entry["ours_interval95"]["mape"]
    lines = [
        f"{entry['name']}: {entry['rows']} rows, families held out; errors in %",
        f"  {'':40s}{'MAPE':>8s}{'median':>8s}{'90 %':>8s}{'rows':>7s}",
        *(_accuracy_text(label, entry[name]) for name, label in PREDICTORS.items()),
        f"  ours: MAPE {low:.1f} to {high:.1f} if other families were drawn (95 %); "
        f"90 % intervals hold {entry['coverage90']:.1f} % of the rows",
        "  M members of one model against another, by true cost ratio, % of pairs:",
        *(_decision_text(bin_entry) for bin_entry in entry["decisions"]),
    ]
    if entry["worst"]:
        lines.append("  furthest off (predicted over measured):")
    for row in entry["worst"]:
        factor, name = row["predicted_over_measured"], f"{row['model']} at {row['resolution']}"
        lines.append(f"    {factor:6.2f}x  {name:44s} {row['cause']}".rstrip())
    lines += [f"  {note}" for note in entry["notes"]]
    return lines + _left_out_text(entry["left_out"])


def _accuracy_text(label: str, value: Mapping[str, Any] | None) -> str:
    if value is None:
        return f"  {label:40s}{'-':>8s}{'-':>8s}{'-':>8s}"
    return f"  {label:40s}{value['mape']:8.1f}{value['median']:8.1f}{value['p90']:8.1f}{value['rows']:7d}"


def _decision_text(entry: Mapping[str, Any]) -> str:
    low, high = entry["ratio"]
    decided = entry["right_of_decided"]
    right = "nothing said" if decided is None else f"right in {decided:.1f} of those called"
    return f"    {low:g} to {high:g} times: {right}, too close to call {entry['too_close']:.1f}"


def _transfer_text(entry: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{entry['from']} -> {entry['to']}: {entry['rows']} rows, families held out; errors in %",
        f"  {'':40s}{'MAPE':>8s}{'median':>8s}{'90 %':>8s}{'rows':>7s}",
        _accuracy_text("from the devices' peaks", entry["peaks"]),
    ]
    if entry["calibrated"] is not None:
        runs = len(entry["calibration_models"][0])
        lines.append(_accuracy_text(f"after {runs} runs on the target", entry["calibrated"]))
    covers = f"  90 % intervals hold {entry['peaks_coverage90']:.1f} % of the rows"
    if entry["calibrated_coverage90"] is not None:
        covers += f", after calibration {entry['calibrated_coverage90']:.1f} %"
    return [*lines, covers, *_left_out_text(entry["left_out"])]


def _left_out_text(reasons: Sequence[str]) -> list[str]:
    if not reasons:
        return []
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return [f"  left out {len(reasons)}: {'; '.join(reasons[:3])}{more}"]


# ---- the product's own ways ------------------------------------------------------------------------


def product(options: argparse.Namespace, given: Mapping[str, tuple[float, float]]) -> Ways:
    """Return the explorer's own predictor as the benchmark asks for it.

    Args:
        options: ``cache`` and ``workers`` say where traced models are kept and how many processes trace.
        given: peaks from the command line, device -> operations and bytes a second: before the table's.
    """

    def traced(wanted: Sequence[tuple[str, int]], precision: Precision, update: Update) -> dict[Any, Any]:
        asked = {
            key: Traced(model=f"timm:{key[0]}", resolution=key[1], autocast=needs_autocast(precision))
            for key in wanted
        }
        found = kernel_tables(
            list(asked.values()), cache=options.cache, workers=options.workers, update=update
        )
        return {key: found[one] for key, one in asked.items()}

    def peaks(device: str, precision: Precision) -> tuple[float, float]:
        if device in given:
            return given[device]
        entry = find_device_entry(device)
        if entry.bandwidth is None:
            raise UsageError(f"the memory bandwidth of {entry.name} is not known; give --peaks")
        return entry.peak(precision), entry.bandwidth

    def move(known: Sequence[prediction.Sample], asked: prediction.Sample) -> prediction.TransferredPredictor:
        source, target = known[0].workload, asked.workload
        (flops, bytes_), (to_flops, to_bytes) = (peaks(w.device, w.precision) for w in (source, target))
        scaling = prediction.Scaling(macs=flops / to_flops, bytes=bytes_ / to_bytes)
        return prediction.transfer(prediction.fit(known), target, scaling)

    def plan(moved: Any, rows: Sequence[prediction.Sample], runs: int) -> Sequence[int]:
        return prediction.plan(moved, rows, runs)

    return Ways(
        kernels=traced,
        sample=prediction.Sample,
        fit=prediction.fit,
        move=move,
        # it is given what `move` made, which the benchmark's own type of a predictor does not say
        calibrate=lambda moved, runs: prediction.calibrate(moved, runs),  # type: ignore[arg-type]
        plan=plan,
        peaks=peaks,
        cause=largest_share,
    )


if __name__ == "__main__":
    sys.exit(main())
