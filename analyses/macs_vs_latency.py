"""Do MACs say how long a network takes, and does the answer on ensembles hang on which of the two is paid?

Question  arXiv 2005.00570 counts FLOPs. Does measured latency follow MACs from scale to scale and from family
          to family, and does an ensemble that fits into a single model's MACs fit into its latency?
Method    Models with latency measured on one device, batch 1: rank correlation with MACs; one straight line
          through all of them in logarithms, and by what factor each family lies off it. Then every ensemble
          of 2 to 5 of one scale against the cheapest single scale that costs no less, once by MACs, once
          by latency (members one after the other): which rival, and who is the more accurate.
Interval  95 %. Correlation, slope and factors: bootstrap over models, each latency drawn within its measured
          interval. Who is more accurate: bootstrap over examples (paired) and seeds. Nothing is chosen.
Inputs    A store with `explorer profile` figures of latency on cpu for its members' models.

    python -m analyses.macs_vs_latency
"""

import sys
from dataclasses import dataclass

import numpy as np
from scipy import stats

from explorer.analysis.bootstrap import tells
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import (
    DRAWS,
    Resampling,
    Scale,
    families,
    grouped,
    percentiles,
    right_answers,
    scales,
)
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.record import CostFigure
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Series
from explorer.report.text import format_amount, format_cost, format_points, significant
from explorer.run.analysing import run_analysis
from explorer.store import Store

