"""A cascade from all sides, as text and as a document."""

import math
from collections.abc import Sequence

from explorer.analysis.advice.cascades import CascadeView, CurveRow, Picked, SignalRow
from explorer.analysis.advice.third_stage import CostRange, Recommended, ThirdStage, Trial
from explorer.analysis.result import Interval, Point, PoolSummary, Verdict
from explorer.analysis.statistics.post_hoc import Deferral
from explorer.analysis.tail_costs import TailCosts
from explorer.convention import Composition, CostAxis
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    interval_document,
    point_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy,
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_cost,
    format_count,
    format_difference,
    format_points,
    format_range,
    format_share,
    per_what,
    share_decimals,
)
from explorer.spec import Cascade

_PICKED = {
    Picked.NAMED: "",
    Picked.BUDGET: "The most accurate cascade within the budget, chosen on select.",
    Picked.KNEE: "The knee of the front of cascades, chosen on select.",
    Picked.MOST_ACCURATE: "The most accurate cascade, chosen on select: the front of cascades has no knee.",
}
_VERDICTS = {
    Verdict.BETTER: "more accurate",
    Verdict.WORSE: "less accurate",
    Verdict.CANNOT_TELL: "cannot tell",
}
_CURVE = ("", "threshold", "leave first", "go on", "accuracy", "95% interval", "mean", "p99", "worst case")
_NOT_BUILT = "This is analysis only: such a rule is no exit of a design, and no file is built with it."


def cascade_text(found: CascadeView, axis: CostAxis) -> str:
    """Write a cascade's thresholds, signals and costs; whether a fitted rule or a third stage is worth it."""
    point = found.point
    parts = [
        f"cascade {point.design}",
        _PICKED[found.picked],
        f"{format_accuracy(point.accuracy)} on {format_count(point.accuracy.n)} report examples, for "
        f"{format_cost(point.cost, axis.kind)} {_on_average(axis)}".rstrip(),
        _tail(found.tail, axis),
        "",
        "Its thresholds, on report (* this cascade):",
        table(_CURVE, [_curve_row(row, point, axis) for row in found.curve]),
        "",
        "Exit signals, at most as many going on as here on select; on report:",
        table(
            ("signal", "threshold", "go on", "mean", "accuracy", "against this cascade"),
            [_signal_row(row, axis) for row in found.signals],
        ),
        "",
        _deferral(found.deferral),
        "",
        _third(found.third, axis),
    ]
    return "\n".join(part for number, part in enumerate(parts) if part or number != 1)


