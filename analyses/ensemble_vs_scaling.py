"""Do several small networks beat one larger one of the same cost, and from which cost on?

Question  arXiv 2005.00570: averaging smaller networks beats one larger network at fewer total FLOPs once
          models are large for their data. Is there such a crossover here, for each family of models and each
          recipe (one learns from a tenth of the data), in MACs and in measured latency?
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
from functools import cached_property

from explorer.analysis.bootstrap import tells
from explorer.analysis.curves.inner_designs import inner_designs, inner_errors
from explorer.analysis.curves.overtaking import Crossing, Curve, error_curve, overtaking
from explorer.analysis.loading import OTHER_RECIPES, base_recipes
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    Scale,
    families,
    grouped,
    one_seed_note,
    scales,
)
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Rule, Series
from explorer.report.text import format_amount, format_axis, format_points, format_share
from explorer.run.analysing import run_analysis
from explorer.store import Store

NAME = "ensemble_vs_scaling"
MACS, LATENCY = CostAxis.parse("macs"), CostAxis.parse("latency@cpu")
TALLY = ("family", "learned from", "cost", "crossover", "ensembles better", "worse", "cannot tell")
HEADER = (
    "family", "learned from", "cost", "ensemble", "costs", "error", "single", "costs ", "error ",
    "gain, points",
)  # fmt: skip


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One family trained by one recipe, on one axis of cost: one sentence, one panel."""

    family: str
    recipe: str
    """Recipe id."""
    examples: int | None
    """Training examples that a member saw each epoch; None: not known."""
    axis: CostAxis
    curves: tuple[Curve, ...]
    """Cheapest scale first."""
    extras: tuple[Extra, ...]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Ensembles against singles."""
        return tuple(pairs(self.curves))

    @cached_property
    def crossed(self) -> Crossing | None:
        """Where the ensembles' curve passes below the singles'."""
        return overtaking(self.curves)

    @property
    def trained_on(self) -> str:
        """What its members learned from, in words."""
        known = "an unknown number of" if self.examples is None else f"{self.examples:,}"
        return f"{known} training examples ({self.recipe.rpartition('-')[0] or self.recipe})"

    @property
    def cost_name(self) -> str:
        """The axis in words."""
        return "MACs" if self.axis == MACS else f"{self.axis}, measured"


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    bases = set(base_recipes(store, dataset).values())
    trained_on = {recipe: _examples(store, dataset, recipe) or 0 for recipe in bases}
    # imported predictions have no recipe; the pool then says what there is
    recipes = sorted(trained_on, key=lambda recipe: (-trained_on[recipe], recipe)) or [None]
    parts: list[Part] = []
    notes: list[str] = []
    pools: list[Pool] = []
    for recipe in recipes:
        try:
            pool, recipe_notes = load_pool(store, dataset, MACS, recipe=recipe)
        except (UsageError, ConventionError) as error:
            if len(recipes) == 1:
                raise
            notes.append(f"left out: recipe {recipe}: {error}")
            continue
        found = scales(pool)
        if not families(found) or max(len(scale.rows) for scale in found) == 1:
            notes.append(f"left out: recipe {recipe}: no family has two scales, one of them with two seeds")
            continue
        recipe_parts, timed_notes = _parts(store, dataset, pool)
        parts += recipe_parts
        # what one recipe leaves out is what another is about
        notes += [note for note in (*recipe_notes, *timed_notes) if not note.startswith(OTHER_RECIPES)]
        pools.append(pool)
    if not parts:
        return Absent(
            reason=f"no family of {dataset} has two scales, one of them with two seeds, in this store; "
            "train them first"
        )
    return _finding(pools, parts, tuple(dict.fromkeys(notes)))


def _parts(store: Store, dataset: str, pool: Pool) -> tuple[list[Part], tuple[str, ...]]:
    """Return the parts of one recipe: by counted cost, and by measured latency where there is one."""
    recipe = pool.summary.recipe_id
    resampling = Resampling(len(pool.report_labels))
    counted = curves(pool, scales(pool), resampling)
    by_axis = {MACS: (counted, extras(pool, resampling))}
    timed, notes = _measured(store, dataset, recipe)
    if timed is not None:
        by_axis[LATENCY] = (_timed(counted, timed), extras(timed, resampling))
    examples = _examples(store, dataset, recipe)
    parts = [
        Part(
            family=name,
            recipe=recipe,
            examples=examples,
            axis=axis,
            curves=tuple(curve for curve in found if curve.scale.family == name),
            extras=tuple(extra for extra in others if extra.family == name),
        )
        for axis, (found, others) in by_axis.items()
        for name in sorted({curve.scale.family for curve in found})
    ]
    alone = one_seed_note(scale for scale in grouped(pool) if "+" in scale.model.name or not scale.recipe)
    return [part for part in parts if len(part.curves) > 1], (*notes, *alone)


def _measured(store: Store, dataset: str, recipe: str) -> tuple[Pool | None, tuple[str, ...]]:
    """Return the recipe's members with measured latency, or None and why there are none."""
    try:
        pool, notes = load_pool(store, dataset, LATENCY, recipe=recipe)
    except (UsageError, ConventionError) as error:
        return None, (f"MACs are the only cost of recipe {recipe}: {error}",)
    if pool.basis is not Basis.MEASURED:
        return None, (f"MACs are the only cost of recipe {recipe}: its {LATENCY} is {pool.basis.value}",)
    return pool, notes


