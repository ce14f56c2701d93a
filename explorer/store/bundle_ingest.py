"""Merging a bundle into a store: everything checked first, files before rows, rows in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, select

from explorer.errors import InputDataError
from explorer.record import MemberRecord, PredictionsRecord
from explorer.store import costs, designs, files, members
from explorer.store.bundle_read import Bundle, Update, open_bundle
from explorer.store.bundle_rows import BundleRows, Dated, Labels
from explorer.store.database import writing
from explorer.store.rows import Merged, current, current_row, merge, plain, replace_row
from explorer.store.schema import members as members_table

if TYPE_CHECKING:
    from explorer.store.ledger import Store

_CHECKING = 0.5
"""Share of the work that is checking; the rest is writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What became of a bundle's rows and files."""

    path: Path
    sha256: str
    """Of the bundle's manifest."""
    members: int
    """Members in the bundle."""
    added: int
    """Rows of which the store knew nothing, and members whose weights came."""
    there_already: int
    """Rows that the store had as they are."""
    superseded: tuple[str, ...]
    """Rows that contradict the store's: they are current now, the store's are kept behind them."""
    outdated: tuple[str, ...]
    """Rows that the store has corrected since: the correction stands."""
    weights_added: int
    """Members that were here without their weights, and have them now."""
    files_added: int
    bytes_added: int


@dataclass(slots=True)
class _Tally:
    """What became of each row, and which files the store needs for it."""

    counts: dict[Merged, list[str]] = field(default_factory=lambda: {one: [] for one in Merged})
    weights_added: int = 0
    needed: set[tuple[str, str]] = field(default_factory=set)
    """Digest and suffix."""

    def note(self, outcome: Merged, what: str, *wanted: tuple[str | None, str]) -> None:
        self.counts[outcome].append(what)
        if outcome is not Merged.OUTDATED:
            self.needed |= {(digest, suffix) for digest, suffix in wanted if digest is not None}


class _Rehearsed(Exception):  # noqa: N818  # not an error: it ends a transaction that must leave no trace
    pass


def ingest_bundle(store: "Store", path: Path, *, progress: Update | None = None) -> IngestResult:
    """Merge the bundle at ``path`` into the store; doing it again changes nothing.

    A row that contradicts the store's supersedes it, as everywhere; one that the store held and has
    corrected since does not, so that reading old bundles again undoes nothing.

    Args:
        store: where to.
        path: folder or zip.
        progress: told the share done and what is going on.

    Raises:
        InputDataError: the bundle is damaged, newer, none at all, or its predictions do not fit the store's
            labels; nothing is changed.
        StoreError: the store is locked, damaged or full.
    """
    tell = progress or (lambda share, text: None)
    with open_bundle(path, progress=lambda share, text: tell(_CHECKING * share, text)) as bundle:
        return ingest_open(store, bundle, progress=lambda share, text: tell(_CHECKING * (1 + share), text))


def ingest_open(store: "Store", bundle: Bundle, *, progress: Update | None = None) -> IngestResult:
    """Merge a bundle that is open, and therefore checked; see `ingest_bundle`."""
    folder = store.root / "files"
    rows = bundle.manifest.rows
    # The rows twice: first to see that all of them can be written, and which files they need, before any file
    # is; then for good, when the files are on the disk.
    needed = _rehearse(store, bundle, folder)
    added = _write_files(bundle, folder, needed, progress or (lambda share, text: None))
    tally = _Tally()
    with writing(store._engine) as connection:
        _merge_rows(connection, rows, folder, tally)
    return IngestResult(
        path=bundle.path,
        sha256=bundle.sha256,
        members=len(rows.members),
        added=len(tally.counts[Merged.ADDED]),
        there_already=len(tally.counts[Merged.THERE]),
        superseded=tuple(tally.counts[Merged.SUPERSEDED]),
        outdated=tuple(tally.counts[Merged.OUTDATED]),
        weights_added=tally.weights_added,
        files_added=len(added),
        bytes_added=sum(added),
    )


def _rehearse(store: "Store", bundle: Bundle, folder: Path) -> set[tuple[str, str]]:
    tally = _Tally()
    try:
        with writing(store._engine) as connection:
            _merge_rows(connection, bundle.manifest.rows, folder, tally)
            raise _Rehearsed
    except _Rehearsed:
        return tally.needed
    except InputDataError as error:
        raise InputDataError(f"{bundle.path}: {error}") from error


