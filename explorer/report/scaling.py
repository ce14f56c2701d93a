"""What scaling rules give, as documents and text: costs at each phi, and each rule's choice for a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.convention import CostAxis
from explorer.report.text import format_count

_QUANTITIES = ("parameters", "macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A published figure of one network."""

    value: float
    rounding: float
    """Half of the last digit printed."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledRow:
    """One network and what it costs, counted here, beside what was published."""

    model: str
    resolution: int
    knobs: Mapping[str, Any]
    parameters: int
    macs: int
    published: Mapping[str, Figure]
    """By quantity, ``parameters`` and ``macs``; empty where nothing was."""
    phi: float | None = None
    """Where a phi was asked for."""
    rule_phi: float | None = None
    """The phi of the compound rule that costs as much, for networks with published coefficients."""
    basis: str = ""
    """``published`` coefficients, or the ``rule`` that gave them."""
    formula: Mapping[str, float] | None = None
    """What the family's formula gives at this network's cost, by axis."""

    def difference(self, quantity: str) -> float | None:
        """Return counted over published minus 1."""
        there = self.published.get(quantity)
        return None if there is None else self.cost(quantity) / there.value - 1

    def cost(self, quantity: str) -> int:
        """Return what was counted."""
        return self.macs if quantity == "macs" else self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one rule would build for a budget."""

    rule: str
    summary: str
    source: str
    row: ScaledRow | None
    """None where the rule has nothing within the budget."""
    reason: str = ""
    """Why there is nothing, or what limits the choice."""
    size: float | None = None
    """MACs the rule aims at, over the base network's; None for the choice among published networks."""
    curve: tuple[tuple[float, ScaledRow], ...] = ()
    """Costs at several sizes up to the one chosen."""
    smallest: ScaledRow | None = None
    """The cheapest network the rule has, where the budget is below it."""


def row_document(row: ScaledRow) -> dict[str, object]:
    """Return one network as a document."""
    found: dict[str, object] = {
        "model": f"{row.model}@{row.resolution}",
        "resolution": row.resolution,
        "knobs": {name: list(v) if isinstance(v, tuple) else v for name, v in row.knobs.items()},
        "parameters": row.parameters,
        "macs": row.macs,
        "published": {
            quantity: {"value": there.value, "rounding": there.rounding, "source": there.source}
            for quantity, there in row.published.items()
        },
        "difference": {q: d for q in _QUANTITIES if (d := row.difference(q)) is not None},
    }
    optional = {"phi": row.phi, "rule_phi": row.rule_phi, "formula": row.formula}
    found |= {name: value for name, value in optional.items() if value is not None}
    return found | ({"basis": row.basis} if row.basis else {})


def rows_document(family: str, base: str, rows: Sequence[ScaledRow]) -> dict[str, object]:
    """Return the networks of one family as a document."""
    return {
        "schema_version": 1,
        "family": family,
        "base": base,
        "rows": [row_document(row) for row in rows],
    }


def choices_document(
    family: str, base: str, budget: tuple[CostAxis, float], choices: Sequence[Choice]
) -> dict[str, object]:
    """Return every rule's choice for a budget as a document."""
    axis, limit = budget
    return {
        "schema_version": 1,
        "family": family,
        "base": base,
        "budget": {"kind": str(axis), "limit": limit},
        "choices": [
            {
                "rule": choice.rule,
                "summary": choice.summary,
                "source": choice.source,
                "size": choice.size,
                "network": None if choice.row is None else row_document(choice.row),
                "share": None if choice.row is None else choice.row.cost(str(axis)) / limit,
                "reason": choice.reason,
                "smallest": None if choice.smallest is None else row_document(choice.smallest),
                "curve": [{"size": size, **row_document(row)} for size, row in choice.curve],
            }
            for choice in choices
        ],
    }


def rows_text(rows: Sequence[ScaledRow]) -> str:
    """Write one line a network: knobs, costs, and the published figures beside."""
    with_phi = any(row.phi is not None for row in rows)
    with_rule_phi = any(row.rule_phi is not None for row in rows)
    header = [
        *(["phi"] if with_phi else []),
        *("model", "width", "depth", "pixels", "parameters", "published", "differs"),
        *("MACs", "published", "differs"),
        *(["rule's phi"] if with_rule_phi else []),
    ]
    cells = [
        [
            *([_number(row.phi)] if with_phi else []),
            f"{row.model}@{row.resolution}",
            *(_number(row.knobs.get(axis)) for axis in ("width", "depth")),
            str(row.resolution),
            *_compared(row, "parameters"),
            *_compared(row, "macs"),
            *([_number(row.rule_phi, 2)] if with_rule_phi else []),
        ]
        for row in rows
    ]
    return _table(header, cells, left=("model",))


def formula_text(rows: Sequence[ScaledRow], name: str) -> str:
    """Write what a formula gives at each network's cost, beside the network itself."""
    cells = [
        [
            row.model,
            _number(row.formula["share"], 4),
            *(
                f"{_number(row.formula[axis])} ({_number(row.knobs[axis])})"
                for axis in ("resolution", "depth", "width")
            ),
            "the same" if row.formula["same"] else "another network",
        ]
        for row in rows
        if row.formula is not None
    ]
    header = [f"{name} at the cost of", "MACs over the base", "pixels", "depth", "width", "(published)"]
    return _table(header, cells, left=(header[0], header[-1]))


def choices_text(base: str, budget: tuple[CostAxis, float], choices: Sequence[Choice]) -> str:
    """Write one line a rule: what it would build for the budget, and what that costs."""
    axis, limit = budget
    cells = []
    for choice in choices:
        row = choice.row
        if row is None:
            cells.append([choice.rule, "-", "", "", "", choice.reason])
            continue
        share = f"{row.cost(str(axis)) / limit:.1%}"
        costs = [_short(row.parameters), _short(row.macs), share]
        cells.append([choice.rule, f"{row.model}@{row.resolution}", *costs, choice.reason])
    header = ["rule", "would build", "parameters", "MACs", "of the budget", ""]
    lines = [f"largest network within {axis} <= {_short(limit)} by each rule, from {base}:", ""]
    lines.append(_table(header, cells, left=("rule", "would build", "")))
    lines += ["", *(f"  {choice.rule}: {choice.summary} ({choice.source})" for choice in choices)]
    return "\n".join(lines)


def _compared(row: ScaledRow, quantity: str) -> list[str]:
    there, difference = row.published.get(quantity), row.difference(quantity)
    if there is None or difference is None:
        return [_short(row.cost(quantity)), "-", "-"]
    return [_short(row.cost(quantity)), _short(there.value), f"{difference:+.1%}"]


def _short(value: float) -> str:
    """Write an amount with three or four digits and a suffix: ``5.289 M``."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.4g} {suffix}"
    return format_count(round(value))


def _number(value: object, digits: int = 4) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}" if digits > 2 else f"{value:.{digits}f}"
    return "-" if value is None else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str]) -> str:
    """Align columns; those not in ``left`` are numbers, set flush right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(row, widths, header, strict=True)
        ).rstrip()
        for row in (header, *rows)
    )