def _examples(store: Store, dataset: str, recipe: str) -> int | None:
    """Return how many examples an epoch of a recipe has, the same for all its members; None: not known."""
    for record in store.members(dataset):
        if record.member.recipe == recipe and record.training.epochs:
            return record.training.examples_seen // record.training.epochs
    return None


def _timed(counted: tuple[Curve, ...], pool: Pool) -> tuple[Curve, ...]:
    """Return the curves with measured cost, of what was measured; errors stay the same."""
    cost = {scale.key: scale.cost for scale in grouped(pool)}
    found = [
        replace(curve, scale=replace(curve.scale, cost=cost[curve.scale.key]))
        for curve in counted
        if curve.scale.key in cost
    ]
    return tuple(sorted(found, key=lambda curve: curve.cost(1)))


def _finding(pools: list[Pool], parts: list[Part], notes: tuple[str, ...]) -> Finding:
    sentences = _sentences(parts)
    summary = pools[0].summary
    return Finding(
        question="Do several small networks beat one larger one of the same cost, and from which cost on?",
        answer=" ".join(sentences),
        tables=(
            Table(header=TALLY, rows=tuple(_tally(part) for part in parts)),
            Table(header=HEADER, rows=tuple(_row(part, pair) for part in parts for pair in part.pairs)),
        ),
        panels=tuple(_panel(part) for part in parts),
        alt=f"Error on {summary.report_examples:,} report examples of {summary.dataset} against total cost: "
        "a dashed line through the single models of a family, and one line a scale for 1 to 5 members. "
        + " ".join(sentences),
        numbers={
            "split": summary.split_digest,
            "recipes": [pool.summary.recipe_id for pool in pools],
            "parts": [_numbers(part) for part in parts],
        },
        notes=(
            "Gain: error of the single minus that of the ensemble, mean over seeds; intervals are 95 %, "
            "bootstrap over examples and seeds. An ensemble stands against the cheapest scale that costs no "
            "less, and is better or worse where the interval leaves no doubt.",
            *notes,
        ),
    )


def _sentences(parts: list[Part]) -> list[str]:
    """Return one sentence a family and axis: what holds for each number of training examples."""
    groups: dict[tuple[str, CostAxis], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.family, part.axis), []).append(part)
    return [
        f"{family}, {of[0].cost_name}: "
        + "; ".join(f"on {part.trained_on} {_told(part)}" for part in of)
        + "."
        for (family, _), of in groups.items()
    ]


def _told(part: Part) -> str:
    crossed, kind = part.crossed, part.axis.kind
    if crossed is None:
        return "no cost is covered by both singles and ensembles"
    whole = f"{format_amount(crossed.start, kind)} to {format_amount(crossed.end, kind)}"
    interval = _interval(part, crossed)
    if crossed.value == math.inf:
        return f"no crossover within {whole} ({interval})"
    if crossed.value == -math.inf:
        return f"ensembles are ahead all over {whole} (crossover: {interval})"
    ahead = f"{format_amount(crossed.value, kind)} to {format_amount(crossed.end, kind)}"
    return f"ensembles are ahead from {ahead} ({interval})"


def _interval(part: Part, crossed: Crossing) -> str:
    if crossed.low == math.inf:
        return "nor in 95 % of the draws"

    def end(value: float) -> str:
        if math.isinf(value):
            return "none" if value > 0 else format_amount(crossed.start, part.axis.kind)
        return format_amount(value, part.axis.kind)

    return f"95 % interval {end(crossed.low)} to {end(crossed.high)}"


def _tally(part: Part) -> tuple[str, ...]:
    ahead = sum(tells(pair.gain) and pair.gain.value > 0 for pair in part.pairs)
    behind = sum(tells(pair.gain) and pair.gain.value < 0 for pair in part.pairs)
    rest = len(part.pairs) - ahead - behind
    return part.family, part.trained_on, str(part.axis), _told(part), str(ahead), str(behind), str(rest)


def _row(part: Part, pair: Pair) -> tuple[str, ...]:
    small, large, gain, axis = pair.small, pair.large, pair.gain, part.axis
    return (
        part.family,
        part.trained_on,
        str(axis),
        f"{pair.size} x {small.scale.model}",
        format_amount(small.cost(pair.size), axis.kind),
        format_share(small.error[pair.size].value, 2),
        str(large.scale.model),
        format_amount(large.cost(1), axis.kind),
        format_share(large.error[1].value, 2),
        f"{format_points(gain.value, 2)} ({format_points(gain.low, 2)} to {format_points(gain.high, 2)})",
    )


def _panel(part: Part) -> Panel:
    family, crossed = part.curves, part.crossed
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
    for place, method in enumerate(dict.fromkeys(extra.method for extra in part.extras)):
        of = [extra for extra in part.extras if extra.method == method]
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
    counted = "counted" if part.axis == MACS else "measured"
    return Panel(
        title=f"{part.family}, {part.trained_on}, {counted} cost",
        x_label=f"Total cost: {format_axis(part.axis)}",
        y_label="Error on report examples",
        series=(single, *lines),
        rules=rules,
        x_unit=part.axis.kind.name,
        y_unit="share",
        y_log=True,
    )


def _numbers(part: Part) -> dict[str, object]:
    crossed = part.crossed
    return {
        "family": part.family,
        "recipe": part.recipe,
        "training_examples": part.examples,
        "axis": str(part.axis),
        "seeds": {str(curve.scale.model): len(curve.scale.rows) for curve in part.curves},
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
            for pair in part.pairs
        ],
        "others": [
            {"method": extra.method, "label": extra.label, "cost": extra.cost, "error": extra.error.value}
            for extra in part.extras
        ],
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
