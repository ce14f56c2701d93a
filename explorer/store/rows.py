"""Rows of the ledger: written once, superseded, never changed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, insert, select, update

from explorer.errors import InputDataError
from explorer.store.database import canonical_json
from explorer.store.schema import metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row that is to be the current one of its key."""

    table: Table
    key: Mapping[str, object]
    """What it is about."""
    values: Mapping[str, object]
    """What it says."""
    content: str
    """SHA-256 of what it says: equal records have equal content in every store."""


class Merged(StrEnum):
    """What became of a row that was written in another store."""

    ADDED = "added"
    """Nothing was known of its key."""
    THERE = "there already"
    """The current row says the same."""
    SUPERSEDED = "superseded"
    """Another row was current; the new one is now."""
    OUTDATED = "outdated"
    """This store held it before and has corrected it since: the correction stands."""


def plain(value: object, where: str) -> object:
    """Return ``value`` as JSON has it: dictionaries with text keys, lists, text, finite numbers.

    Raises:
        InputDataError: something in ``value`` has no JSON form; ``where`` says what it was part of.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)  # an enumeration's member becomes its text
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, float):
        if not np.isfinite(value):
            raise InputDataError(f"{where} holds {value!r}; wanted a finite number")
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputDataError(f"{where} holds a key {key!r}; wanted text")
        return {str(key): plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part, where) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    raise InputDataError(f"{where} holds a {type(value).__name__}; wanted text, numbers, lists or mappings")


def content_of(value: object, where: str) -> str:
    """Return the SHA-256 of what ``value`` says: equal records have equal content in every store.

    Raises:
        InputDataError: something in ``value`` has no JSON form.
    """
    return hashlib.sha256(canonical_json(plain(value, where)).encode()).hexdigest()


def append(connection: Connection, row: NewRow) -> int:
    """Make a row the current one of its key and return its id; saying the same twice adds nothing.

    The caller holds the write lock, so that nobody else takes the next id in between.
    """
    old = current_row(connection, row)
    if old is not None and old["content"] == row.content:
        return int(old["id"])
    return replace_row(connection, row, old)


def merge(
    connection: Connection,
    row: NewRow,
    created_at: str,
    same: Callable[[RowMapping], bool] | None = None,
) -> Merged:
    """Write a row of another store, unless this one knows it, be it as a row that was corrected since.

    Otherwise reading two bundles again, of which the second corrects the first, would undo the correction.

    Args:
        connection: holds the write lock.
        row: what is to be written.
        created_at: when it was written first.
        same: tells whether a row with the same key says the same; equal content or columns by default.
    """
    says_the_same = same or (lambda old: _says(old, row))
    old = current_row(connection, row)
    if old is None:
        replace_row(connection, row, None, created_at)
        return Merged.ADDED
    if says_the_same(old):
        return Merged.THERE
    # Only here: superseded rows are in no index.
    earlier = select(row.table).where(*_has_key(row), row.table.c.superseded_by.is_not(None))
    if any(says_the_same(known) for known in connection.execute(earlier).mappings()):
        return Merged.OUTDATED
    replace_row(connection, row, old, created_at)
    return Merged.SUPERSEDED


def current_row(connection: Connection, row: NewRow) -> RowMapping | None:
    """Return the current row with the key of ``row``, or None."""
    query = select(row.table).where(current(row.table), *_has_key(row))
    return connection.execute(query).mappings().one_or_none()


def replace_row(
    connection: Connection, row: NewRow, old: RowMapping | None, created_at: str | None = None
) -> int:
    """Write ``row``, let ``old`` (where there is one) point to it, and return its id."""
    new_id = next_id(connection, row.table)
    if old is not None:
        connection.execute(update(row.table).where(row.table.c.id == old["id"]).values(superseded_by=new_id))
    values = {"id": new_id, **row.key, **row.values, "content": row.content}
    connection.execute(insert(row.table).values({**values, "created_at": created_at or now()}))
    return new_id


def _has_key(row: NewRow) -> list[ColumnElement[bool]]:
    return [row.table.c[name] == value for name, value in row.key.items()]


def _says(old: RowMapping, row: NewRow) -> bool:
    return old["content"] == row.content or all(old[name] == value for name, value in row.values.items())


def look_up(
    connection: Connection,
    table: Table,
    key: Mapping[str, object],
    values: Mapping[str, object] | None = None,
) -> int:
    """Return the id of the row with ``key``, written first if it is not there."""
    found = connection.execute(
        select(table.c.id).where(*(table.c[name] == value for name, value in key.items()))
    ).scalar()
    if found is not None:
        return int(found)
    new_id = next_id(connection, table)
    connection.execute(insert(table).values({"id": new_id, **key, **(values or {})}))
    return new_id


def current(table: Table) -> ColumnElement[bool]:
    """Return the condition that no later row corrects a row."""
    return table.c.superseded_by.is_(None)


def next_id(connection: Connection, table: Table) -> int:
    """Return one more than the largest id: rows are never deleted, so none is used twice."""
    return int(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()) + 1


def now() -> str:
    """Return the time, UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def stamp(connection: Connection) -> str:
    """Return a text that changes whenever a row is added; nothing else ever changes."""
    tables = [table for table in metadata.sorted_tables if "superseded_by" in table.c]
    query = select(*(select(func.max(table.c.id)).scalar_subquery().label(table.name) for table in tables))
    return "-".join(str(largest or 0) for largest in connection.execute(query).one())
