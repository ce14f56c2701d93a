"""Fronts of groups of published models, as text and as a document: what each needs for one accuracy."""

from collections.abc import Sequence

from explorer.analysis.published.ensembles import PredictedEnsemble
from explorer.analysis.published.front import PublishedFront
from explorer.analysis.published.groups import Group, Reached
from explorer.analysis.published.points import PublishedPoint
from explorer.convention import Basis, CostAxis
from explorer.report.documents import Document
from explorer.report.published_parts import (
    basis_text,
    ensemble_document,
    ensemble_name,
    interval_text,
    share_text,
    single_document,
)
from explorer.report.terminal import table
from explorer.report.text import format_amount, format_count, format_share

_MOST_SHOWN = 8
"""Rows of one accuracy on the terminal."""


def groups_document(front: PublishedFront, axes: Sequence[CostAxis]) -> list[Document]:
    """Lay out each group's own front, and that of its predicted ensembles."""
    return [
        {
            "name": group.name,
            "models": group.models,
            "points": [single_document(point, axes) for point in group.points],
            "ensembles": [ensemble_document(one, axes) for one in group.ensembles],
        }
        for group in front.groups
    ]


def reached_document(front: PublishedFront, axes: Sequence[CostAxis]) -> list[Document]:
    """Lay out the cheapest of each group for each accuracy, cheapest first."""
    return [
        {
            "level": found.level,
            "of": found.group,
            "surely": found.surely,
            **_point_document(found.point, axes),
        }
        for found in front.reached
    ]


def groups_text(front: PublishedFront, axis: CostAxis, *, every: bool) -> list[str]:
    """Write what each group needs for an accuracy.

    Args:
        front: with groups.
        axis: the one cost.
        every: show every group for each accuracy, and every point of each group's front.
    """
    said = "; ensembles are PREDICTED, of the group's own models" if front.predicted is not None else ""
    lines = ["", f"the cheapest of each group that reaches an accuracy{said}"]
    header = ("reach", "cost", "accuracy", "95% interval", "reached", "basis", "group", "model")
    rows: list[tuple[str, ...]] = []
    levels = sorted({found.level for found in front.reached})
    for level in levels:
        here = [found for found in front.reached if found.level == level]
        shown = here if every else here[:_MOST_SHOWN]
        rows += [_reached_row(found, axis, first=place == 0) for place, found in enumerate(shown)]
        if len(shown) < len(here):
            rows.append(("", "", "", "", "", "", f"and {len(here) - len(shown)} more, dearer", ""))
    lines += ["", table(header, rows)] if rows else ["no group reaches any of them"]
    return [*lines, *(_fronts_text(front, axis) if every else _summary(front, axis))]


def _point_document(point: PublishedPoint | PredictedEnsemble, axes: Sequence[CostAxis]) -> Document:
    if isinstance(point, PredictedEnsemble):
        return ensemble_document(point, axes)
    return single_document(point, axes)


def _reached_row(found: Reached, axis: CostAxis, *, first: bool) -> tuple[str, ...]:
    level = format_share(found.level, 0 if round(found.level * 100, 6).is_integer() else 1)
    cost, accuracy, interval, basis = _cells(found.point, axis)
    sure = "yes" if found.surely else "cannot tell"
    return (level if first else "", cost, accuracy, interval, sure, basis, found.group, _name(found.point))


def _cells(point: PublishedPoint | PredictedEnsemble, axis: CostAxis) -> tuple[str, ...]:
    return (
        format_amount(point.costs[0].value, axis.kind),
        share_text(point.accuracy),
        interval_text(point.accuracy),
        basis_text(point) if isinstance(point, PredictedEnsemble) else str(Basis.PUBLISHED),
    )


def _name(point: PublishedPoint | PredictedEnsemble) -> str:
    return ensemble_name(point) if isinstance(point, PredictedEnsemble) else point.name


def _summary(front: PublishedFront, axis: CostAxis) -> list[str]:
    on_front = {id(point) for point in front.points}
    rows = [
        (
            group.name,
            format_count(group.models),
            format_count(len(group.points)),
            format_count(sum(id(point) in on_front for point in group.points)),
            f"{format_amount(group.points[0].costs[0].value, axis.kind)} to "
            f"{format_amount(group.points[-1].costs[0].value, axis.kind)}",
            f"{share_text(group.points[0].accuracy)} to {share_text(group.points[-1].accuracy)}",
        )
        for group in by_presence(front)[:_MOST_SHOWN]
    ]
    header = ("group", "models", "own front", "front of all", "its front's costs", "its front's accuracies")
    more = len(front.groups) - len(rows)
    return [
        "",
        table(header, rows),
        *((f"and {more} more groups; --all or --json gives every one",) * (more > 0)),
    ]


def by_presence(front: PublishedFront) -> list[Group]:
    """Order groups by what they have on the front of all, then by size."""
    on_front = {id(point) for point in front.points}
    return sorted(
        front.groups,
        key=lambda one: (-sum(id(point) in on_front for point in one.points), -one.models, one.name),
    )


def _fronts_text(front: PublishedFront, axis: CostAxis) -> list[str]:
    lines: list[str] = []
    header = ("cost", "accuracy", "95% interval", "basis", "model")
    for group in front.groups:
        both: list[PublishedPoint | PredictedEnsemble] = [*group.points, *group.ensembles]
        both.sort(key=lambda one: one.costs[0].value)
        lines += ["", f"{group.name}: {format_count(group.models)} models"]
        lines.append(table(header, [(*_cells(one, axis), _name(one)) for one in both]))
    return lines
