"""Which stored predictions and costs may stand together on one front, and what is left out of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.analysis.axis import axis_factor
from explorer.convention import PREDICTED, Basis, CostAxis, terms_hold_for
from explorer.errors import ConventionError, UsageError, unknown_name
from explorer.record import CostFigure, CostRecord, PredictionsRecord
from explorer.spec import Member
from explorer.store import Store
from explorer.store.imported import RECIPE, predicted_datasets
from explorer.store.published import published_datasets

OTHER_RECIPES = "left out: members of other recipes"
"""How the note on them begins."""
_Pair = tuple[PredictionsRecord, PredictionsRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Members that were predicted on both splits, under one split and, unless mixed, one base recipe."""

    split_digest: str
    recipe_id: str
    """The recipe that members without one in their name have; several joined by ``+`` when mixed."""
    stored: tuple[Member, ...]
    """As the store names them, with recipe."""
    records: Mapping[Member, _Pair]
    """Stored member -> its predictions on ``select`` and ``report``."""
    notes: tuple[str, ...]


def base_recipes(store: Store, dataset: str) -> dict[str, str]:
    """Return each recipe id of a data set with the one it derives from: itself, unless it names another.

    A distilled student or a snapshot was trained as its base recipe says in all but the one thing its
    own recipe is about, which is what one wants to compare.
    """
    return {
        record.member.recipe: str(record.training.recipe.get("base") or record.member.recipe)
        for record in store.members(dataset)
    }


def find_members(store: Store, dataset: str, *, recipe: str | None, mix_recipes: bool) -> Found:
    """Choose the members of a pool: one split, one recipe with those that derive from it.

    Args:
        store: where predictions are.
        dataset: name of the data set.
        recipe: a recipe id, or its name when only one id has it; one that derives from another stands for
            its own members alone. None takes the base recipe with most members.
        mix_recipes: put members of all recipes on one front.

    Raises:
        UsageError: no member was predicted on both splits, no such recipe, or ``recipe`` with
            ``mix_recipes``.
    """
    if recipe is not None and mix_recipes:
        raise UsageError(f"either one recipe ({recipe}) or all of them mixed, not both")
    by_split, both = _predicted(store, dataset)
    digest = max(both, key=lambda key: (len(both[key]), key))
    notes = [
        f"left out: {len(members)} members predicted under another split ({other[:12]})"
        for other, members in sorted(both.items())
        if other != digest
    ]
    records = both[digest]
    partly = {member for member, pair in by_split[digest].items() if len(pair) < 2}
    if partly:
        notes.append(f"left out: predicted on one split only: {_listed(partly)}")
    counts = Counter(member.recipe for member in records)
    if mix_recipes:
        recipe_id = "+".join(sorted(counts))
        if len(counts) > 1:
            notes.append(f"recipes are mixed: {', '.join(sorted(counts))}")
    else:
        recipe_id, chosen = _recipe(recipe, counts, base_recipes(store, dataset))
        others = [f"{count} of {other}" for other, count in counts.most_common() if other not in chosen]
        if others:
            notes.append(f"{OTHER_RECIPES}: {', '.join(others)}")
        if len(chosen) > 1:
            listed = ", ".join(f"{counts[name]} of {name}" for name in sorted(chosen - {recipe_id}))
            notes.append(f"with members of recipes that derive from {recipe_id}: {listed}")
        records = {member: pair for member, pair in records.items() if member.recipe in chosen}
    return Found(
        split_digest=digest,
        recipe_id=recipe_id,
        stored=tuple(sorted(records)),
        records=records,
        notes=tuple(notes),
    )


_Predicted = dict[str, dict[Member, list[PredictionsRecord]]]


def _predicted(store: Store, dataset: str) -> tuple[_Predicted, dict[str, dict[Member, _Pair]]]:
    """Return all predictions by split and member, and of each split the members with both parts.

    Raises:
        UsageError: no member has both.
    """
    by_split: _Predicted = {}
    for split in ("select", "report"):
        for record in store.predictions(dataset, split):
            by_split.setdefault(record.split_digest, defaultdict(list))[record.member].append(record)
    both = {
        digest: {member: (pair[0], pair[1]) for member, pair in members.items() if len(pair) == 2}
        for digest, members in by_split.items()
    }
    both = {digest: members for digest, members in both.items() if members}
    if not both:
        known = ", ".join(predicted_datasets(store)) or "none"
        how = "make members with `explorer train`"
        if dataset in published_datasets(store):
            how = f"of published figures alone there is a front: `explorer front --dataset {dataset}`"
        raise UsageError(
            f"no member of data set {dataset!r} has predictions on both select and report; "
            f"data sets in this store: {known}; {how}"
        )
    return by_split, both


