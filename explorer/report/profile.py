"""Profiles for people and for machines: timed rows, scenarios, and the plan before them."""

import math
from collections.abc import Mapping, Sequence

from explorer.convention import COST_KINDS
from explorer.profile_record import ProfileRow, ScenarioRow, TailBound
from explorer.record import Conditions, CostFigure, LatencyRun
from explorer.report.documents import SCHEMA_VERSION, Document
from explorer.report.profile_parts import (
    energy_notes,
    energy_part,
    energy_table,
    finite,
    format_interval,
    placed_document,
    placement_notes,
    placements_table,
)
from explorer.report.terminal import table
from explorer.report.text import format_amount, format_count, format_seconds, format_share
from explorer.workload import Workload

SHOWN_ROWS = 30
"""Rows of a plan on the terminal."""
SHOWN_REASONS = 3
_RAW = "_samples_s"
"""Raw samples beside the measurement stay in the store: a document gives what follows from them."""
_LATENCY = COST_KINDS["latency"]

PlannedRow = tuple[str, Workload, float]
"""Model, workload, estimated seconds."""


# ---- documents --------------------------------------------------------------------------------


def profile_document(
    rows: Sequence[ProfileRow],
    *,
    scenarios: Sequence[ScenarioRow] = (),
    left_out: Sequence[tuple[str, Workload]] = (),
) -> Document:
    """Lay out measured, compiled or predicted latencies; a row's subject is its ``model`` or its ``design``.

    Args:
        rows: one for every model and workload, or ensemble, workload and placement.
        scenarios: what follows from them.
        left_out: subject and workload of rows that did not fit in the time given.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": [_row_document(row) for row in rows],
        "scenarios": [_scenario_document(row) for row in scenarios],
        "left_out": [{**subject_part(text), "workload": str(workload)} for text, workload in left_out],
    }


def subject_part(text: str) -> Document:
    """Lay out what a row is about: an ensemble's text has members in parentheses, a model's has none."""
    return {"design" if "(" in text else "model": text}


def plan_document(
    planned: Sequence[PlannedRow],
    *,
    left_out: Sequence[PlannedRow],
    stored: int,
    refused: Sequence[ProfileRow],
) -> Document:
    """Lay out what a profile would do."""

    def lay(rows: Sequence[PlannedRow]) -> list[Document]:
        return [{**subject_part(text), "workload": str(w), "seconds": seconds} for text, w, seconds in rows]

    return {
        "schema_version": SCHEMA_VERSION,
        "planned": lay(planned),
        "seconds": sum(seconds for _, _, seconds in planned),
        "left_out": lay(left_out),
        "stored": stored,
        "refused": [
            {**subject_part(row.subject), "workload": str(row.workload), "error": row.error}
            for row in refused
        ],
    }


def _row_document(row: ProfileRow) -> Document:
    figure, workload = row.figure, row.workload
    value = None if figure is None else figure.value
    return {
        **subject_part(row.subject),
        "workload": str(workload),
        "placement": None if row.placed is None else row.placed.placement,
        **_conditions_part(row),
        "batch": workload.batch,
        "precision": str(workload.precision),
        "runtime": str(workload.runtime),
        "latency_s": _percentiles(row),
        "latency_bounds_s": {name: _tail_document(tail) for name, tail in row.tails.items()},
        "time_per_example_s": None if value is None else value / workload.batch,
        "throughput_per_s": workload.batch / value if value else None,
        "basis": None if figure is None else str(figure.basis),
        "low": None if figure is None else figure.low,
        "high": None if figure is None else finite(figure.high),
        **_samples_part(row.run),
        "doubtful": bool(row.doubtful_reasons) or (row.run is not None and row.run.doubtful),
        "doubtful_reasons": list(row.doubtful_reasons),
        "series_medians_s": list(row.series_medians_s),
        "series_spread": row.series_spread,
        "memory_bytes": row.memory_bytes,
        "from_store": row.from_store,
        "observations": {} if row.run is None else _plain_observations(row.run.observations),
        "ensemble": placed_document(row.placed),
        **energy_part(row.energy),
        "notes": list(row.notes),
        "details": dict(row.details),
        "error": row.error,
    }


def _conditions_part(row: ProfileRow) -> Document:
    found = None if row.run is None else row.run.conditions
    if found is None:
        return {
            "device": row.workload.device,
            "device_name": None,
            "dtype": None,
            "threads": row.workload.threads,
            "backend": None,
            "conditions": None,
        }
    return {
        "device": found.device,
        "device_name": found.device_name,
        "dtype": found.dtype,
        "threads": found.threads,
        "backend": found.backend,
        "conditions": conditions_document(found),
    }


def conditions_document(found: Conditions) -> Document:
    """Lay out under what a figure was measured."""
    said = {name: getattr(found, name) for name in Conditions.__dataclass_fields__}
    return {**said, "versions": dict(found.versions)}


def _samples_part(run: LatencyRun | None) -> Document:
    if run is None:
        return {"samples": 0, "stop_reason": None, "spread": None}
    spread = run.spread
    return {
        "samples": len(run.samples_s),
        "stop_reason": run.stop_reason,
        "spread": spread if math.isfinite(spread) else None,
    }


def _percentiles(row: ProfileRow) -> Document | None:
    """Return the samples' percentiles; of a figure without samples only its median is known."""
    if row.tails:
        return {name: tail.value for name, tail in row.tails.items()}
    return None if row.figure is None else {"p50": row.figure.value, "p90": None, "p99": None}


