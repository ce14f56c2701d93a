"""Take the published accuracies of the zoo's networks into the store, with their cost counted here.

Every network is built without weights and counted once; what an earlier import of this version counted is
not counted again. What is written is all tables or none.
"""

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from explorer import __version__
from explorer.accounting.conventions import COUNT_CONVENTION
from explorer.data.catalogue import CATALOGUE, CatalogueRow, CatalogueTable, short_source
from explorer.errors import ExplorerError
from explorer.spec import ModelSpec
from explorer.store import Store
from explorer.store.published import PublishedTable, PutOutcome, published_tables, put_tables

if TYPE_CHECKING:
    from zoo.published import Published
    from zoo.registry import Family

EXAMPLES = {"imagenet": 50_000, "cifar10": 10_000, "cifar100": 10_000}
"""Images that each data set's published accuracies are shares of."""
SOURCE = "the zoo's published figures, each row with its own source"
COUNTED_BY = f"explorer {__version__}, {COUNT_CONVENTION}"

_Network = tuple[str, int, int, int]
"""Model, image size, channels and classes: what a count depends on."""
Update = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How counts compare with the published figures of one quantity."""

    quantity: str
    published: int
    """Rows whose source has a figure."""
    beyond: tuple[tuple[str, str], ...]
    """``model@size`` of the rows that differ beyond tolerance and rounding, and why, where that is known."""

    @property
    def within(self) -> int:
        """Rows that agree."""
        return self.published - len(self.beyond)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCatalogueTable:
    """One data set's rows as they went into the store."""

    record: PublishedTable
    table: CatalogueTable
    outcome: PutOutcome
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCatalogue:
    """What an import did."""

    tables: tuple[ImportedCatalogueTable, ...]
    counted: int
    """Networks that were counted now; the others had been."""
    left_out: Mapping[str, tuple[str, ...]]
    """Why -> ``model@size``."""
    notes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Published accuracies in all tables."""
        return sum(len(one.table.rows) for one in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One published accuracy, before it is counted."""

    family: str
    subnetwork: bool
    figures: "Published"

    @property
    def network(self) -> _Network:
        row = self.figures
        return row.model, row.resolution, row.channels, row.classes

    @property
    def name(self) -> str:
        return f"{self.figures.model}@{self.figures.resolution}"


@dataclass(slots=True)
class _LeftOut:
    """Names by the reason why they are not imported."""

    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, why: str, name: str) -> None:
        names = self.reasons.setdefault(why, [])
        if name not in names:
            names.append(name)


def import_catalogue(
    store: Store,
    families: "Mapping[str, Family]",
    *,
    supernets: "Mapping[str, tuple[str, ...]]",
    recount: bool = False,
    update: Update,
) -> ImportedCatalogue:
    """Count the networks that have a published accuracy and write one table a data set.

    Args:
        store: where they go.
        families: of the zoo, by name.
        supernets: search spaces by name -> the systems that search them: their families' networks, and
            those of families of the same systems, are sub-networks.
        recount: count again what this version has counted already.
        update: told the share of networks counted and which is next.

    Raises:
        StoreError: the store is locked, damaged or full.
    """
    left_out = _LeftOut()
    asked = _asked(families, supernets, left_out)
    before = {one.dataset: one for one in published_tables(store) if isinstance(one.table, CatalogueTable)}
    known = {} if recount else _known(before.values())
    missing = list(dict.fromkeys(one.network for one in asked if one.network not in known))
    counts = {**known, **_counted(missing, left_out, update)}
    made = [
        _record(dataset, [one for one in asked if one.figures.dataset == dataset], counts)
        for dataset in EXAMPLES
    ]
    records = [record for record in made if record.table.rows]
    tables = tuple(map(_imported, records, put_tables(store, records)))
    return ImportedCatalogue(
        tables=tables,
        counted=sum(network in counts for network in missing),
        left_out={why: tuple(names) for why, names in left_out.reasons.items()},
        notes=tuple(_replaced(one, before[one.record.dataset]) for one in tables if _is_replaced(one)),
    )


def _asked(
    families: "Mapping[str, Family]", supernets: Mapping[str, tuple[str, ...]], left_out: _LeftOut
) -> list[_Asked]:
    systems = {system for own in supernets.values() for system in own}
    found = []
    for name, family in families.items():
        subnetwork = name in supernets or bool(systems & set(family.systems))
        for row in family.published:
            if row.top1 is None:
                continue
            group = _first_word(row.model) if name in supernets else name
            one = _Asked(family=group, subnetwork=subnetwork, figures=row)
            if row.dataset in EXAMPLES:
                found.append(one)
            else:
                left_out.add(f"how many test images {row.dataset} has is not known here", one.name)
    return found


def _first_word(model: str) -> str:
    """Return what the names of a supernet's sub-networks begin with: ``alphanet`` of ``alphanet-a0``."""
    return re.split(r"[-.]", model, maxsplit=1)[0]


def _known(before: Iterable[PublishedTable]) -> dict[_Network, tuple[int, int]]:
    """Return what is counted already, under this version and convention."""
    return {
        (row.model, row.resolution, row.channels, row.classes): (row.macs, row.parameters)
        for record in before
        if isinstance(record.table, CatalogueTable) and record.table.counted_by == COUNTED_BY
        for row in record.table.rows
    }


