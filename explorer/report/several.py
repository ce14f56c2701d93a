"""The answer to several budgets at once, as text and as a document."""

from explorer.analysis.advice.several import Offer, Relaxed, SeveralAnswer, Slack
from explorer.analysis.result import Interval, PoolSummary, Verdict
from explorer.report.answer import comparison_clause, comparison_short
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    cost_document,
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
    format_axis,
    format_cost,
    format_count,
    format_difference,
    format_question,
    format_share,
    kind_name,
)


def several_text(found: SeveralAnswer, pool: PoolSummary) -> str:
    """Write the answer, what it leaves of each budget, and what larger ones would buy."""
    parts = [
        several_sentence(found, pool),
        _kinds(found),
        _slacks(found.slacks),
        *(_relaxed(relaxed) for relaxed in found.relaxed if relaxed.comparison is not None),
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(part for part in parts if part)


def several_sentence(found: SeveralAnswer, pool: PoolSummary) -> str:
    """Say what to ship, at what costs, and how sure that is against the runner-up."""
    asked = [format_question(budget) for budget in found.needs.budgets]
    if found.needs.target is not None:
        asked.append(format_question(found.needs.target))
    condition = ", ".join(asked[:-1]) + f" and {asked[-1]}" if len(asked) > 1 else asked[0]
    if found.answer is None:
        return f"Nothing fits: no design made of these members has {condition} on {pool.dataset}."
    accuracy = _accuracy(found.answer)
    said = (
        f"With {condition} on {pool.dataset}, ship the {kind_name(found.answer.design.kind)} "
        f"{found.answer.design}: {format_accuracy(accuracy)} on {format_count(accuracy.n)} report examples, "
        f"for {_costs(found.answer)}."
    )
    if found.runner_up is None:
        return f"{said} No candidate of another kind fits, so there is nothing to compare it with."
    rival = found.runner_up
    return (
        f"{said} The runner-up, the {kind_name(rival.design.kind)} {rival.design}, reaches "
        f"{format_accuracy_value(_accuracy(rival))} for {_costs(rival)}; "
        f"{comparison_clause(found.comparisons[0])}."
    )


def several_document(found: SeveralAnswer, pool: PoolSummary) -> Document:
    """Lay out the answer to several budgets, how sure it is, and what would change it."""
    target = found.needs.target
    return {
        "schema_version": SCHEMA_VERSION,
        "question": " and ".join(map(str, (*found.needs.budgets, *([target] if target else [])))),
        "question_kind": "several",
        "dataset": pool.dataset,
        "costs": [axis_document(budget.axis) for budget in found.needs.budgets],
        "text": several_sentence(found, pool),
        "answer": _offer_or_none(found.answer),
        "cannot_tell": found.cannot_tell,
        "runner_up": _offer_or_none(found.runner_up),
        "what_would_change_it": {
            "slacks": [
                {
                    "budget": str(slack.budget),
                    "used": slack.used,
                    "used_on_report": slack.used_on_report,
                    "binds": slack.binds,
                }
                for slack in found.slacks
            ],
            "relaxed": [
                {
                    "budget": str(relaxed.budget),
                    "factor": relaxed.factor,
                    "answer": _offer_or_none(relaxed.offer),
                    "comparison": None
                    if relaxed.comparison is None
                    else comparison_document(relaxed.comparison),
                }
                for relaxed in found.relaxed
            ],
        },
        "evidence": {
            "pool": pool_document(pool),
            "best_of_kind": {str(kind): _offer(offer) for kind, offer in found.best_of_kind.items()},
            "comparisons": [comparison_document(comparison) for comparison in found.comparisons],
        },
        "notes": list(found.notes),
    }


def _accuracy(offer: Offer) -> Interval:
    return next(iter(offer.points.values())).accuracy


def _costs(offer: Offer) -> str:
    return ", ".join(
        f"{format_cost(point.cost, axis.kind)}{f' on {axis.device}' if axis.device else ''}"
        for axis, point in offer.points.items()
    )


def _kinds(found: SeveralAnswer) -> str:
    compared = {comparison.second: comparison for comparison in found.comparisons}
    rows = []
    for kind, offer in found.best_of_kind.items():
        comparison = compared.get(offer.design)
        against = "the answer"
        if comparison is not None:
            against = comparison_short(comparison).removeprefix("Answer minus this: ").removesuffix(".")
        accuracy = _accuracy(offer)
        rows.append(
            (
                kind_name(kind),
                *(format_amount(point.cost.value, axis.kind) for axis, point in offer.points.items()),
                format_accuracy_value(accuracy),
                format_accuracy_interval(accuracy),
                against,
                str(offer.design),
            )
        )
    if not rows:
        return ""
    axes = next(iter(found.best_of_kind.values())).points
    header = ("best", *map(format_axis, axes), "accuracy", "95% interval", "answer minus this", "design")
    return f"\n{table(header, rows)}\n"


def _slacks(slacks: tuple[Slack, ...]) -> str:
    if not slacks:
        return ""
    rows = [
        (
            str(slack.budget.axis),
            format_amount(slack.budget.limit, slack.budget.axis.kind),
            format_share(slack.used),
            format_share(slack.used_on_report),
            "yes: without it a better one fits" if slack.binds else "no",
        )
        for slack in slacks
    ]
    return table(("budget", "limit", "used", "on report", "binds"), rows) + "\n"


def _relaxed(relaxed: Relaxed) -> str:
    assert relaxed.offer is not None
    assert relaxed.comparison is not None
    verdict = {
        Verdict.BETTER: "more accurate",
        Verdict.WORSE: "less accurate on report",
        Verdict.CANNOT_TELL: "cannot tell",
    }[relaxed.comparison.verdict]
    return (
        f"With {format_question(relaxed.budget)} (x {relaxed.factor:g}): the "
        f"{kind_name(relaxed.offer.design.kind)} {relaxed.offer.design}, "
        f"{format_difference(relaxed.comparison.difference)} against the answer: {verdict}."
    )


def _offer(offer: Offer) -> Document:
    first = next(iter(offer.points.values()))
    return {
        **point_document(first),
        "accuracy": interval_document(first.accuracy),
        "costs": {str(axis): cost_document(point.cost) for axis, point in offer.points.items()},
        "worst_costs": {str(axis): point.worst_cost for axis, point in offer.points.items()},
    }


def _offer_or_none(offer: Offer | None) -> Document | None:
    return None if offer is None else _offer(offer)