def find_costs(
    store: Store, dataset: str, found: Found, axis: CostAxis
) -> tuple[dict[Member, CostFigure], tuple[str, ...]]:
    """Choose each member's cost on an axis: one basis, one convention, one set of conditions.

    Returns:
        figures by stored member, and notes on members that have none.

    Raises:
        UsageError: no member has a cost on the axis.
        ConventionError: no single basis covers all members that have a cost.
    """
    factor, priced = axis_factor(store, axis)
    channels = {record.member: record.channels for record in store.members(dataset)}
    groups: dict[tuple[str, ...], dict[Member, CostFigure]] = defaultdict(dict)
    latest: dict[tuple[str, ...], int] = {}
    labels: dict[tuple[str, ...], CostRecord] = {}
    for order, cost in enumerate(store.costs(axis.stored_kind, axis.device)):
        for member in found.stored:
            classes = found.records[member][0].classes
            alike = (cost.model, cost.classes) == (member.model, classes)
            fits = alike and cost.channels == channels.get(member, cost.channels)
            if fits and terms_hold_for(cost.convention, dataset):
                key = _group(cost)
                # the store answers oldest first: the latest of a group stands
                groups[key][member] = _scaled(cost.figure, factor)
                latest[key], labels[key] = order, cost
    if not groups:
        raise _no_costs(store, dataset, found, axis)
    costed = {member for group in groups.values() for member in group}
    _one_basis_or_raise(groups, costed, axis)
    # whoever predicted after measuring still wants what was measured
    best = max(groups, key=lambda key: (len(groups[key]), Basis(key[0]) not in PREDICTED, latest[key]))
    notes = [*priced]
    basis = labels[best].figure.basis
    if basis in (Basis.FITTED, Basis.TRANSFERRED):
        notes.append(f"{axis} is {basis}, not measured: members' intervals are a predictor's 90 %")
    if axis.kind.members_at_once:
        notes.append(
            f"{axis} assumes a worker for each member of a stage, none slowed by another: "
            "`explorer profile DESIGN --placement parallel:N` measures it"
        )
    without = set(found.stored) - costed
    if without:
        notes.append(f"left out: no {axis} for {_listed(without)}")
    other = costed - set(groups[best])
    if other:
        why = _difference(labels[best], next(labels[key] for key in groups if set(groups[key]) & other))
        notes.append(f"left out: {axis} of {_listed(other)} stands on other terms ({why})")
    return groups[best], tuple(notes)


def _recipe(wanted: str | None, counts: Mapping[str, int], bases: Mapping[str, str]) -> tuple[str, set[str]]:
    """Return the recipe of a pool, and all recipes whose members are in it."""
    families: dict[str, set[str]] = defaultdict(set)
    for recipe in counts:
        families[bases.get(recipe, recipe)].add(recipe)
    if wanted is None:
        base = max(sorted(families), key=lambda name: sum(counts[recipe] for recipe in families[name]))
        return base, families[base]
    named = [name for name in (*families, *counts) if wanted in (name, name.rpartition("-")[0])]
    if len(set(named)) != 1:
        raise unknown_name("recipe", wanted, counts)
    return named[0], families.get(named[0], {named[0]})


def _group(cost: CostRecord) -> tuple[str, ...]:
    """Return what must be equal for two figures to share a front."""
    terms = [str(cost.figure.basis), cost.convention]
    if cost.conditions is not None:
        for name in cost.conditions.__dataclass_fields__:
            value = getattr(cost.conditions, name)
            terms.append(repr(sorted(value.items())) if isinstance(value, Mapping) else repr(value))
    return tuple(terms)


def _scaled(figure: CostFigure, factor: float) -> CostFigure:
    return replace(figure, value=figure.value * factor, low=figure.low * factor, high=figure.high * factor)


def _one_basis_or_raise(
    groups: Mapping[tuple[str, ...], Mapping[Member, CostFigure]], costed: set[Member], axis: CostAxis
) -> None:
    covered: dict[Basis, set[Member]] = defaultdict(set)
    for (basis, *_), group in groups.items():
        covered[Basis(basis)] |= set(group)
    if not any(members == costed for members in covered.values()):
        parts = ", ".join(f"{basis} for {len(members)}" for basis, members in sorted(covered.items()))
        raise ConventionError(
            f"{axis} is {parts} of {len(costed)} members; bases are not mixed on one front: "
            "give all members a cost of one basis with `explorer profile`"
        )


def _difference(chosen: CostRecord, other: CostRecord) -> str:
    if chosen.figure.basis is not other.figure.basis:
        return f"basis: {other.figure.basis} against {chosen.figure.basis}"
    if chosen.convention != other.convention:
        return f"convention: {other.convention} against {chosen.convention}"
    if chosen.conditions is None or other.conditions is None:
        return "conditions: known for one only"
    return other.conditions.difference(chosen.conditions)


def _no_costs(store: Store, dataset: str, found: Found, axis: CostAxis) -> UsageError:
    known = sorted({f"{c.kind}@{c.device}" if c.device else c.kind for c in store.costs()})
    device = f" --device {axis.device}" if axis.device else ""
    if all(member.recipe == RECIPE for member in found.stored):
        how = "give one with `explorer import predictions` and --price, --macs or --cost"
    else:
        how = f"measure with `explorer profile MODEL{device}`"
    return UsageError(
        f"no member of {dataset} has a cost for {axis}; {how}; "
        f"costs in this store: {', '.join(known) or 'none'}"
    )


def _listed(members: set[Member]) -> str:
    shown = [str(member) for member in sorted(members)]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def plain_names(found: Found, mix_recipes: bool) -> dict[Member, Member]:
    """Return stored member -> its name in designs: without the recipe that goes without saying.

    A distilled one keeps it: its name is what tells it from a network that learned from labels.
    """
    return {
        member: member
        if mix_recipes or member.recipe != found.recipe_id or member.distilled
        else replace(member, recipe="")
        for member in found.stored
    }


def check_sizes(found: Found, members: Sequence[Member]) -> None:
    """Refuse members whose predictions differ in their number of examples or classes.

    Raises:
        UsageError: they do.
    """
    for number, split in enumerate(("select", "report")):
        shapes = {(r.examples, r.classes) for r in (found.records[m][number] for m in members)}
        if len(shapes) > 1:
            shown = " and ".join(str(list(shape)) for shape in sorted(shapes))
            raise UsageError(f"predictions on {split} have shapes {shown}; all members must share one")
