"""The reference study that ships with the package: a folder bundle, opened as a store of the user's cache.

The package may lie where nobody can write, and SQLite wants to; so the bundle is ingested once, under the
digest of its manifest, and opened there. What is built or verified from it is recorded there too.
"""

import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from explorer.errors import ExplorerError, InputDataError, StoreError, UsageError
from explorer.store import files
from explorer.store.bundle import ingest_bundle, manifest_digest
from explorer.store.bundle_form import MANIFEST, parse_manifest
from explorer.store.ledger import Store
from explorer.store.location import DEFAULT_FOLDER, LEDGER_NAME, REFERENCE, names_reference
from explorer.store.migrate import HEAD

SHIPPED = Path(__file__).parents[1] / "data" / "reference"
"""Where the package keeps the bundle, in a build that has one."""
_PARTIAL = ".partial"


def shipped_bundle() -> Path | None:
    """Return the folder of the bundle that ships; None in a build without one."""
    return SHIPPED if (SHIPPED / MANIFEST).is_file() else None


def default_cache() -> Path:
    """Return where the reference study is kept once it was opened."""
    return Path(platformdirs.user_cache_dir("scale-or-ensemble")) / REFERENCE


def reference_root(cache: Path | None = None) -> Path:
    """Return the folder of the reference store, made first if it is not there.

    Several processes may ask at once: each makes it under a name of its own, the first to be done gives it
    the final name, and the others take that one. Files that went missing since are put back.

    Raises:
        StoreError: this build ships none; the cache folder cannot be written or holds a damaged store.
    """
    bundle = shipped_bundle()
    if bundle is None:
        raise StoreError(
            "this build of scale-or-ensemble ships no reference study; name a store with --store, or "
            "make one: explorer quickstart"
        )
    parent = cache or default_cache()
    # The format too: a cache of a newer program must not lock out an older one beside it.
    root = parent / f"{manifest_digest(bundle)[:16]}-{HEAD}"
    try:
        if not root.exists():
            _make(bundle, root)
        elif not (root / LEDGER_NAME).is_file():
            raise StoreError(f"{root} has lost its {LEDGER_NAME}; delete the folder: it is only a cache")
        elif _incomplete(bundle, root):
            with Store.open(root, create=False) as store:
                ingest_bundle(store, bundle)
    except OSError as error:
        raise _unwritable(parent, str(error.strerror or error)) from error
    return root


def store_to_read(url: str | None) -> str | None:
    """Return what a command that only reads opens: ``url``, or the reference study if there is no store.

    The study stands in where nothing was named, here or in ``EXPLORER_STORE``, and this folder has no store.
    """
    if url is not None or os.environ.get("EXPLORER_STORE") or os.path.lexists(DEFAULT_FOLDER):
        return url
    return url if shipped_bundle() is None else REFERENCE


def refuse_reference(url: str | Path | None) -> None:
    """Refuse to write into the reference study.

    Raises:
        UsageError: ``url``, or ``EXPLORER_STORE`` where it is None, names it.
    """
    if names_reference(url):
        raise UsageError(
            "the reference study is only read; copy it into a store of your own, then name that: "
            f"explorer db ingest {REFERENCE} --store {DEFAULT_FOLDER}"
        )


def reading_note(store: Store) -> str:
    """Return the line that tells a reader of the stand-in what is read."""
    counts: dict[str, int] = {}
    for record in store.members():
        counts[record.dataset] = counts.get(record.dataset, 0) + 1
    listed = ", ".join(
        f"{count} member{'s' * (count > 1)} of {dataset}" for dataset, count in sorted(counts.items())
    )
    return f"no store in this folder: reading the reference study that ships ({listed or 'no members'})"


def _make(bundle: Path, root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(root.parent)
    partial = root.with_name(f".{root.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        try:
            with Store.open(partial) as store:
                ingest_bundle(store, bundle)
        except InputDataError:
            raise  # the bundle that ships is damaged: not the cache's fault
        except ExplorerError as error:
            raise _unwritable(root.parent, str(error)) from error
        try:
            os.rename(partial, root)
        except OSError:
            if not (root / LEDGER_NAME).is_file():
                raise  # not because another process was faster
        files.flush_folder(root.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _incomplete(bundle: Path, root: Path) -> bool:
    """Tell whether a file of the bundle is not in the store: caches are swept."""
    manifest = parse_manifest((bundle / MANIFEST).read_bytes(), str(bundle))
    for file in manifest.files:
        path = files.path_of(root / "files", file.digest, file.suffix)
        if not path.is_file() or path.stat().st_size != file.bytes:
            return True
    return False


def _remove_abandoned(parent: Path) -> None:
    """Delete what a process left behind that was killed while it made the store."""
    limit = time.time() - files.ABANDONED_AFTER_S
    for found in parent.glob(f".*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if found.stat().st_mtime < limit:
                shutil.rmtree(found, ignore_errors=True)


def _unwritable(parent: Path, reason: str) -> StoreError:
    return StoreError(
        f"cannot keep the reference study in {parent}: {reason}; set XDG_CACHE_HOME to a folder that can be "
        "written, or name a store with --store"
    )
