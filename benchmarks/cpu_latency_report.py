"""What `benchmarks.cpu_latency` timed: how far two passes agree, how well held-out families are predicted.

A normalised time is the median of the samples, each over the reference workload's in the same round, times
the reference's median over the whole measurement: what a call takes while the machine is as it mostly was.
"""

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cpu_latency_scores import Ours, Score, score_held_out, totals
from explorer.accounting.kernels import KernelTable
from explorer.errors import UsageError
from explorer.prediction.families import family
from explorer.run.kernel_tables import Traced, kernel_tables

COLUMNS = ("model", "runtime", "pass", "median_s", "normalised_s", "samples", "doubtful", "load")
TARGET = 0.03
"""Median disagreement of two passes that a quiet machine has to stay below."""
NEEDED = {"macs": (0.11, 0.38), "three": (0.08, 0.19), "ours": (0.06, 0.15)}
"""Median and 90th percentile: of the simple predictors in an earlier trial; what ours has to stay below."""
LABELS = {"macs": "MACs, one constant", "three": "MACs, bytes, operators", "ours": "per-operator model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model and runtime in one pass."""

    model: str
    runtime: str
    number: int
    """Of the pass, from 1."""
    median_s: float
    normalised_s: float
    samples: int
    doubtful: tuple[str, ...]
    load: float
    """One-minute load average, mean over the visits: 1 is the measurement's own."""

    @property
    def cells(self) -> tuple[object, ...]:
        """As `COLUMNS`."""
        return (
            *(self.model, self.runtime, self.number, f"{self.median_s:.7g}", f"{self.normalised_s:.7g}"),
            *(self.samples, " | ".join(self.doubtful), f"{self.load:.2f}"),
        )


def write_report(out: Path, results: Path, *, ours: Ours | None = None, fold_count: int | None = None) -> str:
    """Write ``cpu_latency.csv`` and ``.md`` into ``results``; return the findings as text.

    Args:
        out: folder of the measurement.
        results: where to write.
        ours: fits our predictor; None leaves it out.
        fold_count: folds of families; None holds one family out at a time.

    Raises:
        UsageError: nothing was measured yet, or too few families.
    """
    plan, parts = read_parts(out)
    rows = make_rows(parts)
    tables = _tables(plan, out)
    scores = [
        score
        for runtime in _runtimes(rows)
        for score in score_held_out(measured(rows, runtime), runtime, tables, ours, fold_count)
    ]
    findings = [*_agreement_text(rows), *_score_text(scores, fold_count)]
    results.mkdir(parents=True, exist_ok=True)
    with (results / "cpu_latency.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(row.cells for row in rows)
    text = [*_head(plan, parts, rows), *findings, *_table_text(rows, tables)]
    (results / "cpu_latency.md").write_text("\n".join(text) + "\n")
    return "\n".join([*findings, str(results / "cpu_latency.md")])


# ---- from raw samples ------------------------------------------------------------------------------


def read_parts(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the plan and the groups that were timed, in the order of the plan.

    Raises:
        UsageError: there are none.
    """
    kept = {path.stem: json.loads(path.read_text()) for path in (out / "raw").glob("*.json")}
    if not kept:
        raise UsageError(f"{out} holds no timed groups; run the step measure first")
    plan = json.loads((out / "plan.json").read_text())
    keys = ("pass", "shelf", "visit", "group")
    return plan, sorted(kept.values(), key=lambda part: [part[key] for key in keys])


def make_rows(parts: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each model, runtime and pass, the samples of its visits pooled."""
    usual = statistics.median(time for part in parts for time in part["reference_s"])
    found: dict[tuple[str, str, int], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = defaultdict(list)
    for part in parts:
        for run in part["runs"]:
            found[run["model"], run["runtime"], part["pass"]].append((part, run))
    return [_row(key, visits, usual) for key, visits in sorted(found.items())]


def _row(
    key: tuple[str, str, int], visits: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], usual: float
) -> Row:
    pairs = [
        (sample, beside)
        for part, run in visits
        for sample, beside in zip(run["samples_s"], part["reference_s"], strict=True)
    ]
    return Row(
        model=key[0],
        runtime=key[1],
        number=key[2],
        median_s=statistics.median(sample for sample, _ in pairs),
        normalised_s=usual * statistics.median(sample / beside for sample, beside in pairs),
        samples=len(pairs),
        doubtful=tuple(dict.fromkeys(reason for _, run in visits for reason in run["doubtful"])),
        load=statistics.mean(part["load"] for part, _ in visits),
    )


def disagreements(rows: Sequence[Row], figure: Callable[[Row], float]) -> dict[tuple[str, str], float]:
    """Return (model, runtime) -> difference of its passes over their mean; those of one pass left out."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        values[row.model, row.runtime].append(figure(row))
    return {
        key: (max(passes) - min(passes)) / statistics.mean(passes)
        for key, passes in values.items()
        if len(passes) > 1
    }


def _runtimes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.runtime for row in rows))


def measured(rows: Sequence[Row], runtime: str) -> dict[str, float]:
    """Return model -> seconds of one call: normalised, geometric mean of the passes."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.runtime == runtime:
            values[row.model].append(row.normalised_s)
    return {model: statistics.geometric_mean(passes) for model, passes in values.items()}


def _tables(plan: Mapping[str, Any], out: Path) -> dict[str, KernelTable]:
    fields = ("model", "resolution", "channels", "classes")
    wanted = [Traced(**dict(zip(fields, values, strict=True))) for values in plan["traced"]]
    found = kernel_tables(wanted, cache=out / "kernels", workers=1)
    if reasons := [f"{one}: {why}" for one, why in found.items() if isinstance(why, str)]:
        raise UsageError(f"cannot be traced: {'; '.join(reasons)}")
    return {
        one.model.removeprefix("timm:"): table for one, table in found.items() if not isinstance(table, str)
    }


# ---- text ------------------------------------------------------------------------------------------


def _head(plan: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> list[str]:
    loads = [part["load"] for part in parts]
    counts = [row.samples for row in rows]
    missing = len(plan["parts"]) - len(parts)
    versions = ", ".join(f"{name} {version}" for name, version in plan["stamp"].items())
    doubtful = sum(bool(row.doubtful) for row in rows)
    return [
        "# Latency of 40 models on a CPU" if len(plan["models"]) == 40 else "# Latency on a CPU, a trial",
        "",
        f"- {plan['date']}; {plan['cores']} cores, {plan['processor']}; {versions}.",
        "- `python -m benchmarks.cpu_latency prepare|measure|report --out DIR`: batch 1, one thread, "
        f"float32, {plan['traced'][0][1]} pixels, random weights; eager torch as built, and onnxruntime.",
        f"- {len(plan['models'])} models of {len({family(model) for model in plan['models']})} families; "
        f"{len({row.number for row in rows})} passes in different order and groups; "
        f"{min(counts)} to {max(counts)} samples a row (median {statistics.median(counts):.0f}).",
        f"- Load {plan['load_before']:.1f} before, median {statistics.median(loads):.1f}, highest "
        f"{max(loads):.1f} (1 is ours); {doubtful} of {len(rows)} rows are doubtful, "
        "with reasons in `cpu_latency.csv`.",
        *(
            [f"- **Incomplete**: {missing} of {len(plan['parts'])} groups are not timed yet."]
            if missing
            else []
        ),
        "",
    ]


def _agreement_text(rows: Sequence[Row]) -> list[str]:
    lines = [
        "## How far two passes are apart",
        "",
        "Difference over the mean. Normalised by the reference workload in the same round.",
        "",
        "| runtime | models | raw: median | 90th percentile | normalised: median | 90th percentile |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    raw = disagreements(rows, lambda row: row.median_s)
    normalised = disagreements(rows, lambda row: row.normalised_s)
    if not raw:
        return [*lines[:2], "Only one pass was timed.", ""]
    for runtime in (*_runtimes(rows), "both"):
        cells, count = [], 0
        for found in (raw, normalised):
            some = [value for (_, where), value in found.items() if runtime in (where, "both")]
            count = len(some)
            cells += [f"{value:.1%}" for value in np.quantile(some, [0.5, 0.9])] if some else ["", ""]
        lines.append(f"| {runtime} | {count} | {' | '.join(cells)} |")
    best = statistics.median(normalised.values())
    verdict = "met" if best <= TARGET else "missed"
    return [*lines, "", f"Target, a median of {TARGET:.0%} normalised: {verdict} ({best:.1%}).", ""]


def _score_text(scores: Sequence[Score], fold_count: int | None) -> list[str]:
    how = f"in {fold_count} folds" if fold_count else "one at a time"
    lines = [
        "## Prediction of whole families held out",
        "",
        f"Families are held out {how}; absolute relative errors against normalised times; in brackets where "
        "the figure lies if other families had been drawn (bootstrap, 95 %).",
        "",
        "| runtime | predictor | models | median | 90th percentile | earlier trial or wanted | within 90 % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for score in scores:
        cells = [
            f"{getattr(score.accuracy, name):.1%} [{low:.1%}, {high:.1%}]"
            for name in ("median", "p90")
            for low, high in [getattr(score.interval, name)]
        ]
        median, p90 = NEEDED[score.predictor]
        inside = "" if score.coverage90 is None else f"{score.coverage90:.0%}"
        lines.append(
            f"| {score.runtime} | {LABELS[score.predictor]} | {score.accuracy.rows} | {cells[0]} "
            f"| {cells[1]} | {median:.0%} / {p90:.0%} | {inside} |"
        )
    lines += ["", "Furthest off, predicted over measured:", ""]
    for score in scores:
        told = ", ".join(f"{model.removeprefix('timm:')} {ratio:.2f}" for model, ratio in score.worst)
        lines.append(f"- {score.runtime}, {LABELS[score.predictor]}: {told}.")
    return [*lines, ""]


def _table_text(rows: Sequence[Row], tables: Mapping[str, KernelTable]) -> list[str]:
    runtimes = _runtimes(rows)
    apart = disagreements(rows, lambda row: row.normalised_s)
    times = {runtime: measured(rows, runtime) for runtime in runtimes}
    lines = [
        "## Every model",
        "",
        "Normalised milliseconds of one call, and how far the passes are apart.",
        "",
        f"| model | family | GMACs | {' | '.join(f'{runtime}, ms | apart' for runtime in runtimes)} |",
        f"| {' | '.join(['---'] * (3 + 2 * len(runtimes)))} |",
    ]
    for model in sorted(tables, key=lambda name: totals(tables[name])[0]):
        cells = []
        for runtime in runtimes:
            seconds, share = times[runtime].get(model), apart.get((model, runtime))
            cells += [
                "" if seconds is None else f"{seconds * 1e3:.2f}",
                "" if share is None else f"{share:.1%}",
            ]
        macs = totals(tables[model])[0] / 1e9
        lines.append(f"| {model} | {family(model)} | {macs:.2f} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    raise SystemExit("run: python -m benchmarks.cpu_latency report --out DIR")
