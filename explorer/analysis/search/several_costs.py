"""The exact front over accuracy and two or three costs at once, of all that `search.exact.search` looks at.

Designs are scored once; each axis composes its own costs. A two-stage cascade's cost is ``base + slope x
share that stays`` with slopes of 0 or more on every axis, so of one pair of stages each step (see
`search.gates`) costs no more on any axis than the one before it, and only the steps that answer more examples
right than all later ones can be on a front. Those few are held against a table of what is known already
(`several_costs_kernels`): ensembles first, then every cascade that was kept. It drops only what a known
design strictly beats; what is left is compared exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.bootstrap import share_interval
from explorer.analysis.costs import cost_figure, mean_cost, most_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Interval, PoolSummary
from explorer.analysis.scoring.score import Memo, candidate_decisions, reached_counts
from explorer.analysis.scoring.tables import AnswerTable, answer_table
from explorer.analysis.search.exact import near_tie_notes, searched_designs
from explorer.analysis.search.gates import Gates, find_gates
from explorer.analysis.search.handover import Handovers, handovers
from explorer.analysis.search.pareto import dominated_volume, nondominated
from explorer.analysis.search.plan import Space, plan_search
from explorer.analysis.search.scan import cascade_of, order_keys, right_counts
from explorer.analysis.search.several_costs_kernels import collect_pairs, note_all
from explorer.analysis.search.space import StageSets, design_order, stage_sets
from explorer.analysis.search.subsets import in_threads
from explorer.convention import Composition, CostAxis
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.spec import Candidate, CandidateKind

MOST_COSTS = 3
_EVERYTHING = Space()
_SETS_A_TASK = 256
_CELLS = 4_000_000
"""Of the table of what is known: 32 MB."""
_LOOKED_AT = 64
"""Sets of members whose costs as a second stage choose the table's edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralPoint:
    """One candidate, chosen on ``select`` and reported on ``report``, with its costs in the axes' order."""

    design: Candidate
    select_accuracy: float
    """On the examples it was chosen on: optimistic."""
    select_costs: tuple[float, ...]
    """Costs used for choosing."""
    accuracy: Interval
    """On ``report``: the figure to quote."""
    costs: tuple[CostFigure, ...]
    """On ``report``: means over examples."""
    worst_costs: tuple[float, ...]
    """Of an input that runs every stage."""
    reached: tuple[float, ...]
    """Share of ``report`` examples that reaches each stage; ``(1.0,)`` unless a cascade."""

    @property
    def kind(self) -> CandidateKind:
        """Single, distilled, ensemble or cascade."""
        return self.design.kind

    @property
    def regret(self) -> float:
        """Chosen-on minus reported-on accuracy: the optimism of choosing."""
        return self.select_accuracy - self.accuracy.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How much of all that may be wished for a front covers, on ``select``."""

    volume: float
    """Hypervolume, in accuracy x the units of the axes."""
    share: float
    """Of the box between the reference point and every answer right at no cost."""
    reference_accuracy: float
    """Of guessing one class of all."""
    reference_costs: tuple[float, ...]
    """Of the dearest ensemble searched, axis by axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralFront:
    """The exact front of everything searched, over accuracy and several costs."""

    pool: PoolSummary
    axes: tuple[CostAxis, ...]
    points: tuple[SeveralPoint, ...]
    """By rising first cost on ``select``, then the second and third."""
    searched: Mapping[CandidateKind, int]
    """Designs scored, by kind; a cascade counts once per threshold."""
    covered: Covered
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Space:
    """Everything that is searched, with its costs by axis."""

    pools: tuple[Pool, ...]
    table: AnswerTable
    sets: tuple[StageSets, ...]
    """The same sets with the costs of each axis."""
    gates: Gates | None
    seconds: int

    @property
    def by_share(self) -> np.ndarray:
        """Whether an axis depends on the share that stays, bool ``[axis]``."""
        return np.array([pool.axis.kind.composition is Composition.EXPECTED for pool in self.pools])

    def handovers(self, chosen: slice) -> list[Handovers]:
        """Return what each gate hands over to the ``chosen`` sets, and its costs, one an axis."""
        assert self.gates is not None
        pairs = zip(self.pools, self.sets, strict=True)
        return [handovers(pool.axis.kind, sets, self.gates.sets, chosen) for pool, sets in pairs]


