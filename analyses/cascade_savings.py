"""At each single scale's accuracy, how much cheaper is the best cascade?

Question  arXiv 2012.01988: cascades reach a single model's accuracy at a fraction of its computation. How
          large is the fraction here, at each scale, and what does the worst input cost?
Method    One network of each scale of a family, all of one seed, is what there is to build from: each seed
          is a repeat of the whole experiment. Every cascade of two stages (a network, then up to three
          networks averaged; every threshold) is scored on `select`; the cheapest that is no worse there than
          the single scale is reported on `report`: mean MACs, worst case, and accuracy against the single.
          Beside it the same search over all seeds together, once, against the scale's first seed.
Interval  95 %, bootstrap over examples (the same for both designs: paired) and over the repeats.
Inputs    A store with two or more scales of a family, several seeds each.

    python -m analyses.cascade_savings
"""

import sys
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.costs import most_cost, stage_costs
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.scoring.score import candidate_decisions
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    Scale,
    SeedValues,
    families,
    scales,
    seed_sets,
)
from explorer.convention import CostAxis
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Rule, Series
from explorer.report.text import format_amount, format_points, format_share
from explorer.run.analysing import run_analysis
from explorer.spec import Candidate, CandidateKind, Single
from explorer.store import Store

NAME = "cascade_savings"
MACS = CostAxis.parse("macs")
SECOND_STAGE = 3
"""Most networks in a cascade's second stage."""
SECOND_STAGE_OF_ALL = 2
"""The same where all seeds are searched together: there are many more sets of them."""
HEADER = (
    "single",
    "costs",
    "saved",
    "worst case",
    "accuracy, points",
    "saved, all seeds",
    "the first seed's cascade",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeat:
    """The best cascade of one seed's networks against one of them."""

    design: str
    cost: np.ndarray
    """MACs that each report example took, float64 ``[example]``."""
    gain: np.ndarray
    """1 where only the cascade is right, -1 where only the single is, float64 ``[example]``."""
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saving:
    """All repeats at one scale."""

    scale: Scale
    repeats: tuple[Repeat, ...]
    saved: Interval
    """1 - mean cost of the cascades / cost of the single."""
    gained: Interval
    """Accuracy of the cascades minus that of the singles."""
    worst: float
    """Mean over repeats, as a multiple of the single's cost."""
    all_seeds: Repeat | None


def part_of(pool: Pool, rows: list[int]) -> Pool:
    """Return the pool of some of a pool's members."""
    return replace(
        pool,
        summary=replace(pool.summary, members=tuple(str(pool.members[row]) for row in rows)),
        members=tuple(pool.members[row] for row in rows),
        select=np.asarray(pool.select[rows]),
        report=np.asarray(pool.report[rows]),
        cost_figures=tuple(pool.cost_figures[row] for row in rows),
    )


def best_cascades(pool: Pool, targets: list[Single], largest: int) -> list[Repeat | None]:
    """Return for each target the cheapest cascade that is no worse on ``select``; None: there is none."""
    front = search(pool, MACS, Space(max_members=largest)).fronts_by_kind.get(CandidateKind.CASCADE, ())
    found: list[Repeat | None] = []
    for target in targets:
        decided, _ = candidate_decisions(pool, target, "select")
        wanted = int((decided == pool.select_labels).sum())
        count = len(pool.select_labels)
        good = [point for point in front if round(point.select_accuracy * count) >= wanted]
        found.append(_repeat(pool, good[0].design, target) if good else None)
    return found


def _repeat(pool: Pool, design: Candidate, target: Single) -> Repeat:
    decided, left = candidate_decisions(pool, design, "report")
    single, _ = candidate_decisions(pool, target, "report")
    paid = np.cumsum(stage_costs(pool, design))
    right, other = (answers == pool.report_labels for answers in (decided, single))
    return Repeat(
        design=str(design),
        cost=paid[left],
        gain=right.astype(np.float64) - other,
        worst=most_cost(pool, design),
    )


def shared_seeds(pool: Pool, family: tuple[Scale, ...]) -> list[int]:
    """Return the seeds that every scale of a family has: each is a repeat."""
    return sorted(set.intersection(*({pool.members[row].seed for row in s.rows} for s in family)))


def savings(pool: Pool, family: tuple[Scale, ...], resampling: Resampling) -> tuple[Saving, ...]:
    """Return what cascades save at each scale at which every repeat has one."""
    seeds = shared_seeds(pool, family)
    by_seed = []
    for seed in seeds:
        rows = sorted(row for s in family for row in s.rows if pool.members[row].seed == seed)
        part = part_of(pool, rows)
        targets = [Single(m) for s in family for m in part.members if m.model == s.model]
        by_seed.append(best_cascades(part, targets, SECOND_STAGE))
    whole = part_of(pool, sorted(row for s in family for row in s.rows))
    firsts = [Single(pool.members[s.rows[0]]) for s in family]
    all_seeds = best_cascades(whole, firsts, SECOND_STAGE_OF_ALL)
    found = []
    # every cascade runs a network first: none is cheaper than the cheapest network
    for place, scale in list(enumerate(family))[1:]:
        repeats = [of[place] for of in by_seed if of[place] is not None]
        if len(repeats) == len(seeds) and repeats:
            found.append(_saving(scale, repeats, all_seeds[place], resampling))
    return tuple(found)


def _saving(scale: Scale, repeats: list[Repeat], whole: Repeat | None, resampling: Resampling) -> Saving:
    def estimate(rows: list[np.ndarray]) -> Estimate:
        values = SeedValues(
            # one key a family: the repeats of all its scales are drawn alike
            key=f"{scale.family} repeats",
            seeds=len(rows),
            sets=seed_sets(len(rows), 1),
            values=np.array(rows, dtype=np.float32),
        )
        return resampling.estimate(values, 1)

    return Saving(
        scale=scale,
        repeats=tuple(repeats),
        saved=estimate([1 - repeat.cost / scale.cost for repeat in repeats]).interval(),
        gained=estimate([repeat.gain for repeat in repeats]).interval(),
        worst=float(np.mean([repeat.worst for repeat in repeats])) / scale.cost,
        all_seeds=whole,
    )


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, MACS)
    found = families(scales(pool))
    if not found:
        return Absent(reason=f"no family of {dataset} has two scales in this store; train them first")
    resampling = Resampling(len(pool.report_labels))
    by_family = {name: savings(pool, family, resampling) for name, family in found.items()}
    none = {
        name: [str(s.model) for s in found[name][1:] if all(s != m.scale for m in by_family[name])]
        for name in found
    }
    for name, missing in none.items():
        seeds = shared_seeds(pool, found[name])
        listed = f"repeats: {len(seeds)} (seeds {', '.join(map(str, seeds))})" if seeds else "no repeat"
        notes += (f"{name}: {listed}" + ("" if seeds else ": its scales have no seed in common"),)
        if seeds and missing:
            notes += (f"{name}: no cascade is as accurate on select at {', '.join(missing)} in every repeat",)
    return _finding(pool, found, by_family, notes)


