"""What designs are made of: the members of one data set with probabilities, labels and costs."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.blocks import MemberArrays
from explorer.analysis.loading import Found, check_sizes, find_costs, find_members, plain_names
from explorer.analysis.result import PoolSummary
from explorer.convention import Basis, CostAxis, same_basis_or_raise
from explorer.errors import ConventionError, InputDataError, UsageError, unknown_name
from explorer.record import CostFigure
from explorer.spec import Candidate, Member
from explorer.store import Store

SPLITS = ("select", "report")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Members that may be combined, with everything scoring needs. Arrays are never written to."""

    summary: PoolSummary
    axis: CostAxis
    """What ``cost_figures`` are figures of."""
    members: tuple[Member, ...]
    """Sorted and distinct."""
    select: np.ndarray | MemberArrays
    """float16 ``[member, example, class]``: class probabilities designs are chosen on."""
    select_labels: np.ndarray
    """int64 ``[example]``"""
    report: np.ndarray | MemberArrays
    """float16 ``[member, example, class]``: class probabilities designs are reported on."""
    report_labels: np.ndarray
    """int64 ``[example]``"""
    cost_figures: tuple[CostFigure, ...]
    """One a member, in the unit of ``axis``."""

    def __post_init__(self) -> None:
        if not self.members:
            raise UsageError("a pool needs at least one member, got none")
        if list(self.members) != sorted(set(self.members)):
            raise UsageError("the members of a pool must be sorted and distinct")
        if len(self.cost_figures) != len(self.members):
            raise InputDataError(f"{len(self.members)} members but {len(self.cost_figures)} cost figures")
        for member, figure in zip(self.members, self.cost_figures, strict=True):
            if not (np.isfinite(figure.value) and figure.value >= 0):
                raise InputDataError(f"{self.axis} of {member} must be 0 or more, got {figure.value!r}")
        same_basis_or_raise({figure.basis for figure in self.cost_figures}, f"a pool over {self.axis}")
        for split in SPLITS:
            _check_split(split, *self.arrays(split), len(self.members))
        if self.select.shape[2] != self.report.shape[2]:
            raise InputDataError(
                f"select has {self.select.shape[2]} classes and report has {self.report.shape[2]}"
            )

    @property
    def costs(self) -> np.ndarray:
        """Cost of each member, float64 ``[member]``, in the unit of ``axis``."""
        return np.array([figure.value for figure in self.cost_figures], dtype=np.float64)

    @property
    def basis(self) -> Basis:
        """What the members' costs stand on."""
        return self.cost_figures[0].basis

    def arrays(self, split: str) -> tuple[np.ndarray | MemberArrays, np.ndarray]:
        """Return probabilities ``[member, example, class]`` and labels ``[example]`` of a split.

        Raises:
            UsageError: no such split.
        """
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        if split == "select":
            return self.select, self.select_labels
        return self.report, self.report_labels

    def rows(self, members: tuple[Member, ...]) -> list[int]:
        """Return the index of each of ``members``; one that names the pool's own recipe is found too.

        Raises:
            UsageError: one is not in the pool; the message names those that are.
        """
        short = [self._short(member) for member in members]
        rows = [bisect_left(self.members, member) for member in short]
        for row, member in zip(rows, short, strict=True):
            if row == len(self.members) or self.members[row] != member:
                raise unknown_name("member", str(member), map(str, self.members))
        return rows

    def _short(self, member: Member) -> Member:
        """Return the member as this pool writes it: see `explorer.analysis.loading.plain_names`."""
        own = member.recipe == self.summary.recipe_id and not member.distilled
        # recipes that were to be mixed stay in the names, even where there is but one
        return replace(member, recipe="") if own and not self._holds(member) else member

    def _holds(self, member: Member) -> bool:
        row = bisect_left(self.members, member)
        return row < len(self.members) and self.members[row] == member

    def check(self, design: Candidate, axis: CostAxis) -> None:
        """Refuse a design or a cost axis that this pool cannot score.

        Raises:
            UsageError: the design has a member that is not in the pool.
            ConventionError: the pool holds costs of another axis.
        """
        self.rows(design.members)
        self.check_axis(axis)

    def check_axis(self, axis: CostAxis) -> None:
        """Refuse a cost axis the pool was not made for.

        Raises:
            ConventionError: the pool holds costs of another axis.
        """
        if axis != self.axis:
            raise ConventionError(f"this pool holds costs of {self.axis}, not of {axis}; load one for {axis}")


