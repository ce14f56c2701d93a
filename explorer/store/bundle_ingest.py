"""Merging bundles into a store: everything checked first, files before rows, rows in one transaction."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, select

from explorer.data.class_numbers import are_numbers
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


Results = tuple[IngestResult, ...]


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
        InputDataError: the bundle is damaged, newer, none at all, has other labels of a split than the store,
            or predictions that do not fit them; nothing is changed.
        StoreError: the store is locked, damaged or full.
    """
    tell = progress or (lambda share, text: None)
    with open_bundle(path, progress=lambda share, text: tell(_CHECKING * share, text)) as bundle:
        (result,) = ingest_open(
            store, [bundle], progress=lambda share, text: tell(_CHECKING * (1 + share), text)
        )
        return result


def ingest_open(store: "Store", bundles: Sequence[Bundle], *, progress: Update | None = None) -> Results:
    """Merge bundles that are open, and therefore checked, in order; see `ingest_bundle`.

    All rows of all bundles go in one transaction, after all files: every bundle is merged, or none is.

    Raises:
        InputDataError: a bundle does not fit the store, or one before it; nothing is changed.
        StoreError: the store is locked, damaged or full.
    """
    folder = store.root / "files"
    tell = progress or (lambda share, text: None)
    # The rows twice: first to see that all of them can be written, and which files they need, before any file
    # is; then for good, when the files are on the disk.
    needed = [tally.needed for tally in _rehearse(store, bundles)]
    added = []
    for number, (bundle, wanted) in enumerate(zip(bundles, needed, strict=True)):

        def part(share: float, text: str, before: int = number) -> None:
            tell((before + share) / len(bundles), text)

        added.append(_write_files(bundle, folder, wanted, part))
    with writing(store._engine) as connection:
        tallies = _merge_all(connection, bundles, folder)
    return tuple(
        IngestResult(
            path=bundle.path,
            sha256=bundle.sha256,
            members=len(bundle.manifest.rows.members),
            added=len(tally.counts[Merged.ADDED]),
            there_already=len(tally.counts[Merged.THERE]),
            superseded=tuple(tally.counts[Merged.SUPERSEDED]),
            outdated=tuple(tally.counts[Merged.OUTDATED]),
            weights_added=tally.weights_added,
            files_added=len(sizes),
            bytes_added=sum(sizes),
        )
        for bundle, tally, sizes in zip(bundles, tallies, added, strict=True)
    )


def require_together(bundles: Sequence[Bundle]) -> None:
    """Refuse bundles that do not fit together: asked before a store is made for them.

    Raises:
        InputDataError: a bundle does not fit those before it.
    """
    # Only here: the ledger imports what bundles are made of.
    from explorer.store.ledger import Store

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "store") as empty:
        _rehearse(empty, bundles)


def _rehearse(store: "Store", bundles: Sequence[Bundle]) -> list[_Tally]:
    """Return what would become of the bundles, one after the other, in a transaction that leaves no trace."""
    tallies: list[_Tally] = []
    try:
        with writing(store._engine) as connection:
            tallies = _merge_all(connection, bundles, store.root / "files")
            raise _Rehearsed
    except _Rehearsed:
        return tallies


def _merge_all(connection: Connection, bundles: Sequence[Bundle], folder: Path) -> list[_Tally]:
    tallies = []
    for number, bundle in enumerate(bundles):
        tally = _Tally()
        try:
            _merge_rows(connection, bundle.manifest.rows, folder, tally)
        except InputDataError as error:
            before = ", ".join(str(one.path) for one in bundles[:number])
            added = f" (as the store would be with {before})" if before else ""
            raise InputDataError(f"{bundle.path}: {error}{added}") from error
        tallies.append(tally)
    return tallies


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
    file = (found.digest, "npy")
    if old is not None:
        _require_same_labels(found, old, what)
        if are_numbers(found.class_names):  # names go before numbers: what is there says more
            tally.note(Merged.THERE, what, file)
            return
    tally.note(merge(connection, row, label.created_at), what, file)


def _require_same_labels(found: Labels, old: RowMapping, what: str) -> None:
    """Refuse other labels or other names of classes for a split that is known: its digest fixes both.

    Raises:
        InputDataError: they differ.
    """
    what = f"{what} (split {found.split_digest[:12]})"
    if old["digest"] != found.digest:
        raise InputDataError(
            f"{what}: the bundle has other labels (sha256 {found.digest[:12]}) than the store "
            f"({old['digest'][:12]}) for the same examples, so one of the two is wrong; every accuracy would "
            "change: leave it out, or read it into another store"
        )
    names = tuple(old["class_names"])
    theirs = found.class_names
    if names != theirs and not are_numbers(names) and not are_numbers(theirs):
        place = next(i for i, name in enumerate(names) if name != theirs[i])
        raise InputDataError(
            f"{what}: class {place} is {theirs[place]!r} in the bundle and {names[place]!r} in the store; "
            "another order of classes?"
        )


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
