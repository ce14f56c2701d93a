"""Do several small networks beat one larger one at no more MACs? The founding claim, on your own store.

Question  arXiv 2005.00570: averaging smaller networks beats one larger network at fewer total FLOPs once
          models are large for their data. At which scales does that hold here?
Method    Every pair (n members of model A, one member of the dearer model B) whose total MACs do not exceed
          B's. Accuracy is the mean over all subsets of n seeds of A and over all seeds of B, on `report`;
          the spread over subsets is shown, since seeds are repeats. This is the paper's comparison: nothing
          is chosen, so nothing is flattered.
Inputs    A store with at least two models x two seeds of one recipe (`explorer quickstart` makes one).
Outputs   One line a pair, a verdict a model, and the figure, if asked for.

    python analyses/ensemble_or_scale.py --store explorer-store --dataset digits --figure curves.svg
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from explorer.analysis.pool import load_pool
from explorer.analysis.result import Front, ScaleCurve
from explorer.analysis.search import search
from explorer.convention import CostAxis
from explorer.report.curves_info import curves_info
from explorer.report.figures import draw_curves
from explorer.report.terminal import table
from explorer.report.text import format_amount, format_points, format_share
from explorer.store import Store

AXIS = CostAxis.parse("macs")
LEVEL = 0.001
"""Accuracies closer than this are called level: the table shows no smaller difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """n members of a smaller model against one of the next larger."""

    small: ScaleCurve
    large: ScaleCurve
    size: int
    """Members of the smaller model: as many as fit into the larger one's MACs, at least 2."""

    @property
    def place(self) -> int:
        """Index of ``size`` in the smaller model's curve."""
        return self.small.sizes.index(self.size)

    @property
    def gain(self) -> float:
        """Mean accuracy of the ensembles minus that of the single larger models."""
        return self.small.accuracies[self.place] - self.large.accuracies[0]


def pairs(curves: tuple[ScaleCurve, ...]) -> tuple[Pair, ...]:
    """Pair each model with the next dearer one, with the largest ensemble that is not dearer."""
    found = []
    for small, large in pairwise(sorted(curves, key=lambda curve: curve.costs[0])):
        affordable = [n for n, cost in zip(small.sizes, small.costs, strict=True) if cost <= large.costs[0]]
        if affordable and affordable[-1] > 1:
            found.append(Pair(small=small, large=large, size=affordable[-1]))
    return tuple(found)


def main(store: Store, dataset: str) -> tuple[Front, tuple[Pair, ...]]:
    """Return the curves' front and every pair of it."""
    pool, notes = load_pool(store, dataset, AXIS)
    front = search(pool, AXIS, max_members=1, cascades=False, notes=notes)
    return front, pairs(front.curves)


def show(found: tuple[Pair, ...]) -> str:
    """Write the pairs as a table and the answer in a sentence."""
    rows = []
    for pair in found:
        at = pair.place
        rows.append(
            (
                f"{pair.size} x {pair.small.model}",
                format_amount(pair.small.costs[at], AXIS.kind),
                f"{format_share(pair.small.accuracies[at])} "
                f"({format_share(pair.small.lows[at])} to {format_share(pair.small.highs[at])})",
                str(pair.large.model),
                format_amount(pair.large.costs[0], AXIS.kind),
                f"{format_share(pair.large.accuracies[0])} "
                f"({format_share(pair.large.lows[0])} to {format_share(pair.large.highs[0])})",
                format_points(pair.gain, 1),
            )
        )
    header = ("ensemble", "cost", "mean (subsets)", "single", "cost ", "mean (seeds)", "gain, points")
    ahead = sum(pair.gain >= LEVEL for pair in found)
    behind = sum(pair.gain <= -LEVEL for pair in found)
    level = len(found) - ahead - behind
    return (
        f"{table(header, rows)}\n\nOf {len(found)} pairs the ensemble is ahead on average in {ahead}, behind "
        f"in {behind}, and level (less than {100 * LEVEL:.1f} points apart) in {level}."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", default=None)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--figure", type=Path, help="write the curves as SVG")
    options = parser.parse_args()
    with Store.open(options.store, create=False) as opened:
        curves_front, compared = main(opened, options.dataset)
    print(show(compared))
    if options.figure:
        options.figure.write_text(draw_curves(curves_info(curves_front)), encoding="utf-8")
