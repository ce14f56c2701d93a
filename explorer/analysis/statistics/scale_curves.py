"""One model answered by more and more of its seeds: the founding paper's figure (arXiv 2005.00570)."""

from itertools import combinations
from math import comb

import numpy as np

from explorer.accounting.compose import ensemble_costs
from explorer.analysis.pool import Pool
from explorer.analysis.result import ScaleCurve
from explorer.analysis.scoring.tables import answer_table, right_everywhere
from explorer.spec import Averaging, ModelSpec

MOST_SUBSETS = 5_000
"""A size with more subsets of seeds than this ends the curve."""


def scale_curves(
    pool: Pool, averaging: Averaging = Averaging.MEAN
) -> tuple[tuple[ScaleCurve, ...], tuple[str, ...]]:
    """Return accuracy on ``report`` and cost of 1, 2, ... seeds of every model that has two or more.

    Returns:
        the curves, by model, and what was left out.
    """
    models: dict[tuple[ModelSpec, str], list[int]] = {}
    # A curve is of one recipe: students and snapshots stay off it where the pool has a recipe of its own.
    plain = any(not member.recipe for member in pool.members)
    for row, member in enumerate(pool.members):
        if not (plain and member.recipe):
            models.setdefault((member.model, member.recipe), []).append(row)
    curves, notes = [], []
    for (model, _), rows in models.items():
        if len(rows) < 2:
            continue
        curve = _curve(pool, model, rows, averaging)
        curves.append(curve)
        if len(curve.sizes) < len(rows):
            notes.append(
                f"the curve of {model} ends at {len(curve.sizes)} of {len(rows)} seeds: "
                f"the next size has more than {MOST_SUBSETS:,} subsets"
            )
    return tuple(curves), tuple(notes)


def _curve(pool: Pool, model: ModelSpec, rows: list[int], averaging: Averaging) -> ScaleCurve:
    table = answer_table(pool.report[rows], pool.report_labels, averaging)
    sizes, costs, accuracies, lows, highs = [], [], [], [], []
    for size in range(1, len(rows) + 1):
        if comb(len(rows), size) > MOST_SUBSETS:
            break
        subsets = np.array(list(combinations(range(len(rows)), size)), dtype=np.int32)
        accuracy = right_everywhere(table, subsets).mean(axis=1)
        sizes.append(size)
        # seeds of one model share their cost; where figures differ all the same, the mean subset counts
        costs.append(float(ensemble_costs(pool.axis.kind, pool.costs[rows][subsets]).mean()))
        accuracies.append(float(accuracy.mean()))
        lows.append(float(accuracy.min()))
        highs.append(float(accuracy.max()))
    return ScaleCurve(
        model=model,
        sizes=tuple(sizes),
        costs=tuple(costs),
        accuracies=tuple(accuracies),
        lows=tuple(lows),
        highs=tuple(highs),
    )