def _finding(
    pool: Pool,
    families_found: dict[str, tuple[Scale, ...]],
    by_family: dict[str, tuple[Saving, ...]],
    notes: tuple[str, ...],
) -> Finding:
    every = [saving for found in by_family.values() for saving in found]
    sentences = [_sentence(name, families_found[name], found) for name, found in by_family.items()]
    return Finding(
        question="At each single scale's accuracy, how much cheaper is the best cascade?",
        answer=" ".join(sentences),
        tables=(Table(header=HEADER, rows=tuple(map(_row, every))),),
        panels=tuple(_panel(name, found) for name, found in by_family.items() if found),
        alt="Mean MACs that the best cascade saves against each single scale, with 95 % intervals. "
        + " ".join(sentences),
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "scales": [_numbers(saving) for saving in every],
        },
        notes=(
            "Saved: mean MACs, as a share of the single's; worst case: an input that runs every stage, as a "
            "multiple of the single's MACs. Cascades are chosen on select, so accuracy on report, cascade "
            "minus "
            "single, says whether they kept it. Intervals are 95 %, bootstrap over examples and over repeats "
            "(one a seed). The cheapest scale is left out: no cascade costs less. All seeds: one search "
            "over every network of the family, no repeats.",
            *notes,
        ),
    )


def _sentence(name: str, family: tuple[Scale, ...], found: tuple[Saving, ...]) -> str:
    if not found:
        return f"{name}: no scale has a cascade that is as accurate on select."
    dearest = found[-1]
    saved, gained = dearest.saved, dearest.gained
    cheaper = [saving for saving in found if saving.saved.low > 0]
    return (
        f"{name}: at the accuracy of {dearest.scale.model} the best cascade saves "
        f"{format_share(saved.value)} of the "
        f"MACs on average (95 % interval {format_share(saved.low)} to {format_share(saved.high)}), its "
        "worst input "
        f"costs {dearest.worst:.2f} times the single, and its accuracy differs by "
        f"{format_points(gained.value, 2)} "
        f"points ({format_points(gained.low, 2)} to {format_points(gained.high, 2)}); it is cheaper at "
        f"{len(cheaper)} of the {len(family) - 1} scales above the smallest."
    )


