"""Checked claims as text, as a Markdown table and as a document."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from explorer.analysis.claims import Checked, CheckedClaim, Outcome, Verdict
from explorer.data.claims import Check, Kind, Quantity
from explorer.report.terminal import table
from explorer.report.text import significant

_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_UNITS = {
    Quantity.MACS: "MACs",
    Quantity.PARAMETERS: "parameters",
    Quantity.PARAM_BYTES: "B",
    Quantity.ELEMENTWISE_OPS: "operations",
    Quantity.ACTIVATION_PEAK_BYTES: "B",
    Quantity.SPACE_SIZE: "sub-networks",
    Quantity.LATENCY: "s",
    Quantity.THROUGHPUT: "examples/s",
    Quantity.TRAINING_STEP: "s",
}
_SIGNS = {Outcome.HOLDS: "holds", Outcome.FAILS: "fails", Outcome.NOT_CHECKED: "not checked"}


def found_text(check: Check, value: float) -> str:
    """Write a found or published figure as its check means it: ``-26.2 %``, ``2.02x``, ``24.4 M MACs``."""
    if check.kind is Kind.CHANGE:
        return f"{100 * value:+.1f} %".replace("-", "\N{MINUS SIGN}")
    if check.kind in (Kind.RATIO, Kind.FUNCTION):
        return f"{significant(value)}x" if check.kind is Kind.RATIO else significant(value)
    return _amount(value, check.quantity)


def _amount(value: float, quantity: Quantity | None) -> str:
    unit = _UNITS[quantity] if quantity else ""
    if abs(value) >= 1e15:
        return f"{value:.2e} {unit}".strip()
    scale, prefix = next((step for step in _LARGE if abs(value) >= step[0]), (1.0, ""))
    return f"{significant(value / scale)} {prefix} {unit}".replace("  ", " ").strip()


def summary(claims: Iterable[CheckedClaim]) -> str:
    """Write how many claims hold, fail, depend, and were not checked."""
    found = Counter(one.verdict for one in claims)
    total = sum(found.values())
    parts = [f"{found[verdict]} {verdict.value.replace('_', ' ')}" for verdict in Verdict if found[verdict]]
    return f"{total - found[Verdict.NOT_CHECKED]} of {total} claims checked: {', '.join(parts)}"


def claims_text(claims: Sequence[CheckedClaim], *, details: bool = False) -> str:
    """Write claims as a table, or with ``details`` each with all its checks."""
    if not claims:
        return "no claims of that kind"
    if details:
        return "\n\n".join(_details(one) for one in claims)
    rows = [
        (one.claim.id, one.verdict.value.replace("_", " "), one.claim.published, _short_found(one))
        for one in claims
    ]
    note = "explorer claims ID shows every check of a claim, with its figures and where they come from"
    return "\n".join((table(("claim", "verdict", "published", "found"), rows), "", summary(claims), note))


def _short_found(one: CheckedClaim) -> str:
    if one.verdict is Verdict.NOT_CHECKED:
        return _why_not(one)
    made = [check for check in one.checks if check.found is not None]
    return ", ".join(found_text(check.check, check.found) for check in made if check.found is not None)


def _why_not(one: CheckedClaim) -> str:
    return one.claim.not_checkable or "; ".join(dict.fromkeys(check.reason for check in one.checks))


def _details(one: CheckedClaim) -> str:
    claim = one.claim
    lines = [
        f"{claim.id}: {one.verdict.value.replace('_', ' ')}",
        f"  {claim.system} ({claim.seed}): {claim.statement}; published: {claim.published}",
    ]
    for check in one.checks:
        lines += [f"  - {_SIGNS[check.outcome]}: {check.check.condition}", *_check_lines(check)]
    if claim.not_checkable:
        lines.append(f"  not checked: {claim.not_checkable}")
    if claim.note:
        lines.append(f"  note: {claim.note}")
    return "\n".join(lines)


def _check_lines(checked: Checked) -> list[str]:
    check = checked.check
    if checked.found is None:
        return [f"      {checked.reason}"]
    wanted = f"{check.relation.value} {found_text(check, check.published)}"
    interval = ""
    if checked.low is not None and checked.high is not None:
        interval = f" ({found_text(check, checked.low)} to {found_text(check, checked.high)})"
    lines = [f"      found {found_text(check, checked.found)}{interval}, wanted {wanted}; {checked.basis}"]
    if checked.parts:
        parts = (f"{name} {_amount(value, check.quantity)}" for name, value in checked.parts.items())
        lines.append(f"      {', '.join(parts)}")
    if checked.where:
        lines.append(f"      {checked.where}")
    return lines


def claims_markdown(claims: Sequence[CheckedClaim]) -> str:
    """Write claims as a Markdown table, one row a check."""
    rows = ["| claim | published | checked | found | says |", "|---|---|---|---|---|"]
    for one in claims:
        head = f"**{one.claim.id}**: {one.claim.statement}"
        if not one.checks:
            rows.append(f"| {head} | {one.claim.published} | {one.claim.not_checkable} | | not checked |")
        for number, checked in enumerate(one.checks):
            found = checked.reason if checked.found is None else found_text(checked.check, checked.found)
            first = (head, one.claim.published) if number == 0 else ("", "")
            cells = (*first, checked.check.condition, found, _SIGNS[checked.outcome])
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def claims_document(claims: Sequence[CheckedClaim]) -> dict[str, Any]:
    """Return the JSON document of checked claims."""
    found = Counter(one.verdict.value for one in claims)
    return {
        "schema_version": 1,
        "summary": {verdict.value: found[verdict.value] for verdict in Verdict},
        "claims": [
            {
                "id": one.claim.id,
                "system": one.claim.system,
                "seed": one.claim.seed,
                "statement": one.claim.statement,
                "verdict": one.verdict.value,
                "published": one.claim.published,
                "found": _short_found(one) if one.verdict is not Verdict.NOT_CHECKED else None,
                "reason": _why_not(one) if one.verdict is Verdict.NOT_CHECKED else None,
                "note": one.claim.note,
                "checks": [_check_document(checked) for checked in one.checks],
            }
            for one in claims
        ],
    }


def _check_document(checked: Checked) -> dict[str, Any]:
    check = checked.check
    return {
        "condition": check.condition,
        "outcome": checked.outcome.value,
        "kind": check.kind.value,
        "quantity": check.quantity.value if check.quantity else None,
        "relation": check.relation.value,
        "published": check.published,
        "tolerance": check.tolerance,
        "found": checked.found,
        "low": checked.low,
        "high": checked.high,
        "basis": checked.basis.value if checked.basis else None,
        "parts": dict(checked.parts),
        "workload": check.workload or None,
        "deploy": check.deploy,
        "source": checked.where,
        "reason": checked.reason,
    }
