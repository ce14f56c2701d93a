"""Write what a study found: a Markdown file and a table of all rows for each machine."""

import csv
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.device_study_rows import Row, manifest, read
from benchmarks.device_study_scores import Errors, Score, Tables, scores
from explorer.data.devices import find_device_entry
from explorer.errors import InputDataError, UsageError
from explorer.run.kernel_tables import kernel_tables

_DECIDED_BIN = (1.25, 1.5)
_RATIOS = (
    ("CUDA graph over eager", "runtime", "graph", "eager"),
    ("compiled over eager", "runtime", "compiled", "eager"),
    ("channels_last over contiguous", "channels_last", True, False),
    ("bf16 over fp32", "precision", "bf16", "fp32"),
    ("amp over fp32", "precision", "amp", "fp32"),
    ("bf16 over amp", "precision", "bf16", "amp"),
)
_COLUMNS = (
    *("kind", "stage", "subject", "workload", "placement", "batch", "precision", "runtime", "channels_last"),
    *("p50_s", "low_s", "high_s", "p90_s", "p99_s", "samples", "spread", "stop_reason", "memory_bytes"),
    *("sum_s", "slowest_s", "over_sum", "over_slowest", "interference"),
    *("energy_j", "energy_low_j", "energy_high_j", "energy_basis", "energy_bound_j", "power_w", "idle_w"),
    *("sm_clock_mhz", "temperature_c", "doubtful", "error", "at"),
)
Lines = Iterator[str]


def write_report(folder: Path, results: Path, tables: Tables = kernel_tables) -> list[Path]:
    """Write ``device_study_NAME.md`` and ``.csv`` for each machine of a study; return their paths.

    Args:
        folder: of the study, or one that holds its bundle.
        results: where to.
        tables: gives the kernels of models; replaced in tests.

    Raises:
        InputDataError: no rows, or a damaged bundle.
    """
    rows = read(folder)
    if not rows:
        raise InputDataError(f"no rows of a study in {folder}: run it first")
    told = manifest(folder)
    results.mkdir(parents=True, exist_ok=True)
    written = []
    for machine in dict.fromkeys(row["machine"] for row in rows):
        mine = [row for row in rows if row["machine"] == machine]
        target = results / f"device_study_{slug(machine)}.md"
        target.write_text(report(machine, mine, told, tables), encoding="utf-8")
        table = target.with_suffix(".csv")
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(map(flat, mine))
        written += [target, table]
    return written


