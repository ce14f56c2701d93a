"""Do several small networks beat one larger one of the same cost, and from which cost on?

Question  arXiv 2005.00570: averaging smaller networks beats one larger network at fewer total FLOPs once
          models are large for their data. Is there such a crossover here, for each family of models, in MACs
          and in measured latency?
Method    Each scale with 1 to 5 seeds: error averaged over all sets of that many seeds. Each ensemble against
          the cheapest single scale that costs no less. For the crossover the ensembles and the singles that
          nothing beats on `select` each make a curve, straight in log cost; where the ensembles' curve comes
          to lie below the singles' for good, on `report`, they cross. Nothing is chosen on `report`.
Interval  95 %, bootstrap over examples (the same for all designs, so comparisons are paired) and seeds.
Inputs    A store with two or more scales of a family, several seeds each; latency where it was measured.

    python -m analyses.ensemble_vs_scaling
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from explorer.analysis.bootstrap import tells
from explorer.analysis.curves.inner_designs import inner_designs, inner_errors
from explorer.analysis.curves.overtaking import Crossing, Curve, error_curve, overtaking
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    Scale,
    families,
    grouped,
    scales,
)
from explorer.convention import Basis, CostAxis
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Rule, Series
from explorer.report.text import format_amount, format_axis, format_points, format_share
from explorer.run.analysing import run_analysis
from explorer.store import Store

NAME = "ensemble_vs_scaling"
MACS, LATENCY = CostAxis.parse("macs"), CostAxis.parse("latency@cpu")
HEADER = ("family", "cost", "ensemble", "costs", "error", "single", "costs ", "error ", "gain, points")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extra:
    """An ensemble that is cheaper to train or run than separate networks."""

    method: str
    label: str
    family: str
    cost: float
    error: Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """n members of one scale against the cheapest single scale that costs no less."""

    small: Curve
    size: int
    large: Curve
    gain: Interval
    """Error of the single minus error of the ensemble."""


def curves(pool: Pool, found: tuple[Scale, ...], resampling: Resampling) -> tuple[Curve, ...]:
    """Return the curve of each scale, cheapest first."""
    return tuple(error_curve(pool, scale, resampling) for scale in found)


def extras(pool: Pool, resampling: Resampling) -> tuple[Extra, ...]:
    """Return the ensembles inside one network, and of one run's snapshots, that the pool has."""
    return tuple(
        Extra(
            method=design.method,
            label=design.label,
            family=design.family,
            cost=design.cost,
            error=resampling.estimate(inner_errors(pool, design), 1),
        )
        for design in inner_designs(pool)
    )


def pairs(family: tuple[Curve, ...]) -> Iterator[Pair]:
    """Pair each ensemble with the cheapest single scale of at least its cost."""
    for small in family:
        for size in list(small.error)[1:]:
            dearer = [curve for curve in family if curve.cost(1) >= small.cost(size)]
            if dearer:
                large = min(dearer, key=lambda curve: curve.cost(1))
                gain = (large.error[1] - small.error[size]).interval()
                yield Pair(small=small, size=size, large=large, gain=gain)


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, MACS)
    if not families(scales(pool)):
        return Absent(reason=f"no family of {dataset} has two scales in this store; train them first")
    if max(len(scale.rows) for scale in scales(pool)) < 2:
        return Absent(reason="an ensemble needs two seeds of a scale; train more seeds")
    resampling = Resampling(len(pool.report_labels))
    by_axis = {MACS: (curves(pool, scales(pool), resampling), extras(pool, resampling))}
    timed = any(c.figure.basis is Basis.MEASURED for c in store.costs("latency", LATENCY.device))
    if timed:
        timed_pool, timed_notes = load_pool(store, dataset, LATENCY)
        if timed_pool.basis is Basis.MEASURED:
            by_axis[LATENCY] = _timed(by_axis[MACS], timed_pool, resampling)
            notes = (*notes, *timed_notes)
    if LATENCY not in by_axis:
        notes = (
            *notes,
            f"{LATENCY} was not measured for most of these members, so MACs are the only cost here",
        )
    return _finding(pool, by_axis, tuple(dict.fromkeys(notes)))


def _timed(counted, pool: Pool, resampling: Resampling):
    """Return curves and extras with measured cost, of what was measured; errors stay the same."""
    cost = {scale.key: scale.cost for scale in grouped(pool)}
    found = [
        replace(curve, scale=replace(curve.scale, cost=cost[curve.scale.key]))
        for curve in counted[0]
        if curve.scale.key in cost
    ]
    return tuple(sorted(found, key=lambda curve: curve.cost(1))), extras(pool, resampling)


def _finding(pool: Pool, by_axis, notes: tuple[str, ...]) -> Finding:
    sentences, rows, panels, numbers = [], [], [], []
    for axis, (found, others) in by_axis.items():
        for name in sorted({curve.scale.family for curve in found}):
            family = tuple(curve for curve in found if curve.scale.family == name)
            if len(family) < 2:
                continue
            others_here = tuple(extra for extra in others if extra.family == name)
            compared, crossed = tuple(pairs(family)), overtaking(family)
            sentences.append(_sentence(name, axis, compared, crossed))
            rows += [_row(pair, axis) for pair in compared]
            panels.append(_panel(name, axis, family, others_here, crossed))
            numbers.append(_numbers(name, axis, family, others_here, compared, crossed))
    examples = len(pool.report_labels)
    return Finding(
        question="Do several small networks beat one larger one of the same cost, and from which cost on?",
        answer=" ".join(sentences),
        tables=(Table(header=HEADER, rows=tuple(rows)),),
        panels=tuple(panels),
        alt=f"Error on {examples:,} report examples of {pool.summary.dataset} against total cost: a dashed "
        "line "
        "through the single models of a family, and one line a scale for 1 to 5 members. "
        + " ".join(sentences),
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "parts": numbers,
        },
        notes=(
            "Gain: error of the single minus that of the ensemble, mean over seeds; intervals are 95 %, "
            "bootstrap over examples and seeds. An ensemble stands against the cheapest scale that costs no "
            "less.",
            *notes,
        ),
    )