def _row(saving: Saving) -> tuple[str, ...]:
    saved, gained, whole = saving.saved, saving.gained, saving.all_seeds
    return (
        str(saving.scale.model),
        format_amount(saving.scale.cost, MACS.kind),
        f"{format_share(saved.value)} ({format_share(saved.low)} to {format_share(saved.high)})",
        f"{saving.worst:.2f} x",
        f"{format_points(gained.value, 2)} ({format_points(gained.low, 2)} to "
        f"{format_points(gained.high, 2)})",
        "none" if whole is None else format_share(1 - float(whole.cost.mean()) / saving.scale.cost),
        saving.repeats[0].design,
    )


def _panel(name: str, found: tuple[Saving, ...]) -> Panel:
    costs = tuple(saving.scale.cost for saving in found)
    return Panel(
        title=f"{name}: the best cascade against each single scale",
        x_label="Cost of the single: MACs per example",
        y_label="Cost of the cascade / cost of the single",
        series=(
            Series(
                label="mean input, one network a scale",
                x=costs,
                y=tuple(1 - saving.saved.value for saving in found),
                low=tuple(1 - saving.saved.high for saving in found),
                high=tuple(1 - saving.saved.low for saving in found),
                style=2,
            ),
            Series(
                label="worst input",
                x=costs,
                y=tuple(saving.worst for saving in found),
                tags=tuple(saving.scale.model.name for saving in found),
                style=1,
                hollow=True,
            ),
            *_all_seeds(found),
        ),
        rules=(Rule(at=1.0, label="as dear as the single", vertical=False),),
        x_unit="macs",
    )


def _all_seeds(found: tuple[Saving, ...]) -> tuple[Series, ...]:
    there = [(s.scale.cost, s.all_seeds.cost.mean() / s.scale.cost) for s in found if s.all_seeds is not None]
    if not there:
        return ()
    costs, shares = zip(*there, strict=True)
    label = "mean input, all seeds to choose from"
    return (Series(label=label, x=costs, y=tuple(map(float, shares)), style=3, joined=False, hollow=True),)


def _numbers(saving: Saving) -> dict:
    saved, gained, whole = saving.saved, saving.gained, saving.all_seeds
    return {
        "single": str(saving.scale.model),
        "cost": saving.scale.cost,
        "saved": {"value": saved.value, "low": saved.low, "high": saved.high},
        "accuracy": {"value": gained.value, "low": gained.low, "high": gained.high},
        "worst": saving.worst,
        "designs": [repeat.design for repeat in saving.repeats],
        "all seeds": None if whole is None else {"design": whole.design, "cost": float(whole.cost.mean())},
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
