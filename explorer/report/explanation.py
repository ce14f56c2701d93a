"""Why a design is worth what it is, as text and as a document."""

from explorer.analysis.advice.explain import Edit, Explanation, MemberValue, Rival, Step
from explorer.analysis.result import Comparison, Verdict
from explorer.convention import CostAxis
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    point_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy,
    format_amount,
    format_cost,
    format_count,
    format_difference,
    format_points,
    kind_name,
    per_what,
    share_decimals,
)

_STEPS = {
    Step.DROP: "drop a member",
    Step.SWAP: "swap a member",
    Step.ADD: "add a member",
    Step.THRESHOLD: "move a threshold",
}
_VERDICTS = {
    Verdict.BETTER: "more accurate",
    Verdict.WORSE: "less accurate",
    Verdict.CANNOT_TELL: "cannot tell",
}


def explanation_text(found: Explanation, axis: CostAxis) -> str:
    """Write who dominates a design, what its members are worth, and the cheapest edit that helps."""
    point = found.point
    lines = [
        f"{kind_name(point.kind)} {point.design}",
        f"{format_accuracy(point.accuracy)} on {format_count(point.accuracy.n)} report examples, "
        f"for {format_cost(point.cost, axis.kind)} {per_what(axis)}",
        "",
        *_rivals(found, axis),
        _members(found.members, axis),
        _edits(found, axis),
    ]
    return "\n".join(line for line in lines if line is not None)


def explanation_document(found: Explanation, axis: CostAxis, dataset: str) -> Document:
    """Lay out a design among all others."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": dataset,
        "cost": axis_document(axis),
        "point": point_document(found.point),
        "on_front": found.on_front,
        "dominated_by": {"cheapest": _rival(found.cheaper), "most_accurate": _rival(found.more_accurate)},
        "members": [
            {
                "member": str(value.member),
                "without": str(value.without),
                "cost": value.cost,
                "cost_on_report": value.cost_on_report,
                "select_gain": value.select_gain,
                "comparison": comparison_document(value.comparison),
            }
            for value in found.members
        ],
        "edits": {str(step): _edit(edit) for step, edit in found.edits.items()},
        "cheapest_edit": None if found.cheapest_edit is None else _edit(found.cheapest_edit),
        "tried": {str(step): count for step, count in found.tried.items()},
    }


def _rivals(found: Explanation, axis: CostAxis) -> list[str]:
    if found.on_front:
        return ["It is on the front: nothing that was searched dominates it on the examples it is chosen on."]
    if found.cheaper is None or found.more_accurate is None:
        return ["Nothing that was searched dominates it, though it is not on the front itself."]
    said = [_rival_text("Cheapest that is no less accurate", found.cheaper, axis)]
    if found.more_accurate.point.design != found.cheaper.point.design:
        said.append(_rival_text("Most accurate that is no dearer", found.more_accurate, axis))
    return said


def _rival_text(what: str, rival: Rival, axis: CostAxis) -> str:
    saved = "saves" if rival.cost_saved_on_report >= 0 else "costs"
    amount = format_amount(abs(rival.cost_saved_on_report), axis.kind)
    return (
        f"{what}: the {kind_name(rival.point.kind)} {rival.point.design}; on report it {saved} {amount}, and "
        f"{_compared(rival.comparison)}."
    )


def _compared(comparison: Comparison) -> str:
    verdict = _VERDICTS[comparison.verdict]
    return f"its accuracy differs by {format_difference(comparison.difference)}: {verdict}"


def _members(values: tuple[MemberValue, ...], axis: CostAxis) -> str:
    if not values:
        return ""
    rows = [
        (
            str(value.member),
            _signed(value.cost_on_report, axis),
            format_difference(value.comparison.difference),
            {Verdict.BETTER: "earns it", Verdict.WORSE: "harms", Verdict.CANNOT_TELL: "cannot tell"}[
                value.comparison.verdict
            ],
        )
        for value in values
    ]
    return "\n" + table(("member", "costs", "adds, on report", ""), rows) + "\n"


def _edits(found: Explanation, axis: CostAxis) -> str:
    tried = format_count(sum(found.tried.values()))
    if found.cheapest_edit is None:
        return f"None of {tried} single edits helps on the examples it is chosen on."
    rows = []
    for step, edit in found.edits.items():
        decimals = share_decimals(edit.point.accuracy.n)
        rows.append(
            (
                _STEPS[step] + (" (cheapest)" if edit is found.cheapest_edit else ""),
                _signed(edit.cost_change, axis),
                format_points(edit.accuracy_change, decimals),
                f"{format_difference(edit.comparison.difference)}: {_VERDICTS[edit.comparison.verdict]}",
                str(edit.point.design),
            )
        )
    header = ("edit that helps", "cost", "points, chosen on", "on report", "design")
    return f"Of {tried} single edits, the cheapest that helps, of each kind:\n{table(header, rows)}"


def _signed(value: float, axis: CostAxis) -> str:
    return ("-" if value < 0 else "+") + format_amount(abs(value), axis.kind)


def _rival(rival: Rival | None) -> Document | None:
    if rival is None:
        return None
    return {
        "point": point_document(rival.point),
        "cost_saved": rival.cost_saved,
        "cost_saved_on_report": rival.cost_saved_on_report,
        "comparison": comparison_document(rival.comparison),
    }


def _edit(edit: Edit) -> Document:
    return {
        "step": str(edit.step),
        "point": point_document(edit.point),
        "cost_change": edit.cost_change,
        "accuracy_change": edit.accuracy_change,
        "dominates": edit.dominates,
        "comparison": comparison_document(edit.comparison),
    }
