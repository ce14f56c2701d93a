"""A plan of runs from a store: which designs are in question, what could be run, and which runs are worth it.

What is chosen here, beside what `planner` and `planner_inputs` assume:
- In question are designs of each kind's front (`Space`'s search, chosen on ``select``): of the whole front an
  even choice by place, of a budget or a target those nearest to its edge, at most two of one make-up. Designs
  that no kind's front holds are not in question, however close.
- A run is another seed of a model under the recipe it was trained with, or another measurement of a model.
- Minutes are those of one training alone: the median of the recorded ones, or, where a model has none, by
  MACs from the recorded training that is nearest in MACs.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.analysis.costs import stages_of
from explorer.analysis.planning.planner import (
    DRAWS,
    Action,
    Goal,
    Known,
    MeasurementPlan,
    PlannedRun,
    plan_runs,
)
from explorer.analysis.planning.planner_inputs import known_of, minutes_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Point
from explorer.analysis.statistics.seeds import Scale, grouped, seed_deviation
from explorer.analysis.training_runs import Training, stored_name, wall_seconds
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.question import Budget, Target
from explorer.spec import Member, ModelSpec

OF_A_KIND = 12
"""Designs of each kind that are put in question: the simulation grows with the square of all."""
_OF_A_MAKE_UP = 2
NOISE_SHARE = 0.05
"""Standard deviation of one measurement, as a share: two shared cores show 5 to 15 % between series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAsked:
    """What a plan is for."""

    question: Budget | Target | None
    """On the pool's axis; None: the front."""
    minutes: float
    """At hand."""
    goal: Goal = Goal.WRONG
    """What is to become smaller."""
    measure_minutes: float | None = None
    """One measurement of one model; None: nothing is measured."""
    draws: int = DRAWS
    """Of truth and noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRun:
    """Seeds of a model to train."""

    training: Training
    """Of a member they are further seeds of: model, recipe, device, teacher."""
    seeds: tuple[int, ...]
    """The next that nobody has trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRun:
    """A model to measure again."""

    model: ModelSpec
    device: str
    """Text of the workload."""
    kind: str
    """Name of the stored cost kind."""
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the plan and the run it is."""

    planned: PlannedRun
    run: SeedRun | MeasureRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What to run, and what that rests on."""

    question: Budget | Target | None
    plan: MeasurementPlan
    steps: tuple[Step, ...]
    options: tuple[Point, ...]
    """Designs in question."""
    actions: tuple[Action, ...]
    """Everything that could have been run."""
    deviation: float
    """Of one model's accuracy over seeds, pooled, on ``report``."""
    by_macs: Mapping[str, str]
    """Model whose minutes were worked out -> the model they were worked out from."""
    left_out: Mapping[str, str]
    """Model, or ``measuring`` -> why no run of it was looked at."""
    unmeasured: tuple[ModelSpec, ...]
    """Models that were trained and have no cost on the axis: no plan knows what they would change."""
    notes: tuple[str, ...]


