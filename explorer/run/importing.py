"""Take other people's predictions into the store, beside members trained here.

Which examples choose and which are reported on is decided in `explorer.run.imported_splits`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from explorer.convention import Basis, CostAxis, imported_terms
from explorer.data.predictions import Asked, Predictions, read_predictions
from explorer.data.probabilities import as_probabilities, count_classes
from explorer.errors import UsageError
from explorer.question import parse_amount
from explorer.record import CostFigure, CostRecord
from explorer.run.imported_splits import (
    HALVES,
    ChosenSplit,
    choose_split,
    known_class_names,
    merged_class_names,
)
from explorer.spec import NAME_RULE, Member, ModelSpec, parse_member
from explorer.store import Store
from explorer.store.costs import require_cost
from explorer.store.imported import RECIPE, commit_imported
from explorer.store.members import checked_labels, checked_probabilities

MILLION = 1e6
_CHANCE_SPREADS = 4.0
"""Standard deviations above chance that an accuracy must be not to raise the question of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAsked:
    """What is to be imported, and what its members cost."""

    path: Path
    dataset: str
    """Name under which it is asked for later."""
    names: tuple[str, ...] = ()
    """``NAME[@RESOLUTION][#SEED]`` of each member; empty: as the file says."""
    asked: Asked = field(default_factory=Asked)
    split: str = HALVES
    """Of `explorer.run.imported_splits.SPLITS`."""
    classes: int = 0
    """0: as the file or the store says."""
    prices: tuple[float, ...] = ()
    """In US dollars for ``per`` calls: one for each member, or one for all."""
    per: float = 0.0
    """0: as the key of the prices says."""
    costs: tuple[tuple[CostAxis, tuple[str, ...]], ...] = ()
    """Axis, and an amount for each member, or one for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMember:
    """One member as it went into the store."""

    member: Member
    accuracy: float
    """Over all imported examples: whether labels and answers are in one order shows here."""
    costs: Mapping[str, float]
    """Axis -> figure in its unit."""
    replaced: bool
    """Whether the store had other predictions under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    dataset: str
    split_digest: str
    joined: bool
    """Whether the split was in the store already."""
    kind: str
    """probabilities, logits or labels."""
    file_digest: str
    """SHA-256 of the file."""
    examples: Mapping[str, int]
    """Split -> examples."""
    classes: int
    members: tuple[ImportedMember, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A file read and checked against what the store has: nothing is wrong with it, nothing is written."""

    wanted: ImportAsked
    found: Predictions
    target: ChosenSplit
    members: tuple[Member, ...]
    probabilities: np.ndarray
    """float16 ``[member, example, class]``"""
    class_names: tuple[str, ...]
    costs: tuple[CostRecord, ...]
    notes: tuple[str, ...]


def import_predictions(store: Store, wanted: ImportAsked) -> Imported:
    """Read, check and store a file of predictions; nothing is written unless all of it is right.

    Raises:
        InputDataError: the file is damaged, or not what it should be; other examples, or another order of
            them, than the data set has in the store.
        UsageError: a name, price or cost that cannot be, or what is not clear without being told.
        StoreError: the store is locked, damaged or full.
    """
    return store_prepared(store, prepare_import(wanted, store))


def prepare_import(wanted: ImportAsked, store: Store | None) -> Prepared:
    """Read and check a file, as `commit_imported` will; ``store`` is None where there is none yet.

    Raises:
        InputDataError: as `import_predictions`.
        UsageError: as `import_predictions`.
        StoreError: the store is locked or damaged.
    """
    if not wanted.dataset.strip() or not wanted.dataset.isprintable():
        raise UsageError(f"not a name of a data set: {wanted.dataset!r}")
    known = known_class_names(store, wanted.dataset, wanted.split)
    asked = replace(wanted.asked, prices_given=bool(wanted.prices), known_classes=known)
    found = read_predictions(wanted.path, asked)
    members = member_names(found, wanted.names)
    target = choose_split(store, wanted.dataset, wanted.split, found)
    classes, guessed = count_classes(found, said=wanted.classes, known=len(target.class_names))
    probabilities, changed = as_probabilities(found, classes, tuple(map(str, members)))
    class_names = merged_class_names(found, target.class_names, classes)
    for split, rows in target.rows.items():
        checked_labels(found.labels[rows], class_names, wanted.dataset, split)
        for member, made in zip(members, probabilities, strict=True):
            checked_probabilities(made[rows], member, wanted.dataset, split)
    return Prepared(
        wanted=wanted,
        found=found,
        target=target,
        members=members,
        probabilities=probabilities,
        class_names=class_names,
        costs=_costs(wanted, found, members, classes),
        notes=(*found.notes, *_price_note(wanted, found), *guessed, *changed),
    )


def store_prepared(store: Store, prepared: Prepared) -> Imported:
    """Write what was prepared with the same store, or with none: all of it or nothing.

    Raises:
        StoreError: the store is locked, damaged or full.
    """
    wanted, found, target = prepared.wanted, prepared.found, prepared.target
    before = {
        (record.member, record.split): record.digest
        for split in target.rows
        for record in store.predictions(wanted.dataset, split)
        if record.split_digest == target.split_digest
    }
    stored = commit_imported(
        store,
        wanted.dataset,
        target.split_digest,
        predictions={
            member: {split: prepared.probabilities[place, rows] for split, rows in target.rows.items()}
            for place, member in enumerate(prepared.members)
        },
        labels={split: found.labels[rows] for split, rows in target.rows.items()},
        class_names=prepared.class_names,
        cost_records=prepared.costs,
    )
    replaced = {
        record.member
        for record in stored
        if before.get((record.member, record.split)) not in (None, record.digest)
    }
    rights = (prepared.probabilities.argmax(axis=2) == found.labels).mean(axis=1)
    made = tuple(
        _imported(member, float(right), prepared.costs, replaced)
        for member, right in zip(prepared.members, rights, strict=True)
    )
    classes = len(prepared.class_names)
    return Imported(
        dataset=wanted.dataset,
        split_digest=target.split_digest,
        joined=bool(target.class_names),
        kind=str(found.kind),
        file_digest=found.digest,
        examples={split: len(rows) for split, rows in target.rows.items()},
        classes=classes,
        members=made,
        notes=(*prepared.notes, *_doubts(made, wanted, classes, len(found.labels))),
    )


def _imported(
    member: Member, accuracy: float, costs: Sequence[CostRecord], replaced: Collection[Member]
) -> ImportedMember:
    figures = {_axis_of(record): record.figure.value for record in costs if record.model == member.model}
    return ImportedMember(member=member, accuracy=accuracy, costs=figures, replaced=member in replaced)


def member_names(found: Predictions, said: Sequence[str]) -> tuple[Member, ...]:
    """Return the members of a file, under the names that were said or that it has itself.

    Raises:
        UsageError: names are missing, too many, twice, or cannot be names of members.
    """
    count, _ = found.shape
    names = tuple(said) or found.names or ((found.path.stem,) if count == 1 else ())
    if len(names) != count:
        raise UsageError(
            f"{found.path.name} has {count} member{'s' * (count > 1)}, names are given for {len(names)}; "
            "say --names a,b,... (one member: --name)"
        )
    members = tuple(_member(name) for name in names)
    twice = sorted({str(member.model) for member in members if members.count(member) > 1})
    if twice:
        raise UsageError(f"a member is named twice: {', '.join(twice)}; tell runs of one model by NAME#SEED")
    return members


def _member(name: str) -> Member:
    text = name.strip()
    try:
        member = parse_member(text if "#" in text else f"{text}#0")
    except UsageError:
        raise UsageError(
            f"{text!r} cannot be the name of a member: wanted NAME or NAME#SEED, NAME of {NAME_RULE}; "
            "give other names with --names"
        ) from None
    if member.recipe:
        raise UsageError(f"{text!r} names a recipe; what is imported always has the recipe {RECIPE!r}")
    return replace(member, recipe=RECIPE)


# ---- what members cost ------------------------------------------------------------------------


def _costs(
    wanted: ImportAsked, found: Predictions, members: Sequence[Member], classes: int
) -> tuple[CostRecord, ...]:
    """Return the figures that were given, checked as the store will check them.

    Raises:
        UsageError: amounts that cannot be, or another number of them than members.
    """
    given: list[tuple[str, str | None, tuple[float, ...]]] = []
    prices = _usd_per_million(wanted, found, len(members))
    if prices:
        given.append(("price", None, prices))
    for axis, amounts in wanted.costs:
        parsed = tuple(parse_amount(text, axis.kind.unit) for text in amounts)
        given.append((axis.kind.name, axis.device, _for_each(parsed, members, str(axis))))
    records: dict[tuple[ModelSpec, str, str | None], CostRecord] = {}
    for kind, device, values in given:
        for member, value in zip(members, values, strict=True):
            record = CostRecord(
                model=member.model,
                channels=0,
                classes=classes,
                kind=kind,
                device=device,
                figure=CostFigure(value=value, low=value, high=value, basis=Basis.PUBLISHED),
                convention=imported_terms(wanted.dataset),
                source=f"the import of {found.path.name} (sha256 {found.digest[:12]})",
            )
            require_cost(record)
            before = records.setdefault((member.model, kind, device), record)
            if before.figure != record.figure:
                raise UsageError(
                    f"{kind} of {member.model} is given twice, {before.figure.value:g} and {value:g}: "
                    "runs of one model cost the same"
                )
    return tuple(records.values())


def _usd_per_million(wanted: ImportAsked, found: Predictions, count: int) -> tuple[float, ...]:
    values = wanted.prices or found.prices
    per = wanted.per or (0.0 if wanted.prices else found.price_calls)
    if not values:
        if wanted.per:
            raise UsageError("--per says for how many calls a price is; give the price with --price")
        return ()
    if not (math.isfinite(per) and per > 0):
        raise UsageError("for how many calls is the price? say e.g. --per 10000")
    for value in values:
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"a price must be a number of dollars, 0 or more, got {value}")
    if len(values) not in (1, count):
        raise UsageError(f"{len(values)} prices for {count} members; wanted one for each, or one for all")
    # divided last: 15 USD for 10,000 is 1500 for a million, to the last digit
    return tuple(value * MILLION / per for value in (values if len(values) == count else values * count))


def _price_note(wanted: ImportAsked, found: Predictions) -> tuple[str, ...]:
    if wanted.prices or not found.prices:
        return ()
    return (f"prices: {found.price_key}, for {wanted.per or found.price_calls:,.10g} calls",)


def _for_each(values: tuple[float, ...], members: Sequence[Member], what: str) -> tuple[float, ...]:
    if len(values) not in (1, len(members)):
        raise UsageError(
            f"{len(values)} figures of {what} for {len(members)} members; wanted one for each, or one for all"
        )
    return values if len(values) == len(members) else values * len(members)


def _axis_of(record: CostRecord) -> str:
    return record.kind if record.device is None else f"{record.kind}@{record.device}"


def _doubts(
    made: Sequence[ImportedMember], wanted: ImportAsked, classes: int, examples: int
) -> tuple[str, ...]:
    """Say what a person should look at before trusting what was imported."""
    chance = 1 / classes
    limit = chance + _CHANCE_SPREADS * math.sqrt(chance * (1 - chance) / examples)
    said = [
        f"{one.member} is right on {100 * one.accuracy:.1f} % only, as chance: are labels in its order?"
        for one in made
        if one.accuracy <= limit
    ]
    said += [
        f"{one.member} had other predictions here before; these replace them" for one in made if one.replaced
    ]
    if not any(one.costs for one in made):
        said.append("no cost was given: a front needs one (--price and --per, --macs, --cost)")
    if wanted.split != HALVES:
        said.append(f"{wanted.split} only: a front needs the members' predictions on both splits")
    return tuple(said)
