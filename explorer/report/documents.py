"""Lay results out as documents for machines: plain dictionaries, one ``schema_version`` each.

Document format history:

1. first version: ``front``, ``advise``, ``compare``, ``count``, ``profile``, ``verify``.
"""

from collections.abc import Sequence

from explorer.analysis.result import (
    Advice,
    Comparison,
    Front,
    Interval,
    Point,
    PoolSummary,
    ScaleCurve,
)
from explorer.convention import CostAxis
from explorer.question import Budget
from explorer.record import Cost, CostFigure
from explorer.report.answer import answer_sentence, changes, headline
from explorer.spec import ModelSpec, design_id

SCHEMA_VERSION = 1

CONVENTIONS = {
    "macs": "one multiply-accumulate of a convolution, linear layer or matrix product is 1",
    "flops": "2 x macs",
    "elementwise_ops": "additions, activations, norms, pooling and softmax, counted apart from macs",
    "parameters": "learned numbers, shared ones once",
    "activation_peak_bytes": "largest sum of live activations by tensor liveness",
}

Document = dict[str, object]


def interval_document(interval: Interval) -> Document:
    """Lay out an estimate with its 95 % interval."""
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "method": interval.method,
    }


def cost_document(figure: CostFigure) -> Document:
    """Lay out a cost figure; the unit is that of the document's cost axis."""
    return {"value": figure.value, "low": figure.low, "high": figure.high, "basis": str(figure.basis)}


def axis_document(axis: CostAxis) -> Document:
    """Lay out a cost axis with its unit."""
    return {"kind": axis.kind.name, "device": axis.device, "unit": axis.kind.unit, "axis": str(axis)}


def point_document(point: Point) -> Document:
    """Lay out one candidate as chosen and as reported."""
    return {
        "design": str(point.design),
        "id": design_id(point.design),
        "kind": str(point.kind),
        "members": [str(member) for member in point.design.members],
        "accuracy": interval_document(point.accuracy),
        "cost": cost_document(point.cost),
        "select_accuracy": point.select_accuracy,
        "select_cost": point.select_cost,
        "regret": point.regret,
        "worst_cost": point.worst_cost,
        "reached": list(point.reached),
    }


def pool_document(pool: PoolSummary) -> Document:
    """Lay out which members the designs were made of."""
    return {
        "dataset": pool.dataset,
        "split_digest": pool.split_digest,
        "recipe": pool.recipe_id,
        "members": list(pool.members),
        "select_examples": pool.select_examples,
        "report_examples": pool.report_examples,
        "classes": pool.classes,
    }


def curve_document(curve: ScaleCurve) -> Document:
    """Lay out one model's curve over ensemble sizes."""
    return {
        "model": str(curve.model),
        "sizes": list(curve.sizes),
        "costs": list(curve.costs),
        "accuracies": list(curve.accuracies),
        "lows": list(curve.lows),
        "highs": list(curve.highs),
    }


def comparison_document(comparison: Comparison) -> Document:
    """Lay out a paired comparison of two designs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "first": str(comparison.first),
        "second": str(comparison.second),
        "difference": interval_document(comparison.difference),
        "verdict": str(comparison.verdict),
        "only_first_right": comparison.only_first_right,
        "only_second_right": comparison.only_second_right,
        "examples_to_tell": comparison.examples_to_tell,
    }


def front_document(front: Front) -> Document:
    """Lay out the Pareto front, and each kind's own front beside it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": front.pool.dataset,
        "cost": axis_document(front.axis),
        "points": [point_document(point) for point in front.points],
        "points_by_kind": {
            str(kind): [point_document(point) for point in points]
            for kind, points in front.fronts_by_kind.items()
        },
        "searched": {str(kind): count for kind, count in front.searched.items()},
        "curves": [curve_document(curve) for curve in front.curves],
        "pool": pool_document(front.pool),
        "notes": list(front.notes),
    }


def advice_document(advice: Advice) -> Document:
    """Lay out the answer, how sure it is, and what would change it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "question": str(advice.question),
        "question_kind": "budget" if isinstance(advice.question, Budget) else "target",
        "dataset": advice.pool.dataset,
        "cost": axis_document(advice.axis),
        "headline": headline(advice),
        "text": answer_sentence(advice),
        "answer": _point_or_none(advice.answer),
        "cannot_tell": advice.cannot_tell,
        "runner_up": _point_or_none(advice.runner_up),
        "cheaper": _point_or_none(advice.cheaper),
        "cost_verdict": None if advice.cost_verdict is None else str(advice.cost_verdict),
        "what_would_change_it": {
            "sentences": list(changes(advice)),
            "next_up": _point_or_none(advice.next_up),
            "crossovers": [
                {"cost": c.cost, "before": str(c.before), "after": str(c.after)} for c in advice.crossovers
            ],
            "examples_to_tell": [c.examples_to_tell for c in advice.comparisons],
        },
        "evidence": {
            "pool": pool_document(advice.pool),
            "best_of_kind": {str(kind): point_document(p) for kind, p in advice.best_of_kind.items()},
            "comparisons": [comparison_document(c) for c in advice.comparisons],
        },
        "notes": list(advice.notes),
    }


def _point_or_none(point: Point | None) -> Document | None:
    return None if point is None else point_document(point)


def count_document(model: ModelSpec, cost: Cost, *, channels: int, classes: int) -> Document:
    """Lay out what one forward pass of ``model`` costs, whole, by operator and by module."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": str(model),
        "channels": channels,
        "classes": classes,
        "batch": cost.batch,
        "macs": cost.macs,
        "flops": cost.flops,
        "elementwise_ops": cost.elementwise_ops,
        "parameters": cost.parameters,
        "param_bytes": cost.param_bytes,
        "buffer_bytes": cost.buffer_bytes,
        "activation_peak_bytes": cost.activation_peak_bytes,
        "uncounted": dict(cost.uncounted),
        "macs_by_operator": dict(cost.macs_by_op),
        "macs_by_module": dict(cost.macs_by_module),
        "conventions": dict(CONVENTIONS),
    }


def verification_document(
    design: str,
    *,
    routes: Sequence[tuple[str, int, int, int]],
    predicted_s: float | None,
    measured_s: float | None,
    passed: bool,
) -> Document:
    """Lay out a conformance run; a route is ``(name, examples, mismatches, ties)``."""
    keys = ("name", "examples", "mismatches", "ties")
    return {
        "schema_version": SCHEMA_VERSION,
        "design": design,
        "routes": [dict(zip(keys, route, strict=True)) for route in routes],
        "latency": {"predicted": predicted_s, "measured": measured_s},
        "passed": passed,
    }