def _sentence(name: str, axis: CostAxis, compared: tuple[Pair, ...], crossed: Crossing | None) -> str:
    ahead = sum(tells(pair.gain) and pair.gain.value > 0 for pair in compared)
    behind = sum(tells(pair.gain) and pair.gain.value < 0 for pair in compared)
    cost = "MACs" if axis == MACS else f"{axis}, measured"
    rest = len(compared) - ahead - behind
    tally = (
        f"of {len(compared)} ensembles set against a single scale of at least their cost {ahead} are better, "
        f"{behind} worse, and {rest} cannot be told from it"
    )
    if crossed is None:
        return f"{name}, {cost}: no cost is covered by both singles and ensembles; {tally}."

    def end(value: float, above: str) -> str:
        if math.isinf(value):
            return above if value > 0 else format_amount(crossed.start, axis.kind)
        return format_amount(value, axis.kind)

    whole = f"{format_amount(crossed.start, axis.kind)} to {format_amount(crossed.end, axis.kind)}"
    interval = f"95 % interval {end(crossed.low, 'none')} to {end(crossed.high, 'none')}"
    if crossed.low == math.inf:
        interval = "nor in 95 % of the draws"
    if crossed.value == math.inf:
        told = f"no crossover within the range measured, {whole} ({interval})"
    elif crossed.value == -math.inf:
        told = f"ensembles are ahead over the whole range measured, {whole} (crossover: {interval})"
    else:
        start = format_amount(crossed.value, axis.kind)
        told = f"ensembles are ahead from {start} on ({interval}; range {whole})"
    return f"{name}, {cost}: {told}; {tally}."


def _row(pair: Pair, axis: CostAxis) -> tuple[str, ...]:
    small, large, gain = pair.small, pair.large, pair.gain
    return (
        small.scale.family,
        str(axis),
        f"{pair.size} x {small.scale.model}",
        format_amount(small.cost(pair.size), axis.kind),
        format_share(small.error[pair.size].value, 2),
        str(large.scale.model),
        format_amount(large.cost(1), axis.kind),
        format_share(large.error[1].value, 2),
        f"{format_points(gain.value, 2)} ({format_points(gain.low, 2)} to {format_points(gain.high, 2)})",
    )


def _panel(name: str, axis: CostAxis, family, others: tuple[Extra, ...], crossed: Crossing | None) -> Panel:
    single = Series(
        label="single model, scaled up",
        x=tuple(curve.cost(1) for curve in family),
        y=tuple(curve.error[1].value for curve in family),
        reference=True,
    )
    lines = []
    for style, curve in enumerate(family):
        between = [one.interval() for one in curve.error.values()]
        lines.append(
            Series(
                label=f"{curve.scale.model}, 1 to {len(between)} members",
                x=tuple(curve.cost(size) for size in curve.error),
                y=tuple(one.value for one in between),
                low=tuple(one.low for one in between),
                high=tuple(one.high for one in between),
                style=style,
            )
        )
    for place, method in enumerate(dict.fromkeys(extra.method for extra in others)):
        of = [extra for extra in others if extra.method == method]
        between = [extra.error.interval() for extra in of]
        lines.append(
            Series(
                label=method,
                x=tuple(extra.cost for extra in of),
                y=tuple(one.value for one in between),
                low=tuple(one.low for one in between),
                high=tuple(one.high for one in between),
                style=len(family) + place,
                joined=False,
                hollow=True,
            )
        )
    rules = ()
    if crossed is not None and math.isfinite(crossed.value):
        low, high = (min(max(end, crossed.start), crossed.end) for end in (crossed.low, crossed.high))
        rules = (Rule(at=crossed.value, low=low, high=high, label="crossover, 95 % interval"),)
    return Panel(
        title=f"{name}, {'counted' if axis == MACS else 'measured'} cost",
        x_label=f"Total cost: {format_axis(axis)}",
        y_label="Error on report examples",
        series=(single, *lines),
        rules=rules,
        x_unit=axis.kind.name,
        y_unit="share",
        y_log=True,
    )


def _numbers(name: str, axis: CostAxis, family, others, compared, crossed: Crossing | None) -> dict:
    return {
        "family": name,
        "axis": str(axis),
        "seeds": {str(curve.scale.model): len(curve.scale.rows) for curve in family},
        "crossover": None
        if crossed is None
        else {field: getattr(crossed, field) for field in Crossing.__dataclass_fields__},
        "pairs": [
            {
                "small": str(pair.small.scale.model),
                "members": pair.size,
                "large": str(pair.large.scale.model),
                "gain": pair.gain.value,
                "low": pair.gain.low,
                "high": pair.gain.high,
            }
            for pair in compared
        ],
        "others": [
            {"method": extra.method, "label": extra.label, "cost": extra.cost, "error": extra.error.value}
            for extra in others
        ],
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
