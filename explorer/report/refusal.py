"""When a design refuses to answer, as text and as a document."""

import math

from explorer.analysis.advice.refusal import Answered, Refusal
from explorer.analysis.result import PoolSummary
from explorer.analysis.statistics.selective import WindowReport
from explorer.convention import CostAxis
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    pool_document,
)
from explorer.report.guarantee import drift_notes, percent, rounded_up
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_count,
    format_share,
    per_what,
    share_decimals,
)


def refusal_text(found: Refusal, pool: PoolSummary, axis: CostAxis) -> str:
    """Write when a design refuses, how much it then answers, and what a window of the second stage does."""
    head = (
        f"Promise: at most {percent(found.risk)} of the answers given are wrong, with probability "
        f"{percent(1 - found.delta)}; the others are refused."
    )
    window = [] if found.window is None else ["", *_window(found, found.window, axis)]
    if found.kept is None:
        possible = (
            f"\nWhat could be promised: --reject {rounded_up(found.possible)}."
            if found.possible is not None
            else ""
        )
        needed = found.guarantee.examples_needed
        return "\n".join(
            [
                head,
                f"No threshold keeps it: {format_count(found.guarantee.n)} select examples do not show that "
                f"little risk at any of the coverages tried; at least {format_count(needed or 0)} examples "
                f"answered without a mistake would.{possible}",
                *window,
            ]
        )
    rows = [("with the promise", *_answered(found.kept))]
    if found.plain is not None:
        rows.append(("without one", *_answered(found.plain)))
    everyone = found.accuracy
    rows.append(
        (
            "answering all",
            "100%",
            "",
            format_share(1 - everyone.value, share_decimals(everyone.n)),
            _interval(1 - everyone.high, 1 - everyone.low, everyone.n),
        )
    )
    at = found.guarantee.threshold
    rule = "always" if at is None or math.isinf(at) else f"where the largest probability is above {at!r}"
    return "\n".join(
        [
            head,
            f"Answer {rule}, with {found.design}",
            "",
            f"On {format_count(pool.report_examples)} report examples:",
            table(("", "answered", "95% interval", "wrong of those", "95% interval "), rows),
            "",
            f"What it means: found anew on each of many redrawn sets of {format_count(pool.select_examples)} "
            f"select examples, the threshold breaks the promise for at most {percent(found.delta)} of them. "
            "It holds on average over examples exchangeable with those of select, and for a design that was "
            f"fixed before they were looked at{_picked(found.picked_from)}. The built file gives each "
            "answer's confidence; refusing is up to whoever calls it.",
            *(f"note: {note}" for note in _notes(found, found.kept)),
            *window,
        ]
    )


def refusal_document(found: Refusal, pool: PoolSummary, axis: CostAxis) -> Document:
    """Lay out when to refuse; ``threshold`` is null where every example may be answered (``answers_all``)."""
    at = found.guarantee.threshold
    window = found.window
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": "reject",
        "dataset": pool.dataset,
        "cost": axis_document(axis),
        "design": str(found.design),
        "risk": found.risk,
        "delta": found.delta,
        "picked_from": found.picked_from,
        "kept": found.kept is not None,
        "answer_above": at if at is not None and math.isfinite(at) else None,
        "answers_all": at == -math.inf,
        "on_select": {
            "n": found.guarantee.n,
            "coverage": found.guarantee.coverage,
            "risk": found.guarantee.risk,
        },
        "on_report": _answered_document(found.kept),
        "plain": None
        if found.plain is None
        else {"answer_from": found.plain_threshold, "on_report": _answered_document(found.plain)},
        "accuracy": interval_document(found.accuracy),
        "alike_p_value": found.alike,
        "possible_risk": found.possible,
        "examples_needed": found.guarantee.examples_needed,
        "window": None
        if window is None
        else {
            "budget": found.window_budget,
            "low": window.window.low if math.isfinite(window.window.low) else None,
            "high": window.window.high if math.isfinite(window.window.high) else None,
            "goes_on": window.goes_on,
            "cost": window.cost,
            "coverage": window.coverage,
            "lowest_coverage": window.lowest_coverage,
            "first_coverage": window.first_coverage,
            "second_coverage": window.second_coverage,
        },
        "pool": pool_document(pool),
    }


def _notes(found: Refusal, kept: Answered) -> list[str]:
    notes = drift_notes(found.alike)
    if kept.risk is not None and kept.risk.value > found.risk:
        return ["on report more of the answers are wrong than promised, which one draw can show", *notes]
    return notes


def _window(found: Refusal, window: WindowReport, axis: CostAxis) -> list[str]:
    assert found.window_budget is not None
    decimals = share_decimals(found.accuracy.n)
    rows = [
        (name, format_amount(cost, axis.kind), format_share(coverage, decimals))
        for name, cost, coverage in (
            ("first stage alone", found.stage_costs[0], window.first_coverage),
            ("least sure go on", window.cost, window.lowest_coverage),
            ("the window", window.cost, window.coverage),
            ("all go on", sum(found.stage_costs), window.second_coverage),
        )
    ]
    low, high = window.window.low, window.window.high
    goes = format_share(window.goes_on, decimals)
    return [
        f"Where to spend the second stage, at {format_amount(found.window_budget, axis.kind)} "
        f"{per_what(axis)} on select: send on the examples whose largest probability at the first stage is "
        f"in [{low:.6g}, {high:.6g}), {goes} of report, and refuse those below without asking. Share "
        f"answered when {percent(found.risk)} may be "
        "wrong, each read off its own curve on report (no promise, and no built file does it):",
        table(("who goes on", "cost", "answered"), rows),
    ]


def _answered(found: Answered) -> tuple[str, str, str, str]:
    risk, coverage = found.risk, found.coverage
    wrong = (
        ("", "none answered")
        if risk is None
        else (format_accuracy_value(risk), format_accuracy_interval(risk))
    )
    return (format_accuracy_value(coverage), format_accuracy_interval(coverage), *wrong)


def _interval(low: float, high: float, n: int) -> str:
    decimals = share_decimals(n)
    return f"{format_share(low, decimals)} to {format_share(high, decimals)}"


def _picked(many: int) -> str:
    if many == 1:
        return " (else say with --picked-from N how many it was picked from)"
    return f", or picked out of {format_count(many)}, which share that chance"


def _answered_document(found: Answered | None) -> Document | None:
    if found is None:
        return None
    return {
        "coverage": interval_document(found.coverage),
        "risk": None if found.risk is None else interval_document(found.risk),
    }
