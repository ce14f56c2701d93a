"""How large is luck: what do two networks differ by that differ in their seed alone?

Question  How far apart are a scale's seeds, is that more than examples' noise, how often would one seed each
          prefer the wrong one of two neighbouring scales, and how many seeds would tell them apart?
Method    Per scale the standard deviation of accuracy over seeds on `report`, beside the binomial one of the
          test set, and the share of it that remains when what a fixed test set of that size shows for equally
          good networks is taken away (two-way analysis of variance; the idea of arXiv 2304.01910). Per
          neighbouring pair of a family the share of pairs of seeds in which the scale that is better on
          average does worse (ties half), and the seeds a scale at which a t test tells them in 4 of 5 cases.
Interval  95 %: standard deviations by chi square (seeds normal); wrong choices by bootstrap over examples and
          seeds; seeds needed at both ends of the difference's own interval. Nothing is chosen.
Inputs    A store with two or more scales of a family, three or more seeds each.

    python -m analyses.seed_spread
"""

import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.statistics.luck import (
    Spread,
    seeds_to_tell,
    spread,
    wrong_choice,
)
from explorer.analysis.statistics.seeds import Resampling, Scale, families, percentiles, right_answers, scales
from explorer.convention import CostAxis
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Rule, Series
from explorer.report.text import format_count, format_points, format_share
from explorer.run.analysing import run_analysis
from explorer.store import Store