def _write_files(bundle: Bundle, folder: Path, needed: set[tuple[str, str]], progress: Update) -> list[int]:
    """Write the files that are not there, or damaged; return the size of each in bytes."""
    added = []
    wanted = [file for file in bundle.manifest.files if (file.digest, file.suffix) in needed]
    for number, file in enumerate(wanted):
        target = files.path_of(folder, file.digest, file.suffix)
        whole = target.is_file() and files.damage(target) is None
        if not whole:
            files.put_bytes(folder, bundle.read(file), file.suffix, flush=False)
            added.append(file.bytes)
        progress((number + 1) / len(wanted), f"stored {file.digest[:12]}")
    if wanted:
        # Also of files that were there: who wrote them may not have got as far as this.
        files.flush_entries(folder, [file.digest for file in wanted])
    return added


def _merge_rows(connection: Connection, rows: BundleRows, folder: Path, tally: _Tally) -> None:
    for label in rows.labels:
        _merge_labels(connection, label, tally)
    for member in rows.members:
        _merge_member(connection, member, folder, tally)
    for predicted in rows.predictions:
        _merge_predictions(connection, predicted, tally)
    for cost in rows.costs:
        found = cost.record
        outcome = merge(connection, costs.cost_row(connection, found), cost.created_at)
        device = f"@{found.device}" if found.device else ""
        tally.note(outcome, f"{found.kind}{device} of {found.model}", (found.samples_digest, "parquet"))
    for evaluated in rows.evaluations:
        row = designs.evaluation_row(connection, evaluated.record)
        outcome = merge(connection, row, evaluated.created_at)
        tally.note(outcome, f"evaluation of {evaluated.record.design} on {evaluated.record.dataset}")


def _merge_labels(connection: Connection, label: Dated[Labels], tally: _Tally) -> None:
    found = label.record
    row = members.labels_row(found.key, found.digest, found.examples, found.class_names)
    what = f"labels of {found.dataset} {found.split}"
    old = current_row(connection, row)
    size = (found.examples, len(found.class_names))
    if old is not None and (old["examples"], len(old["class_names"])) != size:
        raise InputDataError(
            f"{what} (split {found.split_digest[:12]}): the bundle has {size[0]} examples of {size[1]} "
            f"classes, the store {old['examples']} of {len(old['class_names'])}"
        )
    tally.note(merge(connection, row, label.created_at), what, (found.digest, "npy"))


def _merge_member(connection: Connection, dated: Dated[MemberRecord], folder: Path, tally: _Tally) -> None:
    record, what = dated.record, f"member {dated.record.member} of {dated.record.dataset}"
    there = files.path_of(folder, record.weights_digest, "safetensors")
    kept = dated.weights or (there.is_file() and files.damage(there) is None)
    row = members.member_row(connection, record, weights_kept=kept)
    wanted = (record.weights_digest if dated.weights else None, "safetensors")
    same = _same_member(record, row.values["model_id"])
    old = current_row(connection, row)
    if kept and old is not None and same(old) and not old["weights_kept"]:
        replace_row(connection, row, old, dated.created_at)
        tally.weights_added += 1
        tally.note(Merged.ADDED, what, wanted)
        return
    tally.note(merge(connection, row, dated.created_at, same), what, wanted)


def _same_member(record: MemberRecord, model_id: object) -> Callable[[RowMapping], bool]:
    """Return whether a row is about the same training, whatever fields it was written with."""
    wanted = plain(record.training, "training")

    def same(old: RowMapping) -> bool:
        known = {**old, "channels": record.channels, "classes": record.classes}
        found = members.member_record(known)
        return (
            old["model_id"] == model_id
            and found.weights_digest == record.weights_digest
            and found.split_digest == record.split_digest
            and plain(found.training, "training") == wanted
        )

    return same


def _merge_predictions(connection: Connection, dated: Dated[PredictionsRecord], tally: _Tally) -> None:
    record, what = dated.record, f"predictions of {dated.record.member} on {dated.record.split}"
    members.require_same_size(connection, record)
    owner = (members_table.c.dataset == record.dataset, members_table.c.member == str(record.member))
    weights = select(members_table.c.weights_digest).where(*owner)
    newest = connection.execute(weights.where(current(members_table))).scalar()
    if dated.weights_digest is not None and dated.weights_digest != newest:
        tally.note(Merged.OUTDATED, what)  # as its member is
        return
    first = connection.execute(weights.order_by(members_table.c.id).limit(1)).scalar()
    row = members.predictions_row(record, newest)

    def same(old: RowMapping) -> bool:
        # A row without weights belongs to the first ones recorded.
        made_by = old["weights_digest"] or first
        return (old["digest"], made_by) == (record.digest, newest)

    tally.note(merge(connection, row, dated.created_at, same), what, (record.digest, "npy"))
