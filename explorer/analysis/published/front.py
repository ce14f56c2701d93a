"""The exact front over published single models: accuracy on one test set against one cost or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from explorer.analysis.axis import axis_factor
from explorer.analysis.bootstrap import wilson
from explorer.analysis.published.ensembles import PredictedEnsembles, predict_ensembles
from explorer.analysis.published.groups import Group, Grouping, Reached, cheapest, group_models
from explorer.analysis.published.joining import JoinedBy, NotJoined
from explorer.analysis.published.library import Accuracies, ChosenCost, Library, choose_cost, load_library
from explorer.analysis.published.points import TIMM, PublishedPoint, Scored, Share, scored_name
from explorer.analysis.published.recipes import FreeAccuracy, free_accuracy
from explorer.analysis.search.pareto import nondominated
from explorer.data.catalogue import CATALOGUE, CatalogueRow, CatalogueTable
from explorer.data.timm_tables import BenchmarkRow
from explorer.errors import UsageError, unknown_name
from explorer.record import CostFigure
from explorer.store import Store

MOST_COSTS = 3
MOST_MEMBERS = 10
IMAGENET_LEVELS = (0.76, 0.78, 0.80, 0.82)
PREDICTABLE = frozenset({"imagenet", "imagenet-real", "imagenet-v2", "cifar10", "cifar100"})
"""Test sets like the training set: published ensembles, which predictions learn from, were scored on such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedQuestion:
    """What a front over published models is asked for."""

    dataset: str
    costs: tuple[str, ...]
    """Axes as a person types them."""
    test_set: str = ""
    """Empty: the data set's own."""
    only: tuple[str, ...] = ()
    """Models, architectures or patterns with ``*``; empty: all."""
    exclude: tuple[str, ...] = ()
    members: int = 0
    """Predict ensembles of 2 to so many; 0: none."""
    grouping: Grouping | None = None
    """Show fronts of groups of models side by side."""
    reach: tuple[float, ...] = ()
    """Accuracies that each group's cheapest is sought for; empty: usual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostJoin:
    """How many scored models have a cost, and why the others have none."""

    cost: ChosenCost
    joined: Mapping[JoinedBy, int]
    """Empty where the figure stands beside the accuracies."""
    beside: int
    """Models whose figure stands beside their accuracy."""
    left_out: Mapping[NotJoined, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFront:
    """The front over published models, and what it is made of."""

    library: Library
    table: Accuracies
    """Whose accuracies decide; those of the catalogue on the same test set stand with timm's."""
    costs: tuple[ChosenCost, ...]
    joins: tuple[CostJoin, ...]
    """One a cost."""
    scored: int
    """Models that the question asks about."""
    models: tuple[PublishedPoint, ...]
    """All with accuracy and costs, by rising first cost."""
    points: tuple[PublishedPoint, ...]
    """The front."""
    recipes: tuple[FreeAccuracy, ...]
    """Accuracy that another recipe gives at the same cost, largest gain first."""
    predicted: PredictedEnsembles | None
    groups: tuple[Group, ...]
    """Empty where none were asked for."""
    reached: tuple[Reached, ...]
    """What each group needs for an accuracy, cheapest first; by rising accuracy."""
    notes: tuple[str, ...]

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the models are from."""
        return tuple(sorted({origin_of(model.row) for model in self.models}))


def published_front(store: Store, question: PublishedQuestion) -> PublishedFront:
    """Find the published models that no other one beats in accuracy and all costs.

    Raises:
        UsageError: no published accuracies, an unknown test set, axis or model, an axis given twice, more
            than three of them, no model with all costs, or ensembles where nothing can predict them.
        StoreError: the store is locked or damaged.
    """
    library = load_library(store, question.dataset)
    table = library.accuracy(question.test_set or next(iter(library.accuracies)))
    _require_predictable(question, table.test_set, library)
    costs = _chosen(library, question)
    rows = _asked(library.scored(table.test_set), question)
    factors, priced = zip(*(axis_factor(store, cost.axis) for cost in costs), strict=True)
    joins, figures = [], []
    for cost, factor in zip(costs, factors, strict=True):
        found, own = _join(cost, rows, factor)
        joins.append(found)
        figures.append(own)
    models = _models(library, table, [row for row in rows if all(row.key in own for own in figures)], figures)
    if not models:
        raise UsageError(
            f"none of {len(rows)} models of {table.test_set} has {' and '.join(str(c.axis) for c in costs)}"
        )
    points = front_of(models)
    kinds = [cost.axis.kind for cost in costs]
    groups = (
        group_models(models, points, question.grouping, kinds, question.members) if question.grouping else ()
    )
    asked = costs if any(not isinstance(row, CatalogueRow) for row in rows) else ()
    sources = [note for cost in asked for note in cost.notes] + [note for some in priced for note in some]
    return PublishedFront(
        library=library,
        table=table,
        costs=costs,
        joins=tuple(joins),
        scored=len(rows),
        models=models,
        points=points,
        recipes=free_accuracy(models),
        predicted=predict_ensembles(points, kinds, question.members) if question.members else None,
        groups=groups,
        reached=cheapest(groups, question.reach or usual_levels(table.test_set, models)) if groups else (),
        notes=(*dict.fromkeys(sources), *table.notes, *_warnings(table, models)),
    )


def front_of(models: Sequence[PublishedPoint]) -> tuple[PublishedPoint, ...]:
    """Return those that no other one beats in accuracy and all costs, by rising first cost."""
    objectives = np.array([[*(cost.value for cost in m.costs), m.accuracy.value] for m in models])
    keep = nondominated(objectives, maximise=(*(False for _ in models[0].costs), True))
    return tuple(model for model, kept in zip(models, keep, strict=True) if kept)


def origin_of(row: Scored) -> str:
    """Return which tables a row is of: ``timm`` or ``catalogue``."""
    return CATALOGUE if isinstance(row, CatalogueRow) else "timm"


def usual_levels(test_set: str, models: Sequence[PublishedPoint]) -> tuple[float, ...]:
    """Return accuracies that people ask a cost for: 76 to 82 % on ImageNet, else quintiles of the models."""
    if test_set == "imagenet":
        return IMAGENET_LEVELS
    ends = np.quantile([model.accuracy.value for model in models], [0.2, 0.4, 0.6, 0.8])
    return tuple(dict.fromkeys(float(level) for level in np.floor(ends * 1000) / 1000))


def share_of(table: Accuracies, row: Scored) -> Share:
    """Return a published accuracy with the Wilson interval of its test set, where the number is known."""
    if table.examples is None:
        return Share(value=row.top1, low=None, high=None, n=None)
    low, high = wilson(round(row.top1 * table.examples), table.examples)
    # what is printed is rounded: an interval of its count may end a rounding short of it
    return Share(value=row.top1, low=min(low, row.top1), high=max(high, row.top1), n=table.examples)


def _require_predictable(question: PublishedQuestion, test_set: str, library: Library) -> None:
    if not question.members:
        return
    if not 2 <= question.members <= MOST_MEMBERS:
        raise UsageError(f"ensembles are predicted of 2 to {MOST_MEMBERS} members, got {question.members}")
    if test_set not in PREDICTABLE:
        others = ", ".join(name for name in library.accuracies if name in PREDICTABLE)
        raise UsageError(
            f"ensembles cannot be predicted on {test_set}: the published ones that a prediction learns from "
            f"were scored on images like those trained on{f'; use {others}' if others else ''}"
        )


def _chosen(library: Library, question: PublishedQuestion) -> tuple[ChosenCost, ...]:
    texts = question.costs
    if question.grouping is not None and len(texts) != 1:
        raise UsageError(f"groups are laid side by side over one cost, got {len(texts)}: {', '.join(texts)}")
    if not 1 <= len(texts) <= MOST_COSTS:
        raise UsageError(f"a front takes one to {MOST_COSTS} costs, got {len(texts)}")
    costs = tuple(choose_cost(library, text) for text in texts)
    names = [str(cost.axis) for cost in costs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} was given twice")
    return costs


def _asked(rows: Sequence[Scored], question: PublishedQuestion) -> list[Scored]:
    """Return the rows that --only and --exclude leave.

    Raises:
        UsageError: one of their names stands for nothing, or nothing is left.
    """
    for name in (*question.only, *question.exclude):
        if not any(_named(row, name) for row in rows):
            raise unknown_name("published model", name, {row.architecture for row in rows})
    left = [
        row
        for row in rows
        if (not question.only or any(_named(row, name) for name in question.only))
        and not any(_named(row, name) for name in question.exclude)
    ]
    if not left:
        raise UsageError("--exclude leaves none of the models that --only names")
    return left


def _named(row: Scored, name: str) -> bool:
    texts = [row.model, row.architecture, scored_name(row), f"{row.model}@{row.resolution}"]
    if isinstance(row, CatalogueRow):
        texts = [*texts, row.family, *(f"{CATALOGUE}:{text}" for text in texts)]
    else:
        texts += [f"{TIMM}{text}" for text in texts]
    return any(fnmatchcase(text, name) for text in texts)


_Key = tuple[str | int | float, ...]
_Figure = tuple[CostFigure, BenchmarkRow | None, JoinedBy | None]


def _join(cost: ChosenCost, rows: Sequence[Scored], factor: float) -> tuple[CostJoin, dict[_Key, _Figure]]:
    """Return counts, and by scored row its figure, where that stands and how the two were joined."""
    own = [row for row in rows if cost.beside(row)]
    figures: dict[_Key, _Figure] = {row.key: (cost.figure(row, None, factor), None, None) for row in own}
    joined: Mapping[JoinedBy, int] = {}
    left_out: dict[NotJoined, tuple[str, ...]] = {}
    theirs = [row for row in rows if not isinstance(row, CatalogueRow) and not cost.beside(row)]
    if cost.table is not None:
        found = cost.join(theirs)
        joined, left_out = {by: found.count(by) for by in JoinedBy}, dict(found.left_out)
        for one in found.joined:
            figures[one.scored.key] = (cost.figure(one.scored, one.timed, factor), one.timed, one.by)
    elif theirs:
        left_out[NotJoined.FIGURE] = tuple(map(scored_name, theirs))
    without = [row for row in rows if isinstance(row, CatalogueRow) and not cost.beside(row)]
    if without:
        left_out[NotJoined.CATALOGUE] = tuple(map(scored_name, without))
    return CostJoin(cost=cost, joined=joined, beside=len(own), left_out=left_out), figures


def _models(
    library: Library,
    table: Accuracies,
    rows: Sequence[Scored],
    figures: Sequence[Mapping[_Key, _Figure]],
) -> tuple[PublishedPoint, ...]:
    elsewhere = {
        other.test_set: (other, {row.key: row for row in other.rows})
        for other in library.accuracies.values()
        if other is not table
    }
    made = [
        PublishedPoint(
            row=row,
            accuracy=share_of(_table_of(library, table, row), row),
            costs=tuple(own[row.key][0] for own in figures),
            timed=tuple(own[row.key][1] for own in figures),
            joined_by=tuple(own[row.key][2] for own in figures),
            others={
                name: share_of(other, known[row.key])
                for name, (other, known) in elsewhere.items()
                if row.key in known
            },
        )
        for row in rows
    ]
    return tuple(sorted(made, key=lambda one: (*(cost.value for cost in one.costs), -one.accuracy.value)))


def _table_of(library: Library, table: Accuracies, row: Scored) -> Accuracies:
    """Return the table that a row is of: each says how many images it was scored on."""
    if isinstance(row, CatalogueRow) and not isinstance(table, CatalogueTable):
        return next(one for one in library.catalogues if one.test_set == table.test_set)
    return table


def _warnings(table: Accuracies, models: Sequence[PublishedPoint]) -> tuple[str, ...]:
    unknown = (
        "how the catalogue's weights were trained its sources rarely say: some saw more data, or a teacher"
    )
    return (
        f"chosen and reported on the same images of {table.test_set}: the front's accuracies are optimistic",
        *((unknown,) if any(model.of_catalogue for model in models) else ()),
    )
