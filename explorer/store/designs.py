"""Evaluations, exports and verifications of designs, as rows."""

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, select

from explorer.convention import CostAxis
from explorer.errors import StoreError
from explorer.spec import design_id, parse_design
from explorer.store.rows import NewRow, append, content_of, current, look_up, plain
from explorer.store.schema import designs, evaluations, exports, verifications
from explorer.store.values import EvaluationRecord, ExportRecord, VerificationRecord


def put_evaluation(connection: Connection, record: EvaluationRecord) -> None:
    """Write what a design scored.

    Raises:
        UsageError: not a design, or not a cost axis.
        InputDataError: the document has no JSON form.
    """
    append(connection, evaluation_row(connection, record))


def evaluation_row(connection: Connection, record: EvaluationRecord) -> NewRow:
    """Return the row of what a design scored; the design itself is written.

    Raises:
        UsageError: not a design, or not a cost axis.
        InputDataError: the document has no JSON form.
    """
    text, row_id = _design_row(connection, record.design)
    values = {"document": plain(record.document, f"evaluation of {text}")}
    key = {
        "design_id": row_id,
        "dataset": record.dataset,
        "split_digest": record.split_digest,
        "axis": str(CostAxis.parse(record.axis)),
    }
    content = content_of([text, key["axis"], record], text)
    return NewRow(table=evaluations, key=key, values=values, content=content)


def read_evaluations(connection: Connection, dataset: str | None = None) -> tuple[EvaluationRecord, ...]:
    """Return the current evaluations, oldest first."""
    query = select(evaluations, designs.c.text).join(designs, evaluations.c.design_id == designs.c.id)
    query = query.where(current(evaluations)).order_by(evaluations.c.id)
    if dataset is not None:
        query = query.where(evaluations.c.dataset == dataset)
    return tuple(
        EvaluationRecord(
            design=row["text"],
            dataset=row["dataset"],
            split_digest=row["split_digest"],
            axis=row["axis"],
            document=row["document"],
        )
        for row in connection.execute(query).mappings()
    )


def put_export(
    connection: Connection, design: str, dataset: str, path: str | Path, *, digest: str, format: str
) -> ExportRecord:
    """Write that an artefact was built, and return its record.

    Raises:
        UsageError: not a design.
    """
    text, row_id = _design_row(connection, design)
    key = {"path": os.path.abspath(path), "format": format}
    values = {"dataset": dataset, "digest": digest}
    content = content_of({**key, **values, "design": text}, text)
    row = NewRow(table=exports, key=key, values={**values, "design_id": row_id}, content=content)
    export_id = append(connection, row)
    return next(record for record in read_exports(connection) if record.id == export_id)


def read_exports(connection: Connection, dataset: str | None = None) -> tuple[ExportRecord, ...]:
    """Return the current exports, oldest first."""
    query = select(exports, designs.c.text).join(designs, exports.c.design_id == designs.c.id)
    query = query.where(current(exports)).order_by(exports.c.id)
    if dataset is not None:
        query = query.where(exports.c.dataset == dataset)
    return tuple(
        ExportRecord(
            id=row["id"],
            design=row["text"],
            dataset=row["dataset"],
            path=row["path"],
            digest=row["digest"],
            format=row["format"],
            created_at=row["created_at"],
        )
        for row in connection.execute(query).mappings()
    )


def put_verification(
    connection: Connection, export_id: int, passed: bool, document: Mapping[str, object]
) -> None:
    """Write the outcome of a conformance run.

    Raises:
        StoreError: no such export.
        InputDataError: the document has no JSON form.
    """
    known = connection.execute(select(exports.c.id).order_by(exports.c.id)).scalars().all()
    if export_id not in known:
        shown = f"1 to {known[-1]}" if known else "none"
        raise StoreError(f"no export {export_id} in this store; known: {shown}")
    values = {"passed": bool(passed), "document": plain(document, f"verification of export {export_id}")}
    content = content_of(values, f"verification of export {export_id}")
    key = {"export_id": export_id}
    append(connection, NewRow(table=verifications, key=key, values=values, content=content))


def read_verifications(
    connection: Connection, export_id: int | None = None
) -> tuple[VerificationRecord, ...]:
    """Return the latest verification of every export, oldest first."""
    query = select(verifications).where(current(verifications)).order_by(verifications.c.id)
    if export_id is not None:
        query = query.where(verifications.c.export_id == export_id)
    return tuple(
        VerificationRecord(
            export_id=row["export_id"],
            passed=row["passed"],
            document=row["document"],
            created_at=row["created_at"],
        )
        for row in connection.execute(query).mappings()
    )


def _design_row(connection: Connection, design: str) -> tuple[str, int]:
    """Return a design's canonical text and its row."""
    candidate = parse_design(design)
    return str(candidate), look_up(
        connection, designs, {"text": str(candidate)}, {"design_id": design_id(candidate)}
    )
