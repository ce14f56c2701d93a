"""Parts of a profile beside the time itself: placements of ensembles, and energy, as documents and text."""

import math
from collections import Counter
from collections.abc import Sequence

from explorer.convention import COST_KINDS, CostKind
from explorer.profile_record import EnergyPart, PlacedTimes, ProfileRow
from explorer.record import CostFigure
from explorer.report.documents import Document
from explorer.report.terminal import table
from explorer.report.text import TIMES, format_amount, significant

_LATENCY = COST_KINDS["latency"]
_ENERGY = COST_KINDS["energy"]
NOT_ASKED = "not asked for: --energy"


# ---- documents --------------------------------------------------------------------------------


def figure_document(figure: CostFigure | None) -> Document | None:
    """Lay out a figure with its interval and basis; an end that is infinite is null."""
    if figure is None:
        return None
    return {
        "value": figure.value,
        "low": finite(figure.low),
        "high": finite(figure.high),
        "basis": str(figure.basis),
    }


def finite(value: float) -> float | None:
    """Return the value, or None where it has no end: JSON has no infinity."""
    return value if math.isfinite(value) else None


def placed_document(placed: PlacedTimes | None) -> Document | None:
    """Lay out an ensemble in a placement beside its members; None where the subject is a model."""
    if placed is None:
        return None
    return {
        "members": [
            {"model": name, "latency_s": seconds}
            for name, seconds in zip(placed.members, placed.members_s, strict=True)
        ],
        "sum_s": sum(placed.members_s),
        "slowest_s": max(placed.members_s),
        "combination_s": placed.combination_s,
        "interference": figure_document(placed.interference),
        "over_sum": figure_document(placed.over_sum),
        "over_slowest": figure_document(placed.over_slowest),
        "composed_s": figure_document(placed.composed),
        **placed.details,
    }


def energy_part(energy: EnergyPart | None) -> Document:
    """Lay out what an example takes in energy: null is unknown, with the reason, and never 0."""
    if energy is None:
        return {"energy_j": None, "energy_reason": NOT_ASKED, "energy_details": {}}
    return {
        "energy_j": figure_document(energy.figure),
        "energy_reason": energy.reason,
        "energy_details": dict(energy.details),
    }


# ---- text -------------------------------------------------------------------------------------


def format_interval(figure: CostFigure, kind: CostKind) -> str:
    """Write where the truth is expected: ``1.00 ms to 2.00 ms``, or ``1.00 ms or more``."""
    low = format_amount(figure.low, kind)
    return f"{low} or more" if math.isinf(figure.high) else f"{low} to {format_amount(figure.high, kind)}"


def placements_table(rows: Sequence[ProfileRow]) -> str:
    """Write ensembles in their placements, one a line: measured beside the members and beside composed."""
    header = (
        "design", "placement", "workload", "measured", "sum of members", "over the sum", "slowest member",
        "over the slowest", "interference", "composed",
    )  # fmt: skip
    return table(header, [_placed_cells(row, row.placed) for row in rows if row.placed is not None])


def _placed_cells(row: ProfileRow, placed: PlacedTimes) -> tuple[str, ...]:
    return (
        row.subject,
        placed.placement,
        str(row.workload),
        "n/a" if row.figure is None else format_amount(row.figure.value, _LATENCY),
        format_amount(sum(placed.members_s), _LATENCY),
        _factor(placed.over_sum),
        format_amount(max(placed.members_s), _LATENCY),
        _factor(placed.over_slowest),
        _factor(placed.interference),
        _composed(placed.composed),
    )


def _factor(figure: CostFigure | None) -> str:
    if figure is None:
        return "n/a"
    ends = f"{significant(figure.low)} to {significant(figure.high)}"
    return f"{significant(figure.value)}{TIMES} ({ends})"


def _composed(figure: CostFigure | None) -> str:
    if figure is None:
        return "needs a measured factor"
    if math.isinf(figure.high):
        return f"{format_interval(figure, _LATENCY)} ({figure.basis})"
    return f"{format_amount(figure.value, _LATENCY)} ({figure.basis})"


def placement_notes(rows: Sequence[ProfileRow]) -> list[str]:
    """Say once what was run: whose weights, and by what."""
    weights = dict.fromkeys(str(row.placed.details.get("weights")) for row in rows if row.placed is not None)
    notes = [f"members' weights: {text}" for text in weights]
    if weights:
        notes.append(
            "interference: time over members as fast as alone and the mean of their answers; "
            "all from the same rounds, in torch (`explorer verify` times the file that ships)"
        )
    return notes


def energy_table(rows: Sequence[ProfileRow]) -> str:
    """Write what an example takes in energy, one row a line; those of which it is known."""
    header = ("subject", "workload", "basis", "energy/example", "interval", "power", "idle", "read from")
    known = [(row, row.energy, figure) for row in rows if row.energy and (figure := row.energy.figure)]
    return table(header, [_energy_cells(*one) for one in known])


def _energy_cells(row: ProfileRow, energy: EnergyPart, figure: CostFigure) -> tuple[str, ...]:
    details = energy.details
    workload = str(row.workload) if row.placed is None else f"{row.workload} {row.placed.placement}"
    return (
        row.subject,
        workload,
        str(figure.basis),
        format_amount(figure.value, _ENERGY),
        format_interval(figure, _ENERGY),
        _watts(details.get("power_w")),
        _watts(details.get("idle_w")),
        str(details.get("meter") or f"{_watts(details.get('tdp_w'))} rated, {details.get('device')}"),
    )


def _watts(value: object) -> str:
    return f"{significant(value)} W" if isinstance(value, float | int) else "n/a"


def energy_notes(rows: Sequence[ProfileRow]) -> list[str]:
    """Say once for each reason why energies were not measured, and that they are bounds or unknown."""
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.energy and row.energy.reason:
            what = "unknown" if row.energy.figure is None else "only bounded"
            found[what, row.energy.reason] += 1
    return [f"energy {what} ({count} of {len(rows)} rows): {why}" for (what, why), count in found.items()]
