"""Opening a store: find it, make it if it may be made, migrate it, tidy up."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

from explorer.errors import StoreError
from explorer.store import files
from explorer.store.database import open_engine
from explorer.store.location import LEDGER_NAME, locate, names_reference
from explorer.store.migrate import bring_up_to_date, refuse_lost_ledger


def open_root(url: str | Path | None, *, create: bool) -> tuple[Path, Engine]:
    """Return root folder and ledger engine of the store at ``url``; see `Store.open`."""
    if names_reference(url):
        # Only here: it opens a store itself.
        from explorer.store.reference import reference_root, refuse_reference

        if create:
            refuse_reference(url)
        url = reference_root()
    root = locate(url)
    ledger = root / LEDGER_NAME
    if not ledger.is_file():
        if not create:
            raise StoreError(
                f"no store at {root}: it has no {LEDGER_NAME}; `explorer quickstart` or "
                "`explorer train` make one, --store or EXPLORER_STORE name another"
            )
        _refuse_lost_ledger_unless_made_meanwhile(ledger)
        try:
            (root / "files" / files.TEMPORARY).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make a store at {root}: {error.strerror or error}") from error
    engine = open_engine(ledger)
    try:
        bring_up_to_date(engine)
    except BaseException:
        engine.dispose()
        raise
    # What another user's killed process left behind is that user's to remove; `check` names it.
    with suppress(PermissionError):
        files.remove_abandoned(root / "files")
    return root, engine


def _refuse_lost_ledger_unless_made_meanwhile(ledger: Path) -> None:
    """Refuse stored files without a ledger; a process that makes this store now has its ledger first."""
    try:
        refuse_lost_ledger(ledger)
    except StoreError:
        if not ledger.is_file():
            raise
