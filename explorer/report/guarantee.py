"""The exit threshold that keeps a promise, as text and as a document."""

import math

from explorer.analysis.advice.promise import Kept, Promise, Terms
from explorer.analysis.result import Comparison, Point, PoolSummary, Verdict
from explorer.convention import Basis, CostAxis
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    point_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_cost,
    format_count,
    format_difference,
    format_reached,
    format_share,
    per_what,
    share_decimals,
)
from explorer.spec import Candidate, Cascade

_VERDICTS = {
    Verdict.BETTER: "more accurate",
    Verdict.WORSE: "less accurate",
    Verdict.CANNOT_TELL: "cannot tell",
}
_ALIKE = 0.05
DESIGN_HEADER = ("", "cost", "accuracy", "95% interval", "reached", "design")
"""Columns of `design_row`."""


def promise_text(found: Promise, pool: PoolSummary, axis: CostAxis) -> str:
    """Write the threshold that keeps a promise, what that means and costs; or what could be promised."""
    head = f"Promise: {terms_text(found.terms, axis)}, with probability {percent(1 - found.terms.delta)}."
    if found.kept is None:
        return "\n".join([head, _refused(found, axis)])
    rows = [design_row("with the promise", found.kept.point, axis)]
    if found.kept.plain is not None:
        rows.append(design_row("without one", found.kept.plain, axis))
    rows += [
        design_row("first stage alone", found.first, axis),
        design_row(_second(found), found.second, axis),
    ]
    return "\n".join(
        [
            head,
            _who_leaves(found),
            "",
            f"    explorer build '{found.kept.point.design}' --dataset {pool.dataset} --out DIR",
            "",
            f"On {format_count(found.kept.point.accuracy.n)} report examples ({format_axis(axis)}):",
            table(DESIGN_HEADER, rows),
            "",
            _meaning(found, pool, axis),
            "",
            _price(found, found.kept, axis),
            *(f"note: {note}" for note in _notes(found, found.kept, axis)),
        ]
    )


def promise_document(found: Promise, pool: PoolSummary, axis: CostAxis) -> Document:
    """Lay out a promise; ``threshold`` is null where a stage answers alone, see ``leaves``."""
    terms, guarantee, kept = found.terms, found.guarantee, found.kept
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": "promise",
        "dataset": pool.dataset,
        "cost": axis_document(axis),
        "cascade": str(found.cascade),
        "terms": {
            "target": terms.target,
            "budget": terms.budget,
            "near_full": terms.near_full,
            "delta": terms.delta,
            "picked_from": terms.picked_from,
        },
        "kept": kept is not None,
        "reason": guarantee.reason or None,
        "examples_needed": guarantee.examples_needed,
        "possible": None
        if found.possible is None
        else {
            "target": found.possible.target,
            "budget": found.possible.budget,
            "near_full": found.possible.near_full,
        },
        "threshold": _threshold(None if kept is None else kept.point.design),
        "leaves": None if guarantee.threshold is None else _leaves(guarantee.threshold),
        "on_select": None
        if kept is None
        else {
            "n": guarantee.n,
            "left": guarantee.left,
            "accuracy": guarantee.accuracy,
            "cost": guarantee.cost,
        },
        "point": None if kept is None else point_document(kept.point),
        "against_second": None if kept is None else comparison_document(kept.against_second),
        "plain": None if kept is None or kept.plain is None else point_document(kept.plain),
        "against_plain": None
        if kept is None or kept.against_plain is None
        else comparison_document(kept.against_plain),
        "first": point_document(found.first),
        "second": point_document(found.second),
        "second_is_cheaper": found.second_is_cheaper,
        "alike_p_value": found.alike,
        "meaning": _meaning(found, pool, axis),
        "notes": [] if kept is None else _notes(found, kept, axis),
        "pool": pool_document(pool),
    }


def terms_text(terms: Terms, axis: CostAxis) -> str:
    """Say what is promised: ``accuracy of at least 92% and mean cost of at most 1.50 MMACs per example``."""
    if terms.near_full is not None:
        return f"accuracy at most {_points(terms.near_full)} below the second stage's"
    said = []
    if terms.target is not None:
        said.append(f"accuracy of at least {percent(terms.target)}")
    if terms.budget is not None:
        said.append(f"mean cost of at most {format_amount(terms.budget, axis.kind)} {per_what(axis)}")
    return " and ".join(said)


def _second(found: Promise) -> str:
    return "average of both stages" if found.cascade.joined[0] else "second stage alone"


def _who_leaves(found: Promise) -> str:
    guarantee = found.guarantee
    on = f"{format_count(guarantee.n)} select examples"
    only_budget = found.terms.target is None and found.terms.near_full is None
    if guarantee.threshold == math.inf:
        how = "even" if only_budget else "only"
        return f"Kept {how} if nobody leaves: ship the {_second(found)} (found on {on})."
    if guarantee.threshold == -math.inf:
        how = "only" if only_budget else "even"
        return f"Kept {how} if everybody leaves: ship the first stage alone (found on {on})."
    assert found.kept is not None
    assert isinstance(found.kept.point.design, Cascade)
    left = format_share(guarantee.left, share_decimals(guarantee.n))
    return f"Kept by leaving at {found.kept.point.design.exits[0]}: found on {on}, of which {left} leave."