NAME = "seed_spread"
MACS = CostAxis.parse("macs")
FEWEST = 3
"""Seeds a scale needs for a standard deviation worth its name."""
SCALES = ("scale", "seeds", "accuracy", "range, points", "SD over seeds", "SD of the test set", "SD left")
PAIRS = ("neighbours", "difference, points", "worse one preferred", "seeds to tell")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Two scales of a family next to each other in cost."""

    small: Scale
    large: Scale
    difference: Interval
    """Accuracy of the larger minus that of the smaller, mean over seeds."""
    wrong: Interval
    """How often one seed each prefers the one that is worse on average."""
    seeds: tuple[int | None, int | None, int | None]
    """Seeds a scale that tell them apart: at the difference, and at the ends of its interval; None: more
    than are looked for, or no difference."""


def neighbours(pool: Pool, small: Scale, large: Scale, resampling: Resampling) -> Neighbours:
    """Compare two scales, seed by seed."""
    right = [right_answers(pool, scale, "report", largest=1) for scale in (small, large)]
    estimates = [resampling.estimate(of, 1) for of in right]
    difference = (estimates[1] - estimates[0]).interval()
    drawn = [resampling.means(of.values).T for of in right]
    shares = [resampling.seed_shares(of.key, of.seeds) for of in right]
    means = [of.values.mean(axis=1, dtype=np.float64) for of in right]
    even = [np.full(of.seeds, 1 / of.seeds) for of in right]
    better, worse = (1, 0) if difference.value >= 0 else (0, 1)
    value = wrong_choice(means[better], means[worse], even[better], even[worse])
    draws = np.array(
        [
            wrong_choice(drawn[better][d], drawn[worse][d], shares[better][d], shares[worse][d])
            for d in range(resampling.draws)
        ]
    )
    low, high = percentiles(draws)
    wrong = Interval(value=value, low=low, high=high, n=difference.n, method="bootstrap")
    spreads = [float(np.std(of, ddof=1)) for of in means]
    ends = (difference.value, difference.high, difference.low)
    if difference.value < 0:
        ends = (difference.value, difference.low, difference.high)
    needed = tuple(_needed(end, difference.value, spreads) for end in ends)
    return Neighbours(small=small, large=large, difference=difference, wrong=wrong, seeds=needed)


def _needed(difference: float, expected: float, spreads: list[float]) -> int | None:
    """Return the seeds that tell a difference; None where it has not the sign of the one expected."""
    return seeds_to_tell(abs(difference), *spreads) if difference * expected > 0 else None


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, MACS)
    found = {
        name: tuple(scale for scale in family if len(scale.rows) >= FEWEST)
        for name, family in families(scales(pool)).items()
    }
    found = {name: family for name, family in found.items() if len(family) > 1}
    if not found:
        return Absent(
            reason=f"no family of {dataset} has two scales of {FEWEST} seeds or more; train more seeds"
        )
    resampling = Resampling(len(pool.report_labels))
    spreads = {
        scale.key: spread(right_answers(pool, scale, "report", largest=1).values)
        for family in found.values()
        for scale in family
    }
    pairs = tuple(
        neighbours(pool, small, large, resampling)
        for family in found.values()
        for small, large in pairwise(family)
    )
    return _finding(pool, tuple(s for family in found.values() for s in family), spreads, pairs, notes)


def _finding(
    pool: Pool, found: tuple[Scale, ...], spreads: dict[str, Spread], pairs: tuple[Neighbours, ...], notes
) -> Finding:
    answer = _answer(found, spreads, pairs)
    return Finding(
        question="How large is luck: what do two networks differ by that differ in their seed alone?",
        answer=answer,
        tables=(
            Table(header=SCALES, rows=tuple(_spread_row(scale, spreads[scale.key]) for scale in found)),
            Table(header=PAIRS, rows=tuple(map(_pair_row, pairs))),
        ),
        panels=(_spread_panel(found, spreads), _pair_panel(pairs)),
        alt="Left: accuracy of every seed minus its scale's mean. Right: how often one seed each prefers "
        "the worse "
        f"of two neighbouring scales. {answer}",
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "scales": [_spread_numbers(scale, spreads[scale.key]) for scale in found],
            "pairs": [_pair_numbers(pair) for pair in pairs],
        },
        notes=(
            "SD: standard deviation, in points, with 95 % interval. Of the test set: binomial, what another "
            "draw of "
            "as many examples would move one network's accuracy by. Left: spread over seeds beyond what a "
            "test set "
            "of this size shows for networks that are equally good; 0 means that luck is all on the test "
            "set.",
            "Neighbours: accuracy of the larger minus the smaller; how often one seed each prefers the one "
            "that is "
            "worse on average; seeds a scale that tell them apart (5 % level, 80 % power), and that number "
            "at the "
            "ends of the difference's interval.",
            *notes,
        ),
    )


def _answer(found: tuple[Scale, ...], spreads: dict[str, Spread], pairs: tuple[Neighbours, ...]) -> str:
    over = [spreads[scale.key] for scale in found]
    typical = sorted(over, key=lambda one: one.deviation)[len(over) // 2]
    ratios = [one.deviation / one.binomial for one in over if one.binomial > 0]
    noise = f", {np.median(ratios):.2f} times the test set's binomial noise" if ratios else ""
    worst = max(pairs, key=lambda pair: (pair.wrong.value, pair.wrong.high))
    interval = f"95 % interval {format_share(worst.wrong.low)} to {format_share(worst.wrong.high)}"
    preferred = (
        "One seed each never preferred the worse of two neighbouring scales; least sure are "
        f"{worst.small.model} and {worst.large.model} ({interval})."
        if worst.wrong.value == 0
        else "With one seed each the worse of two neighbouring scales is preferred most often for "
        f"{worst.small.model} and {worst.large.model}: in {format_share(worst.wrong.value)} of cases "
        f"({interval})."
    )
    return (
        f"A seed moves accuracy by {format_points(typical.deviation, 2).lstrip('+')} points (standard "
        "deviation of the "
        f"median scale, 95 % interval {format_points(typical.low, 2).lstrip('+')} to "
        f"{format_points(typical.high, 2).lstrip('+')}){noise}. {preferred}"
    )


def _spread_row(scale: Scale, of: Spread) -> tuple[str, ...]:
    decimals = 2
    plain = [format_points(v, decimals).lstrip("+") for v in (of.range, of.deviation, of.low, of.high)]
    return (
        str(scale.model),
        str(len(scale.rows)),
        format_share(of.mean, decimals),
        plain[0],
        f"{plain[1]} ({plain[2]} to {plain[3]})",
        format_points(of.binomial, decimals).lstrip("+"),
        format_points(of.left, decimals).lstrip("+"),
    )


def _pair_row(pair: Neighbours) -> tuple[str, ...]:
    difference, wrong = pair.difference, pair.wrong
    number, few, many = ("cannot be told" if n is None else format_count(n) for n in pair.seeds)
    points = (format_points(value, 2) for value in (difference.value, difference.low, difference.high))
    return (
        f"{pair.small.model}, {pair.large.model}",
        "{} ({} to {})".format(*points),
        f"{format_share(wrong.value)} ({format_share(wrong.low)} to {format_share(wrong.high)})",
        f"{number} ({few} to {many})",
    )


def _spread_panel(found: tuple[Scale, ...], spreads: dict[str, Spread]) -> Panel:
    seeds = [
        (float(place), value - spreads[scale.key].mean)
        for place, scale in enumerate(found)
        for value in spreads[scale.key].accuracies
    ]
    places = tuple(float(place) for place in range(len(found)))
    noise = tuple(spreads[scale.key].binomial for scale in found)
    return Panel(
        title="Every seed, from its scale's mean",
        x_label="",
        y_label="Accuracy minus the scale's mean",
        series=(
            Series(
                label="± binomial noise of the test set",
                x=places,
                y=tuple(0.0 for _ in places),
                low=tuple(-value for value in noise),
                high=noise,
                style=1,
                joined=False,
                hollow=True,
            ),
            Series(
                label="one seed",
                x=tuple(x for x, _ in seeds),
                y=tuple(y for _, y in seeds),
                style=0,
                joined=False,
            ),
        ),
        y_unit="points",
        categories=tuple(scale.model.name for scale in found),
    )


def _pair_panel(pairs: tuple[Neighbours, ...]) -> Panel:
    return Panel(
        title="One seed each: how often the worse is preferred",
        x_label="",
        y_label="Share of pairs of seeds",
        series=(
            Series(
                label="",
                x=tuple(float(place) for place in range(len(pairs))),
                y=tuple(pair.wrong.value for pair in pairs),
                low=tuple(pair.wrong.low for pair in pairs),
                high=tuple(pair.wrong.high for pair in pairs),
                style=0,
                joined=False,
            ),
        ),
        rules=(Rule(at=0.5, label="a coin's choice", vertical=False),),
        y_unit="share",
        categories=tuple(f"{pair.small.model.name} or {pair.large.model.name}" for pair in pairs),
    )


def _spread_numbers(scale: Scale, of: Spread) -> dict:
    fields = {name: getattr(of, name) for name in Spread.__dataclass_fields__}
    return {"scale": str(scale.model), "seeds": len(scale.rows), **fields}


def _pair_numbers(pair: Neighbours) -> dict:
    difference, wrong = pair.difference, pair.wrong
    return {
        "small": str(pair.small.model),
        "large": str(pair.large.model),
        "difference": {"value": difference.value, "low": difference.low, "high": difference.high},
        "wrong": {"value": wrong.value, "low": wrong.low, "high": wrong.high},
        "seeds to tell": list(pair.seeds),
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
