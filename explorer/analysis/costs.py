"""What a design costs: members' figures composed, with interval and basis."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from explorer.accounting.compose import ensemble_cost, worst_cost
from explorer.analysis.bootstrap import mean_interval
from explorer.analysis.pool import Pool
from explorer.convention import PREDICTED, Basis, Composition
from explorer.record import CostFigure
from explorer.spec import Candidate, CandidateKind, Cascade, Member, ModelSpec, Stage


def stages_of(design: Candidate) -> tuple[Stage, ...]:
    """Return the stages in order of execution; a single or an ensemble is one stage."""
    return design.stages if isinstance(design, Cascade) else (design,)


def stage_costs(pool: Pool, design: Candidate) -> tuple[float, ...]:
    """Return what each stage adds, in the unit of the pool's axis.

    A member named twice in one stage has weight two and runs once, as in the built file; in two stages
    it runs twice, also where ``+`` joins them and its first answer is still in the average: each stage of
    the file holds and runs all its members. In the cost it is held once in any case: for kinds that are
    always paid (parameters) a stage adds only the members that no stage before it has.
    """
    kind, costs = pool.axis.kind, pool.costs
    held_once = kind.composition is Composition.SUM
    held: set[Member] = set()
    added = []
    for stage in stages_of(design):
        paid = dict.fromkeys(stage.members)
        rows = pool.rows(tuple(member for member in paid if member not in held))
        added.append(float(ensemble_cost(kind, costs[rows])) if rows else 0.0)
        if held_once:
            held.update(stage.members)
    return tuple(added)


def paying(pool: Pool, stage: Stage) -> tuple[Member, ...]:
    """Return the distinct members whose figures a stage's cost is made of: of those that run at once, one."""
    members = tuple(dict.fromkeys(stage.members))
    if not pool.axis.kind.members_at_once:
        return members
    return (max(members, key=lambda member: pool.cost_figures[pool.rows((member,))[0]].value),)


def mean_cost(pool: Pool, design: Candidate, reached: Sequence[int]) -> float:
    """Return the mean cost of an input when ``reached[k]`` examples reach stage k.

    What `explorer.accounting.compose.cascade_cost` says of the shares, but divided once, at the end:
    with whole-number costs two designs that cost the same get the same number, so that a tie is seen.
    """
    costs = stage_costs(pool, design)
    if pool.axis.kind.composition is not Composition.EXPECTED:
        return float(worst_cost(pool.axis.kind, costs))
    return sum(cost * count for cost, count in zip(costs, reached, strict=True)) / reached[0]


def most_cost(pool: Pool, design: Candidate) -> float:
    """Return the cost of an input that runs every stage."""
    return float(worst_cost(pool.axis.kind, stage_costs(pool, design)))


def composed_basis(basis: Basis, kind: CandidateKind) -> Basis:
    """Return what a design's cost stands on, given what its members' costs stand on.

    Measured members make a measured single, but an ensemble or cascade was not itself measured.
    """
    several = kind in (CandidateKind.ENSEMBLE, CandidateKind.CASCADE)
    return Basis.COMPOSED if basis is Basis.MEASURED and several else basis


def cost_figure(pool: Pool, design: Candidate, left_at: np.ndarray) -> CostFigure:
    """Return the design's cost over the examples that left at the stages ``left_at``.

    The interval joins two independent sources in quadrature: which examples were drawn (a cascade's
    exit shares) and the members' own intervals (measurement noise). Seeds of one model share one
    figure, so their errors add up before that.

    Args:
        pool: members and their figures.
        design: the candidate.
        left_at: index of the last stage run, int ``[example]``.
    """
    stages = stages_of(design)
    counts = np.bincount(left_at, minlength=len(stages))
    reached = counts[::-1].cumsum()[::-1]
    value = mean_cost(pool, design, reached.tolist())
    low, high = _measurement_noise(pool, stages, reached / reached[0])
    if pool.axis.kind.composition is Composition.EXPECTED:
        paid = np.cumsum(stage_costs(pool, design))
        drawn_low, drawn_high = mean_interval(counts.tolist(), paid.tolist())
        # a Wilson end lies beyond the value on one side only, so neither difference is negative
        low, high = math.hypot(low, value - drawn_low), math.hypot(high, drawn_high - value)
    basis = composed_basis(pool.basis, design.kind)
    return CostFigure(value=value, low=max(0.0, value - low), high=value + high, basis=basis)


def _measurement_noise(pool: Pool, stages: tuple[Stage, ...], reached: np.ndarray) -> tuple[float, float]:
    """Return how far below and above its value the cost may lie because members' figures are uncertain."""
    composition = pool.axis.kind.composition
    weights: dict[Member, float] = defaultdict(float)
    if composition is Composition.WORST:
        reached = np.ones(len(stages))
    for stage, share in zip(stages, reached, strict=True):
        for member in paying(pool, stage):
            weights[member] += float(share)
    figures = {member: pool.cost_figures[pool.rows((member,))[0]] for member in weights}
    if composition is Composition.MAX:
        value = max(figure.value for figure in figures.values())
        low, high = max(f.low for f in figures.values()), max(f.high for f in figures.values())
        return value - low, high - value
    below: dict[ModelSpec, float] = defaultdict(float)
    above: dict[ModelSpec, float] = defaultdict(float)
    for member, figure in figures.items():
        weight = weights[member] if composition in (Composition.EXPECTED, Composition.WORST) else 1.0
        below[member.model] += weight * (figure.value - figure.low)
        above[member.model] += weight * (figure.high - figure.value)
    if pool.basis in PREDICTED:
        # One predictor's errors have much in common from model to model: they do not average out.
        return sum(below.values()), sum(above.values())
    return math.hypot(*below.values()), math.hypot(*above.values())
