"""Tables that others published, as rows: one a file, with the file's digest; a changed file supersedes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, select

from explorer.data.catalogue import CatalogueRow, CatalogueTable
from explorer.data.timm_results import AccuracyRow, AccuracyTable
from explorer.data.timm_tables import BenchmarkRow, BenchmarkTable
from explorer.errors import StoreError
from explorer.store.database import reading, writing
from explorer.store.rows import NewRow, content_of, current, current_row, replace_row
from explorer.store.schema import published
from explorer.workload import Precision, Runtime

if TYPE_CHECKING:
    from explorer.store.ledger import Store

ACCURACY, COST = "accuracy", "cost"
Table = AccuracyTable | CatalogueTable | BenchmarkTable
_ROWS = {AccuracyTable: AccuracyRow, CatalogueTable: CatalogueRow, BenchmarkTable: BenchmarkRow}


class PutOutcome(StrEnum):
    """What became of a table that was put."""

    ADDED = "added"
    THERE = "there already"
    REPLACED = "replaced"
    """Another file had that name; its row is kept, superseded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One published table, and the file it was read from."""

    dataset: str
    """Name under which it is asked for."""
    digest: str
    """SHA-256 of the file, or of the rows where there is none."""
    source: str
    """Who published it."""
    table: Table

    @property
    def name(self) -> str:
        """The file's name without ending: one table of a data set has it."""
        return self.table.name

    @property
    def kind(self) -> str:
        """``accuracy`` or ``cost``."""
        return COST if isinstance(self.table, BenchmarkTable) else ACCURACY


def put_published(store: "Store", tables: Sequence[PublishedTable]) -> dict[str, PutOutcome]:
    """Write tables of one data set, all of them or none, and return by name what became of each.

    Raises:
        InputDataError: a figure that is not finite.
        StoreError: the store is locked, damaged or full.
    """
    named = {table.name: table for table in tables}
    return dict(zip(named, put_tables(store, tuple(named.values())), strict=True))


def put_tables(store: "Store", tables: Sequence[PublishedTable]) -> tuple[PutOutcome, ...]:
    """Write tables of any data sets, all of them or none, and return what became of each, in order.

    Raises:
        InputDataError: a figure that is not finite.
        StoreError: the store is locked, damaged or full.
    """
    outcomes = []
    with writing(store._engine) as connection:
        for row in [_row(table) for table in tables]:
            old = current_row(connection, row)
            if old is not None and old["content"] == row.content:
                outcomes.append(PutOutcome.THERE)
                continue
            replace_row(connection, row, old)
            outcomes.append(PutOutcome.ADDED if old is None else PutOutcome.REPLACED)
    return tuple(outcomes)


def published_tables(store: "Store", dataset: str | None = None) -> tuple[PublishedTable, ...]:
    """Return the current published tables, of one data set or of all, by data set and name.

    Raises:
        StoreError: the store is locked or damaged.
    """
    with reading(store._engine) as connection:
        return read_published(connection, dataset)


def published_datasets(store: "Store") -> tuple[str, ...]:
    """Return the names of the data sets that have published accuracies, sorted.

    Raises:
        StoreError: the store is locked or damaged.
    """
    query = select(published.c.dataset).where(current(published), published.c.kind == ACCURACY).distinct()
    with reading(store._engine) as connection:
        return tuple(sorted(connection.execute(query).scalars()))


def read_published(connection: Connection, dataset: str | None = None) -> tuple[PublishedTable, ...]:
    """Return the current published tables, by data set and name.

    Raises:
        StoreError: a row cannot be read back.
    """
    query = select(published).where(current(published)).order_by(published.c.dataset, published.c.name)
    if dataset is not None:
        query = query.where(published.c.dataset == dataset)
    return tuple(_table(row) for row in connection.execute(query).mappings())


def _row(record: PublishedTable) -> NewRow:
    key = {"dataset": record.dataset, "name": record.name}
    values = {
        "kind": record.kind,
        "digest": record.digest,
        "source": record.source,
        "entries": len(record.table.rows),
        "document": _document(record.table),
    }
    return NewRow(
        table=published,
        key=key,
        values=values,
        content=content_of({**key, **values}, f"published table {record.name}"),
    )


def _document(table: Table) -> dict[str, object]:
    """Lay a table out: rows as lists, for there are thousands of them."""
    columns = [field.name for field in fields(_ROWS[type(table)])]
    head = {
        field.name: getattr(table, field.name)
        for field in fields(table)
        if field.name not in ("name", "rows")
    }
    head = {name: list(value) if isinstance(value, tuple) else value for name, value in head.items()}
    return {
        **head,
        "columns": columns,
        "rows": [[getattr(row, name) for name in columns] for row in table.rows],
    }


def _table(row: RowMapping) -> PublishedTable:
    kinds: dict[str, Callable[[str, Mapping[str, Any]], Table]] = {
        ACCURACY: _accuracies,
        COST: _costs,
    }
    try:
        table = kinds[row["kind"]](row["name"], row["document"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"published table {row['name']} cannot be read back: {error!r}") from error
    return PublishedTable(dataset=row["dataset"], digest=row["digest"], source=row["source"], table=table)


def _accuracies(name: str, document: Mapping[str, Any]) -> AccuracyTable | CatalogueTable:
    if "counted_by" in document:
        return CatalogueTable(
            name=name,
            test_set=document["test_set"],
            examples=document["examples"],
            counted_by=document["counted_by"],
            rows=tuple(CatalogueRow(**row) for row in _rows(document)),
            notes=tuple(document["notes"]),
        )
    return AccuracyTable(
        name=name,
        test_set=document["test_set"],
        examples=document["examples"],
        rows=tuple(AccuracyRow(**row) for row in _rows(document)),
        notes=tuple(document["notes"]),
    )


def _costs(name: str, document: Mapping[str, Any]) -> BenchmarkTable:
    said = document["precision"]
    return BenchmarkTable(
        name=name,
        device=document["device"],
        precision=None if said is None else Precision(said),
        channels_last=document["channels_last"],
        runtime=Runtime(document["runtime"]),
        rows=tuple(BenchmarkRow(**row) for row in _rows(document)),
        skipped=tuple(document["skipped"]),
    )


def _rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = document["columns"]
    return [dict(zip(columns, row, strict=True)) for row in document["rows"]]
