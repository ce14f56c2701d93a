"""Plans from a pool and its ledger: which designs are in question, what can be run, and which seeds."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from explorer.analysis.planning.planner import Goal, plan_runs
from explorer.analysis.planning.planner_choice import (
    OF_A_KIND,
    MeasureRun,
    PlanAsked,
    SeedRun,
    contenders,
    plan_from,
)
from explorer.analysis.planning.planner_inputs import known_of
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.training_runs import Training, stored_name
from explorer.convention import Basis, CostAxis
from explorer.errors import UsageError
from explorer.question import Budget, Target
from explorer.record import CostFigure, TrainingRecord
from explorer.spec import Member, ModelSpec
from tests.strategies import make_pool, simulated_pool

POOL = simulated_pool(models=3, seeds=3, select=300, report=400, seed=7)
FRONT = search(POOL, POOL.axis, Space(max_members=2))
MACS = CostAxis.parse("macs")


def training(member, wall_s, *, macs=100, recipe=None, recipe_id="", device="cpu"):
    record = TrainingRecord(
        recipe_id=recipe_id or member.recipe,
        recipe=recipe or {},
        epochs=1,
        examples_seen=1,
        wall_s=wall_s,
        device=device,
        macs=macs,
        curve=(),
        versions={},
    )
    seconds = CostFigure(value=wall_s, low=wall_s, high=wall_s, basis=Basis.MEASURED)
    return Training(
        member=member,
        record=record,
        seconds=seconds,
        alike=1,
        teachers=(),
        goes_on_from=(),
        missing_cycles=(),
    )


def trainings(pool=POOL, **changes):
    """Seed s of net m took 60 (m + 1) (s + 1) seconds, and MACs 100 x 10^m."""
    found = {}
    for member in pool.members:
        number, name = int(member.name[3:]), stored_name(pool, member)
        given = {"wall_s": 60.0 * (number + 1) * (member.seed + 1), "macs": 100 * 10**number}
        found[name] = training(name, **{**given, **changes.get(member.name, {})})
    return found


def plan(asked, *, pool=POOL, front=FRONT, ledger=None, unmakeable=None):
    return plan_from(pool, front, ledger or trainings(pool), asked, unmakeable=unmakeable or {})


FOR_FRONT = PlanAsked(question=None, minutes=200.0, draws=400)


def measured_pool(basis=Basis.MEASURED):
    figures = [
        CostFigure(value=v, low=0.8 * v, high=1.2 * v, basis=basis)
        for v in (1e-3 * 3 ** int(member.name[3:]) for member in POOL.members)
    ]
    arrays = POOL.select, POOL.select_labels, POOL.report, POOL.report_labels
    return make_pool(*arrays, members=POOL.members, axis="latency@cpu", figures=figures)


def test_plan_is_the_planner_s_on_the_designs_in_question_with_neighbours_joined():
    found = plan(FOR_FRONT)
    minutes = {"net0@8": 2.0, "net1@8": 4.0, "net2@8": 6.0}
    known = known_of(POOL, contenders(FRONT, None), None, train_minutes=minutes)
    assert {a.name: a.minutes for a in found.actions} == {a.name: a.minutes for a in known.actions}
    plain = plan_runs(known, 200.0, draws=400)
    assert (found.plan.now, found.plan.then, found.plan.spent) == (plain.now, plain.then, plain.spent)
    assert found.steps, "at 200 minutes something is worth running"
    assert sum(step.planned.times for step in found.steps) == sum(run.times for run in plain.runs)
    assert [step.planned.before for step in found.steps][1:] == [s.planned.after for s in found.steps][:-1]
    names = [step.planned.action.name for step in found.steps]
    assert all(one != two for one, two in pairwise(names))


def test_seeds_are_the_next_ones_each_once_and_never_one_that_exists():
    ledger = trainings()
    further = Member("net0", 8, 6, POOL.summary.recipe_id)
    ledger[further] = training(further, 60.0)
    found = plan(PlanAsked(question=None, minutes=500.0, draws=400), ledger=ledger)
    for model, first in (("net0", 7), ("net1", 3), ("net2", 3)):
        runs = [s.run for s in found.steps if s.run.training.member.name == model]
        seeds = [seed for run in runs for seed in run.seeds]
        assert seeds == list(range(first, first + len(seeds)))
    assert all(
        isinstance(step.run, SeedRun) and len(step.run.seeds) == step.planned.times for step in found.steps
    )


def test_without_a_wall_time_minutes_follow_from_the_model_nearest_in_macs():
    found = plan(FOR_FRONT, ledger=trainings(net1={"wall_s": 0.0, "macs": 500}))
    assert found.by_macs == {"net1@8": "net0@8"}
    (action,) = [a for a in found.actions if a.name.endswith("net1@8")]
    assert action.minutes == pytest.approx(2.0 * 5)
    other_device = {"wall_s": 0.0, "device": "cuda"}
    apart = plan(FOR_FRONT, ledger=trainings(net1=other_device))
    assert (apart.by_macs, list(apart.left_out)) == ({}, ["net1@8"])


def test_what_cannot_be_trained_is_left_out_and_said():
    snapshot = {"recipe": {"snapshot": 2, "cycles": 3}}
    found = plan(
        FOR_FRONT, ledger=trainings(net0=snapshot, net1={"recipe_id": "odd-1"}), unmakeable={"odd-1": "why"}
    )
    assert found.left_out == {"net0@8": "a snapshot's run makes all its snapshots at once", "net1@8": "why"}
    assert [a.name for a in found.actions] == ["train another seed of net2@8"]
    elsewhere = {name: one for name, one in trainings().items() if name.name != "net2"}
    assert plan(FOR_FRONT, ledger=elsewhere).left_out == {"net2@8": "it was not trained here"}


def test_measuring_a_model_is_a_run_where_costs_are_measured():
    pool = measured_pool()
    front = search(pool, pool.axis, Space(max_members=2))
    edge = sorted(point.cost.value for point in front.points)[len(front.points) // 2]
    asked = PlanAsked(question=Budget(pool.axis, edge), minutes=9.0, measure_minutes=0.5, draws=400)
    found = plan(asked, pool=pool, front=front)
    measuring = {a.name: a for a in found.actions if a.name.startswith("measure")}
    assert set(measuring) <= {f"measure latency@cpu of net{n}@8" for n in range(3)}
    assert all(a.minutes == 0.5 and math.isclose(sum(a.shows.values()), 1) for a in measuring.values())
    runs = [step.run for step in found.steps if isinstance(step.run, MeasureRun)]
    assert runs, "costs known to a tenth decide at the budget's edge"
    assert all((run.device, run.kind) == ("cpu", "latency") for run in runs)
    without = plan(replace(asked, measure_minutes=None), pool=pool, front=front)
    assert not any(a.name.startswith("measure") for a in without.actions)
    fitted = measured_pool(Basis.FITTED)
    predicted = plan(asked, pool=fitted, front=search(fitted, fitted.axis, Space(max_members=2)))
    assert "is fitted for all members" in predicted.left_out["measuring"]


def test_models_without_a_cost_are_named():
    pool = measured_pool()
    front = search(pool, pool.axis, Space(max_members=1))
    ledger = trainings(pool)
    for name, recipe in (("netA", pool.summary.recipe_id), ("netB", "another-1")):
        ledger[Member(name, 8, 0, recipe)] = training(Member(name, 8, 0, recipe), 60.0)
    asked = PlanAsked(question=None, minutes=1.0)
    assert plan(asked, pool=pool, front=front, ledger=ledger).unmeasured == (ModelSpec("netA", 8),)
    assert plan(asked, ledger=ledger).unmeasured == (), "what is counted needs no measuring"


def test_designs_in_question_are_spread_or_near_the_edge():
    spread = contenders(FRONT, None)
    for points in FRONT.fronts_by_kind.values():
        there = [point for point in points if point in spread]
        assert len(there) == min(len(points), OF_A_KIND)
        assert {points[0], points[-1]} <= set(there)
    limit = FRONT.points[len(FRONT.points) // 2].cost.value
    near = contenders(FRONT, Budget(MACS, limit))
    for kind, points in FRONT.fronts_by_kind.items():
        distances = {p.design: abs(math.log(p.cost.value / limit)) for p in points}
        nearest = min(distances, key=distances.get)
        assert nearest in [p.design for p in near], kind
    accuracy = FRONT.points[-1].accuracy.value
    assert accuracy in [point.accuracy.value for point in contenders(FRONT, Target(accuracy))]
    with pytest.raises(UsageError, match="the front is over macs"):
        contenders(FRONT, Budget(CostAxis.parse("parameters"), 1.0))


def test_a_few_minutes_buy_nothing():
    found = plan(PlanAsked(question=None, minutes=1.0))
    assert (found.steps, found.plan.stopped, found.plan.spent) == ((), "minutes", 0.0)
    with pytest.raises(UsageError, match="no regret"):
        plan(PlanAsked(question=None, minutes=1.0, goal=Goal.REGRET))
    with pytest.raises(UsageError, match="minutes"):
        plan(PlanAsked(question=None, minutes=math.inf))
