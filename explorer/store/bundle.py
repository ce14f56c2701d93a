"""Result bundles: what a store holds, or a part of it, as one folder or zip that another store reads.

`write_bundle` makes one, `ingest_bundle` merges one; `explorer.store.bundle_form` says what is in it. Workers
on other machines hand over bundles, so they never open the ledger.
"""

import errno
import hashlib
import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from explorer.errors import InputDataError, StoreError, UsageError, unknown_name
from explorer.spec import Member
from explorer.store import files
from explorer.store.bundle_choice import choose_rows
from explorer.store.bundle_form import FOLDER, MANIFEST, BundleFile, manifest_bytes
from explorer.store.bundle_ingest import IngestResult, ingest_bundle, ingest_open, require_together
from explorer.store.bundle_read import Bundle, Update, manifest_digest, open_bundle
from explorer.store.bundle_rows import read_rows
from explorer.store.database import reading
from explorer.store.members import recipe_id

if TYPE_CHECKING:
    from explorer.store.ledger import Store

__all__ = [
    "Bundle",
    "BundleInfo",
    "IngestResult",
    "Update",
    "ingest_bundle",
    "ingest_open",
    "manifest_digest",
    "open_bundle",
    "require_together",
    "write_bundle",
]

Weights = Literal["all", "none"] | Collection[Member]
_Rows = Mapping[str, list[dict[str, Any]]]
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The same in every zip, the earliest it can say."""
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInfo:
    """A bundle that was written."""

    path: Path
    sha256: str
    """Of its manifest: two bundles of equal content have equal ones."""
    members: int
    predictions: int
    without_weights: int
    """Members whose weights are not in it."""
    files: int
    """Files beside the manifest."""
    bytes: int
    """On disk, manifest included."""


def write_bundle(
    store: "Store",
    path: Path,
    *,
    dataset: str | None = None,
    recipe: str | None = None,
    members: Collection[Member] | None = None,
    weights: Weights = "all",
    costs: bool = True,
    overwrite: bool = False,
) -> BundleInfo:
    """Write what the store currently holds as a bundle: a zip if ``path`` ends in ``.zip``, else a folder.

    It appears under its name when it is whole and on the disk. Superseded rows stay behind. Without a choice
    of data set, recipe or members everything goes in; with one, their labels, costs and evaluations do.

    Args:
        store: what is exported.
        path: where to.
        dataset: members of this data set only.
        recipe: members of this recipe only: its id, or its name where only one id has it.
        members: these only; with recipe, as the store names them.
        weights: of ``all`` members that have them here, of ``none``, or of these.
        costs: whether costs go in, with their raw samples.
        overwrite: replace a bundle that is there.

    Raises:
        UsageError: nothing to export, a member that is not among those exported, or ``path`` is taken.
        StoreError: weights that were named are not here, a stored file is damaged, or the disk refuses.
    """
    _require_free(path, overwrite)
    with reading(store._engine) as connection:
        everything = read_rows(connection)
    recipe = recipe_id(recipe, _recipes(everything))
    rows = choose_rows(everything, dataset=dataset, recipe=recipe, members=members)
    _require_found(everything, rows, dataset, recipe, members)
    if not costs:
        rows["costs"] = []
    folder = store.root / "files"
    rows["members"] = _with_weights(rows["members"], weights, folder)
    listed = _files(rows, folder)
    manifest = manifest_bytes(rows, listed)
    try:
        _write_whole(path, manifest, listed, folder)
    except OSError as error:
        raise StoreError(f"cannot write the bundle {path}: {error.strerror or error}") from error
    return BundleInfo(
        path=path,
        sha256=hashlib.sha256(manifest).hexdigest(),
        members=len(rows["members"]),
        predictions=len(rows["predictions"]),
        without_weights=sum(not row["weights"] for row in rows["members"]),
        files=len(listed),
        bytes=path.stat().st_size if _is_zip(path) else len(manifest) + sum(file.bytes for file in listed),
    )


# ---- what goes in -----------------------------------------------------------------------------


def _recipes(everything: _Rows) -> set[str]:
    rows = (row for table in ("members", "predictions") for row in everything[table])
    return {str(row["member"]).rpartition("#")[0].partition("~")[2] for row in rows}


def _require_found(
    everything: _Rows,
    rows: _Rows,
    dataset: str | None,
    recipe: str | None,
    members: Collection[Member] | None,
) -> None:
    """Refuse a choice that names what is not there, and a bundle of nothing."""
    found = {row["member"] for table in ("members", "predictions") for row in rows[table]}
    known = [row for table in ("members", "predictions") for row in everything[table]]
    if not any(everything.values()):
        raise UsageError("the store holds nothing that a bundle carries")
    if dataset is not None and dataset not in {row["dataset"] for row in known}:
        raise unknown_name("data set", dataset, {row["dataset"] for row in known})
    for member in sorted(members or ()):
        if str(member) not in found:
            raise unknown_name("member", str(member), {row["member"] for row in known})
    if not any(rows.values()) or (members is None and recipe is not None and not found):
        raise unknown_name("recipe", recipe or "", _recipes(everything))


def _with_weights(rows: Sequence[dict[str, Any]], weights: Weights, folder: Path) -> list[dict[str, Any]]:
    """Return the member rows, each saying whether its weights go along."""
    if not isinstance(weights, str):
        names = {str(member) for member in weights}
        for name in sorted(names - {row["member"] for row in rows}):
            raise unknown_name("member (whose weights are wanted)", name, {row["member"] for row in rows})
    marked = []
    for row in rows:
        here = files.path_of(folder, row["weights_digest"], "safetensors").is_file()
        named = not isinstance(weights, str) and row["member"] in names
        if named and not here:
            raise StoreError(
                f"the weights of {row['member']} are not in this store, so no bundle can carry them"
            )
        if weights == "all" and row["weights"] and not here:
            raise StoreError(
                f"the weights of {row['member']} are missing, but the ledger names them; restore them from a "
                "backup, or export without weights"
            )
        marked.append({**row, "weights": named or (weights == "all" and here)})
    return marked


def _files(rows: _Rows, folder: Path) -> tuple[BundleFile, ...]:
    named = {(row["weights_digest"], "safetensors") for row in rows["members"] if row["weights"]}
    named |= {(row["digest"], "npy") for table in ("predictions", "labels") for row in rows[table]}
    named |= {(row["samples_digest"], "parquet") for row in rows["costs"] if row["samples_digest"]}
    listed = []
    for digest, suffix in sorted(named):
        path = files.path_of(folder, digest, suffix)
        if not path.is_file():
            raise StoreError(f"{path} is missing, but the ledger names it; restore it from a backup")
        listed.append(BundleFile(digest=digest, suffix=suffix, bytes=path.stat().st_size))
    return tuple(sorted(listed))


# ---- where it goes ----------------------------------------------------------------------------


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _require_free(path: Path, overwrite: bool) -> None:
    """Refuse a place that is taken, unless by a bundle that is to be replaced.

    Raises:
        UsageError: something is there.
    """
    if not path.name:
        raise UsageError(f"not a place for a bundle: {path}; wanted a folder or a file ending in .zip")
    if not path.exists():
        return
    if not overwrite:
        raise UsageError(f"{path} is there already; name another place, or overwrite it")
    try:
        if path.is_dir() == _is_zip(path):
            raise InputDataError(
                f"it is a {'folder' if path.is_dir() else 'file'}, and its name says otherwise"
            )
        with open_bundle(path):
            pass
    except InputDataError as error:
        raise UsageError(f"{path} is there and no whole bundle, so it is not overwritten: {error}") from error


def _write_whole(path: Path, manifest: bytes, listed: Sequence[BundleFile], folder: Path) -> None:
    """Write the bundle under another name, and give it its own when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        write = _write_zip if _is_zip(path) else _write_folder
        write(partial, manifest, listed, folder)
        _put_in_place(partial, path)
    except BaseException:
        _remove(partial)
        raise


