"""Cost figures of models, as rows, and the raw samples behind them, as Parquet."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, select

from explorer.convention import Basis, cost_kind
from explorer.errors import InputDataError, UsageError
from explorer.record import Conditions, CostFigure, CostRecord
from explorer.spec import ModelSpec
from explorer.store.database import canonical_json
from explorer.store.rows import NewRow, append, content_of, current, look_up, plain
from explorer.store.schema import conditions, costs, models

_NOTES = b"notes"
"""Key of a Parquet file's metadata."""


def put_cost(connection: Connection, record: CostRecord) -> None:
    """Write a cost figure; the caller has checked it and stored its samples."""
    append(connection, cost_row(connection, record))


def cost_row(connection: Connection, record: CostRecord) -> NewRow:
    """Return the row of a cost figure; its model and conditions are written."""
    model = {
        "name": record.model.name,
        "resolution": record.model.resolution or 0,
        "channels": record.channels,
        "classes": record.classes,
    }
    return NewRow(
        table=costs,
        key={
            "model_id": look_up(connection, models, model),
            "kind": record.kind,
            "device": record.device or "",
            "basis": str(record.figure.basis),
            "convention": record.convention,
            "workload": _workload(record.conditions),
        },
        values={
            "value": record.figure.value,
            "low": record.figure.low,
            "high": record.figure.high,
            "source": record.source,
            "conditions_id": _conditions_id(connection, record.conditions),
            "samples_digest": record.samples_digest,
        },
        content=content_of(record, f"cost of {record.model}"),
    )


def read_costs(
    connection: Connection, kind: str | None = None, device: str | None = None, since: str = ""
) -> tuple[CostRecord, ...]:
    """Return the current cost figures written at ``since`` (ISO 8601, UTC) or later, oldest first."""
    query = current_costs().order_by(costs.c.id)
    if kind is not None:
        query = query.where(costs.c.kind == kind)
    if since:
        query = query.where(costs.c.created_at >= since)
    if device is not None:
        query = query.where(costs.c.device == device)
    return tuple(cost_record(row) for row in connection.execute(query).mappings())


def current_costs() -> Select[Any]:
    """Return the query for the current rows, with model and conditions, as `cost_record` takes them."""
    columns = [column for column in conditions.c if column.name not in ("id", "content", "device")]
    return (
        select(
            costs,
            models.c.name,
            models.c.resolution,
            models.c.channels,
            models.c.classes,
            conditions.c.device.label("conditions_device"),
            *columns,
        )
        .join(models, costs.c.model_id == models.c.id)
        .outerjoin(conditions, costs.c.conditions_id == conditions.c.id)
        .where(current(costs))
    )


def require_cost(record: CostRecord) -> None:
    """Refuse a figure that could not be used later.

    Raises:
        UsageError: unknown or derived cost kind, device missing or out of place, or no resolution of a
            figure that somebody here worked out.
        InputDataError: figures that are not finite, negative, or outside their own interval.
    """
    kind = cost_kind(record.kind)
    if kind.derived_from is not None:
        raise UsageError(f"{record.kind} is derived from {kind.derived_from} and never stored; store that")
    if kind.needs_device != (record.device is not None):
        wanted = "a device" if kind.needs_device else "no device"
        raise UsageError(f"cost kind {record.kind} needs {wanted}, got device {record.device!r}")
    if record.model.resolution is None and record.figure.basis is not Basis.PUBLISHED:
        raise UsageError(f"a cost needs the model's resolution, got {record.model}; wanted NAME@RESOLUTION")
    figure = record.figure
    if not np.isfinite([figure.value, figure.low, figure.high]).all():
        raise InputDataError(f"{record.kind} of {record.model} is not finite: {figure}")
    if not 0 <= figure.low <= figure.value <= figure.high:
        raise InputDataError(
            f"{record.kind} of {record.model}: wanted 0 <= low <= value <= high, got "
            f"{figure.low!r}, {figure.value!r}, {figure.high!r}"
        )