NAME = "macs_vs_latency"
MACS, LATENCY = CostAxis.parse("macs"), CostAxis.parse("latency@cpu")
SEED = 20005
MODELS = ("model", "macs", "latency", "latency off the common line")
INNER = "ensembles inside one network"
PAIRS = ("ensemble", "rival by MACs", "gain, points", "rival by latency", "gain, points ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One model with both costs."""

    scale: Scale
    """Its cost is MACs."""
    latency: CostFigure

    @property
    def group(self) -> str:
        """Its family; ensembles inside one network are built otherwise and are a group of their own."""
        return INNER if "+" in self.scale.model.name else self.scale.family


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Latency against MACs in logarithms, and what lies off it."""

    slope: Interval
    rank: Interval
    """Spearman's rank correlation."""
    factors: dict[str, Interval]
    """Of each family: latency over the common line, geometric mean."""
    off: tuple[float, ...]
    """The same of each model."""
    intercept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One ensemble against the single model that one kind of cost sets it against."""

    rival: str
    gain: Interval | None
    """Accuracy of the ensemble minus that of the rival; None: no single costs as much."""

    @property
    def word(self) -> str:
        """Who is ahead, as the interval allows to say."""
        if self.gain is None:
            return "no rival"
        return ("ensemble" if self.gain.value > 0 else "single") if tells(self.gain) else "cannot tell"


def line(models: tuple[Timed, ...]) -> Line:
    """Fit the line and draw it again."""
    work = np.log([one.scale.cost for one in models])
    time = np.log([one.latency.value for one in models])
    # a log-normal with the measured ends as its middle 95 %
    spread = np.array([np.log(one.latency.high / one.latency.low) for one in models]) / (2 * 1.96)
    names = [one.group for one in models]
    random = np.random.default_rng(SEED)
    drawn: dict[str, list[float]] = {"slope": [], "rank": [], **{name: [] for name in names}}
    for _ in range(DRAWS):
        rows = random.integers(0, len(models), len(models))
        moved = time[rows] + random.normal(0, 1, len(rows)) * spread[rows]
        if len(np.unique(work[rows])) < 2 or len(np.unique(moved)) < 2:
            continue
        slope, intercept = np.polyfit(work[rows], moved, 1)
        drawn["slope"].append(slope)
        drawn["rank"].append(float(stats.spearmanr(work[rows], moved).statistic))
        off = moved - (slope * work[rows] + intercept)
        for name in set(names):
            own = [off[place] for place, row in enumerate(rows) if names[row] == name]
            if own:
                drawn[name].append(float(np.exp(np.mean(own))))
    slope, intercept = np.polyfit(work, time, 1)
    off = np.exp(time - (slope * work + intercept))

    def interval(value: float, name: str) -> Interval:
        low, high = percentiles(np.array(drawn[name]))
        return Interval(value=value, low=low, high=high, n=len(models), method="bootstrap")

    factors = {
        name: interval(
            float(np.exp(np.mean([np.log(o) for o, n in zip(off, names, strict=True) if n == name]))), name
        )
        for name in dict.fromkeys(names)
    }
    return Line(
        slope=interval(float(slope), "slope"),
        rank=interval(float(stats.spearmanr(work, time).statistic), "rank"),
        factors=factors,
        off=tuple(map(float, off)),
        intercept=float(intercept),
    )


def verdicts(pool: Pool, models: tuple[Timed, ...]) -> list[tuple[str, Verdict, Verdict]]:
    """Return every ensemble with its verdict by MACs and by latency."""
    resampling = Resampling(len(pool.report_labels))
    plain = {scale.key for scale in scales(pool)}
    models = tuple(one for one in models if one.scale.key in plain)
    right = {one.scale.key: resampling.estimates(right_answers(pool, one.scale, "report")) for one in models}
    found = []
    for name in families([one.scale for one in models]):
        family = [one for one in models if one.scale.family == name]
        costs = (
            {one.scale.key: one.scale.cost for one in family},
            {one.scale.key: one.latency.value for one in family},
        )
        for small in family:
            for size in list(right[small.scale.key])[1:]:
                both = [_verdict(small.scale.key, size, family, cost, right) for cost in costs]
                if any(verdict.gain is not None for verdict in both):
                    found.append((f"{size} x {small.scale.model}", both[0], both[1]))
    return found


def _verdict(small: str, size: int, family: list[Timed], cost: dict[str, float], right) -> Verdict:
    dearer = [one for one in family if cost[one.scale.key] >= size * cost[small]]
    if not dearer:
        return Verdict(rival="none", gain=None)
    rival = min(dearer, key=lambda one: cost[one.scale.key]).scale
    gain = (right[small][size] - right[rival.key][1]).interval()
    return Verdict(rival=str(rival.model), gain=gain)


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, MACS)
    try:
        timed_pool, timed_notes = load_pool(store, dataset, LATENCY)
    except (UsageError, ConventionError) as error:
        return Absent(reason=f"{error}; `explorer profile --dataset {dataset}` measures latency")
    latency = {scale.key: timed_pool.cost_figures[scale.rows[0]] for scale in grouped(timed_pool)}
    models = tuple(
        Timed(scale=scale, latency=latency[scale.key])
        for scale in grouped(pool)
        if scale.key in latency and not scale.recipe
    )
    if len(models) < 3 or timed_pool.basis is not Basis.MEASURED:
        return Absent(
            reason=f"fewer than three models of {dataset} have a measured {LATENCY} in this store; "
            f"`explorer profile --dataset {dataset}` measures them"
        )
    notes = tuple(dict.fromkeys((*notes, *timed_notes)))
    return _finding(pool, models, line(models), verdicts(pool, models), notes)


def _finding(
    pool: Pool, models: tuple[Timed, ...], fitted: Line, compared: list[tuple[str, Verdict, Verdict]], notes
) -> Finding:
    answer = _answer(models, fitted, compared)
    rows = tuple(
        (
            str(one.scale.model),
            format_amount(one.scale.cost, MACS.kind),
            format_cost(one.latency, LATENCY.kind),
            f"{significant(off)} x",
        )
        for one, off in zip(models, fitted.off, strict=True)
    )
    return Finding(
        question="Do MACs say how long a network takes, and does the answer on ensembles hang on it?",
        answer=answer,
        tables=(
            Table(header=MODELS, rows=rows),
            Table(
                header=PAIRS, rows=tuple((name, *_cells(one), *_cells(two)) for name, one, two in compared)
            ),
        ),
        panels=_panels(models, fitted),
        alt="Latency of one example against MACs, both logarithmic, one shape a family, with the common "
        "line; and "
        f"each model's distance from it. {answer}",
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "slope": _ends(fitted.slope),
            "rank correlation": _ends(fitted.rank),
            "factors": {name: _ends(factor) for name, factor in fitted.factors.items()},
            "ensembles": [
                {
                    "ensemble": name,
                    **{axis: _verdict_numbers(v) for axis, v in (("macs", one), ("latency", two))},
                }
                for name, one, two in compared
            ],
        },
        notes=(
            "Gain: accuracy of the ensemble minus that of the cheapest single scale that costs no less, by "
            "MACs and "
            "by latency (members one after the other: composed, not measured). Intervals are 95 %.",
            *notes,
        ),
    )


def _answer(models: tuple[Timed, ...], fitted: Line, compared: list[tuple[str, Verdict, Verdict]]) -> str:
    factors = ", ".join(
        f"{name} {significant(of.value)} ({significant(of.low)} to {significant(of.high)})"
        for name, of in fitted.factors.items()
    )
    both = [(one.word, two.word) for _, one, two in compared if one.gain and two.gain]
    changed = sum(one != two for one, two in both)
    turned = sum({*pair} == {"ensemble", "single"} for pair in both)
    alone = len(compared) - len(both)
    rank, slope = fitted.rank, fitted.slope
    return (
        f"Over {len(models)} models the rank correlation of measured latency with MACs is {rank.value:.2f} "
        "(95 % "
        f"interval {rank.low:.2f} to {rank.high:.2f}); latency grows with MACs to the power "
        f"{slope.value:.2f} "
        f"({slope.low:.2f} to {slope.high:.2f}), and the families lie off the common line by factors of "
        f"{factors}. "
        f"Of {len(both)} ensembles that both costs set against a single scale, the verdict is another by "
        f"latency for {changed}, and the opposite for {turned}; {alone} more have a single scale of at least "
        "their cost by one of the two only."
    )


def _cells(verdict: Verdict) -> tuple[str, str]:
    gain = verdict.gain
    if gain is None:
        return verdict.rival, ""
    ends = f"{format_points(gain.low, 2)} to {format_points(gain.high, 2)}"
    return verdict.rival, f"{format_points(gain.value, 2)} ({ends}): {verdict.word}"


def _panels(models: tuple[Timed, ...], fitted: Line) -> tuple[Panel, ...]:
    ends = [models[0].scale.cost, models[-1].scale.cost]
    common = Series(
        label=f"common line, power {fitted.slope.value:.2f}",
        x=tuple(ends),
        y=tuple(float(np.exp(fitted.intercept) * work**fitted.slope.value) for work in ends),
        reference=True,
    )
    level = Series(label="common line", x=tuple(ends), y=(1.0, 1.0), reference=True)
    found: tuple[list[Series], list[Series]] = ([common], [level])
    for style, name in enumerate(fitted.factors):
        own = [(one, off) for one, off in zip(models, fitted.off, strict=True) if one.group == name]
        costs = tuple(one.scale.cost for one, _ in own)
        found[0].append(
            Series(
                label=name,
                x=costs,
                y=tuple(one.latency.value for one, _ in own),
                low=tuple(one.latency.low for one, _ in own),
                high=tuple(one.latency.high for one, _ in own),
                style=style,
                joined=False,
            )
        )
        found[1].append(
            Series(label=name, x=costs, y=tuple(off for _, off in own), style=style, joined=False)
        )
    return (
        Panel(
            title="Measured latency against counted MACs",
            x_label="MACs per example",
            y_label=f"Latency of one example on {LATENCY.device}",
            series=tuple(found[0]),
            x_unit="macs",
            y_unit="latency",
            y_log=True,
        ),
        Panel(
            title="Off the common line",
            x_label="MACs per example",
            y_label="Latency / common line",
            series=tuple(found[1]),
            x_unit="macs",
            y_log=True,
        ),
    )


def _ends(interval: Interval) -> dict:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _verdict_numbers(verdict: Verdict) -> dict:
    return {"rival": verdict.rival, "gain": None if verdict.gain is None else _ends(verdict.gain)}


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
