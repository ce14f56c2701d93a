"""The front over published models, as text and as a document."""

from collections.abc import Mapping, Sequence

from explorer.analysis.published.ensembles import PredictedEnsemble, PredictedEnsembles
from explorer.analysis.published.front import CostJoin, PublishedFront
from explorer.analysis.published.library import ChosenCost, table_batches
from explorer.analysis.published.points import PublishedPoint, Share
from explorer.analysis.published.recipes import FreeAccuracy
from explorer.convention import Basis, CostAxis, cost_kind
from explorer.record import CostFigure
from explorer.report.documents import SCHEMA_VERSION, Document, axis_document, cost_document
from explorer.report.terminal import spread, table
from explorer.report.text import (
    ARROW,
    TIMES,
    format_amount,
    format_axis,
    format_count,
    format_points,
    format_share,
    share_decimals,
    significant,
)

RECIPES_TOLD = 5
PREDICTED = "predicted"
_TITLES = {"imagenet-a": "A", "imagenet-r": "R", "imagenet-real": "ReaL", "imagenet-sketch": "Sketch"}
_TITLES |= {"imagenet-v2": "V2"}
"""Short names of test sets, for columns."""


def published_document(front: PublishedFront) -> Document:
    """Lay out the front, what it was made of, the free accuracy, and predicted ensembles apart."""
    axes = [cost.axis for cost in front.costs]
    several = len(axes) > 1
    document: Document = {
        "schema_version": SCHEMA_VERSION,
        "dataset": front.library.dataset,
        "basis": str(Basis.PUBLISHED),
        "accuracy_on": _test_set(front),
        **({"costs": [_axis(front, place) for place in range(len(axes))]} if several else {}),
        **({} if several else {"cost": _axis(front, 0)}),
        "points": [_point(point, axes) for point in front.points],
        "searched": {"single": len(front.models)},
        "joined": [_join(found, front.scored) for found in front.joins],
        "recipes": [_recipe(found) for found in front.recipes],
        "predicted_ensembles": None if front.predicted is None else _predicted(front.predicted, axes),
        "tables": [_table(front, name) for name in _used(front)],
        "there_are": {"accuracies": list(front.library.accuracies), "costs": list(front.library.axes())},
        "notes": list(front.notes),
    }
    return document


def published_text(front: PublishedFront, *, every: bool = False) -> str:
    """Write the front, cheapest first, then predicted ensembles and free accuracy.

    Args:
        front: what `explorer.analysis.published.front.published_front` found.
        every: show every point; otherwise a readable choice, and say so.
    """
    axes = [cost.axis for cost in front.costs]
    shown = front.points if every else spread(front.points)
    others = [name for name in front.library.accuracies if name != front.table.test_set]
    header = (
        "kind",
        *(_short(axis, axes) for axis in axes),
        *(() if any(axis.kind.name == "parameters" for axis in axes) else ("parameters",)),
        "accuracy",
        "95% interval",
        *(_TITLES.get(name, name) for name in others),
        "model",
    )
    rows = [_row(point, axes, others, header) for point in shown]
    against = " and ".join(_axis_text(cost) for cost in front.costs)
    left = (f"{len(shown)} of {len(front.points)} points shown; --all or --json gives every one",)
    return "\n".join(
        (
            f"front of {front.library.dataset}, published figures: accuracy on {front.table.test_set} "
            f"against {against}",
            f"{format_count(len(front.models))} of {format_count(front.scored)} published models have all "
            "costs; single models only, nothing of this was measured here",
            "",
            table(header, rows),
            *(left if len(shown) < len(front.points) else ()),
            *_predicted_text(front, axes, every=every),
            *_recipes_text(front),
        )
    )


# ---- pieces of the document -------------------------------------------------------------------


def _share(share: Share, method: str = "wilson") -> Document:
    return {
        "value": share.value,
        "low": share.low,
        "high": share.high,
        "n": share.n,
        "method": None if share.low is None else method,
    }


def _costs(costs: Sequence[CostFigure], axes: Sequence[CostAxis]) -> Document:
    if len(axes) == 1:
        return {"cost": cost_document(costs[0])}
    return {"costs": {str(axis): cost_document(cost) for axis, cost in zip(axes, costs, strict=True)}}


