"""The exact front: every single and distilled one, every ensemble, every two-stage cascade at every cut."""

from collections.abc import Iterable, Sequence

import numpy as np

from explorer.analysis.costs import mean_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Point, SearchedDesign
from explorer.analysis.scoring.combine import EXACT, near_ties
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.scoring.tables import answer_table
from explorer.analysis.search.gates import Gates, find_gates
from explorer.analysis.search.pareto import pareto_front
from explorer.analysis.search.plan import Space, plan_search
from explorer.analysis.search.scan import BestCascades, Scan, cascades_of, scan
from explorer.analysis.search.space import StageSets, design_order, stage_sets
from explorer.analysis.statistics.scale_curves import scale_curves
from explorer.convention import CostAxis
from explorer.spec import Averaging, Candidate, CandidateKind, Ensemble

EVERYTHING = Space()
_CLOUD = 2_800
"""About how many dominated designs to keep for drawing."""


def search(
    pool: Pool,
    axis: CostAxis,
    space: Space = EVERYTHING,
    *,
    notes: Sequence[str] = (),
    drawn: bool = True,
) -> Front:
    """Find the Pareto front of cost and accuracy on ``select``, and score it on ``report``.

    Searched exactly: every single, every ensemble of distinct members, and every cascade of two stages, at
    every threshold that tells ``select`` examples apart, as large as ``space`` says. The second stage
    answers alone, or where it would hold all members of the first, as the average of both. A cut at which
    nobody or everybody leaves is left out: it is the second or the first stage alone. Of designs with
    equal accuracy and cost the one with fewer members stays, then the first by text
    (`space.design_order`). Labels of ``report`` have no influence on which designs are found.

    Args:
        pool: members, labels and costs; its axis must be ``axis``.
        axis: the cost kind, and device.
        space: the designs to look at; what its limit leaves out is in the notes.
        notes: what the caller already left out (see `explorer.analysis.pool.load_pool`).
        drawn: whether the front is to be drawn: with a cloud of dominated designs and the models' curves.

    Raises:
        ConventionError: the pool holds costs of another axis.
    """
    pool.check_axis(axis)
    averaging = space.averaging
    plan = plan_search(space, len(pool.members), len(pool.select_labels))
    sets = stage_sets(pool, plan.ensemble_size, averaging)
    seconds = sets.count_up_to(plan.second_size)
    table = answer_table(pool.select, pool.select_labels, averaging)
    gates = find_gates(pool, table, sets, plan.first_size, space.signals) if seconds else None
    found = scan(table, sets, gates, seconds, kind=axis.kind, sample=_CLOUD // 2 if drawn else 1)
    memo: Memo = {}
    fronts = {
        kind: _front_of([_checked_point(pool, design, right, memo) for design, right in chosen])
        for kind, chosen in _fronts(sets, found).items()
    }
    points = _front_of([point for front in fronts.values() for point in front])
    designs = [point.design for point in points]
    curves, curve_notes = scale_curves(pool, averaging) if drawn else ((), ())
    return Front(
        pool=pool.summary,
        axis=axis,
        points=points,
        searched=searched_designs(sets, seconds, found.gates),
        cloud=_cloud(pool, sets, found, set(designs)) if drawn else (),
        curves=curves,
        notes=(*notes, *plan.notes, *curve_notes, *near_tie_notes(pool, designs, averaging)),
        fronts_by_kind=fronts,
    )


def _fronts(sets: StageSets, found: Scan) -> dict[CandidateKind, list[tuple[Candidate, int]]]:
    """Return each kind's front, cheapest first: designs with their right answers on ``select``."""
    alone = sets.sizes == 1
    distilled = alone & np.isin(sets.rows[:, 0], _distilled(sets))
    masks = (
        (CandidateKind.SINGLE, alone & ~distilled),
        (CandidateKind.DISTILLED, distilled),
        (CandidateKind.ENSEMBLE, ~alone),
    )
    chosen: dict[CandidateKind, list[tuple[Candidate, int]]] = {}
    for kind, mask in masks:
        where = np.flatnonzero(mask)
        where = where[np.lexsort((sets.text_rank[where], sets.sizes[where]))]
        front = where[pareto_front(sets.costs[where], found.right[where])]
        if len(front):
            chosen[kind] = [(sets.stage(index), int(found.right[index])) for index in front]
    best: BestCascades = found.best
    exist = np.flatnonzero(np.isfinite(best.cost))
    front = exist[pareto_front(best.cost[exist], exist)]
    if len(front) and found.gates is not None:
        designs = cascades_of(sets, found.gates, best.design[front])
        chosen[CandidateKind.CASCADE] = list(zip(designs, front.tolist(), strict=True))
    return chosen


def _distilled(sets: StageSets) -> list[int]:
    """Return the rows of the members that learned from an ensemble."""
    return [row for row, member in enumerate(sets.members) if member.distilled]


def _checked_point(pool: Pool, design: Candidate, right: int, memo: Memo) -> Point:
    """Score a design the plain way, and insist that the fast way found the same."""
    point = evaluate(pool, design, pool.axis, memo=memo)
    plain = round(point.select_accuracy * len(pool.select_labels))
    assert plain == right, f"fast and plain scoring of {design} differ: {right} and {plain} right"
    return point


def _front_of(points: list[Point]) -> tuple[Point, ...]:
    """Return the points no other one beats, cheapest first; of equals the first in `design_order`."""
    ordered = sorted(points, key=lambda point: design_order(point.design))
    front = pareto_front([p.select_cost for p in ordered], [p.select_accuracy for p in ordered])
    return tuple(ordered[index] for index in front)


def searched_designs(sets: StageSets, seconds: int, gates: Gates | None) -> dict[CandidateKind, int]:
    """Return how many designs were scored, by kind; a cascade counts once per threshold.

    Args:
        sets: sets of members.
        seconds: how many of them may answer second.
        gates: first stages; None for no cascades.
    """
    singles, distilled = len(sets.members), len(_distilled(sets))
    searched = {CandidateKind.SINGLE: singles - distilled, CandidateKind.ENSEMBLE: len(sets.rows) - singles}
    if distilled:
        searched[CandidateKind.DISTILLED] = distilled
    thresholds = sum(len(cut.leavers) for cut in gates.cuts) if gates else 0
    # a stage never hands over to itself alone
    searched[CandidateKind.CASCADE] = thresholds * (seconds - 1) if seconds else 0
    return searched


def _cloud(pool: Pool, sets: StageSets, found: Scan, front: set[Candidate]) -> tuple[SearchedDesign, ...]:
    """Return a sample of designs that are not on the front, with their figures on ``select``."""
    examples = len(pool.select_labels)
    singles, most = len(sets.members), _CLOUD // 2
    ensembles = np.unique(np.linspace(singles, len(sets.rows), most, endpoint=False).astype(np.int64))
    picked: list[tuple[Candidate, float, int]] = [
        (sets.stage(index), float(sets.costs[index]), int(found.right[index]))
        for index in (*range(min(singles, most)), *ensembles[ensembles < len(sets.rows)])
    ]
    if found.gates is not None:
        designs = cascades_of(sets, found.gates, found.sample[:, :3])
        for design, (gate, _, step, right) in zip(designs, found.sample.tolist(), strict=True):
            leavers = found.gates.cuts[gate].leavers[found.gates.cut_of(gate, step)]
            picked.append((design, mean_cost(pool, design, (examples, examples - int(leavers))), right))
    return tuple(
        SearchedDesign(design=str(design), kind=design.kind, cost=cost, accuracy=right / examples)
        for design, cost, right in picked
        if design not in front
    )


def near_tie_notes(pool: Pool, designs: Iterable[Candidate], averaging: Averaging) -> tuple[str, ...]:
    """Say how many answers of the designs' ensembles hang on floating-point rounding."""
    if averaging in EXACT:
        return ()
    stages = {stage for design in designs for stage in stages_of(design) if isinstance(stage, Ensemble)}
    ties = sum(near_ties(pool.select[pool.rows(stage.members)], averaging) for stage in stages)
    total = len(stages) * len(pool.select_labels)
    return (f"{averaging}: {ties} of {total} select answers of the front's ensembles are near-ties",)