def _counted(networks: list[_Network], left_out: _LeftOut, update: Update) -> dict[_Network, tuple[int, int]]:
    """Return MACs and parameters of each network; one that cannot be counted is left out and said."""
    if not networks:
        return {}
    from explorer.measure.meta_speed import KernelsOnce
    from explorer.measure.trace import count_model
    from explorer.run.countable import countable
    from zoo import ZooError

    found = {}
    with KernelsOnce():
        for place, network in enumerate(networks):
            model, resolution, channels, classes = network
            name = f"{model}@{resolution}"
            update(place / len(networks), f"{place} of {len(networks)} networks; {name}")
            try:
                built = countable(ModelSpec(model, resolution), channels=channels, classes=classes)
                cost = count_model(built.network, built.input_shape(), own=True)
            except (ExplorerError, ZooError) as error:
                left_out.add(str(error), name)
                continue
            if cost.uncounted:
                left_out.add(f"no formula for {', '.join(sorted(cost.uncounted))}", name)
                continue
            found[network] = (cost.macs, cost.parameters)
    return found


def _record(dataset: str, asked: list[_Asked], counts: Mapping[_Network, tuple[int, int]]) -> PublishedTable:
    merged: dict[tuple[str, int, float], CatalogueRow] = {}
    for one in asked:
        if one.network in counts:
            row = _row(one, *counts[one.network])
            first = merged.get(row.key)
            merged[row.key] = row if first is None else _merged(first, row)
    times = Counter((row.model, row.resolution) for row in merged.values())
    rows = tuple(
        dataclasses.replace(row, told_apart=short_source(row.source))
        if times[row.model, row.resolution] > 1
        else row
        for row in merged.values()
    )
    table = CatalogueTable(
        name=CATALOGUE, test_set=dataset, examples=EXAMPLES[dataset], counted_by=COUNTED_BY, rows=rows
    )
    return PublishedTable(dataset=dataset, digest=_digest(table), source=SOURCE, table=table)


def _row(one: _Asked, macs: int, parameters: int) -> CatalogueRow:
    row = one.figures
    assert row.top1 is not None, "asked for"
    return CatalogueRow(
        model=row.model,
        family=one.family,
        subnetwork=one.subnetwork,
        resolution=row.resolution,
        top1=round(row.top1, 6),  # a printed percentage over 100 is not the nearest float
        macs=macs,
        parameters=parameters,
        published_macs=None if row.macs is None else float(row.macs),
        published_parameters=None if row.parameters is None else float(row.parameters),
        macs_rounding=row.macs_rounding,
        parameters_rounding=row.parameters_rounding,
        source=row.source,
        status=str(row.status),
        channels=row.channels,
        classes=row.classes,
        note=row.note,
        departs=row.departs,
    )


def _merged(first: CatalogueRow, second: CatalogueRow) -> CatalogueRow:
    """Return one row of two that print the same accuracy: the same weights, or as good as."""
    sources = [*first.source.split("; "), *second.source.split("; ")]
    own = second if first.published_macs is None else first
    learned = second if first.published_parameters is None else first
    return dataclasses.replace(
        first,
        source="; ".join(dict.fromkeys(sources)),
        published_macs=own.published_macs,
        macs_rounding=own.macs_rounding,
        published_parameters=learned.published_parameters,
        parameters_rounding=learned.parameters_rounding,
        note="; ".join(dict.fromkeys(note for note in (first.note, second.note) if note)),
        departs="; ".join(dict.fromkeys(why for why in (first.departs, second.departs) if why)),
    )


def _digest(table: CatalogueTable) -> str:
    """Return the SHA-256 of rows and version: there is no file."""
    text = json.dumps([table.counted_by, *(dataclasses.astuple(row) for row in table.rows)])
    return hashlib.sha256(text.encode()).hexdigest()


def _imported(record: PublishedTable, outcome: PutOutcome) -> ImportedCatalogueTable:
    table = record.table
    assert isinstance(table, CatalogueTable), "made so"
    agreements = (_agreement("macs", table.rows), _agreement("parameters", table.rows))
    return ImportedCatalogueTable(record=record, table=table, outcome=outcome, agreements=agreements)


def _agreement(quantity: str, rows: Iterable[CatalogueRow]) -> Agreement:
    published, beyond = 0, []
    for row in rows:
        if getattr(row, f"published_{quantity}") is not None:
            published += 1
            if quantity in _off(row):
                beyond.append((f"{row.model}@{row.resolution}", row.departs))
    return Agreement(quantity=quantity, published=published, beyond=tuple(beyond))


def _off(row: CatalogueRow) -> dict[str, float]:
    """Return which counts are off what was published: the zoo says what still agrees."""
    from zoo.published import Published

    figures = Published(
        model=row.model,
        resolution=row.resolution,
        source=row.source,
        parameters=row.published_parameters,
        macs=row.published_macs,
        parameters_rounding=row.parameters_rounding,
        macs_rounding=row.macs_rounding,
    )
    return figures.off(row.parameters, row.macs)


def _is_replaced(one: ImportedCatalogueTable) -> bool:
    return one.outcome is PutOutcome.REPLACED


def _replaced(one: ImportedCatalogueTable, before: PublishedTable) -> str:
    return (
        f"{one.record.name} of {one.record.dataset} had other rows here before "
        f"(sha256 {before.digest[:12]}); these replace them"
    )
