"""Work out the founding paper's view: one curve a model, one point a number of members.

arXiv 2005.00570, figures 1 to 3: an ensemble of n networks of one size, against its total cost.
"""

from dataclasses import dataclass

from explorer.analysis.result import Advice, Crossover, Front
from explorer.convention import CostAxis
from explorer.report.front_info import told_crossovers
from explorer.report.text import format_amount, format_axis, format_count, format_share, share_decimals


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLine:
    """One model's curve, ready to draw."""

    label: str
    sizes: tuple[int, ...]
    costs: tuple[float, ...]
    """In the axis's unit."""
    accuracies: tuple[float, ...]
    """Mean over the subsets of that size, on the report examples."""
    lows: tuple[float, ...]
    highs: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesInfo:
    """Everything the figure of curves shows; lines are ordered by the cost of one member."""

    axis: CostAxis
    axis_label: str
    accuracy_label: str
    lines: tuple[CurveLine, ...]
    crossovers: tuple[Crossover, ...]
    alt: str


def curves_info(front: Front, advice: Advice | None = None) -> CurvesInfo:
    """Work out one line for each model, cheapest model first."""
    lines = tuple(
        CurveLine(
            label=str(curve.model),
            sizes=curve.sizes,
            costs=curve.costs,
            accuracies=curve.accuracies,
            lows=curve.lows,
            highs=curve.highs,
        )
        for curve in sorted(front.curves, key=lambda curve: curve.costs[0])
        if curve.sizes
    )
    return CurvesInfo(
        axis=front.axis,
        axis_label=f"Total cost: {format_axis(front.axis)} (log scale)",
        accuracy_label=f"Accuracy on {format_count(front.pool.report_examples)} report examples",
        lines=lines,
        crossovers=told_crossovers(advice),
        alt=_alt(front, lines),
    )


def _alt(front: Front, lines: tuple[CurveLine, ...]) -> str:
    if not lines:
        return "Empty chart: no model has members to average."
    decimals = share_decimals(front.pool.report_examples)
    parts = [
        f"{line.label} from {format_share(line.accuracies[0], decimals)} with {line.sizes[0]} at "
        f"{format_amount(line.costs[0], front.axis.kind)} to {format_share(line.accuracies[-1], decimals)} "
        f"with {line.sizes[-1]} at {format_amount(line.costs[-1], front.axis.kind)}"
        for line in lines
    ]
    return (
        f"Line chart of accuracy on {front.pool.dataset} against total {format_axis(front.axis)}, one line a "
        f"model, one point a number of members averaged: {'; '.join(parts)}."
    )
