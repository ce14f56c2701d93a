"""What a store holds of published tables, and which of them a cost axis means.

One axis takes one stated workload. ``latency@rtx4090`` names a device alone: of its tables the plainest is
taken (eager, channels first, the usual precision, the newest), and what else there is is said;
``latency@rtx4090/amp/compiled`` names one. A table times each model at the largest batch that fits, so that
calls are not alike: without ``bN`` a figure is the time of one example, with it that of one call of N.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from explorer.analysis.published.joining import Join, NotJoined, join
from explorer.analysis.published.points import Scored
from explorer.convention import COST_KINDS, Basis, CostAxis
from explorer.data.catalogue import CatalogueRow, CatalogueTable
from explorer.data.timm_results import PARAMS_ROUNDING, AccuracyRow, AccuracyTable
from explorer.data.timm_tables import BenchmarkRow, BenchmarkTable
from explorer.errors import UsageError, unknown_name
from explorer.record import CostFigure
from explorer.store import Store
from explorer.store.published import PublishedTable, published_datasets, published_tables
from explorer.workload import Precision, Runtime, Workload

GIGA, MEGA = 1e9, 1e6
MAIN = "imagenet"
"""Test set whose accuracies are taken where none is named."""
COUNTED_HERE = "counted here, exact: convolutions, linear layers and products of matrices"
"""How the catalogue's MACs came about."""
_GMACS_ROUNDING = 0.005
"""Half of the last digit printed."""
_PLAINEST = (Precision.AMP, Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16, Precision.INT8)
Accuracies = AccuracyTable | CatalogueTable
_BATCH = re.compile(r"b[0-9]+")
_THREADS = re.compile(r"t[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """All published tables of a data set."""

    dataset: str
    tables: tuple[PublishedTable, ...]

    @property
    def accuracies(self) -> dict[str, Accuracies]:
        """Return test set -> table, the main one first; the catalogue's only where timm has none of it."""
        found: list[Accuracies] = [one.table for one in self.tables if isinstance(one.table, AccuracyTable)]
        theirs = {table.test_set for table in found}
        found += [table for table in self.catalogues if table.test_set not in theirs]
        found.sort(key=lambda table: (table.test_set != MAIN, table.test_set))
        return {table.test_set: table for table in found}

    @property
    def catalogues(self) -> tuple[CatalogueTable, ...]:
        """Return the tables of the zoo's own networks."""
        return tuple(one.table for one in self.tables if isinstance(one.table, CatalogueTable))

    def scored(self, test_set: str) -> tuple[Scored, ...]:
        """Return the rows of a test set, of all tables; those copied from a table that is here stand once."""
        table = self.accuracies[test_set]
        own = [row for one in self.catalogues if one.test_set == test_set for row in one.rows]
        if isinstance(table, CatalogueTable):
            return tuple(own)
        return (*table.rows, *(row for row in own if not row.of_timm))

    @property
    def benchmarks(self) -> tuple[BenchmarkTable, ...]:
        """Return the tables of costs, by name."""
        return tuple(one.table for one in self.tables if isinstance(one.table, BenchmarkTable))

    def accuracy(self, test_set: str) -> Accuracies:
        """Return the accuracies on a test set, named as in `TEST_SETS` or as its file is.

        Raises:
            UsageError: none here; the message lists those that are.
        """
        known = self.accuracies
        for name, table in known.items():
            if test_set in (name, table.name, table.name.removeprefix("results-")):
                return table
        raise unknown_name("test set", test_set, known)

    def axes(self) -> tuple[str, ...]:
        """Return what a front can be asked over."""
        counted = bool(self.catalogues) or any(row.gmacs for table in self.benchmarks for row in table.rows)
        counts = ("macs", "flops") if counted else ()
        timed = sorted({f"latency@{workload_of(table)}" for table in self.benchmarks})
        return ("parameters", *counts, *timed)


def load_library(store: Store, dataset: str) -> Library:
    """Return what the store holds of a data set.

    Raises:
        UsageError: no published accuracies of it.
        StoreError: the store is locked or damaged.
    """
    library = Library(dataset=dataset, tables=published_tables(store, dataset))
    if not library.accuracies:
        known = ", ".join(published_datasets(store)) or "none"
        raise UsageError(
            f"no published accuracies of {dataset!r} in this store (there are: {known}); "
            "bring them in with `explorer import timm DIR` or `explorer import catalogue`"
        )
    return library


def workload_of(table: BenchmarkTable, batch: int = 1) -> Workload:
    """Return how a table's models were run, all but the batch, which differs from row to row."""
    return table.workload(batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCost:
    """A cost axis, and the one table its figures are from."""

    axis: CostAxis
    """With the workload of the table."""
    table: BenchmarkTable | None
    """None: the figure stands beside the accuracies (parameters; counts of the catalogue)."""
    batch: int | None
    """Examples a call that was asked for; None: whatever each model was timed at."""
    convention: str
    """How the figure was counted or timed, in a few words."""
    notes: tuple[str, ...]

    def join(self, scored: Sequence[AccuracyRow]) -> Join:
        """Give each scored row its figure's row, or the reason why it has none.

        Raises:
            UsageError: the figure needs no table.
        """
        if self.table is None:
            raise UsageError(f"{self.axis} stands beside the accuracies: there is nothing to join")
        found = join(scored, self.table.rows)
        without = {
            NotJoined.BATCH: [one for one in found.joined if self.batch not in (None, one.timed.batch)],
            NotJoined.FIGURE: [
                one for one in found.joined if self.axis.stored_kind == "macs" and one.timed.gmacs is None
            ],
        }
        out = {id(one) for some in without.values() for one in some}
        named = {
            why: tuple(f"{one.scored.model}@{one.scored.resolution}" for one in some)
            for why, some in without.items()
            if some
        }
        return Join(
            joined=tuple(one for one in found.joined if id(one) not in out),
            left_out={**found.left_out, **named},
        )

    def beside(self, scored: Scored) -> bool:
        """Tell whether a row has the figure itself: no table of costs is needed."""
        if isinstance(scored, CatalogueRow):
            return self.axis.stored_kind in ("macs", "parameters")
        return self.axis.stored_kind == "parameters"

    def figure(self, scored: Scored, timed: BenchmarkRow | None, factor: float) -> CostFigure:
        """Return a model's cost; the interval of a published count is what its rounding leaves open.

        Args:
            scored: its row among the accuracies.
            timed: its row in the table; None where the axis needs none.
            factor: from what is stored to the axis, `explorer.analysis.axis.axis_factor`.
        """
        if isinstance(scored, CatalogueRow):
            exact = scored.macs if self.axis.stored_kind == "macs" else scored.parameters
            return CostFigure(
                value=exact * factor, low=exact * factor, high=exact * factor, basis=Basis.COUNTED
            )
        if timed is None:
            value, half = scored.params * MEGA, PARAMS_ROUNDING * MEGA
        elif self.axis.stored_kind == "macs":
            value, half = (timed.gmacs or 0.0) * GIGA, _GMACS_ROUNDING * GIGA
        else:
            value, half = (timed.seconds_per_example if self.batch is None else timed.seconds), 0.0
        return CostFigure(
            value=value * factor,
            low=max(0.0, value - half) * factor,
            high=(value + half) * factor,
            basis=Basis.PUBLISHED,
        )


def choose_cost(library: Library, text: str) -> ChosenCost:
    """Return the one table that an axis, as a person types it, means.

    Raises:
        UsageError: no such axis, or no table has it; the message lists what there is.
    """
    axis = CostAxis.parse(text)
    if axis.kind.name == "parameters":
        said = "all learned numbers, two decimals of 1e6; of the catalogue exact, counted here"
        if not library.catalogues:
            said = "all learned numbers, two decimals of 1e6"
        return ChosenCost(axis=axis, table=None, batch=None, convention=said, notes=())
    if axis.stored_kind == "macs":
        return _counted(library, axis, text)
    if axis.stored_kind == "latency" and axis.workload is not None:
        return _timed(library, axis, text)
    raise _unknown(library, text)


def _counted(library: Library, axis: CostAxis, text: str) -> ChosenCost:
    counts = {table.name: sum(row.gmacs is not None for row in table.rows) for table in library.benchmarks}
    tables = [table for table in library.benchmarks if counts[table.name]]
    if not tables and library.catalogues:
        return ChosenCost(axis=axis, table=None, batch=None, convention=COUNTED_HERE, notes=())
    if not tables:
        raise _unknown(library, text)
    table = max(tables, key=lambda one: (counts[one.name], one.name))
    # deepspeed's count comes without activations
    counter = "fvcore" if any(row.macts for row in table.rows) else "deepspeed or fvcore"
    said = f"{counter}, norms counted too, two decimals of 1e9"
    notes = [f"{axis} by {said}, from {table.name}"]
    if library.catalogues:
        said = f"{said}; of the catalogue: {COUNTED_HERE}"
        notes.append(
            f"{axis} of the catalogue: {COUNTED_HERE}; of one network the published count is 0 to 4 % higher"
            ", and rounded to 10 M: much of one below 100 M"
        )
    return ChosenCost(axis=axis, table=table, batch=None, convention=said, notes=tuple(notes))


def _timed(library: Library, axis: CostAxis, text: str) -> ChosenCost:
    asked = axis.workload
    assert asked is not None, "a time needs a device"
    parts = text.partition("@")[2].strip().lower().split("/")[1:]
    if any(_THREADS.fullmatch(part) for part in parts):
        raise UsageError(f"published tables do not say their number of threads; leave it out of {text!r}")
    batch = asked.batch if any(_BATCH.fullmatch(part) for part in parts) else None
    own = [table for table in library.benchmarks if table.device == asked.device]
    fitting = [table for table in own if _fits(table, asked, parts)]
    if not fitting:
        raise _unknown(library, text)
    table = min(reversed(fitting), key=_plainness)
    chosen = _with_workload(axis, workload_of(table, batch or 1))
    others = sorted({str(workload_of(one)) for one in own} - {str(workload_of(table))})
    notes = [f"{chosen}: {_described(table)}, from {table.name}; published without intervals"]
    notes += [f"also here for {asked.device}: {', '.join(others)}"] if others else []
    if batch is None and len(batches := table_batches(table)) > 1:
        notes.append(
            f"{chosen}: time of one example in calls of the largest batch that fits, {batches[0]:,} to "
            f"{batches[-1]:,} examples; say e.g. {asked.device}/b{batches[-1]} for calls of one size"
        )
    return ChosenCost(axis=chosen, table=table, batch=batch, convention=_described(table), notes=tuple(notes))


def table_batches(table: BenchmarkTable) -> tuple[int, ...]:
    """Return the batches that models of a table were timed at, ascending."""
    return tuple(sorted({row.batch for row in table.rows}))


def _with_workload(axis: CostAxis, workload: Workload) -> CostAxis:
    """Return the axis on another workload."""
    return replace(axis, device=str(workload))


def _fits(table: BenchmarkTable, asked: Workload, parts: Sequence[str]) -> bool:
    """Tell whether a table was run as the parts that were said want it."""
    return (
        (asked.precision is table.precision or not set(parts) & set(Precision))
        and (asked.runtime is table.runtime or not set(parts) & set(Runtime))
        and (bool(table.channels_last) or not asked.channels_last)
    )


def _plainness(table: BenchmarkTable) -> tuple[bool, bool, int]:
    """Order tables: eager before compiled, channels first, the most usual precision."""
    precision = table.precision or Precision.FP32
    return table.runtime is not Runtime.EAGER, bool(table.channels_last), _PLAINEST.index(precision)


def _described(table: BenchmarkTable) -> str:
    return f"{table.precision}, {'nhwc' if table.channels_last else 'nchw'}, {table.runtime}"


def _unknown(library: Library, text: str) -> UsageError:
    others = [name for name, kind in COST_KINDS.items() if kind.derived_from == "latency"]
    return UsageError(
        f"no published figures of {library.dataset} for {text!r}; there are: {', '.join(library.axes())}; "
        f"of each latency also {', '.join(others)}"
    )