def cascade_document(
    found: CascadeView, pool: PoolSummary, axis: CostAxis, notes: Sequence[str] = ()
) -> Document:
    """Lay out a cascade from all sides."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": pool.dataset,
        "cost": axis_document(axis),
        "picked": str(found.picked),
        "point": point_document(found.point),
        "tail": _tail_document(found.tail),
        "thresholds": [
            {
                "threshold": _threshold(row.point),
                "point": point_document(row.point),
                "tail": _tail_document(row.tail),
            }
            for row in found.curve
        ],
        "signals": [
            {
                "signal": str(row.signal),
                "point": None if row.point is None else point_document(row.point),
                "comparison": None if row.comparison is None else comparison_document(row.comparison),
            }
            for row in found.signals
        ],
        "deferral_rule": _deferral_document(found.deferral),
        "third_stage": _third_document(found.third),
        "pool": pool_document(pool),
        "notes": list(notes),
    }


# ---- text ---------------------------------------------------------------------------------------


def _on_average(axis: CostAxis) -> str:
    return f"{per_what(axis)} on average" if axis.kind.composition is Composition.EXPECTED else ""


def _tail(tail: TailCosts, axis: CostAxis) -> str:
    if axis.kind.composition is not Composition.EXPECTED:
        return "Every input pays all of it, whether it leaves early or not."
    between = ""
    if tail.quantile_low != tail.quantile_high:
        between = f" ({format_range(tail.quantile_low, tail.quantile_high, axis.kind)})"
    return (
        f"{format_share(tail.q, 0)} of inputs cost {format_amount(tail.quantile, axis.kind)} or less"
        f"{between}, and one that runs every stage {format_amount(tail.worst, axis.kind)}"
    )


def _curve_row(row: CurveRow, asked: Point, axis: CostAxis) -> tuple[str, ...]:
    design, tail = row.point.design, row.tail
    if isinstance(design, Cascade):
        shown, leaves = str(design.exits[0]).strip("[]"), format_share(tail.left[0])
        goes_on = format_share(tail.left[1])
    else:
        shown, leaves, goes_on = f"{design} alone", "", ""
    return (
        "*" if design == asked.design else "",
        shown,
        leaves,
        goes_on,
        format_accuracy_value(row.point.accuracy),
        format_accuracy_interval(row.point.accuracy),
        format_amount(tail.mean, axis.kind),
        format_amount(tail.quantile, axis.kind),
        format_amount(tail.worst, axis.kind),
    )


def _signal_row(row: SignalRow, axis: CostAxis) -> tuple[str, ...]:
    if row.point is None:
        return (str(row.signal), "none lets so few go on", "", "", "", "")
    design = row.point.design
    assert isinstance(design, Cascade)
    against = "this cascade"
    if row.comparison is not None:
        difference = format_difference(row.comparison.difference)
        against = f"{difference}: {_VERDICTS[row.comparison.verdict]}"
    return (
        str(row.signal),
        str(design.exits[0]).strip("[]"),
        format_share(row.point.reached[1]),
        format_amount(row.point.cost.value, axis.kind),
        format_accuracy_value(row.point.accuracy),
        against,
    )


def _deferral(found: Deferral) -> str:
    worth = "worth it" if found.recommended else "not worth it"
    verdict = (
        f"A fitted deferral rule is {worth} here: {format_difference(found.held_out)} held out on select, "
        f"{format_difference(found.on_report)} on report, against the best plain signal at no lower cost. "
        f"It is a logistic regression on {', '.join(found.features)} of the first stage's answer. "
        f"{_NOT_BUILT}"
    )
    rows = [
        (who, format_share(share), format_accuracy_value(accuracy), format_accuracy_interval(accuracy))
        for who, share, accuracy in (
            (str(found.plain), found.goes_on, found.plain_accuracy),
            ("fitted rule", found.rule_goes_on, found.rule_accuracy),
            ("the labels: no rule can do better", found.goes_on, found.oracle_accuracy),
        )
    ]
    return f"{verdict}\n{table(('who goes on, by', 'go on', 'accuracy', '95% interval'), rows)}"


def _third(found: ThirdStage, axis: CostAxis) -> str:
    within = "" if found.limit is None else f" costing at most {format_amount(found.limit, axis.kind)}"
    tried = "every threshold" if found.exact else "a grid of thresholds"
    intro = (
        f"{format_count(found.triples)} triples of stages{within} at {tried}, chosen on one half of select "
        "and compared on the other, both ways"
    )
    if found.against_front is None or found.against_own is None:
        return f"A third stage is not worth it here: there is none to try on both halves of select. {intro}."
    against = (
        f"{format_difference(found.against_front)} against the best of at most two stages at no lower cost, "
        f"{format_difference(found.against_own)} against the same members in at most two stages"
    )
    if found.recommended is None:
        verdict = "A third stage is not worth it here"
    else:
        verdict = "A third stage is worth it here"
    lines = [f"{verdict}: {against}. {intro}."]
    if found.recommended is not None:
        lines.append(_recommended(found.recommended, axis))
    lines += [
        table(
            ("costing", "chosen at, points", "held out, against at most two stages"),
            [_range_row(row, axis) for row in found.ranges],
        ),
        "Of several rows one may look clear by luck; only the first sentence decides.",
    ]
    return "\n".join(lines)


def _recommended(found: Recommended, axis: CostAxis) -> str:
    point, rival = found.point, found.rival
    exits = ", ".join(format_share(share) for share in found.tail.left)
    return (
        f"Chosen on all of select: {point.design}: {format_accuracy(point.accuracy)} on report for "
        f"{format_cost(point.cost, axis.kind)}; {exits} leave at each stage. {_tail(found.tail, axis)}. "
        f"Against {rival.design} for {format_cost(rival.cost, axis.kind)}: "
        f"{format_difference(found.comparison.difference)}: {_VERDICTS[found.comparison.verdict]}."
    )


def _range_row(row: CostRange, axis: CostAxis) -> tuple[str, str, str]:
    if math.isinf(row.high):
        costing = f"above {format_amount(row.low, axis.kind)}"
    elif row.low == 0:
        costing = f"up to {format_amount(row.high, axis.kind)}"
    else:
        costing = format_range(row.low, row.high, axis.kind)
    gain = format_points(row.gain, share_decimals(row.difference.n))
    return costing, gain, format_difference(row.difference)


# ---- documents ----------------------------------------------------------------------------------


def _threshold(point: Point) -> float | None:
    return point.design.exits[0].threshold if isinstance(point.design, Cascade) else None


def _tail_document(tail: TailCosts) -> Document:
    return {
        "mean": tail.mean,
        "q": tail.q,
        "quantile": {"value": tail.quantile, "low": tail.quantile_low, "high": tail.quantile_high},
        "worst": tail.worst,
        "left": list(tail.left),
    }


def _deferral_document(found: Deferral) -> Document:
    return {
        "recommended": found.recommended,
        "buildable": False,
        "features": list(found.features),
        "held_out": interval_document(found.held_out),
        "on_report": interval_document(found.on_report),
        "plain_signal": str(found.plain),
        "plain_accuracy": interval_document(found.plain_accuracy),
        "rule_accuracy": interval_document(found.rule_accuracy),
        "oracle_accuracy": interval_document(found.oracle_accuracy),
        "goes_on": found.goes_on,
        "rule_goes_on": found.rule_goes_on,
    }


def _third_document(found: ThirdStage) -> Document:
    best = found.recommended
    return {
        "recommended": None
        if best is None
        else {
            "point": point_document(best.point),
            "tail": _tail_document(best.tail),
            "rival": point_document(best.rival),
            "comparison": comparison_document(best.comparison),
        },
        "against_front": _interval_or_none(found.against_front),
        "against_own_members": _interval_or_none(found.against_own),
        "halves": [_trial_document(trial) for trial in found.trials],
        "ranges": [
            {
                "low": row.low,
                "high": None if math.isinf(row.high) else row.high,
                "chosen_gain": row.gain,
                "held_out": interval_document(row.difference),
            }
            for row in found.ranges
        ],
        "triples": found.triples,
        "every_threshold": found.exact,
        "limit": found.limit,
    }


def _trial_document(trial: Trial) -> Document:
    return {
        "design": str(trial.chosen.design),
        "chosen_gain": trial.gain,
        "cost": trial.chosen.cost.value,
        "rival": str(trial.rival.design),
        "rival_cost": trial.rival.cost.value,
        "difference": interval_document(trial.against_rival.difference),
        "own_members": str(trial.own.design),
        "own_members_cost": trial.own.cost.value,
        "own_members_difference": interval_document(trial.against_own.difference),
    }


def _interval_or_none(interval: Interval | None) -> Document | None:
    return None if interval is None else interval_document(interval)
