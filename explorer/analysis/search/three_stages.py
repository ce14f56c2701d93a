"""Cascades of three stages, ``a -> [p>=t] b -> [p>=u] c``: every ordered triple of a bounded list of stages.

The list holds the sets of members that answer on the front of two stages (`candidate_stages`). A stage that
holds all members of the one before is joined to it, as in the search of two stages: only the rest runs and
the answer is the average. Both thresholds are tried at every cut that tells two ``select`` examples apart
where there are few, else on a grid of `GRID` cuts that is dense where few go on; counts are exact.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.compose import ensemble_cost
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front
from explorer.analysis.scoring.cascade import Cuts, cuts
from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.signals import signal_values
from explorer.analysis.search.pareto import pareto_front
from explorer.analysis.search.scan_kernels import NO_KEY
from explorer.analysis.search.space import SIGNALS
from explorer.analysis.search.subsets import in_threads
from explorer.analysis.search.three_stage_kernels import scan_triples
from explorer.convention import Composition
from explorer.errors import UsageError
from explorer.spec import Averaging, Cascade, Ensemble, Exit, Member, Signal, Stage, averaging_of, ensemble

GRID = 48
"""Thresholds of each exit: 2,304 pairs a triple."""
MOST_STAGES = 32
"""Stages in the list: up to 29,760 ordered triples."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triples:
    """For each number of right answers on ``select``, the cheapest cascade of three stages that has it."""

    stages: tuple[Stage, ...]
    """What may answer at a stage."""
    gates: "_Gates"
    cost: np.ndarray
    """Of one example, float64 ``[right]``, in the unit of the pool's axis; infinite where there is none."""
    found: np.ndarray
    """(first gate, second gate, third stage, steps of both) int32 ``[right, 5]``"""
    triples: int
    """Ordered triples of stages (with their signals) that were scored."""
    exact: bool
    """Whether every threshold was tried; else a grid of them."""

    def design(self, right: int) -> Cascade:
        """Return the cascade with that many right answers; there must be one."""
        one, two, third, step1, step2 = self.found[right].tolist()
        first, second = self.stages[self.gates.stage[one]], self.stages[self.gates.stage[two]]
        run = [first]
        joined = []
        for before, answers in ((first, second), (second, self.stages[third])):
            stage, is_joined = _runs_after(before, answers)
            run.append(stage)
            joined.append(is_joined)
        exits = (self.gates.exit(one, step1), self.gates.exit(two, step2))
        return Cascade(tuple(run), exits, tuple(joined))

    def front(self) -> np.ndarray:
        """Return the numbers of right answers that no cheaper design reaches, cheapest first, int64."""
        there = np.flatnonzero(np.isfinite(self.cost))
        return there[pareto_front(self.cost[there], there)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Gates:
    """Stages that examples may leave, each with a signal and the cuts that are tried."""

    stage: np.ndarray
    """int64 ``[gate]``"""
    signals: tuple[Signal, ...]
    cuts: tuple[Cuts, ...]
    tried: tuple[np.ndarray, ...]
    """Of each gate, which of its cuts, int64 ``[step]``."""

    def exit(self, gate: int, step: int) -> Exit:
        """Return the gate's exit at a step."""
        threshold = self.cuts[gate].threshold(int(self.tried[gate][step]))
        signal = self.signals[gate]
        return Exit(-threshold if signal is Signal.ENTROPY else threshold, signal)


def candidate_stages(front: Front, most: int = MOST_STAGES) -> tuple[Stage, ...]:
    """Return the stages to build cascades of three from: those that serve most of the front of two stages.

    Every point counts for its answering stages by the stretch of (logarithmic) cost up to the next point.
    The best of other kinds come after them: a middle size that no pair needs may still be a middle stage.

    Args:
        front: of designs of at most two stages.
        most: length of the list.

    Returns:
        by falling stretch, then by text; at most ``most``.
    """
    served: dict[Stage, float] = defaultdict(float)
    fronts = [front.points, *front.fronts_by_kind.values()]
    # what serves the whole front goes before what only leads its own kind
    for weight, points in zip([1.0, *([1e-6] * len(front.fronts_by_kind))], fronts, strict=True):
        costs = np.array([point.select_cost for point in points])
        scale = np.log(costs) if len(costs) and costs.min() > 0 else costs
        stretch = np.diff(scale, append=scale[-1:])
        for point, length in zip(points, stretch.tolist(), strict=True):
            design = point.design
            for stage in design.combined if isinstance(design, Cascade) else (design,):
                served[stage] += weight * length
    return tuple(sorted(served, key=lambda stage: (-served[stage], str(stage)))[:most])


def best_triples(
    pool: Pool, stages: Sequence[Stage], signals: Sequence[Signal] = (Signal.P,), *, grid: int = GRID
) -> Triples:
    """Score every three-stage cascade of different stages of a list on ``select``.

    Left out are pairs of thresholds at which nobody reaches the third stage or nobody leaves at the second:
    two stages do the same.

    Args:
        pool: members, labels and costs.
        stages: what may answer at a stage, distinct; ensembles all of one averaging rule.
        signals: what the examples may leave by; agreement only where a stage has two members.
        grid: most thresholds of each exit.

    Raises:
        UsageError: a member is not in the pool, a stage is there twice, or the grid is empty.
    """
    if len(set(stages)) != len(stages) or grid < 1:
        raise UsageError(f"wanted different stages and a grid of 1 or more, got {len(stages)} and {grid}")
    labels = pool.select_labels
    gates = _gates(pool, stages, signals, grid)
    right = np.zeros((len(stages), len(labels)), np.uint8)
    for number, stage in enumerate(stages):
        answers = combine(_probabilities(pool, stage), averaging_of(stage))[0]
        right[number] = answers == labels
    cost = np.full(len(labels) + 1, np.inf)
    key = np.full(len(labels) + 1, NO_KEY)
    found = np.full((len(labels) + 1, 5), -1, np.int32)
    tables, costs = _set_tables(stages, right), _costs(pool, stages)
    gate_tables = _gate_tables(gates, len(labels))

    def work(first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mine = np.full(len(labels) + 1, np.inf), np.full(len(labels) + 1, NO_KEY), np.full_like(found, -1)
        scan_triples(first, gate_tables, tables, costs, mine)
        return mine

    if len(stages) > 2:
        for other_cost, other_key, other_found in in_threads(work, range(len(gates.stage))):
            better = (other_cost < cost) | ((other_cost == cost) & (other_key < key))
            cost[better], key[better], found[better] = (
                other_cost[better],
                other_key[better],
                other_found[better],
            )
    pairs = int((gates.stage[:, None] != gates.stage[None, :]).sum())
    return Triples(
        stages=tuple(stages),
        gates=gates,
        cost=cost / len(labels),
        found=found,
        triples=pairs * max(0, len(stages) - 2),
        exact=all(len(t) == len(c.leavers) for t, c in zip(gates.tried, gates.cuts, strict=True)),
    )


def _probabilities(pool: Pool, stage: Stage) -> np.ndarray:
    return np.asarray(pool.select[pool.rows(stage.members)])


def _gates(pool: Pool, stages: Sequence[Stage], signals: Sequence[Signal], grid: int) -> _Gates:
    numbers, asked, found, tried = [], [], [], []
    for number, stage in enumerate(stages):
        chance = _probabilities(pool, stage)
        for signal in signals:
            if signal is Signal.AGREEMENT and len(set(stage.members)) < 2:
                continue
            values = signal_values(signal, chance, averaging_of(stage))
            every = cuts(-values if signal is Signal.ENTROPY else values)
            numbers.append(number)
            asked.append(signal)
            found.append(every)
            tried.append(_grid_cuts(every, grid))
    return _Gates(
        stage=np.array(numbers, dtype=np.int64), signals=tuple(asked), cuts=tuple(found), tried=tuple(tried)
    )


def _grid_cuts(found: Cuts, grid: int) -> np.ndarray:
    """Return which cuts are tried, ascending: all, or a grid on which the share that goes on is a square."""
    if len(found.leavers) <= grid:
        return np.arange(len(found.leavers))
    examples = len(found.order)
    # squares: dense where few go on, which is where cascades that are worth it stand
    stays = examples * ((np.arange(grid, 0, -1) - 0.5) / grid) ** 2
    place = np.searchsorted(found.leavers, examples - stays)
    return np.unique(np.minimum(place, len(found.leavers) - 1))


def _gate_tables(gates: _Gates, examples: int) -> tuple[np.ndarray, ...]:
    """Return what `scan_triples` reads of the gates: at which step each example leaves first."""
    level = np.empty((len(gates.stage), examples), np.int16)
    for number, (found, tried) in enumerate(zip(gates.cuts, gates.tried, strict=True)):
        level[number, found.order] = np.searchsorted(found.leavers[tried], np.arange(examples), side="right")
    steps = np.array([len(tried) for tried in gates.tried], dtype=np.int64)
    rank = np.array([SIGNALS.index(signal) for signal in gates.signals], dtype=np.int64)
    return level, steps, gates.stage, rank


def _set_tables(stages: Sequence[Stage], right: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return what `scan_triples` reads of the stages."""
    undecided = np.flatnonzero(right.min(axis=0) != right.max(axis=0)) if len(right) else np.empty(0, int)
    rank = np.empty(len(stages), np.int64)
    rank[sorted(range(len(stages)), key=lambda number: str(stages[number]))] = np.arange(len(stages))
    runs = [[len(_runs_after(before, stage)[0].members) for stage in stages] for before in stages]
    sizes = [len(stage.members) for stage in stages]
    return right, undecided.astype(np.int64), rank, np.array(runs, np.int64), np.array(sizes, np.int64)


def _costs(pool: Pool, stages: Sequence[Stage]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what all pay, and what the second and third stage add, see `scan_triples`."""
    many, kind = len(stages), pool.axis.kind
    if kind.composition in (Composition.EXPECTED, Composition.WORST):
        alone = np.array([_cost_of(pool, stage.members) for stage in stages])
        adds = [[_cost_of(pool, _runs_after(a, b)[0].members) for b in stages] for a in stages]
        base = np.broadcast_to(alone[:, None, None], (many, many, many)).copy()
        slope = np.array(adds).reshape(many, many)
        if kind.composition is Composition.WORST:
            return base + slope[:, :, None] + slope, np.zeros((many, many)), np.zeros((many, many))
        return base, slope, slope
    held = np.zeros((many, len(pool.members)), bool)
    for number, stage in enumerate(stages):
        held[number, pool.rows(stage.members)] = True
    base = np.empty((many, many, many))
    for number in range(many):
        any_of = held[number] | held[:, None] | held[None, :]
        paid = np.where(any_of, pool.costs, 0.0)
        base[number] = paid.sum(axis=-1) if kind.composition is Composition.SUM else paid.max(axis=-1)
    return base, np.zeros((many, many)), np.zeros((many, many))


def _cost_of(pool: Pool, members: Sequence[Member]) -> float:
    rows = pool.rows(tuple(dict.fromkeys(members)))
    return ensemble_cost(pool.axis.kind, pool.costs[rows])


def _runs_after(before: Stage, answers: Stage) -> tuple[Stage, bool]:
    """Return what has to run so that ``answers`` answers after ``before``, and whether it is joined to it.

    The rule of `explorer.analysis.search.handover.second_stages`.
    """
    rest = list(answers.members)
    for member in before.members:
        if member not in rest:
            return answers, False
        rest.remove(member)
    averaging = averaging_of(answers)
    if not rest or (averaging is not Averaging.MEAN and (len(rest) < 2 or not isinstance(before, Ensemble))):
        return answers, False
    return ensemble(rest, averaging), True
