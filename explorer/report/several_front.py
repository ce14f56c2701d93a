"""The front over several costs, as text and as a document."""

from collections.abc import Sequence

import numpy as np

from explorer.analysis.search.several_costs import Covered, SeveralFront, SeveralPoint
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    cost_document,
    interval_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    ARROW,
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_count,
    format_pool,
    format_share,
    share_decimals,
)
from explorer.spec import design_id

SHOWN_POINTS = 30
"""Rows on the terminal; fine thresholds make fronts of thousands of points."""


def several_front_text(front: SeveralFront, *, every: bool = False) -> str:
    """Write the front by rising first cost, under a line that says what it is a front of.

    Args:
        front: what `explorer.analysis.search.several_costs.search_several` found.
        every: show every point; otherwise at most `SHOWN_POINTS` that lie far apart, and say so.
    """
    searched = ", ".join(
        f"{format_count(n)} {'distilled' if kind == 'distilled' else f'{kind}s'}"
        for kind, n in front.searched.items()
    )
    axes = [format_axis(axis) for axis in front.axes]
    shown = front.points if every else spread(front.points)
    hidden = (
        f"{len(shown)} of {format_count(len(front.points))} points shown, those that lie farthest apart; "
        "--all or --json gives every one"
    )
    header = ("kind", *axes, "accuracy", "95% interval", "chosen at", "reached", "design")
    return "\n".join(
        (
            f"front of {front.pool.dataset}: accuracy against {', '.join(axes[:-1])} and {axes[-1]}",
            f"{format_pool(front.pool)}; searched {searched}",
            "",
            table(header, [_row(front, point) for point in shown]),
            *((hidden,) if len(shown) < len(front.points) else ()),
            covered_sentence(front),
        )
    )


def covered_sentence(front: SeveralFront) -> str:
    """Say how much the front covers, and from which reference point that is reckoned."""
    covered = front.covered
    dearest = ", ".join(
        format_amount(cost, axis.kind) for cost, axis in zip(covered.reference_costs, front.axes, strict=True)
    )
    return (
        f"hypervolume on select: {format_share(covered.share)} of the box from the reference point "
        f"(accuracy {format_share(covered.reference_accuracy)}, one class always; the dearest ensemble "
        f"searched on each axis: {dearest}) to no mistakes at no cost"
    )


def spread(points: Sequence[SeveralPoint], most: int = SHOWN_POINTS) -> tuple[SeveralPoint, ...]:
    """Return at most ``most`` points that lie far apart, in their order.

    The cheapest on each axis and the most accurate, then one by one the point that is farthest from those
    chosen (Gonzalez 1985, Theoretical Computer Science 38:293), by rank on each objective.
    """
    if len(points) <= most:
        return tuple(points)
    values = np.array([(-point.select_accuracy, *point.select_costs) for point in points])
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)
    places = ranks / np.maximum(ranks.max(axis=0), 1)
    chosen = list(dict.fromkeys(values.argmin(axis=0).tolist()))
    away = np.min([((places - places[one]) ** 2).sum(axis=1) for one in chosen], axis=0)
    while len(chosen) < most:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
    return tuple(points[place] for place in sorted(chosen))


def several_front_document(front: SeveralFront) -> Document:
    """Lay out the front over several costs with every point."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": front.pool.dataset,
        "costs": [axis_document(axis) for axis in front.axes],
        "points": [_point(front, point) for point in front.points],
        "searched": {str(kind): count for kind, count in front.searched.items()},
        "hypervolume": _covered(front, front.covered),
        "pool": pool_document(front.pool),
        "notes": list(front.notes),
    }


def _row(front: SeveralFront, point: SeveralPoint) -> tuple[str, ...]:
    costs = [format_amount(cost.value, axis.kind) for cost, axis in zip(point.costs, front.axes, strict=True)]
    return (
        point.kind.value,
        *costs,
        format_accuracy_value(point.accuracy),
        format_accuracy_interval(point.accuracy),
        format_share(point.select_accuracy, share_decimals(point.accuracy.n)),
        f" {ARROW} ".join(format_share(share) for share in point.reached[1:]),
        str(point.design),
    )


def _point(front: SeveralFront, point: SeveralPoint) -> Document:
    axes = [str(axis) for axis in front.axes]
    return {
        "design": str(point.design),
        "id": design_id(point.design),
        "kind": str(point.kind),
        "members": [str(member) for member in point.design.members],
        "accuracy": interval_document(point.accuracy),
        "costs": {axis: cost_document(cost) for axis, cost in zip(axes, point.costs, strict=True)},
        "select_accuracy": point.select_accuracy,
        "select_costs": dict(zip(axes, point.select_costs, strict=True)),
        "regret": point.regret,
        "worst_costs": dict(zip(axes, point.worst_costs, strict=True)),
        "reached": list(point.reached),
    }


def _covered(front: SeveralFront, covered: Covered) -> Document:
    axes = [str(axis) for axis in front.axes]
    return {
        "split": "select",
        "value": covered.volume,
        "share": covered.share,
        "reference": {
            "accuracy": covered.reference_accuracy,
            "costs": dict(zip(axes, covered.reference_costs, strict=True)),
        },
    }
