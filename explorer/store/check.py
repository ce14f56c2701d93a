"""Looking a store over: what is in it, and whether all of it is as it was written."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from explorer.errors import ExplorerError, StoreError
from explorer.store import costs, designs, files, members, published
from explorer.store.database import reading
from explorer.store.location import LEDGER_NAME, sqlite_url
from explorer.store.migrate import revision_of
from explorer.store.rows import current
from explorer.store.schema import FILE_COLUMNS, labels, metadata, predictions
from explorer.store.schema import members as members_table
from explorer.store.values import CheckResult, StoreInfo


def store_info(engine: Engine, root: Path) -> StoreInfo:
    """Return how much is in the store at ``root``; files are looked at, not read."""
    counts, superseded = {}, 0
    with reading(engine) as connection:
        # The files first: one that is written in between is then not taken for an orphan.
        sizes = {path: path.stat().st_size for path in files.stored_files(root / "files")}
        named = set(_named_files(connection, root))
        for table in metadata.sorted_tables:
            rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
            if "superseded_by" in table.c:
                live = connection.execute(select(func.count()).where(current(table))).scalar_one()
                superseded += rows - live
                rows = live
            counts[table.name] = int(rows)
        revision = str(revision_of(connection))
        without = connection.execute(_without_weights()).scalar_one()
    orphans = [path for path in sizes if path not in named]
    ledger = sum(path.stat().st_size for path in root.glob(f"{LEDGER_NAME}*"))
    return StoreInfo(
        url=sqlite_url(root),
        root=root,
        revision=revision,
        counts=counts,
        superseded=superseded,
        bytes=ledger + sum(sizes.values()),
        files=len(sizes),
        orphans=len(orphans),
        orphan_bytes=sum(sizes[path] for path in orphans),
        without_weights=int(without),
    )


def check_store(engine: Engine, root: Path) -> CheckResult:
    """Read every row, hash every file and compare the two."""
    folder = root / "files"
    problems: list[str] = []
    stored = list(files.stored_files(folder))
    named: dict[Path, list[str]] = {}
    try:
        with reading(engine) as connection:
            problems += _ledger_problems(connection)
            named = _named_files(connection, root)
            problems += _row_problems(connection, folder)
    except StoreError as error:  # too damaged to read on: the files are still looked at
        problems.append(f"ledger: {error}")
    damaged = {path: found for path in stored if (found := _file_problem(path)) is not None}
    for path, users in sorted(named.items()):
        if path in damaged:
            problems.append(f"{damaged[path]}; named by {_shown(users)}")
        elif not path.is_file():
            problems.append(f"{path} is missing; named by {_shown(users)}")
    orphans = [path for path in stored if path not in named]
    problems += [f"{damaged[path]}; named by no row" for path in orphans if path in damaged]
    problems += [
        f"{path} is a temporary file that a killed process left behind; opening the store removes it"
        for path in files.abandoned_files(folder)
    ]
    notes = []
    if orphans:
        size = sum(path.stat().st_size for path in orphans)
        notes.append(
            f"{len(orphans)} files ({size} B) are named by no row: a write was interrupted, no harm done"
        )
    return CheckResult(
        problems=tuple(problems),
        notes=tuple(notes),
        files_checked=len(stored),
        bytes_checked=sum(path.stat().st_size for path in stored),
    )


def _named_files(connection: Connection, root: Path) -> dict[Path, list[str]]:
    """Return every file that a row wants here, superseded rows included, and the rows that do."""
    named: defaultdict[Path, list[str]] = defaultdict(list)
    absent = set(
        connection.execute(select(members_table.c.id).where(~members_table.c.weights_kept)).scalars()
    )
    for table, column, suffix in FILE_COLUMNS:
        query = select(table.c.id, table.c[column]).where(table.c[column].is_not(None))
        for row_id, digest in connection.execute(query):
            # Not `files.path_of`: a digest that is not one must show as a missing file, not raise.
            path = root / "files" / digest[:2] / f"{digest}.{suffix}"
            if table is members_table and row_id in absent and not path.is_file():
                continue  # the row says so
            named[path].append(f"{table.name} row {row_id}")
    return dict(named)


def _without_weights() -> Select[Any]:
    query = select(func.count()).select_from(members_table)
    return query.where(current(members_table), ~members_table.c.weights_kept)


def _ledger_problems(connection: Connection) -> Iterator[str]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield f"ledger: {line}"
    for table, row_id, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"ledger: {table} row {row_id} points to a row of {parent} that is not there"


def _row_problems(connection: Connection, folder: Path) -> Iterator[str]:
    """Yield rows that cannot be read back as records, and predictions that do not fit their labels."""
    readers = (
        members.read_members,
        costs.read_costs,
        designs.read_evaluations,
        designs.read_exports,
        designs.read_verifications,
        published.read_published,
    )
    for read in readers:
        try:
            read(connection)
        except (ExplorerError, ValueError, TypeError, KeyError) as error:
            yield f"ledger: {read.__name__.removeprefix('read_')} cannot be read back: {error}"
    same_split = (
        (labels.c.dataset == predictions.c.dataset)
        & (labels.c.split == predictions.c.split)
        & (labels.c.split_digest == predictions.c.split_digest)
    )
    query = select(predictions, labels.c.examples.label("wanted"), labels.c.class_names)
    query = query.join(labels, same_split).where(current(predictions), current(labels))
    for row in connection.execute(query).mappings():
        wanted = (row["wanted"], len(row["class_names"]))
        if (row["examples"], row["classes"]) != wanted:
            yield (
                f"ledger: predictions row {row['id']} of {row['member']} has shape "
                f"[{row['examples']}, {row['classes']}], its labels want [{wanted[0]}, {wanted[1]}]"
            )
    rows = connection.execute(
        select(predictions.c.id, predictions.c.digest, predictions.c.examples, predictions.c.classes)
    )
    for row_id, digest, examples, classes in rows:
        path = folder / digest[:2] / f"{digest}.npy"
        if path.is_file() and (found := _shape(path)) not in (None, (examples, classes)):
            yield f"ledger: predictions row {row_id} says [{examples}, {classes}], {path} holds {found}"


def _shape(path: Path) -> tuple[int, ...] | None:
    """Return the shape in a ``.npy`` header; None when it is damaged, which the file's hash shows."""
    try:
        return files.array_header(path)[0]
    except StoreError:
        return None


def _file_problem(path: Path) -> str | None:
    if path.suffix.removeprefix(".") not in files.SUFFIXES or len(path.stem) != 64:
        return f"{path} is not a stored file: its name is not a digest with a known suffix"
    return files.damage(path)


def _shown(users: list[str]) -> str:
    return ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