def search_several(
    pools: Sequence[Pool], space: Space = _EVERYTHING, *, notes: Sequence[str] = ()
) -> SeveralFront:
    """Find the front of accuracy and several costs on ``select``, and score it on ``report``.

    A design is on it when no other is as accurate or more, costs as much or less on every axis, and differs
    in one of these. Searched exactly, as by `explorer.analysis.search.exact.search`; of designs that are
    equal in all, the first in `space.design_order` stays. Labels of ``report`` have no influence on which
    designs are found.

    Args:
        pools: one an axis, of the same members and predictions (`explorer.analysis.pool.load_pools`).
        space: the designs to look at; what its limit leaves out is in the notes.
        notes: what the caller already left out.

    Raises:
        UsageError: not two or three pools, two of one axis, or pools of different members.
    """
    check_axes([pool.axis for pool in pools])
    if any(other.summary != pools[0].summary for other in pools[1:]):
        raise UsageError("pools over several costs have different members or examples")
    # an axis that depends on the share first: the table of what is known keeps that one exactly
    order = sorted(range(len(pools)), key=lambda i: not _expected(pools[i]))
    pool = pools[0]
    plan = plan_search(space, len(pool.members), len(pool.select_labels))
    sets = tuple(stage_sets(pools[i], plan.ensemble_size, space.averaging) for i in order)
    table = answer_table(pool.select, pool.select_labels, space.averaging)
    seconds = sets[0].count_up_to(plan.second_size)
    gates = find_gates(pool, table, sets[0], plan.first_size, space.signals) if seconds else None
    whole = _Space(pools=tuple(pools[i] for i in order), table=table, sets=sets, gates=gates, seconds=seconds)
    points = _front(pools, _candidates(whole, right_counts(table, sets[0])))
    ties = near_tie_notes(pool, [point.design for point in points], space.averaging)
    return SeveralFront(
        pool=pool.summary,
        axes=tuple(each.axis for each in pools),
        points=points,
        searched=searched_designs(sets[0], seconds, gates),
        covered=_covered(points, [float(sets[order.index(i)].costs.max()) for i in range(len(pools))], pool),
        notes=(*notes, *plan.notes, *ties),
    )


def check_axes(axes: Sequence[CostAxis]) -> None:
    """Refuse a number of cost axes that no front is searched over, or one axis twice.

    Raises:
        UsageError: see above.
    """
    if not 2 <= len(axes) <= MOST_COSTS:
        raise UsageError(
            f"a front over several costs takes 2 or {MOST_COSTS} of them, got {len(axes)}: with more, nearly "
            "every design is best at something; put limits on the others with `explorer advise --budget`"
        )
    for axis in axes:
        if list(axes).count(axis) > 1:
            raise UsageError(f"{axis} was given twice; a front needs different costs")


def _expected(pool: Pool) -> bool:
    return pool.axis.kind.composition is Composition.EXPECTED


def _candidates(whole: _Space, right: np.ndarray) -> list[tuple[Candidate, int]]:
    """Return the designs of a front among one stage, and of one among cascades, with their right answers."""
    one = whole.sets[0]
    order = np.lexsort((one.text_rank, one.sizes))
    costs = _set_costs(whole)
    alone = order[_kept(right[order], costs[order])]
    found: list[tuple[Candidate, int]] = [(one.stage(row), int(right[row])) for row in alone.tolist()]
    if whole.gates is None:
        return found
    # every member is there by itself: what is right less often than all of them rarely matters
    lowest = int(right[: len(one.members)].min())
    known = _nothing_known(whole, lowest)
    note_all(right[alone], _three(costs[alone]), known)
    count, design = _cascades(whole, known)
    for of, (gate, second, step) in zip(count.tolist(), design.tolist(), strict=True):
        found.append((cascade_of(one, whole.gates, gate, second, step), of))
    return found


def _set_costs(whole: _Space) -> np.ndarray:
    """Return what each set of members costs, float64 ``[set, axis]``, to the last bit as `mean_cost` does."""
    total = whole.table.examples
    costs = np.stack([sets.costs for sets in whole.sets], axis=1)
    return np.where(whole.by_share, costs * total / total, costs)


