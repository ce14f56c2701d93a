"""Rows of the ledger: written once, superseded, never changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import ColumnElement, Connection, Table, and_, func, insert, select, update

from explorer.errors import InputDataError
from explorer.store.database import canonical_json
from explorer.store.schema import metadata


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


def append(
    connection: Connection,
    table: Table,
    key: Mapping[str, object],
    values: Mapping[str, object],
    *,
    content: str,
) -> int:
    """Make a row the current one of its key and return its id; saying the same twice adds nothing.

    The caller holds the write lock, so that nobody else takes the next id in between.
    """
    same_key = and_(current(table), *(table.c[name] == value for name, value in key.items()))
    old = connection.execute(select(table.c.id, table.c.content).where(same_key)).one_or_none()
    if old is not None and old.content == content:
        return int(old.id)
    new_id = next_id(connection, table)
    if old is not None:
        connection.execute(update(table).where(table.c.id == old.id).values(superseded_by=new_id))
    row = {"id": new_id, **key, **values, "content": content, "created_at": now()}
    connection.execute(insert(table).values(row))
    return new_id


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
