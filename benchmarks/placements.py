"""Time ensembles in several placements on this CPU, and compare with what is composed of their members.

    python -m benchmarks.placements run --out DIR       time; one CSV
    python -m benchmarks.placements report --out DIR    write the Markdown from the CSV

Single members are timed first, all models interleaved, as `explorer profile` does, and once more at the
end; ensembles between, each beside its own members. What is composed of the first and last figures never
saw an ensemble run.
"""

import argparse
import csv
import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from explorer import __version__
from explorer.accounting.interference import Interference, Placement, compose_latency, pool_interference
from explorer.convention import Basis
from explorer.measure.environment import conditions
from explorer.record import CostFigure
from explorer.run.placements import (
    EnsembleTimes,
    ImageShape,
    placement_rows,
    profile_placements,
    time_members,
    with_resolution,
)
from explorer.spec import ModelSpec
from explorer.workload import Workload

RESULTS = Path(__file__).with_name("results")
TRUSTED_DRIFT = 0.1
"""Two passes over the same members that differ by more (median) compare nothing with a third."""
PLACEMENTS = ("sequential", "batched", "parallel:2")
SIZES = (2, 4, 8)
ZOO = ("wrn10-0.5", "wrn10-1", "wrn10-2", "wrn16-1", "mobile-x0.5", "mobile-x1", "mlp256x2")
TIMM = (
    "timm:resnet18",
    "timm:mobilenetv3_small_100",
    "timm:regnetx_002",
    "timm:convnext_atto",
    "timm:efficientnet_b0",
)
MIXED = (("wrn10-1", "mobile-x0.5"), ("wrn10-0.5", "wrn10-2", "wrn16-1", "mobile-x1"))
ZOO_SHAPE = ImageShape(native=32)
TIMM_SHAPE = ImageShape(native=96, classes=100)
WORKLOAD = Workload.parse("cpu/eager")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark or write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("job", choices=("run", "report"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seconds", type=float, default=0.5, help="time limit for each call of an ensemble")
    parser.add_argument("--only", nargs="*", help="models, instead of all")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.job == "run":
        run(given.out, given.seconds, given.only)
    (given.out / "placements_cpu.md").write_text(report(given.out))
    print(given.out / "placements_cpu.md")
    return 0


def run(out: Path, seconds: float, only: Sequence[str] | None) -> None:
    """Time everything and write ``placements_cpu.csv`` and ``placements_cpu.json`` (the conditions)."""
    begin, loads = time.time(), [os.getloadavg()[0]]
    rows: list[dict[str, object]] = []
    for names, shape, mixed in ((ZOO, ZOO_SHAPE, MIXED), (TIMM, TIMM_SHAPE, ())):
        chosen = [name for name in names if only is None or name in only]
        if not chosen:
            continue
        models = [ModelSpec(name, shape.native) for name in chosen]
        ensembles = [[model] * size for model in models for size in SIZES]
        ensembles += [
            [ModelSpec(name, shape.native) for name in some] for some in mixed if set(some) <= set(chosen)
        ]
        before = time_members(models, WORKLOAD, shape=shape, sizes=SIZES, max_seconds=4 * seconds)
        timed = []
        for ensemble in ensembles:
            timed += profile_placements(
                [ensemble], WORKLOAD, shape=shape, placements=PLACEMENTS, max_seconds=seconds
            )
            loads.append(os.getloadavg()[0])
            print(
                f"{time.time() - begin:5.0f} s, load {loads[-1]:.1f}: {len(ensemble)} members",
                file=sys.stderr,
            )
        after = time_members(models, WORKLOAD, shape=shape, sizes=SIZES, max_seconds=4 * seconds, seed=1)
        rows += [
            row | _composed_row(one, number, before, after, shape)
            for one in timed
            for number, row in enumerate(placement_rows([one]))
        ]
    with (out / "placements_cpu.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: _text(value) for key, value in row.items()} for row in rows)
    told = _machine() | {
        "minutes": round((time.time() - begin) / 60, 1),
        "load_before": loads[0],
        "load_median": statistics.median(loads),
        "load_highest": max(loads),
        "seconds": seconds,
    }
    (out / "placements_cpu.json").write_text(json.dumps(told, indent=1) + "\n")


def _machine() -> dict[str, object]:
    """Return the date, processor and versions."""
    here = conditions("cpu")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": here.device_name,
        "cores": os.cpu_count(),
        "versions": dict(here.versions) | {"timm": metadata.version("timm"), "explorer": __version__},
    }


Timed = tuple[dict[ModelSpec, CostFigure], dict[int, CostFigure]]


def _composed_row(
    one: EnsembleTimes, number: int, before: Timed, after: Timed, shape: ImageShape
) -> dict[str, object]:
    """Return what sequential is composed to, from members timed apart, and how those two times agree."""
    members = [with_resolution(model, shape.native) for model in one.members]
    size = len(members)
    figures = [_joined(before[0][model], after[0][model]) for model in members]
    extra = _joined(before[1][size], after[1][size])
    sequential = compose_latency(figures, Placement.parse("sequential"), combination=extra)
    drift = [after[0][model].value / before[0][model].value for model in members]
    return {
        "members_s": json.dumps([figure.value for figure in figures]),
        "apart_combination_s": extra.value,
        "apart_drift": statistics.mean(drift),
        "composed_s": sequential.value,
        "composed_low_s": sequential.low,
        "composed_high_s": sequential.high,
    }


def _joined(one: CostFigure, other: CostFigure) -> CostFigure:
    """Return the mean of two measurements, with an interval that holds both of theirs."""
    return CostFigure(
        value=(one.value + other.value) / 2,
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        basis=Basis.MEASURED,
    )


def _text(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


# ---- report -------------------------------------------------------------------------------------


def report(out: Path) -> str:
    """Return the Markdown of what ``run`` wrote to ``out``."""
    with (out / "placements_cpu.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = json.loads((out / "placements_cpu.json").read_text())
    timed = [row for row in rows if row["latency_s"]]
    lines = [
        "# Placements of ensembles on a CPU",
        "",
        f"- {told['date']}, {told['minutes']} minutes; {told['cores']} cores, {told['processor']}; "
        f"{', '.join(f'{name} {version}' for name, version in told['versions'].items())}.",
        f"- Shared machine: load {told['load_before']:.1f} before, median {told['load_median']:.1f}, "
        f"highest {told['load_highest']:.1f} (1 is ours, 2 during `parallel:2`).",
        "- `python -m benchmarks.placements run`: eager torch, batch 1, float32, one thread; `parallel:2` is "
        "two processes of one thread each. Random weights.",
        f"- {len({row['ensemble'] for row in rows})} ensembles. Ratios are medians over rounds in which "
        "every member alone and every placement was timed once, in shuffled order. Every placement's "
        "outputs equalled sequential's (largest difference "
        f"{max(float(row['difference']) for row in timed):.1g} of the largest output). "
        "Every figure is in `placements_cpu.csv`.",
        "",
        *_against_members(timed),
        *_composed(timed),
        *_table(rows),
    ]
    return "\n".join(lines) + "\n"


def _against_members(timed: Sequence[dict[str, str]]) -> list[str]:
    lines = [
        "## Time of the ensemble over that of its members in the same rounds",
        "",
        "Median over ensembles, lowest and highest in brackets.",
        "",
        "| placement | members | ensembles | over the sum | over the slowest | slower than sequential |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for placement in PLACEMENTS:
        for size in SIZES:
            some = [r for r in timed if r["placement"] == placement and int(r["members"]) == size]
            if not some:
                continue
            beside = {r["ensemble"]: float(r["latency_s"]) for r in timed if r["placement"] == "sequential"}
            slower = sum(float(r["latency_s"]) > beside[r["ensemble"]] for r in some)
            lines.append(
                f"| {placement} | {size} | {len(some)} | {_range(some, 'over_sum')} | "
                f"{_range(some, 'over_slowest')} | {'' if placement == 'sequential' else slower} |"
            )
    return [*lines, ""]


def _range(rows: Sequence[dict[str, str]], key: str) -> str:
    values = [float(row[key]) for row in rows]
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def _composed(timed: Sequence[dict[str, str]]) -> list[str]:
    drift = [abs(float(row["apart_drift"]) - 1) for row in timed]
    told = (
        f"The two passes over the members, before and after the ensembles, differed by "
        f"{statistics.median(drift):.1%} (median), {max(drift):.1%} at most"
    )
    lines = [
        "## Composed against measured",
        "",
        "Without a factor `sequential` is the members' sum and the combination; with one, the factor is "
        "pooled over the ensembles of all *other* models and the interval reaches from that factor's lowest "
        "to its highest.",
        "",
        "### Members timed in the same rounds",
        "",
        *_errors(timed, _in_rounds),
        "",
        "### Members timed apart",
        "",
    ]
    busy = (
        " The machine was too busy: these errors are mostly its own."
        if (statistics.median(drift) > TRUSTED_DRIFT)
        else ""
    )
    return [*lines, *_errors(timed, _figure), "", f"{told}: errors below that cannot be told.{busy}", ""]


def _errors(
    timed: Sequence[dict[str, str]],
    composed: Callable[[dict[str, str], Interference | None], CostFigure],
) -> list[str]:
    lines = [
        "| placement | factor | ensembles | median error | 90th percentile | worst | within interval |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for placement in PLACEMENTS:
        some = [row for row in timed if row["placement"] == placement]
        for factored in (False, True):
            if not factored and placement != "sequential":
                continue
            if factored and any(len(_apart(row, some)) < 2 for row in some):
                continue  # a few models on trial: nothing to pool over
            tried = [(row, composed(row, _others(row, some) if factored else None)) for row in some]
            errors = sorted(abs(figure.value / float(row["latency_s"]) - 1) for row, figure in tried)
            inside = sum(figure.low <= float(row["latency_s"]) <= figure.high for row, figure in tried)
            lines.append(
                f"| {placement} | {'pooled' if factored else 'none'} | {len(some)} | "
                f"{statistics.median(errors):.1%} | {errors[int(0.9 * (len(errors) - 1))]:.1%} | "
                f"{errors[-1]:.1%} | {f'{inside} of {len(some)}' if factored else ''} |"
            )
    return lines


def _in_rounds(row: dict[str, str], factor: Interference | None) -> CostFigure:
    """Return the ideal of the same rounds times the factor: the measured time over its own factor."""
    ideal = float(row["latency_s"]) / float(row["over_ideal"])
    low, value, high = (factor.low, factor.factor, factor.high) if factor else (1.0, 1.0, 1.0)
    return CostFigure(value=ideal * value, low=ideal * low, high=ideal * high, basis=Basis.COMPOSED)


def _others(row: dict[str, str], rows: Sequence[dict[str, str]]) -> Interference:
    """Return the factor pooled over the ensembles that share no model with this one."""
    placement = Placement.parse(row["placement"])
    return pool_interference(
        [
            Interference(
                placement=placement,
                factor=float(other["over_ideal"]),
                low=float(other["over_ideal_low"]),
                high=float(other["over_ideal_high"]),
                basis=Basis.MEASURED,
            )
            for other in _apart(row, rows)
        ]
    )


def _apart(row: dict[str, str], rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    mine = _models(row)
    return [other for other in rows if not mine & _models(other)]


def _models(row: dict[str, str]) -> set[str]:
    return {part.split(" x ")[-1] for part in row["ensemble"].split(" + ")}


def _figure(row: dict[str, str], factor: Interference | None) -> CostFigure:
    """Return the composed time; without a factor with the interval of the members' own."""
    if factor is None:
        ends = (float(row[f"composed{end}_s"]) for end in ("_low", "", "_high"))
        low, value, high = ends
        return CostFigure(value=value, low=low, high=high, basis=Basis.COMPOSED)
    return compose_latency(
        [_exact(time_s) for time_s in json.loads(row["members_s"])],
        factor.placement,
        factor,
        combination=_exact(float(row["apart_combination_s"])),
    )


def _exact(seconds: float) -> CostFigure:
    return CostFigure(value=seconds, low=seconds, high=seconds, basis=Basis.MEASURED)


def _table(rows: Sequence[dict[str, str]]) -> list[str]:
    lines = [
        "## Every ensemble",
        "",
        "| ensemble | sequential, ms | composed, ms | over the sum: sequential | batched | parallel:2 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["ensemble"] for row in rows):
        mine = {row["placement"]: row for row in rows if row["ensemble"] == name}
        first = mine["sequential"]
        cells = [
            f"{float(mine[p]['over_sum']):.2f} [{float(mine[p]['over_sum_low']):.2f}, "
            f"{float(mine[p]['over_sum_high']):.2f}]"
            if mine[p]["latency_s"]
            else mine[p]["refused"]
            for p in PLACEMENTS
        ]
        lines.append(
            f"| {name} | {float(first['latency_s']) * 1e3:.2f} | {float(first['composed_s']) * 1e3:.2f} | "
            + " | ".join(cells)
            + " |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