def _point(point: PublishedPoint, axes: Sequence[CostAxis]) -> Document:
    timed = next((row for row in point.timed if row is not None), None)
    return {
        "design": point.design,
        "kind": "single",
        "basis": str(Basis.PUBLISHED),
        "model": point.row.model,
        "architecture": point.row.architecture,
        "tag": point.row.tag,
        "resolution": point.row.resolution,
        "accuracy": _share(point.accuracy),
        "top5": point.row.top5,
        **_costs(point.costs, axes),
        "parameters": round(point.row.params * 1e6),
        "batch": None if timed is None else timed.batch,
        "throughput_per_s": None if timed is None else timed.batch / timed.seconds,
        "joined_by": [None if by is None else str(by) for by in point.joined_by],
        "accuracies": {name: _share(share) for name, share in point.others.items()},
    }


def _test_set(front: PublishedFront) -> Document:
    return {"test_set": front.table.test_set, "examples": front.table.examples, "table": front.table.name}


def _axis(front: PublishedFront, place: int) -> Document:
    cost = front.costs[place]
    per_example = cost.axis.stored_kind == "latency" and cost.batch is None
    return {
        **axis_document(cost.axis),
        "table": front.table.name if cost.table is None else cost.table.name,
        "per_example": per_example or cost.axis.kind.per_example,
        "batch": cost.batch,
        "convention": cost.convention,
    }


def _join(found: CostJoin, scored: int) -> Document:
    return {
        "axis": str(found.cost.axis),
        "scored": scored,
        "by": {str(by): count for by, count in found.joined.items()},
        "left_out": [{"why": str(why), "models": list(names)} for why, names in found.left_out.items()],
    }


def _recipe(found: FreeAccuracy) -> Document:
    return {
        "model": found.after.row.architecture,
        "resolution": found.after.row.resolution,
        "from": found.before.row.tag,
        "to": found.after.row.tag,
        "data": list(found.data),
        "before": found.before.accuracy.value,
        "after": found.after.accuracy.value,
        "gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "near_front": found.near_front,
    }


def _predicted(found: PredictedEnsembles, axes: Sequence[CostAxis]) -> Document:
    return {
        "basis": PREDICTED,
        "most_members": found.most,
        "predicted": found.predicted,
        "networks": found.networks,
        "sources": list(found.sources),
        "points": [
            _ensemble(point, axes) if isinstance(point, PredictedEnsemble) else _point(point, axes)
            for point in found.points
        ],
    }


def _ensemble(point: PredictedEnsemble, axes: Sequence[CostAxis]) -> Document:
    return {
        "design": _ensemble_name(point),
        "kind": "ensemble",
        "basis": PREDICTED,
        "members": point.members,
        "of": point.base.design,
        "accuracy": _share(point.accuracy, PREDICTED),
        "extrapolated": bool(point.beyond),
        "beyond": list(point.beyond),
        **_costs(point.costs, axes),
        "rival": None if point.rival is None else point.rival.design,
        "gain": point.gain if point.rival else None,
        "gain_low": point.low,
        "gain_high": point.high,
        "verdict": {True: "better", False: "worse", None: "cannot tell"}[point.better],
    }


def _table(front: PublishedFront, name: str) -> Document:
    found = next(one for one in front.library.tables if one.name == name)
    return {
        "name": name,
        "kind": found.kind,
        "rows": len(found.table.rows),
        "file_sha256": found.digest,
        "source": found.source,
        "basis": str(Basis.PUBLISHED),
        "status": "seen",
    }


def _used(front: PublishedFront) -> list[str]:
    costs = [cost.table.name for cost in front.costs if cost.table is not None]
    return list(dict.fromkeys((front.table.name, *costs)))


# ---- pieces of the text -----------------------------------------------------------------------


def _axis_text(cost: ChosenCost) -> str:
    """Name an axis; a time whose calls differ from model to model is one of full calls."""
    full = cost.table is not None and cost.batch is None and table_batches(cost.table)[-1] > 1
    if full and cost.axis.kind.name == "latency":
        return format_axis(CostAxis(cost_kind("time_per_example"), cost.axis.device))
    return format_axis(cost.axis)