def slug(name: str) -> str:
    """Return a machine's name as part of a file's.

    >>> slug("NVIDIA H100 80GB HBM3")
    'nvidia-h100-80gb-hbm3'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def report(machine: str, rows: Sequence[Row], told: Mapping[str, Any], tables: Tables) -> str:
    """Return the Markdown of one machine's rows."""
    here = told["machines"].get(machine, {})
    found, notes = scores(rows, here.get("planned", ()), _key(machine, here), tables)
    lines = [
        f"# Measured on {machine}",
        "",
        *_conditions(machine, rows, told),
        *_predictions(found, notes, here.get("planned", ())),
        *_ratios(rows),
        *_placements(rows),
        *_energy(rows),
        *_failures(rows),
        *_times(rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _key(machine: str, here: Mapping[str, Any]) -> str:
    """Return the device's key in the device table, or else as torch calls it."""
    device = str(here.get("device", "cuda"))
    try:
        return find_device_entry(machine.rpartition(" (")[0] if device == "cpu" else machine).key
    except UsageError:
        return device.partition(":")[0]


def _conditions(machine: str, rows: Sequence[Row], told: Mapping[str, Any]) -> Lines:
    here = told["machines"].get(machine, {})
    versions = ", ".join(f"{name} {version}" for name, version in here.get("versions", {}).items())
    yield f"- {min(row['at'] for row in rows)} to {max(row['at'] for row in rows)}; {versions}."
    yield f"- {here.get('system', 'unknown system')}; power state {here.get('power_state', 'unknown')}."
    if gpu := here.get("gpu"):
        yield (
            f"- Compute capability {gpu['capability']}, {gpu['multiprocessors']} multiprocessors, "
            f"{gpu['memory_bytes'] / 2**30:.1f} GiB. The driver's program: "
            f"`{' / '.join(gpu['nvidia_smi'].splitlines())}`."
        )
    observed = ", ".join(f"{name} {value}" for name, value in here.get("observed", {}).items())
    yield f"- When the last call began: {observed or 'nothing known'}. Clocks were left as they were."
    calls = [f"{call['minutes']:g} minutes ({call['ended']})" for call in told["calls"]]
    yield f"- Calls of `python -m benchmarks.device_study run`: {', '.join(calls) or 'not written down'}."
    failed = sum(row["error"] is not None for row in rows)
    doubtful = sum(bool(row["doubtful"]) for row in rows)
    stages = Counter(row["stage"] for row in rows)
    yield (
        f"- {len(rows)} rows ({', '.join(f'{name} {count}' for name, count in stages.items())}): {failed} "
        f"with a reason instead of a time, {doubtful} doubtful. Random weights; timm models answer for "
        "1,000 classes, others for 10; everything is in the CSV."
    )
    yield ""


# ---- the predictor ------------------------------------------------------------------------------


def _predictions(found: Sequence[Score], notes: Sequence[str], planned: Sequence[str]) -> Lines:
    yield "## The latency predictor on these rows"
    yield ""
    if not found:
        yield "No workload has enough rows."
        yield ""
        return
    yield (
        "Mean relative error, %; in brackets the share of rows within their 90 % intervals. *Peaks*: moved "
        "from the other device by the peaks alone. *Calibrated*: with the planned models timed under the "
        "same workload. Tried on all other models, and on those of whose family no planned model is."
    )
    yield ""
    yield f"Planned before anything was timed: {', '.join(planned) or 'none'}."
    yield ""
    yield (
        "| workload | fitted to | runs | models | peaks | calibrated | models of other families | peaks | "
        "calibrated |"
    )
    yield "| --- " * 9 + "|"
    for one in found:
        other = one.unseen_before
        yield (
            f"| {one.workload} | {one.base}{'' if one.moved else ' (peaks unknown)'} | {one.runs} | "
            f"{one.before.accuracy.rows} | {_error(one.before)} | {_error(one.after)} | "
            f"{other.accuracy.rows if other else 0} | {_error(other)} | {_error(one.unseen_after)} |"
        )
    yield ""
    yield "### May one be called cheaper"
    yield ""
    yield (
        f"M members of one model against one other model, true ratio {_DECIDED_BIN[0]} to "
        f"{_DECIDED_BIN[1]}, by the calibrated predictor where there is one; models of other families."
    )
    yield ""
    yield "| workload | fitted to | runs | pairs | right of those called, % | too close to call, % |"
    yield "| --- " * 6 + "|"
    for one in found:
        for entry in one.decisions:
            if (entry.low, entry.high) == _DECIDED_BIN and entry.pairs:
                right = entry.right_of_decided
                yield (
                    f"| {one.workload} | {one.base} | {one.runs} | {entry.pairs} | "
                    f"{'-' if right is None else f'{100 * right:.1f}'} | {100 * entry.too_close:.1f} |"
                )
    yield ""
    for note in notes:
        yield f"- {note}"
    yield ""


def _error(value: Errors | None) -> str:
    return "-" if value is None else f"{100 * value.accuracy.mape:.1f} ({100 * value.coverage90:.0f})"


# ---- ratios -------------------------------------------------------------------------------------


def _ratios(rows: Sequence[Row]) -> Lines:
    yield "## One way of running over another"
    yield ""
    yield "Ratio of medians for the same model and all else the same: median over models, and the extremes."
    yield ""
    yield "| ratio | batch | precision | runtime | models | median | lowest | highest |"
    yield "| --- " * 8 + "|"
    for title, name, above, below in _RATIOS:
        for (batch, precision, runtime), pairs in sorted(_pairs(rows, name, above, below).items()):
            values = sorted(pairs.items(), key=lambda pair: pair[1])
            (low_model, low), (high_model, high) = values[0], values[-1]
            yield (
                f"| {title} | {batch} | {precision} | {runtime} | {len(values)} | "
                f"{statistics.median(pairs.values()):.2f} | {low:.2f} ({low_model}) | "
                f"{high:.2f} ({high_model}) |"
            )
    yield ""


def _pairs(
    rows: Sequence[Row], name: str, above: object, below: object
) -> dict[tuple[int, str, str], dict[str, float]]:
    """Return model -> ratio by batch, precision and runtime, of rows that differ in one setting alone."""
    timed = {}
    for row in rows:
        if row["kind"] == "time" and row["latency_s"] is not None:
            setting = {
                "batch": row["batch"],
                "precision": row["precision"],
                "runtime": row["runtime"],
                "channels_last": _nhwc(row),
            }
            timed[row["model"], tuple(setting.items())] = row["latency_s"]["p50"]
    found: dict[tuple[int, str, str], dict[str, float]] = {}
    for (model, items), seconds in timed.items():
        setting = dict(items)
        other = timed.get((model, tuple((setting | {name: below}).items())))
        if setting[name] == above and other is not None:
            where = (setting["batch"], setting["precision"], setting["runtime"])
            if name != "channels_last" and setting["channels_last"]:
                continue
            found.setdefault(where, {})[model] = seconds / other
    return found


def _nhwc(row: Row) -> bool:
    return "nhwc" in row["workload"].split("/")


# ---- ensembles and energy -----------------------------------------------------------------------


def _placements(rows: Sequence[Row]) -> Lines:
    some = [row for row in rows if row["kind"] == "placement"]
    if not some:
        return
    yield "## Ensembles in placements"
    yield ""
    yield (
        "All members alone and every placement in the same rounds. Interference: time over that of ideal "
        "members (as fast as alone) and their combination."
    )
    yield ""
    yield (
        "| members | batch | placement | ms | sum of members, ms | over the sum | slowest, ms | "
        "over the slowest | interference |"
    )
    yield "| --- " * 9 + "|"
    for row in some:
        ensemble = row["ensemble"]
        name = _members(row)
        if row["latency_s"] is None or ensemble is None:
            yield f"| {name} | {row['batch']} | {row['placement'] or 'all'} | {row['error']} | | | | | |"
            continue
        yield (
            f"| {name} | {row['batch']} | {row['placement']} | {_ms(row['latency_s']['p50'])} | "
            f"{_ms(ensemble['sum_s'])} | {_factor(ensemble['over_sum'])} | {_ms(ensemble['slowest_s'])} | "
            f"{_factor(ensemble['over_slowest'])} | {_factor(ensemble['interference'])} |"
        )
    yield ""


def _members(row: Row) -> str:
    names = re.findall(r"[(,]\s*([^#,()]+)#", row["design"])
    return " + ".join(f"{count} x {name}" for name, count in Counter(names).items())


def _factor(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _energy(rows: Sequence[Row]) -> Lines:
    some = [row for row in rows if row["kind"] == "energy"]
    if not some:
        return
    yield "## Energy of one example"
    yield ""
    yield "| model | workload | J | 95 % | basis | bound, J | share of the bound | power, W | idle, W | why |"
    yield "| --- " * 10 + "|"
    for row in some:
        figure, limit = row["energy_j"], row.get("energy_bound_j")
        details = row["energy_details"]
        measured = figure is not None and figure["basis"] == "measured"
        share = figure["value"] / limit["value"] if measured and limit else None
        yield (
            f"| {row['model']} | {row['workload']} | {_number(figure and figure['value'])} | "
            f"{_interval(figure)} | {'unknown' if figure is None else figure['basis']} | "
            f"{_number(limit and limit['value'])} | "
            f"{'-' if share is None else f'{share:.0%}'} | {_number(details.get('power_w'))} | "
            f"{_number(details.get('idle_w'))} | {row['energy_reason'] or row['error'] or ''} |"
        )
    yield ""


# ---- every row ----------------------------------------------------------------------------------


def _failures(rows: Sequence[Row]) -> Lines:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["error"] is not None and row["kind"] == "time":
            reasons.setdefault(row["error"], []).append(f"{row['model']} on {row['workload']}")
    if not reasons:
        return
    yield "## Rows without a time"
    yield ""
    for reason, some in reasons.items():
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""
        yield f"- {'; '.join(some[:3])}{more}: {reason}"
    yield ""


def _times(rows: Sequence[Row]) -> Lines:
    yield "## Every time"
    yield ""
    yield "Milliseconds of one call; the median's 95 % interval; `*` doubtful, the CSV has the reasons."
    yield ""
    timed = [row for row in rows if row["kind"] == "time" and row["latency_s"] is not None]
    for workload in dict.fromkeys(row["workload"] for row in timed):
        yield f"### {workload}"
        yield ""
        yield "| model | median | 95 % | p90 | p99 | samples | examples/s | memory, MiB |"
        yield "| --- " * 8 + "|"
        for row in (one for one in timed if one["workload"] == workload):
            times, memory = row["latency_s"], row["memory_bytes"]
            yield (
                f"| {row['model']}{' *' if row['doubtful'] else ''} | {_ms(times['p50'])} | "
                f"{_ms(row['low'])} to {_ms(row['high'])} | {_ms(times['p90'])} | {_ms(times['p99'])} | "
                f"{row['samples']} | {row['batch'] / times['p50']:.0f} | "
                f"{'-' if memory is None else f'{memory / 2**20:.0f}'} |"
            )
        yield ""


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.4g}"


def _interval(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{_number(figure['low'])} to {_number(figure['high'])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def flat(row: Row) -> dict[str, object]:
    """Return a row of the CSV; what is unknown is empty."""
    times, ensemble, energy = row["latency_s"] or {}, row["ensemble"] or {}, row["energy_j"] or {}
    seen, details = row["observations"], row["energy_details"]
    after = seen.get("after")
    after = after if isinstance(after, dict) else {}
    found = {
        **{name: row.get(name) for name in ("kind", "stage", "workload", "placement", "batch", "precision")},
        **{name: row.get(name) for name in ("runtime", "samples", "spread", "stop_reason", "memory_bytes")},
        "subject": row.get("model") or row["design"],
        "channels_last": _nhwc(row),
        **{f"{name}_s": times.get(name) for name in ("p50", "p90", "p99")},
        "low_s": row["low"],
        "high_s": row["high"],
        **{name: ensemble.get(name) for name in ("sum_s", "slowest_s")},
        **{n: (ensemble.get(n) or {}).get("value") for n in ("over_sum", "over_slowest", "interference")},
        "energy_j": energy.get("value"),
        "energy_low_j": energy.get("low"),
        "energy_high_j": energy.get("high"),
        "energy_basis": energy.get("basis"),
        "energy_bound_j": (row.get("energy_bound_j") or {}).get("value"),
        "power_w": details.get("power_w"),
        "idle_w": details.get("idle_w"),
        **{name: after.get(name) for name in ("sm_clock_mhz", "temperature_c")},
        "doubtful": "; ".join(row["doubtful_reasons"]) or ("samples scatter" if row["doubtful"] else ""),
        "error": row["error"],
        "at": row["at"],
    }
    return {name: f"{v:.6g}" if isinstance(v := found[name], float) else v for name in _COLUMNS}