def _tail_document(tail: TailBound) -> Document:
    return {
        "low": tail.low,
        "high": tail.high,
        "confidence": tail.confidence,
        "early_stopping": tail.early_stopping,
        "samples_needed": tail.samples_needed,
    }


def _plain_observations(seen: Mapping[str, object]) -> Document:
    return {name: value for name, value in seen.items() if not name.endswith(_RAW)}


def _scenario_document(row: ScenarioRow) -> Document:
    return {
        **subject_part(row.subject),
        "scenario": row.scenario,
        "workload": str(row.workload),
        "unit": row.unit,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "basis": str(row.basis),
        "details": dict(row.details),
        "error": row.error,
    }


# ---- text -------------------------------------------------------------------------------------


def profile_text(
    rows: Sequence[ProfileRow],
    *,
    scenarios: Sequence[ScenarioRow] = (),
    left_out: Sequence[tuple[str, Workload]] = (),
) -> str:
    """Write latencies, one line a model and workload, then scenarios, then what is to be said of them."""
    timed = [row for row in rows if row.figure is not None]
    parts = [_rows_table(timed)] if timed else []
    if any(row.placed is not None for row in rows):
        parts.append(placements_table(rows))
    if any(row.energy is not None and row.energy.figure is not None for row in rows):
        parts.append(energy_table(rows))
    if scenarios:
        parts.append(_scenarios_table(scenarios))
    notes = [f"no figure: {_named(row)}: {row.error}" for row in rows if row.error]
    notes += [f"doubtful: {_named(row)}: {_some(_reasons(row))}" for row in timed if _reasons(row)]
    notes += _row_notes(rows)
    notes += placement_notes(rows) + energy_notes(rows)
    notes += [f"no figure: {row.subject}, {row.scenario}: {row.error}" for row in scenarios if row.error]
    if left_out:
        notes.append(f"left out for lack of time: {_listed(left_out)}; the same command continues")
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def plan_text(
    planned: Sequence[PlannedRow],
    *,
    left_out: Sequence[PlannedRow],
    stored: int,
    refused: Sequence[ProfileRow],
) -> str:
    """Write what a profile is going to do, and how long it may take."""
    total = sum(seconds for _, _, seconds in planned)
    lines = [f"plan: {_rows(len(planned))} to time, about {format_seconds(total)} at most"]
    if stored:
        lines.append(
            f"{_rows(stored)} in the store already, under the same conditions (--again times them anew)"
        )
    lines += [f"cannot be: {row.subject} on {row.workload}: {row.error}" for row in refused]
    if planned:
        shown = [(model, str(w), format_seconds(seconds)) for model, w, seconds in planned[:SHOWN_ROWS]]
        lines.append(table(("model", "workload", "estimate"), shown))
    if len(planned) > SHOWN_ROWS:
        lines.append(f"... and {_rows(len(planned) - SHOWN_ROWS)} more")
    if left_out:
        seconds = sum(seconds for _, _, seconds in left_out)
        pairs = [(model, workload) for model, workload, _ in left_out]
        lines.append(f"left out for lack of time, about {format_seconds(seconds)} more: {_listed(pairs)}")
    return "\n".join(lines)


