"""How sure a front is, as text under its table and as a part of its document."""

import math

from explorer.analysis.advice.sureness import ChosenAgain, SeedShare, Sureness
from explorer.analysis.result import Front
from explorer.convention import CostAxis
from explorer.report.documents import Document, interval_document
from explorer.report.terminal import spread, table
from explorer.report.text import (
    TIMES,
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_count,
    format_points,
    format_share,
    share_decimals,
)

_SELDOM = 0.05
"""Ensembles of seeds that are on the front less often are counted, not shown."""


def sureness_text(front: Front, found: Sureness, *, every: bool = False) -> str:
    """Write which designs are firmly on the front, and how much of their accuracy is luck of choosing.

    Args:
        front: what the figures are of.
        found: the figures.
        every: write every design; otherwise as many, and the same, as `terminal.front_table` shows.
    """
    parts = [_shares(front, found, every), _seeds(front.axis, found), _optimism(front, found)]
    return "\n\n".join(part for part in parts if part)


def sureness_document(found: Sureness, axis: CostAxis) -> Document:
    """Lay out what goes under ``how_sure``: ``on_front`` is in the order of the front's points."""
    return {
        "resamples": found.resamples,
        "examples": found.examples,
        "on_front": list(found.on_front),
        "seeds": [
            {
                "model": str(row.model),
                "size": row.size,
                "cost": row.cost,
                "accuracy": row.accuracy,
                "on_front": row.on_front,
            }
            for row in found.seeds
        ],
        "optimism": {
            "axis": str(axis),
            "folds": found.folds,
            "select_minus_report_of_members": found.easier,
            "budgets": [
                {
                    "budget": None if math.isinf(again.budget) else again.budget,
                    "design": str(again.point.design),
                    "chosen_on": again.chosen_on,
                    "held_out": interval_document(again.held_out),
                    "optimism": again.optimism,
                    "select_minus_report": again.point.regret,
                    "optimism_in_sample": interval_document(again.sampled),
                }
                for again in found.chosen_again
            ],
            "sampled_designs": found.sampled,
            "by_designs": [{"designs": designs, "optimism": value} for designs, value in found.growth],
        },
    }


def _shares(front: Front, found: Sureness, every: bool) -> str:
    places = range(len(front.points)) if every else spread(range(len(front.points)))
    rows = [
        (
            format_share(found.on_front[place]),
            format_amount(front.points[place].cost.value, front.axis.kind),
            format_accuracy_value(front.points[place].accuracy),
            str(front.points[place].design),
        )
        for place in places
    ]
    firm = sum(share >= 0.95 for share in found.on_front)
    return "\n".join(
        (
            f"how sure: share of {format_count(found.resamples)} test sets, drawn again from the "
            f"{format_count(found.examples)} report examples, on whose front a design is",
            f"(of the {format_count(len(front.points))} designs of this front: near-equal ones share what "
            f"one alone would have); {format_count(firm)} of them on 95% of the fronts or more",
            "",
            table(("on front", "cost", "accuracy", "design"), rows),
        )
    )


def _seeds(axis: CostAxis, found: Sureness) -> str:
    if not found.seeds:
        return ""
    often = [row for row in found.seeds if row.on_front >= _SELDOM]
    rows = [_seed_row(axis, row, found.examples) for row in often]
    seldom = len(found.seeds) - len(often)
    others = "1 other" if seldom == 1 else f"{seldom} others"
    return "\n".join(
        (
            "trained again: n seeds of a model, over test sets and seeds drawn again (among these only)",
            "",
            table(("on front", "cost", "accuracy", "ensemble"), rows),
            *((f"{others}: on fewer than {format_share(_SELDOM, 0)} of the fronts",) if seldom else ()),
        )
    )


def _seed_row(axis: CostAxis, row: SeedShare, examples: int) -> tuple[str, ...]:
    name = str(row.model) if row.size == 1 else f"{row.size} {TIMES} {row.model}"
    accuracy = format_share(row.accuracy, share_decimals(examples))
    return format_share(row.on_front), format_amount(row.cost, axis.kind), accuracy, name


def _optimism(front: Front, found: Sureness) -> str:
    rows = [_optimism_row(front, again) for again in found.chosen_again]
    header = ("budget", "held out", "95% interval", "optimism", "select - report")
    grown = ", ".join(
        f"{format_points(value, 2)} among {format_count(designs)}" for designs, value in found.growth
    )
    decimals = share_decimals(found.examples)
    return "\n".join(
        (
            f"optimism: everything searched again on {found.folds - 1} of {found.folds} parts of select, and "
            "looked at on the part left out (points)",
            "",
            table(header, rows),
            f"select minus report is {format_points(found.easier, decimals)} points over all members, of "
            "which none was chosen: about so much of the last column is other examples, not luck",
            f"choosing without a budget among n designs of a sample of all searched: optimism {grown}",
        )
    )


def _optimism_row(front: Front, again: ChosenAgain) -> tuple[str, ...]:
    decimals = share_decimals(again.point.accuracy.n)
    budget = "none" if math.isinf(again.budget) else format_amount(again.budget, front.axis.kind)
    return (
        budget,
        format_accuracy_value(again.held_out),
        format_accuracy_interval(again.held_out),
        format_points(again.optimism, decimals),
        format_points(again.point.regret, decimals),
    )
