"""At a fixed number of parameters, how many members should they be split into?

Question  Lobacheva et al., arXiv 2007.08483: at equal total parameters several medium networks can beat one
          large one (the memory split advantage). How many members are best here, at which budget?
Method    For 1 to 5 members of every scale of a family: the calibrated negative log-likelihood (members
          averaged, then one temperature, fitted on `select`) and accuracy. At a total number of parameters
          each number of members stands at the scale that fills it, interpolated in the logarithm of
          parameters. The number that is best on `select` is reported on `report` against one network.
Interval  95 %, bootstrap over examples (the same for all: paired) and seeds. Temperatures stay as fitted.
Inputs    A store with two or more scales of a family, several seeds each.

    python -m analyses.memory_split
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.analysis.bootstrap import tells
from explorer.analysis.curves.crossover import along
from explorer.analysis.curves.loss_values import calibrated_losses
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    Scale,
    families,
    right_answers,
    scales,
)
from explorer.convention import CostAxis
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Series
from explorer.report.text import format_amount, format_points, format_share, significant
from explorer.run.analysing import run_analysis
from explorer.store import Store

NAME = "memory_split"
PARAMETERS = CostAxis.parse("parameters")
BUDGETS = 7
"""Totals of parameters looked at, evenly spread in the logarithm over what two or more splits cover."""
NLL, ACCURACY = "calibrated NLL", "accuracy"
HEADER = (
    "family",
    "parameters",
    "best split by NLL",
    "NLL",
    "one network",
    "gain",
    "best split by accuracy",
    "gain, points",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One scale: loss or accuracy of ensembles of 1, 2, ... seeds."""

    scale: Scale
    chosen: Mapping[int, float]
    """On ``select`` by number of members."""
    figure: Mapping[int, Estimate]
    """On ``report`` by number of members."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """The best number of members at one total of parameters."""

    total: float
    members: int
    """Best on ``select``."""
    value: Estimate
    """On ``report``, of that split."""
    one: Estimate
    """On ``report``, of a single network of all the parameters."""
    gain: Interval
    """How much better the split is: lower loss, or higher accuracy."""
    shares: Mapping[int, float]
    """How often each number of members is best, over the draws of ``report``."""


def curves(pool: Pool, family: tuple[Scale, ...], resampling: Resampling) -> dict[str, tuple[Curve, ...]]:
    """Return the curves of both figures, smallest scale first; of scales equally large the best on select."""
    found: dict[str, list[Curve]] = {NLL: [], ACCURACY: []}
    for scale in family:
        right = tuple(right_answers(pool, scale, split) for split in ("select", "report"))
        for name, (select, report) in ((NLL, calibrated_losses(pool, scale)), (ACCURACY, right)):
            chosen = {size: select.mean(size) for size in select.sizes}
            found[name].append(Curve(scale=scale, chosen=chosen, figure=resampling.estimates(report)))
    return {name: _one_of_each_size(of, more_is_better=name == ACCURACY) for name, of in found.items()}


def _one_of_each_size(of: list[Curve], *, more_is_better: bool) -> tuple[Curve, ...]:
    """Return one curve for each number of parameters: the same network may come at several resolutions."""
    sign = 1.0 if more_is_better else -1.0
    best: dict[float, Curve] = {}
    for curve in of:
        known = best.get(curve.scale.cost)
        if known is None or sign * curve.chosen[1] > sign * known.chosen[1]:
            best[curve.scale.cost] = curve
    return tuple(best.values())


def budgets(family: tuple[Scale, ...]) -> tuple[float, ...]:
    """Return totals of parameters that one network and two of them cover, ascending."""
    low, high = 2 * family[0].cost, family[-1].cost
    return tuple(map(float, np.geomspace(low, high, BUDGETS))) if low < high else ()


def best_split(of: tuple[Curve, ...], total: float, *, more_is_better: bool) -> Split:
    """Return the best number of members at a total of parameters: chosen on ``select``."""
    sign = 1.0 if more_is_better else -1.0
    chosen: dict[int, float] = {}
    figures: dict[int, Estimate] = {}
    at = np.array([total])
    for size in sorted(set.intersection(*(set(curve.figure) for curve in of))):
        totals = np.array([size * curve.scale.cost for curve in of])
        if not totals[0] <= total * (1 + 1e-9) or not total <= totals[-1] * (1 + 1e-9):
            continue
        inside = np.clip(at, totals[0], totals[-1])
        chosen[size] = float(along(totals, np.array([curve.chosen[size] for curve in of]), inside)[0])
        reported = [curve.figure[size] for curve in of]
        value = float(along(totals, np.array([one.value for one in reported]), inside)[0])
        draws = along(totals, np.stack([one.draws for one in reported], axis=1), inside)[:, 0]
        figures[size] = Estimate(value=value, draws=draws, n=reported[0].n)
    members = max(chosen, key=lambda size: sign * chosen[size])
    gain = (figures[members] - figures[1]).map(lambda change: sign * change).interval()
    sizes = list(figures)
    winners = np.argmax(sign * np.stack([figures[size].draws for size in sizes]), axis=0)
    shares = {size: float(np.mean(winners == place)) for place, size in enumerate(sizes)}
    return Split(
        total=total, members=members, value=figures[members], one=figures[1], gain=gain, shares=shares
    )


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, PARAMETERS)
    found = {name: family for name, family in families(scales(pool)).items() if budgets(family)}
    if not found:
        return Absent(
            reason=f"no family of {dataset} has scales a factor of two apart in parameters in this store"
        )
    if min(len(scale.rows) for family in found.values() for scale in family) < 2:
        return Absent(reason="a split needs two seeds of every scale; train more seeds")
    resampling = Resampling(len(pool.report_labels))
    by_family = {name: curves(pool, family, resampling) for name, family in found.items()}
    splits = {
        (name, figure): tuple(
            best_split(of[figure], total, more_is_better=figure == ACCURACY) for total in budgets(found[name])
        )
        for name, of in by_family.items()
        for figure in (NLL, ACCURACY)
    }
    return _finding(pool, by_family, splits, notes)


def _finding(pool: Pool, by_family, splits, notes: tuple[str, ...]) -> Finding:
    sentences = [_sentence(name, splits[name, NLL], splits[name, ACCURACY]) for name in by_family]
    return Finding(
        question="At a fixed number of parameters, how many members should they be split into?",
        answer=" ".join(sentences),
        tables=(
            Table(
                header=HEADER,
                rows=tuple(
                    _row(name, *pair)
                    for name in by_family
                    for pair in zip(splits[name, NLL], splits[name, ACCURACY], strict=True)
                ),
            ),
        ),
        panels=tuple(
            _panel(name, figure, of[figure]) for name, of in by_family.items() for figure in (NLL, ACCURACY)
        ),
        alt="Calibrated negative log-likelihood and accuracy against total parameters, one line for each "
        "number of "
        "members. " + " ".join(sentences),
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "splits": [
                _numbers(name, figure, split) for (name, figure), of in splits.items() for split in of
            ],
        },
        notes=(
            "Best split: the number of members that is best on select; gain: against one network of all the "
            "parameters, on report, positive where the split is better. Between scales figures are "
            "interpolated in "
            "the logarithm of parameters. Intervals are 95 %, bootstrap over examples and seeds.",
            *notes,
        ),
    )


def _sentence(name: str, by_loss: tuple[Split, ...], by_accuracy: tuple[Split, ...]) -> str:
    last = by_loss[-1]
    better = [split for split in by_loss if split.members > 1 and tells(split.gain) and split.gain.value > 0]
    accurate = [
        split for split in by_accuracy if split.members > 1 and tells(split.gain) and split.gain.value > 0
    ]
    chosen = "one network is" if last.members == 1 else f"{last.members} members are"
    gain = ""
    if last.members > 1:
        verdict = "cannot be told from"
        if tells(last.gain):
            verdict = "are better than" if last.gain.value > 0 else "are worse than"
        gain = (
            f"; on report they {verdict} one network (calibrated NLL lower by "
            f"{significant(last.gain.value)}, 95 % interval {significant(last.gain.low)} to "
            f"{significant(last.gain.high)})"
        )
    return (
        f"{name}: at {format_amount(last.total, PARAMETERS.kind)} in total {chosen} best on select{gain}; a "
        f"split beats one network at {len(better)} of {len(by_loss)} budgets by calibrated NLL and at "
        f"{len(accurate)} by accuracy."
    )


def _row(name: str, by_loss: Split, by_accuracy: Split) -> tuple[str, ...]:
    loss, right = by_loss.gain, by_accuracy.gain
    points = [format_points(value, 2) for value in (right.value, right.low, right.high)]
    return (
        name,
        format_amount(by_loss.total, PARAMETERS.kind),
        f"{by_loss.members} (in {format_share(by_loss.shares[by_loss.members], 0)} of draws)",
        f"{by_loss.value.value:.4f}",
        f"{by_loss.one.value:.4f}",
        "none" if by_loss.members == 1 else f"{loss.value:.4f} ({loss.low:.4f} to {loss.high:.4f})",
        f"{by_accuracy.members} (in {format_share(by_accuracy.shares[by_accuracy.members], 0)} of draws)",
        "none" if by_accuracy.members == 1 else "{} ({} to {})".format(*points),
    )


def _panel(name: str, figure: str, of: tuple[Curve, ...]) -> Panel:
    lines = []
    for size in sorted(set.intersection(*(set(curve.figure) for curve in of))):
        between = [curve.figure[size].interval() for curve in of]
        lines.append(
            Series(
                label="1 network" if size == 1 else f"{size} members",
                x=tuple(size * curve.scale.cost for curve in of),
                y=tuple(one.value for one in between),
                low=tuple(one.low for one in between),
                high=tuple(one.high for one in between),
                style=size - 1,
            )
        )
    return Panel(
        title=f"{name}: {figure}",
        x_label="Total parameters",
        y_label="Calibrated NLL, nats" if figure == NLL else "Accuracy",
        series=tuple(lines),
        x_unit="parameters",
        y_unit="" if figure == NLL else "share",
        y_log=figure == NLL,
    )


def _numbers(name: str, figure: str, split: Split) -> dict:
    gain = split.gain
    return {
        "family": name,
        "figure": figure,
        "total": split.total,
        "members": split.members,
        "value": split.value.value,
        "one network": split.one.value,
        "gain": {"value": gain.value, "low": gain.low, "high": gain.high},
        "best in draws": dict(split.shares),
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
