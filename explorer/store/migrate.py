"""The ledger's format, and how an old ledger becomes a new one.

Format history (forward-only; each step is a file in ``migrations/versions``):
    0001  models, conditions, designs, members, predictions, labels, costs, evaluations, exports,
          verifications
    0002  prices
    0003  conditions: memory format, form; label cpu-eager becomes the workload cpu/eager
    0004  members: whether their weights are here
    0005  published
"""

import threading
from pathlib import Path

from sqlalchemy import Connection, Engine

from explorer.errors import StoreError
from explorer.store import files
from explorer.store.database import reading, use_write_ahead_log, writing

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every format this version can read, oldest first; the last one is what it writes."""
HEAD = REVISIONS[-1]
MIGRATIONS = Path(__file__).parent / "migrations"

_ALEMBIC = threading.Lock()
"""Alembic keeps the running migration in a global; two threads may open two old stores at once."""


def revision_of(connection: Connection) -> str | None:
    """Return the format revision of the ledger; None when it is empty.

    Raises:
        StoreError: a SQLite file that is not a ledger.
    """
    tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'").scalars())
    if not tables:
        return None
    found = None
    if "alembic_version" in tables:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found is None:
        raise StoreError(
            f"{connection.engine.url.database} is a SQLite file but not a store's ledger: it has no revision"
        )
    return str(found)


def bring_up_to_date(engine: Engine) -> tuple[str | None, str]:
    """Migrate the ledger to this version's format if it is older; return revision before and after.

    All steps run in one transaction under the write lock: another process waits, then finds nothing
    to do, and a failure or a kill leaves the ledger as it was.

    Raises:
        StoreError: the ledger was written by a newer version (nothing is changed), is not a ledger,
            is empty beside stored files, or is damaged or locked.
    """
    with reading(engine) as connection:
        before = revision_of(connection)
    _refuse_newer(engine, before)
    use_write_ahead_log(engine)
    if before == HEAD:
        return before, HEAD
    with writing(engine) as connection:
        current = revision_of(connection)
        _refuse_newer(engine, current)
        if current is None:
            refuse_lost_ledger(Path(str(engine.url.database)))
        if current != HEAD:
            _upgrade(connection)
    return before, HEAD


def refuse_lost_ledger(ledger: Path) -> None:
    """Refuse to start a new ledger where an old one has been lost: its results would be gone unseen.

    Raises:
        StoreError: there are stored files, so there was a ledger that named them.
    """
    found = next(files.stored_files(ledger.parent / "files"), None)
    if found is not None:
        raise StoreError(
            f"{ledger} is missing or empty, but {found.parent.parent} holds stored files; restore the ledger "
            "from a backup, or name another folder"
        )


def _refuse_newer(engine: Engine, revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"{engine.url.database} was written by a newer version of this program: its format is "
            f"{revision!r}, this version knows up to {HEAD!r}; upgrade scale-or-ensemble"
        )


def _upgrade(connection: Connection) -> None:
    # Slow to import and needed once in a store's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ALEMBIC:
        command.upgrade(config, HEAD)