def plan_from(
    pool: Pool,
    front: Front,
    trainings: Mapping[Member, Training],
    asked: PlanAsked,
    *,
    unmakeable: Mapping[str, str],
    update: Callable[[float, str], None] = lambda share, text: None,
) -> RunPlan:
    """Plan the runs that tell most about a front, or about the answer to a question.

    Args:
        pool: members, predictions and costs.
        front: what the search of the pool found.
        trainings: the ledger's, by stored member.
        asked: what the plan is for, and the minutes.
        unmakeable: recipe id -> why no further seed can be trained under it.
        update: told how far it is.

    Raises:
        UsageError: no model has two seeds; a budget on another axis; minutes that are not above 0; the regret
            of a front.
    """
    options = contenders(front, asked.question)
    used = {row for point in options for row in pool.rows(point.design.members)}
    scales = {scale.key: scale for scale in grouped(pool) if used & set(scale.rows)}
    train = _training_minutes(pool, scales, trainings, unmakeable)
    known = known_of(pool, options, asked.question, train_minutes=train.minutes)
    left_out = dict(train.left_out)
    if pool.axis.kind.needs_device and asked.measure_minutes is not None:
        if pool.basis is Basis.MEASURED:
            known = with_measurements(known, pool, asked.measure_minutes)
        else:
            left_out["measuring"] = (
                f"{pool.axis} is {pool.basis} for all members, and one measured beside them would not count: "
                "measure them all"
            )
    plan = plan_runs(known, asked.minutes, goal=asked.goal, draws=asked.draws, update=update)
    return RunPlan(
        question=asked.question,
        plan=plan,
        steps=_steps(pool, plan, scales, trainings),
        options=options,
        actions=known.actions,
        deviation=seed_deviation(pool),
        by_macs=train.by_macs,
        left_out=left_out,
        unmeasured=_unmeasured(pool, trainings),
        notes=front.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrainingMinutes:
    """Model's key -> minutes of another seed; the key they were worked out from; why there are none."""

    minutes: Mapping[str, float]
    by_macs: Mapping[str, str]
    left_out: Mapping[str, str]


def _training_minutes(
    pool: Pool,
    scales: Mapping[str, Scale],
    trainings: Mapping[Member, Training],
    unmakeable: Mapping[str, str],
) -> _TrainingMinutes:
    recorded = minutes_of(wall_seconds(pool, trainings), pool)
    minutes: dict[str, float] = {}
    by_macs, left_out = {}, {}
    for key, scale in scales.items():
        why = _why_not(pool, scale, trainings, unmakeable)
        if why:
            left_out[key] = why
        elif key in recorded:
            minutes[key] = recorded[key]
        elif (near := _nearest(pool, scale, recorded, trainings)) is not None:
            by_macs[key], minutes[key] = near
        else:
            left_out[key] = "no training of this data set has a wall time to work its minutes out from"
    return _TrainingMinutes(minutes=minutes, by_macs=by_macs, left_out=left_out)


def contenders(front: Front, question: Budget | Target | None) -> tuple[Point, ...]:
    """Return the designs in question, cheapest first: see the module's text.

    Raises:
        UsageError: a budget on another axis than the front's.
    """
    if isinstance(question, Budget) and question.axis != front.axis:
        raise UsageError(f"the budget is on {question.axis} but the front is over {front.axis}")
    chosen: dict[object, Point] = {}
    for points in front.fronts_by_kind.values():
        picked = _spread(points) if question is None else _nearest_to(points, question)
        chosen |= {point.design: point for point in picked}
    return tuple(sorted(chosen.values(), key=lambda point: (point.select_cost, str(point.design))))


def with_measurements(known: Known, pool: Pool, minutes: float) -> Known:
    """Return the same with one more action for each model whose cost is uncertain: measuring it again."""
    names = {unknown.name for unknown in known.unknowns}
    actions = {}
    for member, figure in zip(pool.members, pool.cost_figures, strict=True):
        unknown = f"{pool.axis} of {member.model}"
        if unknown in names:
            actions[unknown] = Action(
                name=_measuring(pool, member.model),
                minutes=minutes,
                shows={unknown: 1.0},
                noise=NOISE_SHARE * figure.value,
            )
    return replace(known, actions=(*known.actions, *actions.values()))


def _spread(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= OF_A_KIND:
        return points
    return [points[round(i * (len(points) - 1) / (OF_A_KIND - 1))] for i in range(OF_A_KIND)]


def _nearest_to(points: Sequence[Point], question: Budget | Target) -> list[Point]:
    """Return the points nearest to the edge of the question, at most two of one make-up."""

    def distance(point: Point) -> tuple[float, float]:
        cost = point.cost.value
        if isinstance(question, Target):
            return abs(point.accuracy.value - question.accuracy), cost
        return abs(math.log(cost / question.limit)) if cost > 0 else math.inf, cost

    taken: Counter[object] = Counter()
    found: list[Point] = []
    for point in sorted(points, key=distance):
        make_up = tuple(tuple(sorted(str(m.model) for m in s.members)) for s in stages_of(point.design))
        if taken[make_up] < _OF_A_MAKE_UP and len(found) < OF_A_KIND:
            found.append(point)
            taken[make_up] += 1
    return found


def _why_not(
    pool: Pool, scale: Scale, trainings: Mapping[Member, Training], unmakeable: Mapping[str, str]
) -> str:
    """Say why no further seed of a model can be trained by itself; nothing where it can."""
    one = _example(pool, scale, trainings)
    if one is None:
        return "it was not trained here"
    if one.record.recipe.get("snapshot"):
        return "a snapshot's run makes all its snapshots at once"
    return unmakeable.get(one.record.recipe_id, "")


def _example(pool: Pool, scale: Scale, trainings: Mapping[Member, Training]) -> Training | None:
    """Return the training of the scale's last seed that has one."""
    found = [trainings.get(stored_name(pool, pool.members[row])) for row in scale.rows]
    there = [one for one in found if one is not None]
    return there[-1] if there else None


def _nearest(
    pool: Pool, scale: Scale, recorded: Mapping[str, float], trainings: Mapping[Member, Training]
) -> tuple[str, float] | None:
    """Return the model nearest in MACs, of those trained on the same device, and the minutes by it."""
    own = _example(pool, scale, trainings)
    found: list[tuple[float, str, float]] = []
    for other in grouped(pool):
        one = _example(pool, other, trainings)
        if own is None or one is None or other.key not in recorded or one.device != own.device:
            continue
        if own.record.macs > 0 and one.record.macs > 0:
            ratio = own.record.macs / one.record.macs
            found.append((abs(math.log(ratio)), other.key, recorded[other.key] * ratio))
    if not found:
        return None
    _, key, minutes = min(found)
    return key, minutes


def _measuring(pool: Pool, model: ModelSpec) -> str:
    return f"measure {pool.axis} of {model}"


def _steps(
    pool: Pool,
    plan: MeasurementPlan,
    scales: Mapping[str, Scale],
    trainings: Mapping[Member, Training],
) -> tuple[Step, ...]:
    """Return the plan's steps with the seeds they train: the next ones, each once."""
    training = {f"train another seed of {key}": scale for key, scale in scales.items()}
    models = {_measuring(pool, member.model): member.model for member in pool.members}
    taken: dict[str, int] = {}
    steps = []
    for planned in _joined(plan.runs):
        name = planned.action.name
        run: SeedRun | MeasureRun
        if name in training:
            example = _example(pool, training[name], trainings)
            assert example is not None  # what has no training has no action
            first = taken.get(name, _next_seed(example, trainings))
            taken[name] = first + planned.times
            seeds = tuple(range(first, taken[name]))
            run = SeedRun(training=example, seeds=seeds)
        else:
            assert pool.axis.device is not None  # only such costs are measured
            run = MeasureRun(
                model=models[name], device=pool.axis.device, kind=pool.axis.stored_kind, times=planned.times
            )
        steps.append(Step(planned=planned, run=run))
    return tuple(steps)


def _joined(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the runs with neighbours of one action made one."""
    found: list[PlannedRun] = []
    for run in runs:
        last = found[-1] if found else None
        if last is not None and last.action == run.action:
            # the errors of a sum are at most their sum
            times, error = last.times + run.times, last.error + run.error
            found[-1] = replace(last, times=times, after=run.after, error=error)
        else:
            found.append(run)
    return found


def _unmeasured(pool: Pool, trainings: Mapping[Member, Training]) -> tuple[ModelSpec, ...]:
    """Return the models of the pool's recipes that are not in it for want of a measured cost."""
    if not pool.axis.kind.needs_device:
        return ()
    there = {member.model for member in pool.members}
    recipes = pool.summary.recipe_id.split("+")
    names = (m.model for m, one in trainings.items() if one.base_recipe in recipes)
    return tuple(sorted({model for model in names if model not in there}, key=str))


def _next_seed(example: Training, trainings: Mapping[Member, Training]) -> int:
    """Return the seed after the last that was trained of this model under this recipe."""
    member = example.member
    return 1 + max(m.seed for m in trainings if (m.model, m.recipe) == (member.model, member.recipe))
