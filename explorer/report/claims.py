"""Checked claims as text, as a Markdown table and as a document."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import shorten
from typing import Any

from explorer.analysis.claims import Basis, Checked, CheckedClaim, Outcome, Verdict
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
_HEADINGS = {
    Verdict.HOLDS: "Holds in every way it was checked",
    Verdict.FAILS: "Fails in every way it was checked",
    Verdict.DEPENDS: "Depends on form, device or comparator",
    Verdict.NOT_CHECKED: "Not checked",
}
_WIDEST = 72
"""Characters of a reason in the table."""
_SIGNS = {outcome: outcome.value.replace("_", " ") for outcome in Outcome}


def found_text(check: Check, value: float) -> str:
    """Write a found or published figure as its check means it: ``-26.2 %``, ``2.02x``, ``24.4 M MACs``."""
    if check.kind is Kind.CHANGE:
        return _percent(value, signed=True)
    if check.kind is Kind.RATIO or check.unit == "x":
        return f"{significant(value)}x"
    if check.unit == "%":
        return _percent(value)
    return _amount(value, _unit(check))


def _percent(value: float, *, signed: bool = False) -> str:
    figure = f"{100 * value:.1f}" if abs(value) >= 0.01 or value == 0 else significant(100 * value, 2)
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{figure} %".replace("-", "\N{MINUS SIGN}")


def _unit(check: Check) -> str:
    """Return the unit of a check's amounts."""
    if check.quantity:
        return _UNITS[check.quantity]
    named = {quantity.value: unit for quantity, unit in _UNITS.items()}
    return "" if check.unit in ("x", "%") else named.get(check.unit, check.unit)


def _amount(value: float, unit: str) -> str:
    if abs(value) >= 1e15 or (unit == _UNITS[Quantity.SPACE_SIZE] and value >= 1e6):
        return f"{value:.2e} {unit}".strip()
    if abs(value) < 1e3 and value == int(value):
        return f"{int(value)} {unit}".strip()
    scale, prefix = next((step for step in _LARGE if abs(value) >= step[0]), (1.0, ""))
    return f"{significant(value / scale)} {prefix}{' ' if prefix else ''}{unit}".strip()


def summary(claims: Iterable[CheckedClaim]) -> str:
    """Write how many claims hold, fail, depend, and were not checked."""
    found = Counter(one.verdict for one in claims)
    total = sum(found.values())
    parts = [f"{found[verdict]} {verdict.value.replace('_', ' ')}" for verdict in Verdict if found[verdict]]
    return f"{total - found[Verdict.NOT_CHECKED]} of {total} claims checked: {', '.join(parts)}"


def claims_text(claims: Sequence[CheckedClaim], *, details: bool = False) -> str:
    """Write claims as a table, by verdict, or with ``details`` each with all its checks."""
    if not claims:
        return "no claims of that kind"
    if details:
        return "\n\n".join(_details(one) for one in claims)
    rows = [
        (one.claim.id, one.verdict.value.replace("_", " "), one.claim.published, _cell(one))
        for verdict in Verdict
        for one in claims
        if one.verdict is verdict
    ]
    note = "explorer claims ID shows every check of a claim, with its figures and where they come from"
    return "\n".join((table(("claim", "verdict", "published", "found"), rows), "", summary(claims), note))


def _cell(one: CheckedClaim) -> str:
    return shorten(_short_found(one), width=_WIDEST, placeholder=" ...")


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
    if checked.reason:
        lines[0] += f"; {checked.reason}"
    if checked.parts:
        parts = (f"{name} {_amount(value, _unit(check))}" for name, value in checked.parts.items())
        lines.append(f"      {', '.join(parts)}")
    if checked.where:
        lines.append(f"      {checked.where}")
    return lines


def claims_markdown(claims: Sequence[CheckedClaim]) -> str:
    """Write claims as Markdown: a section a verdict, a row a check, then where cited figures stand."""
    sources = {one.where: "" for claim in claims for one in claim.checks if one.basis is Basis.CITED}
    marks = {source: f"[{number}]" for number, source in enumerate(sources, 1)}
    parts = [summary(claims) + "."]
    for verdict in Verdict:
        chosen = [one for one in claims if one.verdict is verdict]
        if chosen:
            parts += [f"## {_HEADINGS[verdict]}", _markdown_table(chosen, marks)]
    listed = "\n".join(f"- {mark} {source}" for source, mark in marks.items())
    machines = sorted({one.where for claim in claims for one in claim.checks if one.basis is Basis.MEASURED})
    parts += [
        "## Where figures come from",
        f"Cited:\n\n{listed}",
        f"Measured: {'; '.join(machines) or 'none'}.",
    ]
    return "\n\n".join(parts)


def _markdown_table(claims: Iterable[CheckedClaim], marks: Mapping[str, str]) -> str:
    rows = ["| claim | published | checked | found | says |", "|---|---|---|---|---|"]
    for one in claims:
        claim = one.claim
        head = f"**{claim.id}** ({claim.system}): {claim.statement}" + (
            f". *{claim.note}*" if claim.note else ""
        )
        first = (head, claim.published)
        if not one.checks:
            rows.append("| " + " | ".join((*first, claim.not_checkable, "", "not checked")) + " |")
        for checked in one.checks:
            cells = (
                *first,
                checked.check.condition,
                _markdown_found(checked, marks),
                _SIGNS[checked.outcome],
            )
            rows.append("| " + " | ".join(cells) + " |")
            first = ("", "")
    return "\n".join(rows)


def _markdown_found(checked: Checked, marks: Mapping[str, str]) -> str:
    if checked.found is None:
        return checked.reason
    text = found_text(checked.check, checked.found)
    if checked.low is not None and checked.high is not None:
        ends = (found_text(checked.check, end) for end in (checked.low, checked.high))
        return f"{text} ({' to '.join(ends)}), measured"
    return f"{text} {marks[checked.where]}" if checked.basis is Basis.CITED else text


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
        "function": check.function or None,
        "unit": _UNITS[check.quantity] if check.quantity else check.unit or None,
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