def as_floats(figure: CostFigure) -> CostFigure:
    """Return the figure as the ledger gives it back: a count of 3 is the same as one of 3.0."""
    return CostFigure(
        value=float(figure.value), low=float(figure.low), high=float(figure.high), basis=figure.basis
    )


def encode_samples(
    samples: Sequence[float], warmup: Sequence[float], notes: Mapping[str, object] | None = None
) -> bytes:
    """Return raw samples and warm-ups as Parquet: columns ``phase`` and ``value``, in the order taken.

    Args:
        samples: in the cost kind's unit.
        warmup: discarded first samples.
        notes: what was seen beside them; JSON, in the file's metadata under ``notes``.

    Raises:
        InputDataError: no samples, a sample that is not a finite number of 0 or more, or notes that have
            no JSON form.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = np.asarray([*warmup, *samples], dtype=np.float64)
    if len(samples) == 0:
        raise InputDataError("a measurement needs at least one sample, got none")
    if not np.isfinite(values).all() or values.min() < 0:
        raise InputDataError("the samples of a measurement must be finite and 0 or more")
    phase = ["warmup"] * len(warmup) + ["sample"] * len(samples)
    buffer = io.BytesIO()
    table = pa.table({"phase": pa.array(phase), "value": pa.array(values)})
    if notes:
        table = table.replace_schema_metadata({_NOTES: canonical_json(plain(notes, "notes")).encode()})
    pq.write_table(table, buffer)
    return buffer.getvalue()


def decode_notes(data: bytes) -> dict[str, Any]:
    """Return what was seen beside the samples; empty where nothing was written down."""
    import pyarrow.parquet as pq

    found = (pq.read_schema(io.BytesIO(data)).metadata or {}).get(_NOTES)
    return {} if found is None else dict(json.loads(found))


def decode_samples(data: bytes, phase: str) -> np.ndarray:
    """Return the values of one phase, ``sample`` or ``warmup``, in the order taken."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    chosen = np.asarray(table["phase"].to_pylist()) == phase
    return np.asarray(table["value"].to_numpy(), dtype=np.float64)[chosen]


def _workload(found: Conditions | None) -> str:
    """Return what was run and on what, versions and power state left out.

    A newer software version measures the same thing again and supersedes; another batch size, number
    of threads, memory format or machine measures another thing and stands beside.
    """
    if found is None:
        return ""
    parts = [found.backend, found.dtype, f"b{found.batch}", f"t{found.threads}"]
    # Only where they are not the usual: the key of a row written before these were told apart stays.
    parts += [] if found.memory_format == "contiguous" else [found.memory_format]
    parts += [] if found.form == "as-built" else [found.form]
    return " ".join((*parts, found.device, found.device_name))


def _conditions_id(connection: Connection, found: Conditions | None) -> int | None:
    if found is None:
        return None
    values = plain(found, "conditions")
    assert isinstance(values, dict)  # a dataclass's plain form
    return look_up(connection, conditions, {"content": content_of(found, "conditions")}, values)


def cost_record(row: Mapping[Any, Any]) -> CostRecord:
    """Return the record of a row of costs, joined with its model and conditions."""
    measured = None
    if row["conditions_id"] is not None:
        measured = Conditions(
            device=row["conditions_device"],
            device_name=row["device_name"],
            dtype=row["dtype"],
            batch=row["batch"],
            threads=row["threads"],
            backend=row["backend"],
            versions=row["versions"],
            power_state=row["power_state"],
            memory_format=row["memory_format"],
            form=row["form"],
        )
    return CostRecord(
        model=ModelSpec(row["name"], row["resolution"] or None),
        channels=row["channels"],
        classes=row["classes"],
        kind=row["kind"],
        device=row["device"] or None,
        figure=CostFigure(value=row["value"], low=row["low"], high=row["high"], basis=Basis(row["basis"])),
        convention=row["convention"],
        source=row["source"],
        conditions=measured,
        samples_digest=row["samples_digest"],
    )
