"""The SQLite ledger: connections, transactions, and its errors in words a person can act on."""

import json
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from explorer.errors import StoreError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another one before it gives up."""

_ENGINES: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def canonical_json(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def open_engine(ledger: Path) -> Engine:
    """Return an engine for the ledger file; nothing is opened or created yet."""
    engine = create_engine(
        URL.create("sqlite", database=str(ledger)),
        connect_args={"timeout": BUSY_TIMEOUT_S},
        json_serializer=canonical_json,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    _ENGINES.add(engine)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the ledger and changes nothing.

    Raises:
        StoreError: the ledger is locked, damaged or unreadable.
    """
    with _translated(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that takes the write lock at once and commits at the end, or not at all.

    ``BEGIN IMMEDIATE`` rather than ``BEGIN``: a transaction that first reads and then writes would
    otherwise fail, without waiting, when another one wrote in between.

    Raises:
        StoreError: the ledger is locked, damaged or unwritable.
    """
    with _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(ledger_begin="BEGIN IMMEDIATE")
        with connection.begin():
            yield connection


def use_write_ahead_log(engine: Engine) -> None:
    """Switch the ledger to WAL, so that readers and one writer do not wait for each other.

    Raises:
        StoreError: the file system does not support it, or other processes hold the ledger.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    with _translated(engine):
        while True:
            try:
                mode = _journal_mode(engine)
                break
            except OperationalError as error:
                # SQLite does not wait by itself here: the switch needs every other process to let go.
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    if mode != "wal":
        raise StoreError(
            f"{engine.url.database}: the file system does not support SQLite's write-ahead log "
            f"(journal mode is {mode}); put the store on a local disk"
        )


def _journal_mode(engine: Engine) -> str:
    raw = engine.raw_connection()  # the switch is not allowed inside a transaction
    try:
        cursor = raw.cursor()
        mode = str(cursor.execute("PRAGMA journal_mode").fetchone()[0])
        if mode != "wal":
            mode = str(cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        cursor.close()
        return mode
    except sqlite3.OperationalError as error:
        raise OperationalError("PRAGMA journal_mode", None, error) from error
    finally:
        raw.close()


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`, not guessed by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")  # a commit that was acknowledged survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(str(connection.get_execution_options().get("ledger_begin", "BEGIN")))


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise  # our own mistake, not the user's
    except DatabaseError as error:
        ledger, reason = engine.url.database, str(error.orig)
        if "locked" in reason:
            advice = f"another process has been writing for more than {BUSY_TIMEOUT_S:.0f} s; try again later"
        elif "malformed" in reason or "not a database" in reason:
            advice = f"the ledger is damaged ({reason}); restore it from a backup"
        elif "full" in reason:
            advice = f"the disk is full ({reason}); nothing was written"
        else:
            advice = reason
        raise StoreError(f"{ledger}: {advice}") from error


def _close_idle_connections() -> None:
    for engine in list(_ENGINES):
        engine.dispose()


# SQLite forbids to carry an open connection into a forked process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle_connections)