def _write_folder(target: Path, manifest: bytes, listed: Sequence[BundleFile], folder: Path) -> None:
    (target / FOLDER).mkdir(parents=True)
    for file in listed:
        _write(target / file.name, files.get_bytes(folder, file.digest, file.suffix))
    _write(target / MANIFEST, manifest)
    for made in (target / FOLDER, target):
        files.flush_folder(made)


def _write_zip(target: Path, manifest: bytes, listed: Sequence[BundleFile], folder: Path) -> None:
    with target.open("xb") as stream:
        with zipfile.ZipFile(stream, "w") as made:
            made.writestr(_zip_entry(MANIFEST), manifest)
            for file in listed:
                data = files.get_bytes(folder, file.digest, file.suffix)
                made.writestr(_zip_entry(file.name), data)
        stream.flush()
        os.fsync(stream.fileno())


def _zip_entry(name: str) -> zipfile.ZipInfo:
    """Return an entry that says nothing of when, by whom or on what system it was made."""
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _write(target: Path, data: bytes) -> None:
    with target.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _put_in_place(partial: Path, path: Path) -> None:
    """Give a whole bundle its name; a folder cannot replace another in one step, so that is moved aside."""
    aside = path.with_name(f"{partial.name.removesuffix(_PARTIAL)}.old{_PARTIAL}")
    if path.is_dir():
        os.rename(path, aside)
    try:
        os.replace(partial, path)
    except OSError as error:
        if aside.exists():
            os.rename(aside, path)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise StoreError(f"{path}: another process wrote a bundle there meanwhile") from error
        raise
    files.flush_folder(path.parent)
    _remove(aside)


def _remove_abandoned(path: Path) -> None:
    """Delete what an export to the same place left behind when it was killed."""
    limit = time.time() - files.ABANDONED_AFTER_S
    for found in path.parent.glob(f".{_escaped(path.name)}.*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if found.stat().st_mtime < limit:
                _remove(found)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
