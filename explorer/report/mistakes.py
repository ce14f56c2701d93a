"""The answer under a price of a mistake, as text and as a document."""

import math
from collections.abc import Sequence

from explorer.analysis.advice.mistakes import MistakeAnswer, PriceRange, TotalComparison
from explorer.analysis.result import Interval, PoolSummary, Verdict
from explorer.convention import CostKind
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    point_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy_value,
    format_amount,
    format_count,
    kind_name,
)

SHOWN_RANGES = 12
"""Ranges of prices a table shows; those around the answer."""


def mistake_text(found: MistakeAnswer, ranges: Sequence[PriceRange], pool: PoolSummary) -> str:
    """Write the answer, its rivals, and from which price of a mistake on another design is best."""
    return "\n".join([mistake_sentence(found, pool), "", _ranges(found, ranges)])


def mistake_sentence(found: MistakeAnswer, pool: PoolSummary) -> str:
    """Say what to ship when a mistake has that price, and how sure that is."""
    kind, point = found.axis.kind, found.answer
    said = (
        f"Where a mistake costs {_amount(found.price, kind)} on {pool.dataset}, ship the "
        f"{kind_name(point.kind)} {point.design}: with its mistakes it costs {_interval(found.total, kind)} "
        f"an example on {format_count(found.total.n)} report examples, at "
        f"{format_accuracy_value(point.accuracy)} accuracy."
    )
    if found.runner_up is None:
        return f"{said} There is no candidate of another kind."
    rival = next(c for c in found.comparisons if c.second == found.runner_up.design)
    named = f"the {kind_name(found.runner_up.kind)} {rival.second}"
    return f"{said} The runner-up, {named}: {_against(rival, kind)}."


def mistake_document(found: MistakeAnswer, ranges: Sequence[PriceRange], pool: PoolSummary) -> Document:
    """Lay out the answer, how sure it is, and the best design for every other price."""
    return {
        "schema_version": SCHEMA_VERSION,
        "question": f"price of a mistake = {found.price!r} {found.axis.kind.unit}",
        "question_kind": "mistake price",
        "dataset": pool.dataset,
        "cost": axis_document(found.axis),
        "text": mistake_sentence(found, pool),
        "answer": point_document(found.answer),
        "total": interval_document(found.total),
        "select_total": found.select_total,
        "cannot_tell": found.cannot_tell,
        "runner_up": None if found.runner_up is None else point_document(found.runner_up),
        "what_would_change_it": {"price_ranges": [_range(each) for each in ranges]},
        "evidence": {
            "pool": pool_document(pool),
            "best_of_kind": {str(kind): point_document(p) for kind, p in found.best_of_kind.items()},
            "comparisons": [
                {
                    "first": str(each.first),
                    "second": str(each.second),
                    "difference": interval_document(each.difference),
                    "verdict": str(each.verdict),
                }
                for each in found.comparisons
            ],
        },
    }


def _range(found: PriceRange) -> Document:
    edge = found.high_on_report
    return {
        "low": found.low,
        "high": _finite(found.high),
        "high_on_report": None
        if edge is None
        else {"value": _finite(edge.value), "low": _finite(edge.low), "high": _finite(edge.high)},
        "point": point_document(found.point),
    }


def _finite(value: float) -> float | None:
    """Return the number, or None for an infinite one: JSON has none."""
    return value if math.isfinite(value) else None


def _ranges(found: MistakeAnswer, ranges: Sequence[PriceRange]) -> str:
    kind = found.axis.kind
    at = next((n for n, each in enumerate(ranges) if each.low <= found.price <= each.high), 0)
    first = max(0, min(at - SHOWN_RANGES // 2, len(ranges) - SHOWN_RANGES))
    shown = ranges[first : first + SHOWN_RANGES]
    rows = [
        (
            _amount(each.low, kind),
            _amount(each.high, kind),
            kind_name(each.point.kind),
            format_accuracy_value(each.point.accuracy),
            format_amount(each.point.cost.value, kind),
            ("> " if each is ranges[at] else "") + str(each.point.design),
        )
        for each in shown
    ]
    text = table(("a mistake from", "to", "best", "accuracy", "cost", "design"), rows)
    left = len(ranges) - len(shown)
    return text + (f"\n{left} more ranges of prices; --json has them all" if left else "")


def _against(comparison: TotalComparison, kind: CostKind) -> str:
    verdict = {
        Verdict.BETTER: "the answer is cheaper, mistakes included",
        Verdict.WORSE: "on fresh examples the answer is dearer, although selection preferred it",
        Verdict.CANNOT_TELL: "these examples cannot tell which is cheaper",
    }[comparison.verdict]
    return f"paired, the difference is {_interval(comparison.difference, kind)} an example, so {verdict}"


def _interval(found: Interval, kind: CostKind) -> str:
    low, high = (_amount(value, kind) for value in (found.low, found.high))
    return f"{_amount(found.value, kind)} ({low} to {high})"


def _amount(value: float, kind: CostKind) -> str:
    if math.isinf(value):
        return "any"
    sign = "-" if value < 0 else ""
    return sign + format_amount(abs(value), kind)