def _short(axis: CostAxis, axes: Sequence[CostAxis]) -> str:
    return "cost" if len(axes) == 1 else axis.kind.name


def _row(
    point: PublishedPoint, axes: Sequence[CostAxis], others: Sequence[str], header: Sequence[str]
) -> tuple[str, ...]:
    cells = [format_amount(cost.value, axis.kind) for cost, axis in zip(point.costs, axes, strict=True)]
    if len(header) > len(axes) + len(others) + 4:
        cells.append(f"{significant(point.row.params)} M")
    return (
        str(Basis.PUBLISHED),
        *cells,
        _value(point.accuracy),
        _interval(point.accuracy),
        *(_value(point.others[name]) if name in point.others else "" for name in others),
        f"{point.row.model}@{point.row.resolution}",
    )


def _value(share: Share) -> str:
    return format_share(share.value, share_decimals(share.n or 0))


def _interval(share: Share) -> str:
    if share.low is None or share.high is None:
        return "not known"
    decimals = share_decimals(share.n or 0)
    return f"{format_share(share.low, decimals)} to {format_share(share.high, decimals)}"


def _ensemble_name(point: PredictedEnsemble) -> str:
    return f"{point.members}{TIMES}{point.base.row.model}@{point.base.row.resolution}"


def _predicted_text(front: PublishedFront, axes: Sequence[CostAxis], *, every: bool) -> list[str]:
    found = front.predicted
    if found is None:
        return []
    ensembles = found.ensembles
    shown = ensembles if every else spread(ensembles, 15)
    better = [one for one in ensembles if one.better is True and one.rival is not None]
    within = sum(not one.beyond for one in better)
    rows = [
        (
            "ensemble",
            _basis(one),
            *(format_amount(cost.value, axis.kind) for cost, axis in zip(one.costs, axes, strict=True)),
            _value(one.accuracy),
            _interval(one.accuracy),
            _gain(one),
            _ensemble_name(one),
        )
        for one in shown
    ]
    costs = (_short(axis, axes) for axis in axes)
    header = ("kind", "basis", *costs, "accuracy", "95% interval", "over the best single as cheap", "design")
    counts = "2" if found.most == 2 else f"2 to {found.most}"
    return [
        "",
        f"PREDICTED ensembles of {counts} trainings of one model, each from scratch, that nobody scored;",
        f"the gain is what {found.networks} published networks gained, none pretrained or taught by another",
        f"{format_count(len(ensembles))} would be on the front beside the singles, {len(better)} of them "
        f"better than the best single as cheap; {within} of these are like the published ones",
        *(("", table(header, rows)) if rows else ()),
    ]


def _basis(one: PredictedEnsemble) -> str:
    return f"{PREDICTED}, beyond in {' and '.join(one.beyond)}" if one.beyond else PREDICTED


def _gain(one: PredictedEnsemble) -> str:
    if one.rival is None:
        return "none is as cheap"
    words: Mapping[bool | None, str] = {True: "better", False: "worse", None: "cannot tell"}
    between = ""
    if one.low is not None and one.high is not None:
        between = f" ({format_points(one.low, 1)} to {format_points(one.high, 1)})"
    return f"{format_points(one.gain, 1)}{between} {words[one.better]}"


def _recipes_text(front: PublishedFront) -> list[str]:
    near = [found for found in front.recipes if found.near_front][:RECIPES_TOLD]
    if not near:
        return []
    lines = [
        "",
        "free accuracy before you buy members: another recipe on the same training data, architecture and "
        "image size; answers cost the same, training may not",
    ]
    for found in near:
        decimals = share_decimals(found.after.accuracy.n or 0)
        data = f", both with {', '.join(found.data)}" if found.data else ""
        lines.append(
            f"  {format_points(found.gain, decimals)} points: {found.after.row.architecture}"
            f"@{found.after.row.resolution} {found.before.row.tag} {_value(found.before.accuracy)} {ARROW} "
            f"{found.after.row.tag} {_value(found.after.accuracy)}{data}"
        )
    return lines
