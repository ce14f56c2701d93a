"""A front as a file to compare later ones with, and what the comparison found."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from pathlib import Path

from explorer.analysis.advice.baseline import Baseline, Change, Check, Checked, Kept, baseline_of, slack_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front
from explorer.convention import Basis, CostAxis
from explorer.errors import ExplorerError, InputDataError
from explorer.record import CostFigure
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    front_document,
    interval_document,
    point_document,
)
from explorer.report.terminal import spread, table
from explorer.report.text import (
    format_accuracy_value,
    format_amount,
    format_axis,
    format_difference,
    format_points,
    format_share,
    share_decimals,
)
from explorer.report.writing import write_text
from explorer.spec import parse_design

_COUNTED = (
    (Change.SAME, "unchanged"),
    (Change.WITHIN_NOISE, "within noise"),
    (Change.BETTER, "better"),
    (Change.WORSE, "worse"),
    (Change.DEARER, "dearer"),
)


def baseline_document(front: Front, baseline: Baseline) -> Document:
    """Lay out a front with its designs' right answers: the `front` document, and ``right`` at each point."""
    points = [
        point_document(point)
        | {"right": None if kept.right is None else base64.b64encode(kept.right).decode()}
        for point, kept in zip(front.points, baseline.points, strict=True)
    ]
    whole = front_document(front)
    del whole["points_by_kind"], whole["curves"]
    return whole | {"points": points}


def read_baseline(path: Path) -> Baseline:
    """Read what `explorer check --write` or `explorer front --json` wrote.

    Raises:
        InputDataError: no such file, not JSON, or not such a document.
    """
    try:
        whole = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputDataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputDataError(f"the baseline {path} is not JSON: {error}") from error
    wanted = "wanted a file of `explorer check --write` or `explorer front --json`"
    if not isinstance(whole, dict) or whole.get("schema_version") != SCHEMA_VERSION:
        got = whole.get("schema_version") if isinstance(whole, dict) else type(whole).__name__
        raise InputDataError(f"{path} is not a front, version {SCHEMA_VERSION} (got {got!r}); {wanted}")
    try:
        return Baseline(
            dataset=str(whole["dataset"]),
            axis=CostAxis.parse(whole["cost"]["axis"]),
            split_digest=str(whole["pool"]["split_digest"]),
            points=tuple(map(_kept, whole["points"])),
        )
    except KeyError as error:
        raise InputDataError(f"{path} is not a front: no {error} in it; {wanted}") from error
    except (TypeError, ValueError, AttributeError, ExplorerError, binascii.Error) as error:
        raise InputDataError(f"{path} is damaged: {error}; {wanted}") from error


def _kept(point: Mapping[str, object]) -> Kept:
    accuracy, cost = point["accuracy"], point["cost"]
    if not isinstance(accuracy, dict) or not isinstance(cost, dict):
        raise TypeError("a point's accuracy and cost are objects")
    n = int(accuracy["n"])
    figure = CostFigure(
        value=float(cost["value"]),
        low=float(cost["low"]),
        high=float(cost["high"]),
        basis=Basis(cost["basis"]),
    )
    text = point.get("right")
    right = None if text is None else base64.b64decode(str(text), validate=True)
    kept = Kept(
        design=parse_design(str(point["design"])),
        select_cost=float(str(point["select_cost"])),
        cost_slack=slack_of(figure),
        accuracy=float(accuracy["value"]),
        n=n,
        right=right,
    )
    if right is not None and len(right) != -(-n // 8):
        raise ValueError(f"{len(right)} bytes of right answers, wanted {-(-n // 8)} for {n} examples")
    if n < 1 or not all(map(math.isfinite, (kept.select_cost, kept.cost_slack, kept.accuracy))):
        raise ValueError("a figure that is not finite, or no examples")
    return kept


def check_document(found: Check, front: Front) -> Document:
    """Lay out a front's comparison with an earlier one."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": front.pool.dataset,
        "cost": axis_document(front.axis),
        "passed": found.passed,
        "changes": _counts(found),
        "seed_deviation": found.seed_deviation,
        "points": [
            {
                "before": {
                    "design": str(one.before.design),
                    "select_cost": one.before.select_cost,
                    "accuracy": one.before.accuracy,
                },
                "now": None if one.now is None else point_document(one.now),
                "difference": None if one.difference is None else interval_document(one.difference),
                "retrained": one.retrained,
                "change": str(one.change),
            }
            for one in found.checked
        ],
        "notes": [*found.notes, *front.notes],
    }


def check_text(found: Check, front: Front, *, every: bool = False) -> str:
    """Write the verdict, and the designs whose place changed.

    Args:
        found: the comparison.
        front: today's front.
        every: list the designs whose place did not change as well.
    """
    counts = _counts(found)
    told = ", ".join(f"{counts[str(change)]} {text}" for change, text in _COUNTED if counts[str(change)])
    verdict = "holds" if found.passed else "REGRESSED"
    axis = format_axis(front.axis)
    lines = [
        f"{front.pool.dataset}, accuracy and {axis}: the front {verdict}: of {len(found.checked)}, {told}"
    ]
    if found.seed_deviation is not None:
        deviation = format_points(found.seed_deviation, 2).lstrip("+")
        lines.append(
            f"members were trained again or are gone: the luck of seeds, {deviation} points, is counted"
        )
    shown = [one for one in found.checked if every or one.change not in (Change.SAME, Change.WITHIN_NOISE)]
    told_of = shown if every else spread(shown)
    if shown:
        header = ("change", "cost", "before", "now", "difference, report", "design before", "design now")
        lines.append(table(header, [_row(one, front.axis) for one in told_of]))
    if len(told_of) < len(shown):
        lines.append(f"{len(shown) - len(told_of)} more such designs: --all")
    return "\n".join(lines)


def _row(one: Checked, axis: CostAxis) -> tuple[str, ...]:
    decimals = share_decimals(one.before.n)
    now = one.now
    return (
        str(one.change),
        format_amount(one.before.select_cost, axis.kind),
        format_share(one.before.accuracy, decimals),
        "" if now is None else format_accuracy_value(now.accuracy),
        "" if one.difference is None else format_difference(one.difference),
        str(one.before.design),
        "none as cheap" if now is None else "same" if now.design == one.before.design else str(now.design),
    )


def _counts(found: Check) -> dict[str, int]:
    return {str(change): sum(one.change is change for one in found.checked) for change in Change}


def write_baseline(path: Path, pool: Pool, front: Front) -> int:
    """Write a front as a baseline, whole or not at all, and return how many designs it holds.

    Raises:
        UsageError: no folder to write into.
    """
    document = baseline_document(front, baseline_of(pool, front))
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return len(front.points)
