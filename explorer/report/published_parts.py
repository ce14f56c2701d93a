"""Pieces that the front over published models and the fronts of its groups share."""

from collections.abc import Sequence

from explorer.analysis.published.ensembles import PredictedEnsemble
from explorer.analysis.published.front import origin_of
from explorer.analysis.published.groups import Grouping, group_of
from explorer.analysis.published.library import ChosenCost, table_batches
from explorer.analysis.published.points import PublishedPoint, Share
from explorer.convention import Basis, CostAxis, cost_kind
from explorer.data.catalogue import CatalogueRow
from explorer.record import CostFigure
from explorer.report.documents import Document, cost_document
from explorer.report.text import TIMES, format_axis, format_share, share_decimals

PREDICTED = "predicted"
TIMM_SOURCE = "timm, results/"


def share_document(share: Share, method: str = "wilson") -> Document:
    """Lay out an accuracy with its interval, and how that came about."""
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


def single_document(point: PublishedPoint, axes: Sequence[CostAxis]) -> Document:
    """Lay out a published model; of the catalogue with its source and the published costs."""
    timed = next((row for row in point.timed if row is not None), None)
    return {
        "design": point.design,
        "kind": "single",
        "basis": str(Basis.PUBLISHED),
        "from": origin_of(point.row),
        "model": point.row.model,
        "architecture": point.row.architecture,
        "tag": point.row.tag,
        "group": {str(grouping): group_of(point, grouping) for grouping in Grouping},
        "resolution": point.row.resolution,
        "accuracy": share_document(point.accuracy),
        "top5": point.row.top5,
        **_costs(point.costs, axes),
        "parameters": round(point.row.params * 1e6),
        "batch": None if timed is None else timed.batch,
        "throughput_per_s": None if timed is None else timed.batch / timed.seconds,
        "joined_by": [None if by is None else str(by) for by in point.joined_by],
        "accuracies": {name: share_document(share) for name, share in point.others.items()},
        **_origin(point),
    }


def _origin(point: PublishedPoint) -> Document:
    row = point.row
    if not isinstance(row, CatalogueRow):
        return {"source": TIMM_SOURCE, "status": "seen", "published_macs": None, "published_parameters": None}
    return {
        "source": row.source,
        "status": row.status,
        "published_macs": row.published_macs,
        "published_parameters": row.published_parameters,
    }


def ensemble_document(point: PredictedEnsemble, axes: Sequence[CostAxis]) -> Document:
    """Lay out an ensemble that nobody scored."""
    return {
        "design": ensemble_name(point),
        "kind": "ensemble",
        "basis": PREDICTED,
        "members": point.members,
        "of": point.base.design,
        "accuracy": share_document(point.accuracy, PREDICTED),
        "extrapolated": bool(point.beyond),
        "beyond": list(point.beyond),
        **_costs(point.costs, axes),
        "rival": None if point.rival is None else point.rival.design,
        "gain": point.gain if point.rival else None,
        "gain_low": point.low,
        "gain_high": point.high,
        "verdict": {True: "better", False: "worse", None: "cannot tell"}[point.better],
    }


def share_text(share: Share) -> str:
    """Write an accuracy to the decimals that its images allow."""
    return format_share(share.value, share_decimals(share.n or 0))


def interval_text(share: Share) -> str:
    """Write the ends of the 95 % interval."""
    if share.low is None or share.high is None:
        return "not known"
    decimals = share_decimals(share.n or 0)
    return f"{format_share(share.low, decimals)} to {format_share(share.high, decimals)}"


def ensemble_name(point: PredictedEnsemble) -> str:
    """Write members and model: ``2\N{MULTIPLICATION SIGN}resnet50.a1_in1k@224``."""
    return f"{point.members}{TIMES}{point.base.name}"


def basis_text(one: PredictedEnsemble) -> str:
    """Say that it is a prediction, and in what beyond the published ensembles."""
    return f"{PREDICTED}, beyond in {' and '.join(one.beyond)}" if one.beyond else PREDICTED


def axis_text(cost: ChosenCost) -> str:
    """Name an axis; a time whose calls differ from model to model is one of full calls."""
    full = cost.table is not None and cost.batch is None and table_batches(cost.table)[-1] > 1
    if full and cost.axis.kind.name == "latency":
        return format_axis(CostAxis(cost_kind("time_per_example"), cost.axis.device))
    return format_axis(cost.axis)
