"""Take timm's published tables into the store: accuracies on several test sets, measured costs.

Every file is read and checked before anything is written; what is written is a whole file or nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.analysis.published.joining import Join, JoinedBy, NotJoined, join
from explorer.analysis.published.library import MAIN, workload_of
from explorer.data.catalogue import CatalogueTable
from explorer.data.timm_results import PREFIX, AccuracyTable, read_results_table
from explorer.data.timm_tables import BenchmarkTable, read_benchmark_table
from explorer.errors import InputDataError, UsageError
from explorer.store import Store
from explorer.store.published import PublishedTable, PutOutcome, published_tables, put_published

SOURCE = "a file in the form of huggingface/pytorch-image-models, results/"
_MAIN_FILE = f"{PREFIX}{MAIN}.csv"
_INFER, _TRAIN = "benchmark-infer-", "benchmark-train-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmTables:
    """A folder read and checked: nothing is wrong with it, nothing is written."""

    dataset: str
    tables: tuple[PublishedTable, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTable:
    """One table as it went into the store."""

    record: PublishedTable
    subject: str
    """Test set, or how the models were run."""
    outcome: PutOutcome
    join: Join | None
    """Of the main test set's models with these costs; None for accuracies."""

    @property
    def joined(self) -> Mapping[JoinedBy, int]:
        """How many models have these costs, by what they were joined by."""
        return {} if self.join is None else {by: self.join.count(by) for by in JoinedBy}

    @property
    def left_out(self) -> Mapping[NotJoined, tuple[str, ...]]:
        """Models without these costs, by reason."""
        return {} if self.join is None else self.join.left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTimm:
    """What an import did."""

    dataset: str
    models: int
    """Weights and image sizes scored on the main test set."""
    tables: tuple[ImportedTable, ...]
    notes: tuple[str, ...]


def read_timm(folder: Path, dataset: str = MAIN) -> TimmTables:
    """Read all tables of a folder.

    Args:
        folder: holds ``results-imagenet.csv`` and, beside it, any ``results-*.csv`` and
            ``benchmark-infer-*.csv``.
        dataset: name under which the figures are asked for.

    Raises:
        UsageError: not a name of a data set.
        InputDataError: no such folder, no ``results-imagenet.csv`` in it, or a table that is not one:
            which columns it lacks, or which row is wrong.
    """
    if not dataset.strip() or not dataset.isprintable():
        raise UsageError(f"not a name of a data set: {dataset!r}")
    if not folder.is_dir():
        raise InputDataError(f"not a folder: {folder}" if folder.exists() else f"no such folder: {folder}")
    names = sorted(path.name for path in folder.glob("*.csv"))
    if _MAIN_FILE not in names:
        raise InputDataError(
            f"{folder} has no {_MAIN_FILE}; wanted timm's tables, it has {_some(names) or 'no .csv file'}"
        )
    tables: list[PublishedTable] = []
    notes: list[str] = []
    for name in names:
        path = folder / name
        table: AccuracyTable | BenchmarkTable
        if name.startswith(PREFIX):
            table = read_results_table(path)
            notes += table.notes
        elif name.startswith(_INFER):
            table = read_benchmark_table(path)
            if table.device is None or table.precision is None:
                missing = "device" if table.device is None else "precision"
                notes.append(f"left out: {name}: its name does not say the {missing} as {_INFER}amp-... does")
                continue
        else:
            why = (
                "times of training steps"
                if name.startswith(_TRAIN)
                else "neither results nor inference times"
            )
            notes.append(f"left out: {name}: {why}")
            continue
        tables.append(PublishedTable(dataset=dataset, digest=_digest(path), source=SOURCE, table=table))
    _require_different(tables)
    tables.sort(key=lambda one: (one.kind, one.name))
    return TimmTables(dataset=dataset, tables=tuple(tables), notes=tuple(notes))


def store_timm(store: Store, read: TimmTables) -> ImportedTimm:
    """Write what was read, all of it or nothing; the same files again change nothing.

    Raises:
        StoreError: the store is locked, damaged or full.
    """
    there = published_tables(store, read.dataset)
    before = {one.name: one.digest for one in there if not isinstance(one.table, CatalogueTable)}
    outcomes = put_published(store, read.tables)
    main = next(one.table for one in read.tables if one.name == Path(_MAIN_FILE).stem)
    assert isinstance(main, AccuracyTable), "its name says so"
    made = tuple(_imported(one, outcomes[one.name], main) for one in read.tables)
    notes = [*read.notes]
    notes += [
        f"{one.record.name} had other content here before (sha256 {before[one.record.name][:12]}); "
        "this one replaces it"
        for one in made
        if one.outcome is PutOutcome.REPLACED
    ]
    kept = sorted(set(before) - {one.name for one in read.tables})
    if kept:
        notes.append(f"from an earlier import and not in this folder, kept: {_some(kept)}")
    if not any(isinstance(one.record.table, BenchmarkTable) for one in made):
        notes.append(f"no {_INFER}*.csv: the only cost is the number of parameters")
    return ImportedTimm(dataset=read.dataset, models=len(main.rows), tables=made, notes=tuple(notes))


def _imported(record: PublishedTable, outcome: PutOutcome, main: AccuracyTable) -> ImportedTable:
    table = record.table
    if isinstance(table, AccuracyTable):
        return ImportedTable(record=record, subject=table.test_set, outcome=outcome, join=None)
    assert isinstance(table, BenchmarkTable), "timm has no others"
    joined = join(main.rows, table.rows)
    return ImportedTable(record=record, subject=str(workload_of(table)), outcome=outcome, join=joined)


def _require_different(tables: list[PublishedTable]) -> None:
    """Refuse two tables of one test set: which of them would an accuracy be from?

    Raises:
        InputDataError: there are two.
    """
    seen: dict[str, str] = {}
    for one in tables:
        if isinstance(one.table, AccuracyTable):
            first = seen.setdefault(one.table.test_set, one.name)
            if first != one.name:
                raise InputDataError(f"{first} and {one.name} are both of {one.table.test_set}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