def load_pool(
    store: Store, dataset: str, axis: CostAxis, *, recipe: str | None = None, mix_recipes: bool = False
) -> tuple[Pool, tuple[str, ...]]:
    """Read the members of a data set that may stand on one front, with their costs on an axis.

    One split and, unless ``mix_recipes``, one recipe with those that derive from it (distilled students,
    snapshots); one basis, convention and set of conditions of the costs. Members of the pool's recipe drop
    it from their names, unless recipes are mixed.

    Args:
        store: where members, predictions and costs are.
        dataset: name of the data set.
        axis: the cost kind, and device; a derived kind is worked out from the stored one.
        recipe: a recipe id or its name; None takes the one with most members.
        mix_recipes: put members of all recipes on one front; the notes say so.

    Returns:
        the pool, and what was left out of it and why.

    Raises:
        UsageError: nothing was predicted, no such recipe, or no member has a cost on the axis.
        ConventionError: no single basis covers the members' costs.
    """
    (pool,), notes = load_pools(store, dataset, (axis,), recipe=recipe, mix_recipes=mix_recipes)
    return pool, notes


def load_pools(
    store: Store,
    dataset: str,
    axes: Sequence[CostAxis],
    *,
    recipe: str | None = None,
    mix_recipes: bool = False,
) -> tuple[tuple[Pool, ...], tuple[str, ...]]:
    """Read the members that have a cost on every one of several axes: one pool an axis, of the same members.

    Args:
        store: where members, predictions and costs are.
        dataset: name of the data set.
        axes: the cost kinds, and devices; at least one.
        recipe: see `load_pool`.
        mix_recipes: see `load_pool`.

    Returns:
        the pools in the order of ``axes``, and what was left out of them and why.

    Raises:
        UsageError: as `load_pool`, or no member has a cost on all of the axes.
        ConventionError: no single basis covers the members' costs on an axis.
    """
    found = find_members(store, dataset, recipe=recipe, mix_recipes=mix_recipes)
    figures, notes = [], list(found.notes)
    for axis in axes:
        of_members, cost_notes = find_costs(store, dataset, found, axis)
        figures.append(of_members)
        notes += [note for note in cost_notes if note not in notes]
    names = plain_names(found, mix_recipes)
    shared = [member for member in found.stored if all(member in costs for costs in figures)]
    if not shared:
        raise UsageError(f"no member of {dataset} has a cost on all of {', '.join(map(str, axes))}")
    stored = sorted(shared, key=names.__getitem__)
    check_sizes(found, stored)
    (select, select_labels), (report, report_labels) = _read_splits(store, dataset, found, stored)
    summary = PoolSummary(
        dataset=dataset,
        split_digest=found.split_digest,
        recipe_id=found.recipe_id,
        members=tuple(str(names[member]) for member in stored),
        select_examples=len(select_labels),
        report_examples=len(report_labels),
        classes=select.shape[2],
    )
    pools = tuple(
        Pool(
            summary=summary,
            axis=axis,
            members=tuple(names[member] for member in stored),
            select=select,
            select_labels=select_labels,
            report=report,
            report_labels=report_labels,
            cost_figures=tuple(costs[member] for member in stored),
        )
        for axis, costs in zip(axes, figures, strict=True)
    )
    return pools, tuple(notes)


def _read_splits(
    store: Store, dataset: str, found: Found, stored: Sequence[Member]
) -> list[tuple[MemberArrays, np.ndarray]]:
    """Return probabilities ``[member, example, class]`` and labels ``[example]`` of each split."""
    splits = []
    for number, split in enumerate(SPLITS):
        arrays = [store.probabilities(found.records[member][number]) for member in stored]
        labels = store.labels(dataset, split, found.split_digest)
        splits.append((MemberArrays(arrays), np.array(labels, dtype=np.int64)))
    return splits


def _check_split(
    split: str, probabilities: np.ndarray | MemberArrays, labels: np.ndarray, members: int
) -> None:
    if probabilities.dtype != np.float16 or probabilities.ndim != 3 or probabilities.shape[0] != members:
        raise InputDataError(
            f"{split} probabilities must be float16 [{members} members, example, class], "
            f"got {probabilities.dtype} {probabilities.shape}"
        )
    _, examples, classes = probabilities.shape
    if examples < 1 or classes < 2:
        raise InputDataError(f"{split} needs at least 1 example and 2 classes, got {examples} and {classes}")
    if labels.shape != (examples,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputDataError(f"{split} labels must be {examples} integers, got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputDataError(
            f"{split} labels must be 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    # The store has checked what lies in its files, and they may be larger than memory. Written so that
    # NaN fails too.
    if isinstance(probabilities, np.ndarray) and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise InputDataError(f"{split} probabilities must be finite and in [0, 1]")