def _row_notes(rows: Sequence[ProfileRow]) -> list[str]:
    """Write each note once, with the row it is about or how many rows."""
    about: dict[str, list[ProfileRow]] = {}
    for row in rows:
        for note in row.notes:
            about.setdefault(note, []).append(row)
    return [
        f"note: {_named(named[0]) if len(named) == 1 else _rows(len(named))}: {note}"
        for note, named in about.items()
    ]


def _named(row: ProfileRow) -> str:
    placed = "" if row.placed is None else f" placed {row.placed.placement}"
    return f"{row.subject} on {row.workload}{placed}"


def _rows_table(rows: Sequence[ProfileRow]) -> str:
    header = (
        "subject", "workload", "basis", "p50", "interval of p50", "p90", "p99", "p99 at most",
        "examples/s", "spread", "samples",
    )  # fmt: skip
    return table(header, [_cells(row) for row in rows])


def _cells(row: ProfileRow) -> tuple[str, ...]:
    figure, run = row.figure, row.run
    if figure is None:
        raise ValueError(f"{row.subject} on {row.workload} has no figure")
    tails = [row.tails.get(name) for name in ("p90", "p99")]
    tail = tails[1]
    return (
        row.subject,
        str(row.workload) if row.placed is None else f"{row.workload} {row.placed.placement}",
        str(figure.basis),
        format_amount(figure.value, _LATENCY),
        format_interval(figure, _LATENCY),
        *("n/a" if one is None else format_amount(one.value, _LATENCY) for one in tails),
        _bound(tail),
        _rate(row, figure),
        "n/a" if run is None or len(run.samples_s) < 4 else format_share(run.spread),
        _samples(row),
    )


def _rate(row: ProfileRow, figure: CostFigure) -> str:
    """Write examples a second; where the time has no upper end, that they are not more."""
    if not figure.value:
        return "n/a"
    rate = format_count(round(row.workload.batch / figure.value))
    return f"at most {rate}" if math.isinf(figure.high) else rate


def _bound(tail: TailBound | None) -> str:
    if tail is None:
        return "n/a"
    if tail.high is None:
        return f"needs {tail.samples_needed} samples"
    return format_amount(tail.high, _LATENCY)


def _samples(row: ProfileRow) -> str:
    if row.run is None:
        return "none"
    parts = [f"{len(row.run.samples_s)} ({row.run.stop_reason})"]
    if row.series_spread is not None:
        parts.append(f"{len(row.series_medians_s)} series within {format_share(row.series_spread)}")
    if row.from_store:
        parts.append("from the store")
    if _reasons(row):
        parts.append("doubtful")
    return ", ".join(parts)


def _reasons(row: ProfileRow) -> tuple[str, ...]:
    if row.doubtful_reasons:
        return row.doubtful_reasons
    return ("the samples scatter",) if row.run is not None and row.run.doubtful else ()


def _some(reasons: Sequence[str]) -> str:
    """Write the first reasons: repeated series bring the same ones again, with other figures."""
    more = f"; and {len(reasons) - SHOWN_REASONS} more (--json)" if len(reasons) > SHOWN_REASONS else ""
    return "; ".join(reasons[:SHOWN_REASONS]) + more


def _scenarios_table(rows: Sequence[ScenarioRow]) -> str:
    header = ("subject", "scenario", "workload", "basis", "result", "interval", "settings")
    return table(header, [_scenario_cells(row) for row in rows if row.value is not None])


def _scenario_cells(row: ScenarioRow) -> tuple[str, ...]:
    def amount(value: float | None) -> str:
        if value is None:
            return "unknown"
        return format_amount(value, _LATENCY) if row.unit == "s" else f"{format_count(round(value))}/s"

    settings = ", ".join(f"{name} {_short(value)}" for name, value in row.details.items())
    return (
        row.subject,
        row.scenario,
        str(row.workload),
        str(row.basis),
        amount(row.value),
        f"{amount(row.low)} to {amount(row.high)}",
        settings,
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return "/".join(map(str, value))
    return str(value)


def _rows(count: int) -> str:
    return f"{format_count(count)} row" + ("" if count == 1 else "s")


def _listed(rows: Sequence[tuple[str, Workload]]) -> str:
    shown = [f"{model} on {workload}" for model, workload in rows[:5]]
    return ", ".join(shown) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