def _meaning(found: Promise, pool: PoolSummary, axis: CostAxis) -> str:
    terms = found.terms
    chosen = format_count(pool.select_examples)
    shared = (
        ""
        if terms.picked_from == 1
        else (
            f" It was picked out of {format_count(terms.picked_from)} cascades on the same examples, so each "
            f"of them gets {terms.level:.2g} of that chance."
        )
    )
    return (
        f"What it means: draw {chosen} select examples anew, again and again, and find the threshold on each "
        f"set by this rule: for at most {percent(terms.delta)} of the sets is the promise "
        f"({terms_text(terms, axis)}) broken on the examples to come. It holds on average over examples that "
        f"are exchangeable with those of select, not for each batch or class of them, and for members that "
        f"were fixed before those examples were looked at; it says nothing once the data change.{shared}"
    )


def _price(found: Promise, kept: Kept, axis: CostAxis) -> str:
    if kept.plain is None or kept.against_plain is None:
        return "What it costs: without the promise no threshold fits these select examples at all."
    if kept.plain.design == kept.point.design:
        return "What it costs: nothing; without the promise the same threshold would be chosen."
    paid = kept.point.cost.value - kept.plain.cost.value
    share = paid / kept.plain.cost.value if kept.plain.cost.value else math.inf
    more = "more" if paid >= 0 else "less"
    relative = f" ({format_share(abs(share))})" if math.isfinite(share) else ""
    return (
        f"What it costs: {format_amount(abs(paid), axis.kind)} {more} {per_what(axis)}{relative} than the "
        f"threshold that just fits these select examples and leaves no margin. Accuracy against that one, "
        f"on report: {compared(kept.against_plain)}."
    )


def _notes(found: Promise, kept: Kept, axis: CostAxis) -> list[str]:
    terms, point = found.terms, kept.point
    notes = []
    if found.second_is_cheaper:
        notes.append(
            f"the {_second(found)} keeps the promise too, and for "
            f"{format_cost(found.second.cost, axis.kind)}: this cascade does not pay"
        )
    if terms.target is not None and point.accuracy.value < terms.target:
        notes.append("on report the accuracy is below the promise, which one draw of report can be")
    if terms.budget is not None and point.cost.value > terms.budget:
        notes.append("on report the mean cost is above the promise, which one draw of report can be")
    notes += drift_notes(found.alike)
    if point.cost.basis is not Basis.COUNTED and terms.budget is not None:
        notes.append("the promise is on who goes on; the members' own costs are taken as they were found")
    if terms.near_full is not None:
        notes.append(f"against the {_second(found)} on report: {compared(kept.against_second)}")
    if terms.picked_from == 1:
        notes.append(
            "if this cascade was itself picked on these select examples (from a front, say), add "
            "--picked-from N: out of how many"
        )
    return notes


def _refused(found: Promise, axis: CostAxis) -> str:
    said = [f"No threshold of this cascade keeps it: {found.guarantee.reason}."]
    needed = found.guarantee.examples_needed
    if needed is not None:
        said.append(
            f"With about {format_count(needed)} examples that behave as these "
            f"{format_count(found.guarantee.n)} do it is an even chance that one would."
        )
    possible = found.possible
    if possible is not None and possible.target is not None:
        beside = "" if found.terms.budget is None else ", with this budget"
        said.append(f"What could be promised{beside}: accuracy>={_down(possible.target)}.")
    if possible is not None and possible.budget is not None:
        beside = "" if found.terms.target is None else ", with this accuracy"
        said.append(f"What could be promised{beside}: {axis}<={_up_amount(possible.budget)}.")
    if possible is not None and possible.near_full is not None:
        said.append(f"What could be promised: --near-full {rounded_up(possible.near_full)}.")
    return "\n".join(said)


# ---- what the neighbours share ------------------------------------------------------------------


def design_row(name: str, point: Point, axis: CostAxis) -> tuple[str, ...]:
    """Write one design's figures on ``report`` as a row under `DESIGN_HEADER`."""
    return (
        name,
        format_cost(point.cost, axis.kind),
        format_accuracy_value(point.accuracy),
        format_accuracy_interval(point.accuracy),
        format_reached(point),
        str(point.design),
    )


def compared(comparison: Comparison) -> str:
    """Write a paired difference with its verdict: ``+0.4 points (95% interval ...): cannot tell``."""
    return f"{format_difference(comparison.difference)}: {_VERDICTS[comparison.verdict]}"


def drift_notes(alike: float) -> list[str]:
    """Warn where ``select`` and ``report`` differ by more than chance; a promise need not hold there."""
    if alike > _ALIKE:
        return []
    return [
        f"select and report do not look like draws from one source (p = {alike:.2g}): what is promised for "
        "examples like select's need not hold for examples like report's"
    ]


def percent(share: float) -> str:
    """Write a share as it was asked for, with all its digits: ``0.9255`` is ``92.55%``."""
    return f"{100 * share:.10g}%"


def _points(share: float) -> str:
    return f"{100 * share:.10g} point{'' if share == 0.01 else 's'}"


def rounded_up(share: float) -> str:
    """Write a share that can be asked for: four decimals, never below it."""
    return f"{math.ceil(share * 1e4 - 1e-9) / 1e4:.4f}"


def _down(share: float) -> str:
    # strictly below: the bound itself is the limit of what can be promised
    return f"{(math.ceil(share * 1e4) - 1) / 1e4:.4f}"


def _up_amount(value: float) -> str:
    digits = 4 - 1 - math.floor(math.log10(value))
    scale = 10.0**digits
    return f"{math.ceil(value * scale * (1 - 1e-12)) / scale:.6g}"


def _threshold(design: Candidate | None) -> float | None:
    return design.exits[0].threshold if isinstance(design, Cascade) else None


def _leaves(threshold: float) -> str:
    if math.isinf(threshold):
        return "nobody" if threshold > 0 else "everybody"
    return "some"
