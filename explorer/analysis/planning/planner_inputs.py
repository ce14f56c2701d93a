"""What a plan of runs is made from: designs of a pool, what their figures hang on, and what could be run.

What it assumes beside `planner`: seeds of all models scatter alike (one deviation, pooled); the accuracy of
a design is off by what its models' mean accuracies are off, in the shares in which they answer, so that an
ensemble of one model errs as its single does; seeds of a model share one cost.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from explorer.analysis.binomial import normal_quantile
from explorer.analysis.bootstrap import LEVEL
from explorer.analysis.costs import paying, stages_of
from explorer.analysis.planning.planner import Action, Known, Option, Unknown
from explorer.analysis.pool import Pool
from explorer.analysis.result import Point
from explorer.analysis.statistics.seeds import grouped, seed_deviation
from explorer.convention import Composition
from explorer.errors import UsageError
from explorer.question import Budget, Target
from explorer.spec import Cascade, Member

_Z = normal_quantile((1 + LEVEL) / 2)


def known_of(
    pool: Pool,
    points: Sequence[Point],
    question: Budget | Target | None,
    *,
    train_minutes: Mapping[str, float],
    measure_minutes: float | None = None,
    noise_share: float = 0.05,
    composition_share: float = 0.0,
) -> Known:
    """Return what a plan over some designs is made from.

    Args:
        pool: members, predictions and costs.
        points: designs that could be the answer, by `explorer.analysis.scoring.score.evaluate`; their
            figures on ``report`` are taken.
        question: a budget or a target on the pool's axis; None asks for the front.
        train_minutes: `explorer.analysis.statistics.seeds.Scale.key` -> minutes for another seed; a model
            that is not in it cannot be trained. See `minutes_of`.
        measure_minutes: for one measurement of one design; None: nothing is measured.
        noise_share: standard deviation of one measurement, as a share of the figure.
        composition_share: standard deviation of what a design that was not itself measured costs beyond
            the sum of its members, as a share of its cost.

    Raises:
        UsageError: no designs; no model has two seeds; or a budget on another axis.
    """
    if isinstance(question, Budget) and question.axis != pool.axis:
        raise UsageError(f"the budget is on {question.axis} but the pool holds costs of {pool.axis}")
    unknowns, actions = _seeds_of(pool, points, train_minutes)
    options = []
    for point in points:
        cost_on = _cost_shares(pool, point, composition_share, unknowns)
        options.append(
            Option(
                name=str(point.design),
                accuracy=point.accuracy.value,
                cost=point.cost.value,
                accuracy_on=_accuracy_shares(pool, point),
                cost_on=cost_on,
            )
        )
        if measure_minutes is not None and pool.axis.kind.needs_device and cost_on:
            actions.append(
                Action(
                    name=f"measure {pool.axis} of {point.design}",
                    minutes=measure_minutes,
                    shows=cost_on,
                    noise=noise_share * point.cost.value,
                )
            )
    return Known(
        options=tuple(options), unknowns=tuple(unknowns.values()), actions=tuple(actions), question=question
    )


def _seeds_of(
    pool: Pool, points: Sequence[Point], train_minutes: Mapping[str, float]
) -> tuple[dict[str, Unknown], list[Action]]:
    """Return how far the mean accuracy of each model of the designs may be off, and the trainings of it."""
    deviation = seed_deviation(pool)
    unknowns: dict[str, Unknown] = {}
    actions = []
    used = {row for point in points for row in pool.rows(point.design.members)}
    for scale in (scale for scale in grouped(pool) if used & set(scale.rows)):
        name = f"accuracy of {scale.key}"
        unknowns[name] = Unknown(name=name, error=deviation / len(scale.rows) ** 0.5)
        if scale.key in train_minutes:
            actions.append(
                Action(
                    name=f"train another seed of {scale.key}",
                    minutes=train_minutes[scale.key],
                    shows={name: 1.0},
                    noise=deviation,
                )
            )
    return unknowns, actions


def minutes_of(wall_s: Mapping[Member, float], pool: Pool) -> dict[str, float]:
    """Return each model's median minutes of training, by its key in `known_of`.

    Args:
        wall_s: the pool's member -> seconds its training took; members may be missing.
        pool: the members.
    """
    found = {}
    for scale in grouped(pool):
        spent = [wall_s[pool.members[row]] for row in scale.rows if pool.members[row] in wall_s]
        if spent:
            found[scale.key] = statistics.median(spent) / 60
    return found


def _accuracy_shares(pool: Pool, point: Point) -> dict[str, float]:
    """Return for each model the share in which it answers."""
    design = point.design
    stages = design.combined if isinstance(design, Cascade) else stages_of(design)
    shares: dict[str, float] = defaultdict(float)
    keys = _keys(pool)
    for stage, reached, further in zip(stages, point.reached, (*point.reached[1:], 0.0), strict=True):
        for row in pool.rows(stage.members):
            shares[f"accuracy of {keys[row]}"] += (reached - further) / len(stage.members)
    return dict(shares)


def _cost_shares(
    pool: Pool, point: Point, composition_share: float, unknowns: dict[str, Unknown]
) -> dict[str, float]:
    """Return on which uncertain costs the design's hangs and how much; note them down in ``unknowns``."""
    composition, design = pool.axis.kind.composition, point.design
    runs: dict[int, float] = defaultdict(float)
    for stage, reached in zip(stages_of(design), point.reached, strict=True):
        for row in pool.rows(paying(pool, stage)):
            times = {Composition.EXPECTED: reached, Composition.WORST: 1.0}.get(composition)
            runs[row] = 1.0 if times is None else runs[row] + times
    if composition is Composition.MAX:
        runs = {max(runs, key=lambda row: pool.cost_figures[row].value): 1.0}
    shares: dict[str, float] = defaultdict(float)
    for row, times in runs.items():
        figure = pool.cost_figures[row]
        error = (figure.high - figure.low) / 2 / _Z
        if error > 0:
            name = f"{pool.axis} of {pool.members[row].model}"
            unknowns.setdefault(name, Unknown(name=name, error=error))
            shares[name] += times
    # what is counted costs no more than its parts together
    if composition_share > 0 and len(design.members) > 1 and pool.axis.kind.needs_device:
        name = f"{pool.axis} of {design} beyond its members"
        unknowns[name] = Unknown(name=name, error=composition_share * point.cost.value)
        shares[name] = 1.0
    return dict(shares)


def _keys(pool: Pool) -> dict[int, str]:
    return {row: scale.key for scale in grouped(pool) for row in scale.rows}