def _kept(right: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Say which designs no other beats, bool ``[design]``; of equals the first."""
    points = np.column_stack([right, costs])
    return nondominated(points, maximise=[True] + [False] * costs.shape[1])


def _three(costs: np.ndarray) -> np.ndarray:
    """Return costs ``[design, axis]`` of two axes with a third one of zeros, as the kernels take them."""
    missing = MOST_COSTS - costs.shape[1]
    return np.ascontiguousarray(np.concatenate([costs, np.zeros((len(costs), missing))], axis=1))


def _nothing_known(whole: _Space, lowest: int) -> tuple:
    """Return an empty table of what is known, see `several_costs_kernels.note`."""
    levels = whole.table.examples - lowest + 1
    room = max(4, _CELLS // levels)
    others = len(whole.pools) - 1
    most = room if others == 1 else max(2, int(room**0.5))
    looked_at = np.unique(np.linspace(0, whole.seconds, _LOOKED_AT, endpoint=False).astype(np.int64))
    seen = [whole.handovers(slice(one, one + 1)) for one in looked_at.tolist()]
    edges = []
    for axis in range(1, others + 1):
        bases = [given[axis].base.ravel() for given in seen]
        wholes = [(given[axis].base + given[axis].slope).ravel() for given in seen]
        edges.append(_edges(np.concatenate([*bases, *wholes, whole.sets[axis].costs]), most))
    edges += [np.zeros(1)] * (2 - others)
    return np.full((levels, len(edges[0]), len(edges[1])), np.inf), lowest, edges[0], edges[1]


def _edges(costs: np.ndarray, most: int) -> np.ndarray:
    """Return where the table parts an axis, ascending: at every cost where they are few, else evenly."""
    values = np.unique(costs)
    if len(values) <= most:
        return values
    above = values[values > 0]
    return np.unique(np.geomspace(above[0], above[-1], most))


def _cascades(whole: _Space, known: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return the front of the cascades that ``known`` does not beat: right answers and designs.

    Right is int64 ``[cascade]``, design (gate, second, step) int64 ``[cascade, 3]``.
    """
    axes, one, gates = len(whole.pools), whole.sets[0], whole.gates
    assert gates is not None
    by_share = np.zeros(MOST_COSTS, bool)
    by_share[:axes] = whole.by_share
    examples = whole.table.examples, len(whole.table.always_right)

    def work(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        chosen = slice(start, min(start + _SETS_A_TASK, whole.seconds))
        given = whole.handovers(chosen)
        nothing = [np.zeros_like(given[0].base)] * (MOST_COSTS - axes)
        base = np.stack([*(each.base for each in given), *nothing])
        slope = np.stack([*(each.slope for each in given), *nothing])
        answers = whole.table.right(one.rows[chosen])
        second = answers, np.arange(chosen.start, chosen.stop), base, slope, by_share
        right, costs, design = collect_pairs(gates.tables, second, examples, known)
        key = order_keys(one, gates, given[0])[design[:, 0], design[:, 1]]
        design[:, 1] += start
        return _first_of(right, costs[:, :axes], key, design)

    found = list(in_threads(work, range(0, whole.seconds, _SETS_A_TASK)))
    right, costs, key, design = (np.concatenate(parts) for parts in zip(*found, strict=True))
    right, _, _, design = _first_of(right, costs, key, design)
    return right, design


def _first_of(
    right: np.ndarray, costs: np.ndarray, key: np.ndarray, design: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the front of cascades; of equals the first by `design_order`: a later step lets more leave."""
    order = np.lexsort((-design[:, 2], key))
    kept = order[_kept(right[order], costs[order])]
    return right[kept], costs[kept], key[kept], design[kept]


def _front(pools: Sequence[Pool], candidates: Sequence[tuple[Candidate, int]]) -> tuple[SeveralPoint, ...]:
    """Return the points no other beats, by rising costs; of equals the first in `design_order`."""
    memo: Memo = {}
    examples = len(pools[0].select_labels)
    ordered = sorted(candidates, key=lambda found: design_order(found[0]))
    costs = np.empty((len(ordered), len(pools)))
    right = np.array([count for _, count in ordered])
    for row, (design, count) in enumerate(ordered):
        decisions, left_at = candidate_decisions(pools[0], design, "select", memo=memo)
        plain = int((decisions == pools[0].select_labels).sum())
        assert plain == count, f"fast and plain scoring of {design} differ: {count} and {plain} right"
        reached = reached_counts(left_at, len(stages_of(design)))
        costs[row] = [mean_cost(pool, design, reached) for pool in pools]
    front = np.flatnonzero(_kept(right, costs))
    front = front[np.lexsort(costs[front].T[::-1])]
    accuracies: dict[int, Interval] = {}
    return tuple(
        _point(
            pools, ordered[row][0], (int(right[row]) / examples, tuple(costs[row].tolist())), memo, accuracies
        )
        for row in front.tolist()
    )


def _point(
    pools: Sequence[Pool],
    design: Candidate,
    chosen: tuple[float, tuple[float, ...]],
    memo: Memo,
    accuracies: dict[int, Interval],
) -> SeveralPoint:
    """Score a design on ``report``, on every axis; ``accuracies`` remembers intervals by right answers."""
    decisions, left_at = candidate_decisions(pools[0], design, "report", memo=memo)
    right = int((decisions == pools[0].report_labels).sum())
    if right not in accuracies:
        accuracies[right] = share_interval(right, len(decisions))
    reached = reached_counts(left_at, len(stages_of(design)))
    return SeveralPoint(
        design=design,
        select_accuracy=chosen[0],
        select_costs=chosen[1],
        accuracy=accuracies[right],
        costs=tuple(cost_figure(pool, design, left_at) for pool in pools),
        worst_costs=tuple(most_cost(pool, design) for pool in pools),
        reached=tuple(count / len(decisions) for count in reached),
    )


def _covered(points: Sequence[SeveralPoint], dearest: Sequence[float], pool: Pool) -> Covered:
    guess = 1 / pool.summary.classes
    # accuracy last: it takes few values, and the volume is summed over slices of the last objective
    table = [(*point.select_costs, point.select_accuracy) for point in points]
    up = [False] * len(dearest) + [True]
    volume = dominated_volume(table, reference=(*dearest, guess), maximise=up)
    box = float(np.prod(dearest)) * (1 - guess)
    return Covered(
        volume=volume,
        share=volume / box if box else 0.0,
        reference_accuracy=guess,
        reference_costs=tuple(dearest),
    )
