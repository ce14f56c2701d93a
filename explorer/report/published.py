"""The front over published models, as text and as a document."""

from collections.abc import Mapping, Sequence

from explorer.analysis.published.ensembles import PredictedEnsemble, PredictedEnsembles
from explorer.analysis.published.front import CostJoin, PublishedFront, origin_of
from explorer.analysis.published.points import PublishedPoint
from explorer.analysis.published.recipes import FreeAccuracy
from explorer.convention import Basis, CostAxis
from explorer.data.catalogue import CATALOGUE, CatalogueTable
from explorer.report.documents import SCHEMA_VERSION, Document, axis_document
from explorer.report.published_groups import groups_document, groups_text, reached_document
from explorer.report.published_parts import (
    PREDICTED,
    axis_text,
    basis_text,
    ensemble_document,
    ensemble_name,
    interval_text,
    share_text,
    single_document,
)
from explorer.report.terminal import spread, table
from explorer.report.text import (
    ARROW,
    format_amount,
    format_count,
    format_points,
    points_decimals,
    share_decimals,
    significant,
)

RECIPES_TOLD = 5
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
        "points": [single_document(point, axes) for point in front.points],
        "searched": {"single": len(front.models)},
        "joined": [_join(found, front.scored) for found in front.joins],
        "recipes": [_recipe(found) for found in front.recipes],
        "predicted_ensembles": None if front.predicted is None else _predicted(front.predicted, axes),
        "groups": groups_document(front, axes),
        "reached": reached_document(front, axes),
        "tables": [_table(front, name) for name in _used(front)],
        "there_are": {"accuracies": list(front.library.accuracies), "costs": list(front.library.axes())},
        "notes": list(front.notes),
    }
    return document


def published_text(front: PublishedFront, *, every: bool = False) -> str:
    """Write the front, cheapest first, then predicted ensembles and free accuracy; or its groups.

    Args:
        front: what `explorer.analysis.published.front.published_front` found.
        every: show every point; otherwise a readable choice, and say so.
    """
    axes = [cost.axis for cost in front.costs]
    against = " and ".join(axis_text(cost) for cost in front.costs)
    if front.groups:
        body = groups_text(front, axes[0], every=every)
    else:
        body = [*_front_text(front, axes, every=every), *_predicted_text(front, axes, every=every)]
    return "\n".join(
        (
            f"front of {front.library.dataset}, published figures: accuracy on {front.table.test_set} "
            f"against {against}",
            f"{format_count(len(front.models))} of {format_count(front.scored)} published models have all "
            "costs; single models only, nothing of this was measured here",
            *body,
            *_recipes_text(front),
        )
    )


def _front_text(front: PublishedFront, axes: Sequence[CostAxis], *, every: bool) -> list[str]:
    shown = front.points if every else spread(front.points)
    others = [
        name for name in front.library.accuracies if any(name in point.others for point in front.points)
    ]
    header = (
        "kind",
        *(_short(axis, axes) for axis in axes),
        *(() if any(axis.kind.name == "parameters" for axis in axes) else ("parameters",)),
        "accuracy",
        "95% interval",
        *(_TITLES.get(name, name) for name in others),
        *(("from",) if len(front.origins) > 1 else ()),
        "model",
    )
    rows = [_row(point, axes, others, header) for point in shown]
    left = f"{len(shown)} of {len(front.points)} points shown; --all or --json gives every one"
    return ["", table(header, rows), *((left,) if len(shown) < len(front.points) else ())]


# ---- pieces of the document -------------------------------------------------------------------


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
        "beside": found.beside,
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
            ensemble_document(point, axes)
            if isinstance(point, PredictedEnsemble)
            else single_document(point, axes)
            for point in found.points
        ],
    }


def _table(front: PublishedFront, name: str) -> Document:
    found = next(one for one in front.library.tables if one.name == name)
    return {
        "name": name,
        "kind": found.kind,
        "rows": len(found.table.rows),
        "file_sha256": None if isinstance(found.table, CatalogueTable) else found.digest,
        "rows_sha256": found.digest if isinstance(found.table, CatalogueTable) else None,
        "source": found.source,
        "basis": str(Basis.PUBLISHED),
        "status": None if isinstance(found.table, CatalogueTable) else "seen",
    }


def _used(front: PublishedFront) -> list[str]:
    costs = [cost.table.name for cost in front.costs if cost.table is not None]
    own = [CATALOGUE] if CATALOGUE in front.origins else []
    return list(dict.fromkeys((front.table.name, *costs, *own)))


# ---- pieces of the text -----------------------------------------------------------------------


def _short(axis: CostAxis, axes: Sequence[CostAxis]) -> str:
    return "cost" if len(axes) == 1 else axis.kind.name


def _row(
    point: PublishedPoint, axes: Sequence[CostAxis], others: Sequence[str], header: Sequence[str]
) -> tuple[str, ...]:
    cells = [format_amount(cost.value, axis.kind) for cost, axis in zip(point.costs, axes, strict=True)]
    if "parameters" in header and len(cells) == header.index("parameters") - 1:
        cells.append(f"{significant(point.row.params)} M")
    return (
        str(Basis.PUBLISHED),
        *cells,
        share_text(point.accuracy),
        interval_text(point.accuracy),
        *(share_text(point.others[name]) if name in point.others else "" for name in others),
        *((origin_of(point.row),) if "from" in header else ()),
        point.name,
    )


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
            basis_text(one),
            *(format_amount(cost.value, axis.kind) for cost, axis in zip(one.costs, axes, strict=True)),
            share_text(one.accuracy),
            interval_text(one.accuracy),
            _gain(one),
            ensemble_name(one),
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


def _gain(one: PredictedEnsemble) -> str:
    if one.rival is None:
        return "none is as cheap"
    words: Mapping[bool | None, str] = {True: "better", False: "worse", None: "cannot tell"}
    if one.low is None or one.high is None:
        return f"{format_points(one.gain, 1)} {words[one.better]}"
    figures = (one.gain, one.low, one.high)
    gain, low, high = (format_points(figure, points_decimals(1, *figures)) for figure in figures)
    return f"{gain} ({low} to {high}) {words[one.better]}"


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
            f"@{found.after.row.resolution} {found.before.row.tag} {share_text(found.before.accuracy)} "
            f"{ARROW} {found.after.row.tag} {share_text(found.after.accuracy)}{data}"
        )
    return lines
